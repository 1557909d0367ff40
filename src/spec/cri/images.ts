/** Messages of Kubernetes' runtime interface: images. Source: kubernetes/cri-api pkg/apis/runtime/v1/api.proto. */

import { boolean, integer, MessageType, message, messages, string, stringMap, strings } from "../protobuf.ts";
import { filesystemUsageType, imageSpecType, int64ValueType, podSandboxConfigType } from "./common.ts";

const imageFilterType = new MessageType({
  image: message(1, imageSpecType),
});
export const listImagesRequestType = new MessageType({
  filter: message(1, imageFilterType),
});
const imageType = new MessageType({
  id: string(1),
  repoTags: strings(2),
  repoDigests: strings(3),
  size: integer(4),
  uid: message(5, int64ValueType),
  username: string(6),
  spec: message(7, imageSpecType),
  pinned: boolean(8),
});
export const listImagesResponseType = new MessageType({
  images: messages(1, imageType),
});
export const imageStatusRequestType = new MessageType({
  image: message(1, imageSpecType),
  verbose: boolean(2),
});
export const imageStatusResponseType = new MessageType({
  image: message(1, imageType),
  info: stringMap(2),
});
export const authConfigType = new MessageType({
  username: string(1),
  password: string(2),
  auth: string(3),
  serverAddress: string(4),
  identityToken: string(5),
  registryToken: string(6),
});
export const pullImageRequestType = new MessageType({
  image: message(1, imageSpecType),
  auth: message(2, authConfigType),
  sandboxConfig: message(3, podSandboxConfigType),
});
export const pullImageResponseType = new MessageType({
  imageRef: string(1),
});
export const removeImageRequestType = new MessageType({
  image: message(1, imageSpecType),
});
export const removeImageResponseType = new MessageType({});
export const imageFsInfoRequestType = new MessageType({});
export const imageFsInfoResponseType = new MessageType({
  imageFilesystems: messages(1, filesystemUsageType),
  containerFilesystems: messages(2, filesystemUsageType),
});
