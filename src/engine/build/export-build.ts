/** Puts what was built where it is asked for: into the store, a registry, or to the client as files or as an archive. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { canonicalName } from "../../build/mod.ts";
import { runWithOutput } from "../../files/mod.ts";
import {
  type Attestation,
  type ComposedImage,
  composeImage,
  type ImageStore,
  platformIndex,
  writeComposedArchive,
} from "../../image/mod.ts";
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Descriptor, Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { BlobTarget } from "../cache/cache-request.ts";
import type { Engine } from "../engine.ts";
import { treeTarJob } from "../files/file-jobs.ts";
import { publishImage } from "../images/image-events.ts";
import { type BuildOutput, formOf, isFormed } from "../outputs/output-options.ts";
import { provenanceOf, statementOfFiles } from "../outputs/provenance.ts";
import type { BuildProgress, BuildTask } from "./build-progress.ts";

/** Where outputs go that do not stay here. */
export interface OutputTargets {
  /** Sends the output with that index, a tar. Resolves when the client has it all. @throws what the client says */
  send(index: number, tar: AsyncIterable<Uint8Array>): Promise<void>;
  /** Opens the directory of the output with that index: an OCI layout, whose index the client writes. */
  layout(index: number): Promise<BlobTarget>;
  /** Pushes the image, or its forms for several platforms, under that name. Resolves with the digest that the registry has. */
  push(name: string, ids: readonly Digest[]): Promise<string>;
  /** Pushes an image that was composed for it, under its digest alone if `isUntagged`. Resolves with the digest. */
  pushComposed(name: string, image: ComposedImage, isUntagged: boolean): Promise<string>;
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
  /** How it was made. */
  provenance?: object | undefined;
}

/** What a build has made. */
export interface BuiltImage {
  /** The image's id, of several that for this host; "" if no output needs an image. */
  id: string;
  /** What an output has elsewhere that is not the image of that id: a manifest, or an index. */
  elsewhere?: { descriptor: Descriptor; isIndex: boolean };
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
  /** Whether it is told how the forms were made only where that needs no output of another kind. */
  isProvenanceInlineOnly: boolean;
  onImage: (id: Digest) => void;
  onTag: (name: string) => void;
}

/** Exports. */
export async function exportBuild(options: ExportOptions): Promise<BuiltImage> {
  const { outputs, images } = options;
  let made: MadeImage[] | undefined;
  let elsewhere: BuiltImage["elsewhere"];
  for (const [index, output] of outputs.entries()) {
    const { type } = output;
    if (type === "cacheonly") continue;
    if (type === "local" || type === "tar") await exportFiles(options, index, type);
    else {
      made = await exportImage(options, output, made);
      const ids = made.map(({ id }) => id);
      const sent = type === "image" ? await push(options, output, ids) : await exportArchive(options, index, type, ids);
      elsewhere = sent ?? elsewhere;
    }
  }
  if (made === undefined) return { id: "" };
  const { id } = hostsOwn(options, made);
  const isKept = outputs.some(({ type }) => type === "image");
  for (const each of made) if (each.isNew && !isKept) await images.remove(each.id, { force: false, users: [] });
  return { id, ...(elsewhere === undefined ? {} : { elsewhere }) };
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
      if (type === "image" && (compression === "gzip" || compression === "zstd")) {
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
        publishImage(options, "tag", own.id, familiarReference(parseReference(name)));
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

type Elsewhere = BuiltImage["elsewhere"];

/** Pushes, if that is asked for. Resolves with what the registry has, if that is not the image that is here. */
async function push(options: ExportOptions, output: BuildOutput, ids: readonly Digest[]): Promise<Elsewhere> {
  const { attrs } = output;
  if (attrs.push !== "true") return undefined;
  const names = namesOf(options, attrs);
  if (names.length === 0) throw new LighterError("invalid", "tag is needed when pushing to registry");
  const pushAll = (send: (name: string, targets: OutputTargets) => Promise<string>) => pushNames(options, names, send);
  if (!isFormed(output) && options.forms.every(({ provenance }) => provenance === undefined)) {
    await pushAll((name, targets) => targets.push(name, ids));
    if (ids.length === 1) return undefined;
    const { descriptor } = platformIndex(ids.map((id) => options.images.get(id)));
    return { descriptor, isIndex: true };
  }
  const isUntagged = attrs["push-by-digest"] === "true";
  return await withComposed(options, output, ids, async (image) => {
    await pushAll((name, targets) => targets.pushComposed(name, image, isUntagged));
  });
}

async function pushNames(
  { progress, targets }: ExportOptions,
  names: readonly string[],
  send: (name: string, targets: OutputTargets) => Promise<string>,
): Promise<void> {
  for (const name of names)
    await progress.task(`pushing ${name}`, async ({ part }) => {
      const digest = await send(name, required(targets));
      part(`pushed ${digest}`, { completed: true });
    });
}

/** Lends the images in the form in which an output has them. Resolves with what that is. */
async function withComposed(
  options: ExportOptions,
  output: BuildOutput,
  ids: readonly Digest[],
  use: (image: ComposedImage) => Promise<void>,
): Promise<Elsewhere> {
  const { images, signal } = options;
  const { layers: form, ...rest } = formOf(output);
  const stored = ids.map((id) => images.get(id));
  const attestations = (index: number) => attestationsOf(options, output, options.forms[index]!);
  return await images.withForms(form, async (layers) => {
    const image = await composeImage(images, stored, { ...rest, layers, attestations, signal });
    await use(image);
    return { descriptor: image.root, isIndex: image.hasIndex };
  });
}

async function exportFiles(options: ExportOptions, index: number, type: "local" | "tar"): Promise<void> {
  const { engine, images, forms, progress } = options;
  const isSplit = forms.length > 1 || options.outputs[index]!.attrs["platform-split"] === "true";
  const what = type === "local" ? "directory" : "tarball";
  await progress.task(`exporting to client ${what}`, async ({ part }) => {
    const targets = required(options.targets);
    using told = new DisposableStack();
    const trees = forms.map(({ platform, root, provenance }) => ({
      layers: [...provenanceLayer(options, provenance, told), ...images.layersOf(root).lowerDirs],
      below: isSplit ? `${formatPlatform(platform).replaceAll("/", "_")}/` : "",
    }));
    trees.sort((a, b) => (a.below < b.below ? -1 : 1)); // as receivers want what is in one directory
    const times = options.maxMtimeSeconds === undefined ? {} : { maxMtimeSeconds: options.maxMtimeSeconds };
    const argument = { trees, ...times };
    const send = (tar: AsyncIterable<Uint8Array>) => targets.send(index, counted(tar, part, "copying files"));
    await runWithOutput(engine.workers, treeTarJob, argument, {}, (_: null, tar) => send(tar.bytes()));
  });
}

/** A directory that goes above a form's layers, with a file that tells how it was made; none unless that is asked for. */
function provenanceLayer(
  { isProvenanceInlineOnly }: ExportOptions,
  provenance: object | undefined,
  held: DisposableStack,
): string[] {
  if (provenance === undefined || isProvenanceInlineOnly) return [];
  const directory = mkdtempSync(join(tmpdir(), "lighter-provenance-"));
  held.defer(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755); // it lends "/" its attributes
  writeFileSync(join(directory, "provenance.json"), JSON.stringify(statementOfFiles(provenance), undefined, 2));
  return [directory];
}

/** What an output says of a form. Docker's own archives have no room for it. */
function attestationsOf(options: ExportOptions, { type, attrs }: BuildOutput, form: BuiltForm): Attestation[] {
  const { provenance, platform } = form;
  if (provenance === undefined || (type === "docker" && options.isProvenanceInlineOnly)) return [];
  if (type === "docker")
    throw new LighterError("invalid", "docker exporter does not currently support exporting manifest lists");
  return [provenanceOf(provenance, namesOf(options, attrs), platform)];
}

async function exportArchive(
  options: ExportOptions,
  index: number,
  type: "docker" | "oci",
  ids: readonly Digest[],
): Promise<Elsewhere> {
  const output = options.outputs[index]!;
  const names = namesOf(options, output.attrs).map((name) => withDefaultTag(parseReference(name)));
  return await options.progress.task(`sending ${type} image`, ({ part }) =>
    withComposed(options, output, ids, async (image) => {
      if (output.attrs.tar === "false") return await writeLayout(await required(options.targets).layout(index), image);
      const archive = writeComposedArchive(image, names, type);
      await required(options.targets).send(index, counted(archive, part, "sending tarball"));
    }),
  );
}

async function writeLayout(target: BlobTarget, { blobs }: ComposedImage): Promise<void> {
  for (const { descriptor, read } of blobs.values())
    if (!(await target.has(descriptor.digest))) await target.write(descriptor, read);
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
