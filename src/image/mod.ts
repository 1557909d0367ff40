/** Images: references, the content store, layers, and what a container needs of them. */
export type { ImageConfig, ImageDocument } from "../spec/oci-image.ts";
export { decompress, decompressStream } from "./compression.ts";
export { copyDirectoryFromLayers } from "./copy-directory.ts";
export type { DiskUsage, ImageUsage } from "./disk-usage.ts";
export { type ExtractOptions, LiveExtractor } from "./extract-live.ts";
export { HELLO_NAME, installHello } from "./hello.ts";
export type { IdTranslations } from "./id-translation.ts";
export { type Change, listChanges } from "./layer-changes.ts";
export type { TreeChanges } from "./layer-jobs.ts";
export { isDirectoryInLayers, readFileInLayers } from "./layered-fs.ts";
export { makeImage, type NewImage } from "./make-image.ts";
export type { Image } from "./present-image.ts";
export { type PullEvent, type PullOptions, type PullPhase, pullImage } from "./pull.ts";
export { type PushedLayerEvent, type PushedManifest, type PushOptions, pushImage } from "./push.ts";
export {
  type ClientOptions,
  checkAuth,
  type FetchedManifest,
  parseMirror,
  RegistryClient,
  type RegistryConfig,
} from "./registry/mod.ts";
export type { ImageUser } from "./removal.ts";
export { saveImages } from "./save.ts";
export type { ImageSource, LoadProgress } from "./stage-archive.ts";
export { type ImageLayers, ImageStore, type LoadedImage, type RemoveRecord } from "./store.ts";
export { TarReader } from "./tar-reader.ts";
export { type TreeTarOptions, writeFileTar, writeTreeTar } from "./tree-tar.ts";
export { type ResolvedUser, resolveGroup, resolveUser } from "./users.ts";
