/** Images: references, the content store, layers, and what containers need from them. */
export type { ImageConfig, ImageDocument } from "../spec/oci-image.ts";
export {
  type AnnotationLevel,
  type Annotations,
  type Attestation,
  type ComposedImage,
  composeImage,
} from "./archive/composed-image.ts";
export { HELLO_NAME, installHello, installPause, PAUSE_NAME } from "./archive/embedded.ts";
export { isIndex } from "./archive/load.ts";
export {
  addSnapshotImages,
  idOfSnapshotImage,
  makeImage,
  type NewImage,
  type SnapshotImage,
} from "./archive/make-image.ts";
export { platformIndex } from "./archive/platform-index.ts";
export { saveImages, writeComposedArchive } from "./archive/save.ts";
export type { ImageSource, LoadProgress } from "./archive/stage-archive.ts";
export {
  type AbsentFile,
  ContentHash,
  type ContextMemory,
  copySource,
  fillLarge,
  hasWildcards,
  isArchive,
  isDirectory,
  isFile,
  KnownContext,
  type KnownDigests,
  LayerTarget,
  LayerTree,
  makeDirectory,
  makeFile,
  makeSymlink,
  type Owner,
  openMatches,
  openSource,
  readWhole,
  removePath,
  type Selection,
  type Source,
  type SourceTree,
  SpooledTree,
  SpoolWriter,
  spoolDigest,
  ToldWriter,
  timeOf,
  unpackSource,
} from "./copies/mod.ts";
export {
  type ClientOptions,
  checkAuth,
  connectionError,
  type FetchedManifest,
  type Login,
  parseMirror,
  RegistryClient,
  type RegistryConfig,
} from "./registry/mod.ts";
export { type PullEvent, type PullOptions, type PullPhase, pullBeside, pullImage } from "./registry/pull.ts";
export {
  type PushedLayerEvent,
  type PushedManifest,
  type PushOptions,
  pushComposed,
  pushImage,
  pushIndex,
} from "./registry/push.ts";
export { type HttpResponse, sendFollowing } from "./registry/transport.ts";
export { digestOf } from "./store/blobs.ts";
export type { DiskUsage, ImageUsage } from "./store/disk-usage.ts";
export type { FetchedLayer, LayerSource } from "./store/fetch-layers.ts";
export type { FormedLayer, FormedLayers, LayerForm } from "./store/formed-layers.ts";
export { planLayersMount } from "./store/image-mounts.ts";
export type { TreeChanges } from "./store/layer-jobs.ts";
export { chainIdsOf } from "./store/layers.ts";
export { choosePlatform, requirePlatform } from "./store/platform.ts";
export type { Image } from "./store/present-image.ts";
export type { ImageUser } from "./store/removal.ts";
export type { PackedLayers, SnapshotLayer, StepDirectory } from "./store/snapshots.ts";
export { type ImageLayers, ImageStore, type LoadedImage, type RemoveRecord } from "./store/store.ts";
export { decompress, decompressStream, looksLikeArchive, peek } from "./tar/compression.ts";
export { type ExtractOptions, LiveExtractor } from "./tar/extract-live.ts";
export type { IdTranslations } from "./tar/id-translation.ts";
export { TAR_BLOCK_BYTES, type TarEntry, TarReader, type TarSink } from "./tar/tar-reader.ts";
export { encodeTar, encodeTarHeader, TAR_END, tarPaddingBytes } from "./tar/tar-writer.ts";
export { type TreeBelow, writeFileTar, writeTreesTar } from "./tar/tree-tar.ts";
export { copyDirectoryFromLayers } from "./tree/copy-directory.ts";
export { type Change, listChanges } from "./tree/layer-changes.ts";
export {
  isDirectoryInLayers,
  isOpaque as isOpaqueDirectory,
  listInLayers,
  readFileInLayers,
  readlinkInLayers,
  resolveInLayers,
  statInLayers,
} from "./tree/layered-fs.ts";
export { type ResolvedUser, resolveGroup, resolveUser } from "./tree/users.ts";
