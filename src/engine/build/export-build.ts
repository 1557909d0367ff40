/** Puts what was built where it is asked for: into the store, a registry, or to the client as files or as an archive. */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { canonicalName } from "../../build/mod.ts";
import { runWithOutput } from "../../files/mod.ts";
import { type ImageStore, platformIndex, writeImageArchive } from "../../image/mod.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { Engine } from "../engine.ts";
import { treeTarJob } from "../files/file-jobs.ts";
import type { BuildProgress, BuildTask } from "./build-progress.ts";

const OUTPUT_TYPES = ["cacheonly", "docker", "image", "local", "oci", "tar"] as const;

/** One exporter, with BuildKit's options. */
export interface BuildOutput {
  type: (typeof OUTPUT_TYPES)[number];
  attrs: Readonly<Record<string, string>>;
}

/** Where outputs go that do not stay here. */
export interface OutputTargets {
  /** Sends the output with that index, a tar. Resolves when the client has it all. @throws what the client says */
  send(index: number, tar: AsyncIterable<Uint8Array>): Promise<void>;
  /** Pushes the image, or its forms for several platforms, under that name. Resolves with the digest that the registry has. */
  push(name: string, ids: readonly Digest[]): Promise<string>;
}

/** The options that each exporter has; those of no effect here are taken, too. */
const IMAGE_OPTIONS = [
  "name",
  "rewrite-timestamp",
  "compression",
  "force-compression",
  "oci-mediatypes",
  "unpack",
  "store",
  "name-canonical",
];
const OPTIONS: Readonly<Record<BuildOutput["type"], readonly string[]>> = {
  cacheonly: [],
  docker: [...IMAGE_OPTIONS, "tar"],
  image: [...IMAGE_OPTIONS, "push"],
  local: ["platform-split"],
  oci: [...IMAGE_OPTIONS, "tar"],
  tar: ["platform-split"],
};

/**
 * Checks an output. `isLenient`: options that are not known are left out, as BuildKit does.
 * @throws LighterError for what is no output, and for an option that is not supported
 */
export function checkOutput(type: string, given: BuildOutput["attrs"], isLenient = false): BuildOutput {
  const known = OUTPUT_TYPES.find((each) => each === type);
  if (known === undefined) throw new LighterError("invalid", `exporter "${type}" could not be found`);
  const unknown = Object.keys(given).find((name) => !OPTIONS[known].includes(name));
  if (unknown !== undefined && !isLenient)
    throw new LighterError("not-supported", `exporter "${type}": the option "${unknown}" is not supported yet`);
  const attrs = Object.fromEntries(Object.entries(given).filter(([name]) => OPTIONS[known].includes(name)));
  const { compression = "gzip", tar = "true" } = attrs;
  if (!["gzip", "zstd", "uncompressed"].includes(compression))
    throw new LighterError("not-supported", `exporter "${type}": the compression "${compression}" is not supported`);
  if (tar !== "true") throw new LighterError("not-supported", `exporter "${type}": only a tar can be made`);
  return { type: known, attrs };
}

interface MadeImage {
  id: Digest;
  isNew: boolean;
}

/** What was built for one platform. */
export interface BuiltForm {
  platform: Platform;
  /** The root file system, which is held. */
  root: string;
  /** Makes the image in the store, if that has not been done. */
  makeImage: () => Promise<MadeImage>;
}

/** What a build has made. */
export interface BuiltImage {
  /** The image's id, of several that for this host; "" if no output needs an image. */
  id: string;
  /** The digest of the index, if there are several and an output has it. */
  indexDigest?: Digest;
}

interface ExportOptions {
  engine: Engine;
  images: ImageStore;
  outputs: readonly BuildOutput[];
  /** Names for the image, beside those of the outputs. */
  tags: readonly string[];
  targets: OutputTargets | undefined;
  progress: BuildProgress;
  signal: AbortSignal;
  /** No file is said to have been changed later. */
  maxMtimeSeconds: number | undefined;
  /** For one platform, or for several. */
  forms: readonly BuiltForm[];
  onImage: (id: Digest) => void;
  onTag: (name: string) => void;
}

/** Exports. */
export async function exportBuild(options: ExportOptions): Promise<BuiltImage> {
  const { outputs, images, forms } = options;
  let made: MadeImage[] | undefined;
  let hasIndex = false;
  for (const [index, output] of outputs.entries()) {
    const { type, attrs } = output;
    if (type === "cacheonly") continue;
    if (type === "local" || type === "tar") await exportFiles(options, index, type);
    else {
      made = await exportImage(options, output, made);
      const ids = made.map(({ id }) => id);
      if (type === "image") await push(options, output, ids);
      else await exportArchive(options, index, type, ids);
      hasIndex ||= forms.length > 1 && (type !== "image" || attrs.push === "true");
    }
  }
  if (made === undefined) return { id: "" };
  const { id } = hostsOwn(options, made);
  const indexed = made.map((each) => images.get(each.id));
  const isKept = outputs.some(({ type }) => type === "image");
  for (const each of made) if (each.isNew && !isKept) await images.remove(each.id, { force: false, users: [] });
  return { id, ...(hasIndex ? { indexDigest: platformIndex(indexed).descriptor.digest } : {}) };
}

/** Chooses, of images for several platforms, that for the store's own, else the first: it is what the name means here. */
function hostsOwn({ forms, images }: ExportOptions, made: readonly MadeImage[]): MadeImage {
  const { os, architecture } = images.platform;
  const at = forms.findIndex(({ platform }) => platform.os === os && platform.architecture === architecture);
  return made[Math.max(at, 0)]!;
}

/** Makes the images, unless another output has, and names the host's if they stay here. */
async function exportImage(
  options: ExportOptions,
  { type, attrs }: BuildOutput,
  known: MadeImage[] | undefined,
): Promise<MadeImage[]> {
  const { progress, forms, images, signal, onImage, onTag } = options;
  const { compression } = attrs;
  if (type === "docker" && forms.length > 1)
    throw new LighterError("invalid", "docker exporter does not currently support exporting manifest lists");
  return await progress.task(
    `exporting to ${type === "image" ? "image" : `${type} image format`}`,
    async ({ part }) => {
      const made = known ?? [];
      if (known === undefined) for (const form of forms) made.push(await form.makeImage());
      part("exporting layers", { completed: true });
      if (compression === "gzip" || compression === "zstd") {
        for (const { id } of made)
          await images.compressLayers(images.stored(id)!, { compression, onProgress: () => {}, signal });
        part(`compressing layers with ${compression}`, { completed: true });
      }
      for (const { id } of made) part(`writing image ${id}`, { completed: true });
      const own = hostsOwn(options, made);
      if (known === undefined) onImage(own.id);
      for (const name of type === "image" ? namesOf(options, attrs) : []) {
        await images.tagForms(
          own.id,
          made.map(({ id }) => id),
          name,
        );
        part(`naming to ${name}`, { completed: true });
        onTag(name);
      }
      return made;
    },
  );
}

function namesOf({ tags }: ExportOptions, { name = "" }: BuildOutput["attrs"]): string[] {
  return [...new Set([...tags, ...name.split(",").filter((each) => each !== "")].map(canonicalName))];
}

async function push(options: ExportOptions, { attrs }: BuildOutput, ids: readonly Digest[]): Promise<void> {
  if (attrs.push !== "true") return;
  const names = namesOf(options, attrs);
  if (names.length === 0) throw new LighterError("invalid", "tag is needed when pushing to registry");
  for (const name of names)
    await options.progress.task(`pushing ${name}`, async ({ part }) => {
      const digest = await required(options.targets).push(name, ids);
      part(`pushed ${digest}`, { completed: true });
    });
}

async function exportFiles(options: ExportOptions, index: number, type: "local" | "tar"): Promise<void> {
  const { engine, images, forms, progress } = options;
  const isSplit = forms.length > 1 || options.outputs[index]!.attrs["platform-split"] === "true";
  const what = type === "local" ? "directory" : "tarball";
  await progress.task(`exporting to client ${what}`, async ({ part }) => {
    const targets = required(options.targets);
    const trees = forms.map(({ platform, root }) => ({
      layers: images.layersOf(root).lowerDirs,
      below: isSplit ? `${formatPlatform(platform).replaceAll("/", "_")}/` : "",
    }));
    trees.sort((a, b) => (a.below < b.below ? -1 : 1)); // as receivers want what is in one directory
    const times = options.maxMtimeSeconds === undefined ? {} : { maxMtimeSeconds: options.maxMtimeSeconds };
    const argument = { trees, ...times };
    const send = (tar: AsyncIterable<Uint8Array>) => targets.send(index, counted(tar, part, "copying files"));
    await runWithOutput(engine.workers, treeTarJob, argument, {}, (_: null, tar) => send(tar.bytes()));
  });
}

async function exportArchive(
  options: ExportOptions,
  index: number,
  type: "docker" | "oci",
  ids: readonly Digest[],
): Promise<void> {
  const { images, progress } = options;
  const names = namesOf(options, options.outputs[index]!.attrs).map((name) => withDefaultTag(parseReference(name)));
  await progress.task(`sending ${type} image`, async ({ part }) => {
    const archive = writeImageArchive(images, { images: ids.map((id) => images.get(id)), names }, type);
    await required(options.targets).send(index, counted(archive, part, "sending tarball"));
  });
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  part: BuildTask["part"],
  id: string,
): AsyncGenerator<Uint8Array> {
  let current = 0;
  for await (const chunk of chunks) {
    current += chunk.length;
    yield chunk;
  }
  part(id, { current, completed: true });
}

function required(targets: OutputTargets | undefined): OutputTargets {
  if (targets === undefined) throw new LighterError("invalid", "this client takes no output of a build");
  return targets;
}
