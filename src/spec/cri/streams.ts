/** Messages of Kubernetes' runtime interface: processes and ports within pods. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */
import { bytes, integer, MessageType, string, strings } from "../protobuf.ts";

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
