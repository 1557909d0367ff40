/**
 * Documents of the OCI image-spec 1.1, and Docker's two equivalents: shapes, spelled as on the wire, and parsers. The parsers are
 * strict about the types of fields they know and ignore the others; a document is stored as the bytes that came.
 * Sources: opencontainers/image-spec manifest.md, image-index.md, config.md, image-layout.md; Docker image spec v1.2.
 */
import { LighterError } from "../base/errors.ts";
import type { DiffId, Digest } from "../base/ids.ts";
import { ARCHIVE_MAX_IMAGES, IMAGE_MAX_LAYERS } from "../base/limits.ts";

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  annotations?: Record<string, string>;
  platform?: Platform;
}

export interface ImageManifest {
  schemaVersion: 2;
  mediaType?: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
}

export interface ImageIndex {
  schemaVersion: 2;
  mediaType?: string;
  manifests: Descriptor[];
  annotations?: Record<string, string>;
}

export interface Healthcheck {
  Test?: string[];
  /** Nanoseconds, as are the other times. */
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

/** The image's `config`: the defaults for its containers. Absent and null mean the same. */
export interface ImageConfig {
  User?: string;
  ExposedPorts?: Record<string, object>;
  Env?: string[];
  Entrypoint?: string[];
  Cmd?: string[];
  Volumes?: Record<string, object>;
  WorkingDir?: string;
  Labels?: Record<string, string>;
  StopSignal?: string;
  /** Seconds. */
  StopTimeout?: number;
  Healthcheck?: Healthcheck;
  OnBuild?: string[];
  Shell?: string[];
  ArgsEscaped?: boolean;
}

interface ImageHistory {
  created?: string;
  author?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
}

/** The document to which a manifest's `config` descriptor points. */
export interface ImageDocument {
  created?: string;
  author?: string;
  comment?: string;
  architecture: string;
  variant?: string;
  os: string;
  "os.version"?: string;
  docker_version?: string;
  config: ImageConfig;
  rootfs: { type: "layers"; diff_ids: DiffId[] };
  history: ImageHistory[];
}

/** One element of `docker save`'s manifest.json. */
export interface DockerArchiveImage {
  /** Path of the config document in the archive. */
  Config: string;
  RepoTags: string[];
  /** Paths of the layers' tars in the archive, lowest first. */
  Layers: string[];
  /** The ID of the image in the archive that it was made from. */
  Parent?: string;
}

export const MEDIA_TYPE = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
} as const;

/** Docker's media type for an OCI layer's. */
export function dockerLayerType(mediaType: string): string {
  return mediaType
    .replace("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar")
    .replace("+gzip", ".gzip")
    .replace("+zstd", ".zstd");
}

export const REF_NAME_ANNOTATION = "org.opencontainers.image.ref.name";
/** The annotation in which containerd and Docker write the full reference; ref.name may be only a tag. */
export const CONTAINERD_NAME_ANNOTATION = "io.containerd.image.name";

/** Checks that `text` is "sha256:" and 64 lower-case hex digits. @throws LighterError ("invalid") */
export function parseDigest(text: unknown, what: string): Digest {
  if (typeof text === "string" && /^sha256:[0-9a-f]{64}$/.test(text)) return text as Digest;
  if (typeof text === "string" && /^sha(384|512):/.test(text))
    throw new LighterError("not-supported", `${what}: digest algorithm of "${text.slice(0, 40)}" is not supported`);
  throw new LighterError("invalid", `${what} is not a sha256 digest`);
}

// --- Reading typed fields of parsed JSON. `where` names the document and the path for the message. ---

type JsonObject = Record<string, unknown>;

function wrongType(where: string, wanted: string): LighterError {
  return new LighterError("invalid", `${where} is not ${wanted}`);
}

function objectOf(value: unknown, where: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrongType(where, "an object");
  return value as JsonObject;
}

/** Reads an object's own field: a document's "__proto__" is a field like any other and no parent of anything. */
function field(object: JsonObject, key: string): unknown {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  return value === null ? undefined : value;
}

function optionalString(object: JsonObject, key: string, where: string): string | undefined {
  const value = field(object, key);
  if (value !== undefined && typeof value !== "string") throw wrongType(`${where}.${key}`, "a string");
  return value;
}

function optionalBoolean(object: JsonObject, key: string, where: string): boolean | undefined {
  const value = field(object, key);
  if (value !== undefined && typeof value !== "boolean") throw wrongType(`${where}.${key}`, "a boolean");
  return value;
}

function optionalInteger(object: JsonObject, key: string, where: string): number | undefined {
  const value = field(object, key);
  if (value !== undefined && !Number.isSafeInteger(value)) throw wrongType(`${where}.${key}`, "an integer");
  return value as number | undefined;
}

function arrayOf(value: unknown, where: string, limit: number): unknown[] {
  if (!Array.isArray(value)) throw wrongType(where, "an array");
  if (value.length > limit)
    throw new LighterError("invalid", `${where} has ${value.length} elements, above the limit of ${limit}`);
  return value;
}

const NO_LIMIT = Number.POSITIVE_INFINITY; // the document's own size is the bound

function optionalStrings(object: JsonObject, key: string, where: string): string[] | undefined {
  const value = field(object, key);
  if (value === undefined) return undefined;
  for (const element of arrayOf(value, `${where}.${key}`, NO_LIMIT))
    if (typeof element !== "string") throw wrongType(`${where}.${key}`, "an array of strings");
  return value as string[];
}

/** A command: old builders wrote a list of one as a single string. */
function optionalCommand(object: JsonObject, key: string, where: string): string[] | undefined {
  const value = field(object, key);
  return typeof value === "string" ? [value] : optionalStrings(object, key, where);
}

function optionalStringMap(object: JsonObject, key: string, where: string): Record<string, string> | undefined {
  const value = field(object, key);
  if (value === undefined) return undefined;
  const map = objectOf(value, `${where}.${key}`);
  for (const element of Object.values(map))
    if (typeof element !== "string") throw wrongType(`${where}.${key}`, "a map of strings");
  return map as Record<string, string>;
}

/** A set in Go's spelling: {"80/tcp": {}}. */
function optionalSet(object: JsonObject, key: string, where: string): Record<string, object> | undefined {
  const value = field(object, key);
  if (value === undefined) return undefined;
  const keys = Object.keys(objectOf(value, `${where}.${key}`));
  return Object.fromEntries(keys.map((element) => [element, {}]));
}

/** The object without its undefined fields, as `exactOptionalPropertyTypes` wants it. */
function compact<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] === undefined) delete object[key];
  return object as T;
}

/** Parses JSON. @throws LighterError ("invalid") naming the document. */
export function parseDocument(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    // A SyntaxError, or a RangeError because it nests deeper than the stack allows.
    throw new LighterError("invalid", `${where} is not JSON`, { cause });
  }
}

function parseDescriptor(value: unknown, where: string): Descriptor {
  const object = objectOf(value, where);
  const size = field(object, "size");
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw wrongType(`${where}.size`, "a size in bytes");
  const platform = field(object, "platform");
  return compact<Descriptor>({
    mediaType: optionalString(object, "mediaType", where) ?? "",
    digest: parseDigest(field(object, "digest"), `${where}.digest`),
    size,
    annotations: optionalStringMap(object, "annotations", where),
    platform: platform === undefined ? undefined : parsePlatform(platform, `${where}.platform`),
  });
}

function parsePlatform(value: unknown, where: string): Platform {
  const object = objectOf(value, where);
  return compact<Platform>({
    os: optionalString(object, "os", where) ?? "",
    architecture: optionalString(object, "architecture", where) ?? "",
    variant: optionalString(object, "variant", where),
  });
}

function requireSchema2(object: JsonObject, where: string): void {
  const version = field(object, "schemaVersion");
  if (version === 1) throw new LighterError("not-supported", `${where} has schema version 1, which is not supported`);
  if (version !== 2) throw new LighterError("invalid", `${where} has no schema version 2`);
}

/** Parses a manifest. @throws LighterError ("invalid", "not-supported"). */
export function parseManifest(text: string, where: string): ImageManifest {
  const object = objectOf(parseDocument(text, where), where);
  requireSchema2(object, where);
  const layers = arrayOf(field(object, "layers"), `${where}.layers`, IMAGE_MAX_LAYERS);
  return compact<ImageManifest>({
    schemaVersion: 2,
    mediaType: optionalString(object, "mediaType", where),
    config: parseDescriptor(field(object, "config"), `${where}.config`),
    layers: layers.map((layer, index) => parseDescriptor(layer, `${where}.layers[${index}]`)),
    annotations: optionalStringMap(object, "annotations", where),
  });
}

/** Parses an index. @throws LighterError ("invalid", "not-supported"). */
export function parseIndex(text: string, where: string): ImageIndex {
  const object = objectOf(parseDocument(text, where), where);
  requireSchema2(object, where);
  const manifests = arrayOf(field(object, "manifests") ?? [], `${where}.manifests`, ARCHIVE_MAX_IMAGES);
  return compact<ImageIndex>({
    schemaVersion: 2,
    mediaType: optionalString(object, "mediaType", where),
    manifests: manifests.map((manifest, index) => parseDescriptor(manifest, `${where}.manifests[${index}]`)),
    annotations: optionalStringMap(object, "annotations", where),
  });
}

function parseHealthcheck(value: unknown, where: string): Healthcheck {
  const object = objectOf(value, where);
  return compact<Healthcheck>({
    Test: optionalStrings(object, "Test", where),
    Interval: optionalInteger(object, "Interval", where),
    Timeout: optionalInteger(object, "Timeout", where),
    StartPeriod: optionalInteger(object, "StartPeriod", where),
    StartInterval: optionalInteger(object, "StartInterval", where),
    Retries: optionalInteger(object, "Retries", where),
  });
}

export function parseImageConfig(value: unknown, where: string): ImageConfig {
  const object = objectOf(value, where);
  const healthcheck = field(object, "Healthcheck");
  return compact<ImageConfig>({
    User: optionalString(object, "User", where),
    ExposedPorts: optionalSet(object, "ExposedPorts", where),
    Env: optionalStrings(object, "Env", where),
    Entrypoint: optionalCommand(object, "Entrypoint", where),
    Cmd: optionalCommand(object, "Cmd", where),
    Volumes: optionalSet(object, "Volumes", where),
    WorkingDir: optionalString(object, "WorkingDir", where),
    Labels: optionalStringMap(object, "Labels", where),
    StopSignal: optionalString(object, "StopSignal", where),
    StopTimeout: optionalInteger(object, "StopTimeout", where),
    Healthcheck: healthcheck === undefined ? undefined : parseHealthcheck(healthcheck, `${where}.Healthcheck`),
    OnBuild: optionalStrings(object, "OnBuild", where),
    Shell: optionalCommand(object, "Shell", where),
    ArgsEscaped: optionalBoolean(object, "ArgsEscaped", where),
  });
}

function parseHistory(value: unknown, where: string): ImageHistory {
  const object = objectOf(value, where);
  return compact<ImageHistory>({
    created: optionalString(object, "created", where),
    author: optionalString(object, "author", where),
    created_by: optionalString(object, "created_by", where),
    comment: optionalString(object, "comment", where),
    empty_layer: optionalBoolean(object, "empty_layer", where),
  });
}

/** Parses the config document. @throws LighterError ("invalid"). */
export function parseImageDocument(text: string, where: string): ImageDocument {
  const object = objectOf(parseDocument(text, where), where);
  const rootfs = objectOf(field(object, "rootfs"), `${where}.rootfs`);
  const type = field(rootfs, "type");
  if (type !== undefined && type !== "layers") throw wrongType(`${where}.rootfs.type`, '"layers"');
  const diffIds = arrayOf(field(rootfs, "diff_ids") ?? [], `${where}.rootfs.diff_ids`, IMAGE_MAX_LAYERS);
  const history = arrayOf(field(object, "history") ?? [], `${where}.history`, NO_LIMIT);
  const config = field(object, "config");
  return compact<ImageDocument>({
    created: optionalString(object, "created", where),
    author: optionalString(object, "author", where),
    comment: optionalString(object, "comment", where),
    architecture: optionalString(object, "architecture", where) ?? "",
    variant: optionalString(object, "variant", where),
    os: optionalString(object, "os", where) ?? "",
    "os.version": optionalString(object, "os.version", where),
    docker_version: optionalString(object, "docker_version", where),
    config: config === undefined ? {} : parseImageConfig(config, `${where}.config`),
    rootfs: {
      type: "layers",
      diff_ids: diffIds.map((id, index) => parseDigest(id, `${where}.rootfs.diff_ids[${index}]`) as string as DiffId),
    },
    history: history.map((entry, index) => parseHistory(entry, `${where}.history[${index}]`)),
  });
}

/** Parses `docker save`'s manifest.json. @throws LighterError ("invalid"). */
export function parseDockerArchive(text: string, where: string): DockerArchiveImage[] {
  return arrayOf(parseDocument(text, where), where, ARCHIVE_MAX_IMAGES).map((value, index) => {
    const at = `${where}[${index}]`;
    const object = objectOf(value, at);
    const config = optionalString(object, "Config", at);
    const layers = optionalStrings(object, "Layers", at) ?? [];
    if (config === undefined || config === "") throw new LighterError("invalid", `${at}.Config is missing`);
    if (layers.length > IMAGE_MAX_LAYERS)
      throw new LighterError("invalid", `${at} has ${layers.length} layers, above the limit of ${IMAGE_MAX_LAYERS}`);
    const parent = optionalString(object, "Parent", at);
    return {
      ...{ Config: config, RepoTags: optionalStrings(object, "RepoTags", at) ?? [], Layers: layers },
      ...(parent === undefined || parent === "" ? {} : { Parent: parent }),
    };
  });
}
