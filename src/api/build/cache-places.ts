/** Where caches of builds are kept: registries, images that are here, and directories of the client. */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES } from "../../base/limits.ts";
import {
  type BlobTarget,
  type CacheExport,
  type CacheImport,
  type CachePlace,
  type CacheTarget,
  digestOf,
  type Login,
  parseFlag,
  parseLayerForm,
} from "../../engine/mod.ts";
import { INLINE_CACHE_FIELD } from "../../spec/build-cache.ts";
import { parseReference, type Reference, withDefaultTag } from "../../spec/image-reference.ts";
import { MEDIA_TYPE, parseDigest, parseDocument } from "../../spec/oci-image.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

/** A directory of the client, which has the form of an OCI image layout. */
export interface ClientDirectory extends BlobTarget {
  /** @throws LighterError "not-found" */
  read(digest: Digest): AsyncIterable<Uint8Array>;
}

export interface CacheClient {
  /** Opens a directory of the client. */
  directory: (path: string) => ClientDirectory;
  credentialsFor: (domain: string) => AuthConfig | Login;
  signal: AbortSignal;
}

/** One of BuildKit's options: {"Type": "registry", "Attrs": {"ref": "…"}}. */
export interface CacheOption {
  type: string;
  attrs: Readonly<Record<string, string>>;
}

/** @throws LighterError for a kind of cache that there is not */
export function cacheImports(daemon: Daemon, options: readonly CacheOption[], client: CacheClient): CacheImport[] {
  return options.map(({ type, attrs }) => {
    if (type === "registry") {
      const reference = referenceOf(attrs, "importer");
      const open = async () => (await placeHere(daemon, reference)) ?? (await registryPlace(daemon, reference, client));
      return { name: attrs.ref!, open };
    }
    if (type !== "local") throw new LighterError("not-supported", `unknown cache importer: ${type}`);
    const { src = "", digest } = attrs;
    if (digest === undefined) throw new LighterError("invalid", "local cache importer requires explicit digest");
    const wanted = parseDigest(digest, "digest");
    return { name: `local:${src}`, open: async () => directoryPlace(client.directory(src), wanted) };
  });
}

interface CacheExports {
  cacheExports: CacheExport[];
  hasInlineCache: boolean;
}

/** @throws LighterError for a kind of cache that there is not, and for malformed options */
export function cacheExports(daemon: Daemon, options: readonly CacheOption[], client: CacheClient): CacheExports {
  const elsewhere = options.filter(({ type }) => type !== "inline");
  return {
    hasInlineCache: elsewhere.length < options.length,
    cacheExports: elsewhere.map(({ type, attrs }) => {
      const common = {
        isMax: attrs.mode === "max",
        form: parseLayerForm(attrs),
        isImage: parseFlag(attrs, "image-manifest", false),
        isOci: parseFlag(attrs, "oci-mediatypes", true),
        ignoresErrors: parseFlag(attrs, "ignore-error", false),
      };
      if (type === "registry") {
        const reference = referenceOf(attrs, "exporter");
        return { kind: "registry", ...common, open: () => registryTarget(daemon, reference, client) };
      }
      if (type !== "local") throw new LighterError("not-supported", `unknown cache exporter: "${type}"`);
      const { dest = "" } = attrs;
      if (dest === "") throw new LighterError("invalid", "local cache exporter requires dest");
      return { kind: "client directory", ...common, open: async () => directoryTarget(client.directory(dest)) };
    }),
  };
}

function referenceOf({ ref = "" }: CacheOption["attrs"], what: string): Reference {
  if (ref === "") throw new LighterError("invalid", `registry cache ${what} requires ref`);
  return withDefaultTag(parseReference(ref));
}

/** An image of that name that is here and has a cache; undefined if there is none. */
async function placeHere({ images }: Daemon, reference: Reference): Promise<CachePlace | undefined> {
  const image = images.referenced(reference);
  if (image === undefined) return undefined;
  const document = async ({ digest }: { digest: Digest }) => Buffer.from(await images.readDocument(digest));
  if (!(await document({ digest: image.id })).includes(`"${INLINE_CACHE_FIELD}"`)) return undefined;
  const { manifestDigest: digest, manifestMediaType: mediaType } = image;
  const gone = async () => {
    throw new LighterError("not-found", "the image is gone");
  };
  return {
    manifest: async () => ({ mediaType, bytes: await document({ digest }) }),
    document,
    layer: () => ({ describe: gone }), // it is not asked for, as long as the image is here
  };
}

function registryClient(daemon: Daemon, reference: Reference, actions: "pull" | "pull,push", client: CacheClient) {
  const { signal } = client;
  return daemon.registries.open(reference, { credentials: client.credentialsFor(reference.domain), signal, actions });
}

async function registryPlace(daemon: Daemon, reference: Reference, cacheClient: CacheClient): Promise<CachePlace> {
  const client = await registryClient(daemon, reference, "pull", cacheClient);
  return {
    manifest: async () => {
      const { descriptor, bytes } = await client.getManifest(reference.digest ?? reference.tag!);
      return { mediaType: descriptor.mediaType, bytes };
    },
    document: async (descriptor) =>
      isManifest(descriptor.mediaType)
        ? (await client.getManifest(descriptor.digest)).bytes
        : await client.getBlob(descriptor),
    layer: (blob) => ({ describe: (rejected) => client.describeBlob(blob, rejected) }),
  };
}

function isManifest(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.ociManifest || mediaType === MEDIA_TYPE.dockerManifest;
}

async function registryTarget(daemon: Daemon, reference: Reference, cacheClient: CacheClient): Promise<CacheTarget> {
  const client = await registryClient(daemon, reference, "pull,push", cacheClient);
  return {
    has: (digest) => client.hasBlob(digest),
    write: (blob, read) => client.uploadBlob(blob, read),
    finish: async ({ mediaType }, bytes) => void (await client.putManifest(reference.tag!, mediaType, bytes)),
  };
}

/** What has that digest in a directory. */
export function directoryPlace(directory: ClientDirectory, digest: Digest): CachePlace {
  return {
    manifest: async () => {
      const bytes = await readWhole(directory, digest);
      const document = Object(parseDocument(bytes.toString(), `manifest ${digest}`));
      const usual = "manifests" in document ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.ociManifest;
      return { mediaType: String(document.mediaType ?? usual), bytes };
    },
    document: (descriptor) => readWhole(directory, descriptor.digest),
    layer: (blob) => ({ read: () => directory.read(blob.digest) }),
  };
}

/** Reads a document, and verifies it. @throws LighterError "invalid", "not-found" */
async function readWhole(directory: ClientDirectory, digest: Digest): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of directory.read(digest)) {
    length += chunk.length;
    if (length > IMAGE_JSON_MAX_BYTES)
      throw new LighterError("invalid", `blob ${digest} has more than ${IMAGE_JSON_MAX_BYTES} bytes`);
    chunks.push(new Uint8Array(chunk));
  }
  const bytes = Buffer.concat(chunks);
  const found = digestOf(bytes);
  if (found !== digest) throw new LighterError("invalid", `blob ${digest} is damaged: it has the digest ${found}`);
  return bytes;
}

function directoryTarget(directory: ClientDirectory): CacheTarget {
  return {
    has: (digest) => directory.has(digest),
    write: (blob, read) => directory.write(blob, read),
    // The client writes index.json when it has heard of the manifest.
    finish: async (manifest, bytes) => {
      if (await directory.has(manifest.digest)) return;
      await directory.write(manifest, async function* () {
        yield bytes;
      });
    },
  };
}
