/** Installs the embedded image "hello". */
import { LighterError } from "../../base/errors.ts";
import type { DiffId } from "../../base/ids.ts";
import type { ImageDocument } from "../../spec/oci-image.ts";
import { digestOf } from "../store/blobs.ts";
import type { Image } from "../store/present-image.ts";
import type { ImageStore } from "../store/store.ts";
import { encodeTar } from "../tar/tar-writer.ts";

export const HELLO_NAME = "hello:latest";

/** Marks the image as ours, so that a newer program replaces it, but never one that a user named "hello". */
const EMBEDDED_LABEL = "lighter.embedded";

/** The image's date in all versions, 2026-01-01: its id changes with the binary only. */
const CREATED_SECONDS = 1_767_225_600;

/** Makes the archive in `docker save`'s form. The same binary gives the same bytes. */
function encodeHelloArchive(binary: Uint8Array): { archive: Buffer; id: string } {
  const layer = encodeTar(
    [
      { path: "./", mode: 0o755 },
      { path: "hello", mode: 0o755, content: binary },
    ],
    CREATED_SECONDS,
  );
  const created = new Date(CREATED_SECONDS * 1000).toISOString();
  const document: ImageDocument = {
    created,
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Cmd: ["/hello"], Env: [], WorkingDir: "/", Labels: { [EMBEDDED_LABEL]: "hello" } },
    rootfs: { type: "layers", diff_ids: [digestOf(layer) as string as DiffId] },
    history: [{ created, created_by: "lighter", comment: "prints what the kernel gave the container" }],
  };
  const config = Buffer.from(JSON.stringify(document));
  const id = digestOf(config);
  const configName = `${id.slice("sha256:".length)}.json`;
  const manifest = [{ Config: configName, RepoTags: [HELLO_NAME], Layers: ["layer.tar"] }];
  const archive = encodeTar(
    [
      { path: configName, mode: 0o644, content: config },
      { path: "layer.tar", mode: 0o644, content: layer },
      { path: "manifest.json", mode: 0o644, content: Buffer.from(JSON.stringify(manifest)) },
    ],
    CREATED_SECONDS,
  );
  return { archive, id };
}

function findHello(store: ImageStore): Image | undefined {
  try {
    return store.get(HELLO_NAME);
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-found") return undefined;
    throw error;
  }
}

/**
 * Makes sure that the image "hello:latest" exists, built from `binary`, a static executable. Called at every start of the daemon,
 * so a deleted one comes back then. An image of that name that is not ours is left alone.
 */
export async function installHello(store: ImageStore, binary: Uint8Array): Promise<void> {
  const present = findHello(store);
  if (present !== undefined && present.document.config.Labels?.[EMBEDDED_LABEL] !== "hello") return;
  const { archive, id } = encodeHelloArchive(binary);
  if (present?.id === id) return;
  await store.load(
    (async function* () {
      yield archive;
    })(),
  );
}
