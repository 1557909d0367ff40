/** Messages of Kubernetes' runtime interface: processes and ports within pods. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */
import { boolean, bytes, integer, integers, MessageType, string, strings } from "../protobuf.ts";

export const execSyncRequestType = new MessageType({
  containerId: string(1),
  cmd: strings(2),
  timeout: integer(3),
});
export const execSyncResponseType = new MessageType({
  stdout: bytes(1),
  stderr: bytes(2),
  exitCode: integer(3),
});
export const execRequestType = new MessageType({
  containerId: string(1),
  cmd: strings(2),
  tty: boolean(3),
  stdin: boolean(4),
  stdout: boolean(5),
  stderr: boolean(6),
});
export const execResponseType = new MessageType({
  url: string(1),
});
export const attachRequestType = new MessageType({
  containerId: string(1),
  stdin: boolean(2),
  tty: boolean(3),
  stdout: boolean(4),
  stderr: boolean(5),
});
export const attachResponseType = new MessageType({
  url: string(1),
});
export const portForwardRequestType = new MessageType({
  podSandboxId: string(1),
  port: integers(2),
});
export const portForwardResponseType = new MessageType({
  url: string(1),
});
