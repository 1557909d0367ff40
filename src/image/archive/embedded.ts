/** Installs the images whose programs are parts of Lighter. */
import { LighterError } from "../../base/errors.ts";
import type { DiffId } from "../../base/ids.ts";
import type { ImageDocument } from "../../spec/oci-image.ts";
import { digestOf } from "../store/blobs.ts";
import type { Image } from "../store/present-image.ts";
import type { ImageStore } from "../store/store.ts";
import { encodeTar } from "../tar/tar-writer.ts";

export const HELLO_NAME = "hello:latest";
/** The image of a pod's sandbox, whose only process waits for its end. */
export const PAUSE_NAME = "lighter/pause:latest";

interface EmbeddedImage {
  /** With a tag. */
  name: string;
  /** The program's name, in "/". */
  program: string;
  args: readonly string[];
  /** What the history says of it. */
  comment: string;
}

const HELLO: EmbeddedImage = {
  name: HELLO_NAME,
  program: "hello",
  args: [],
  comment: "prints what the kernel gave the container",
};
const PAUSE: EmbeddedImage = {
  name: PAUSE_NAME,
  program: "pause",
  args: ["--pause"],
  comment: "keeps the namespaces of a pod",
};

/** Marks an image as ours, so that a newer program replaces it, but never one that a user gave the name. */
const EMBEDDED_LABEL = "lighter.embedded";

/** The image's date in all versions, 2026-01-01: its id changes with the binary only. */
const CREATED_SECONDS = 1_767_225_600;

/** Makes an archive in `docker save`'s form. The same binary gives the same bytes. */
function encodeArchive(
  { name, program, args, comment }: EmbeddedImage,
  binary: Uint8Array,
): { archive: Buffer; id: string } {
  const layer = encodeTar(
    [
      { path: "./", mode: 0o755 },
      { path: program, mode: 0o755, content: binary },
    ],
    CREATED_SECONDS,
  );
  const created = new Date(CREATED_SECONDS * 1000).toISOString();
  const document: ImageDocument = {
    created,
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Cmd: [`/${program}`, ...args], Env: [], WorkingDir: "/", Labels: { [EMBEDDED_LABEL]: program } },
    rootfs: { type: "layers", diff_ids: [digestOf(layer) as string as DiffId] },
    history: [{ created, created_by: "lighter", comment }],
  };
  const config = Buffer.from(JSON.stringify(document));
  const id = digestOf(config);
  const configName = `${id.slice("sha256:".length)}.json`;
  const manifest = [{ Config: configName, RepoTags: [name], Layers: ["layer.tar"] }];
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

function findImage(store: ImageStore, name: string): Image | undefined {
  try {
    return store.get(name);
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
  const present = findImage(store, HELLO.name);
  if (present !== undefined && present.document.config.Labels?.[EMBEDDED_LABEL] !== HELLO.program) return;
  await install(store, HELLO, binary);
}

/** Makes sure that the image of sandboxes exists; resolves with its id, by which it is told from what others may call so. */
export function installPause(store: ImageStore, binary: Uint8Array): Promise<string> {
  return install(store, PAUSE, binary);
}

/** Resolves with the image's id. */
async function install(store: ImageStore, image: EmbeddedImage, binary: Uint8Array): Promise<string> {
  const { archive, id } = encodeArchive(image, binary);
  if (findImage(store, image.name)?.id === id) return id;
  await store.load(
    (async function* () {
      yield archive;
    })(),
  );
  return id;
}
