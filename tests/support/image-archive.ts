/** Image archives for tests, in `docker save`'s form and as OCI layouts, from hand-made layers. */
import { createHash } from "node:crypto";
import { type RawHeader, rawTar } from "./image-tar.ts";

export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export interface ArchiveImage {
  /** Uncompressed tars, lowest first. */
  layers: Buffer[];
  config?: object;
  tags?: string[];
  created?: string;
}

/** The config document of an image with these layers. */
export function imageDocument(
  layers: readonly Buffer[],
  config: object = {},
  created = "2024-01-02T03:04:05Z",
): object {
  return {
    created,
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config,
    rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
    history: layers.map(() => ({ created_by: "test" })),
  };
}

/** An archive in `docker save`'s form: HEX.json, HEX/layer.tar, manifest.json last. */
export function dockerArchive(...images: ArchiveImage[]): Buffer {
  const entries: RawHeader[] = [];
  const manifest = images.map(({ layers, config, tags, created }) => {
    const document = Buffer.from(JSON.stringify(imageDocument(layers, config, created)));
    const configName = `${sha256(document)}.json`;
    entries.push({ name: configName, content: document });
    const names = layers.map((layer) => {
      const name = `${sha256(layer)}/layer.tar`;
      entries.push({ name, content: layer });
      return name;
    });
    return { Config: configName, RepoTags: tags ?? null, Layers: names };
  });
  return rawTar(...entries, { name: "manifest.json", content: JSON.stringify(manifest) });
}

/** An OCI layout with one image, as a list of files. `layers` are as stored (compressed or not), `diffs` uncompressed. */
export function ociLayout(options: {
  layers: Buffer[];
  diffs?: Buffer[];
  mediaType?: string;
  refName?: string;
  config?: object;
}): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const blob = (bytes: Buffer, mediaType: string): object => {
    files.set(`blobs/sha256/${sha256(bytes)}`, bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const document = imageDocument(options.diffs ?? options.layers, options.config);
  const layerType = options.mediaType ?? "application/vnd.oci.image.layer.v1.tar";
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: blob(Buffer.from(JSON.stringify(document)), "application/vnd.oci.image.config.v1+json"),
    layers: options.layers.map((layer) => blob(layer, layerType)),
  };
  const annotations = { "org.opencontainers.image.ref.name": options.refName ?? "latest" };
  const descriptor = blob(Buffer.from(JSON.stringify(manifest)), "application/vnd.oci.image.manifest.v1+json");
  files.set("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  files.set(
    "index.json",
    Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }] })),
  );
  return files;
}

export function tarOfFiles(files: ReadonlyMap<string, Buffer>): Buffer {
  return rawTar(...[...files].map(([name, content]) => ({ name, content })));
}
