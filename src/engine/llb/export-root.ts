/** Exports root file systems that no Dockerfile has made: what images of them say comes from the client. */
import { DEFAULT_PATH } from "../../base/default-path.ts";
import { formatNow } from "../../base/time.ts";
import { addSnapshotImages, type ImageDocument, idOfSnapshotImage, type SnapshotImage } from "../../image/mod.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { BuildProgress } from "../build/build-progress.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { type BuiltForm, type BuiltImage, exportBuild, type OutputTargets } from "../build/export-build.ts";
import type { StepRoots } from "../build/step-roots.ts";
import type { BuildOutput } from "../outputs/output-options.ts";

export interface ExportRequest extends Pick<BuildRequest, "signal" | "onStatus"> {
  targets: OutputTargets;
  outputs: readonly BuildOutput[];
  /** One for each platform. */
  roots: readonly ExportedRoot[];
}

export interface ExportedRoot {
  platform: Platform;
  /** The snapshot, which is held; "" is empty. */
  root: string;
  /** What an image of it says; undefined: nothing but the platform. */
  document: Omit<ImageDocument, "rootfs"> | undefined;
}

export async function exportRoots(
  roots: StepRoots,
  { onStatus, roots: exported, ...rest }: ExportRequest,
): Promise<BuiltImage> {
  const { engine, images } = roots;
  return await exportBuild({
    ...rest,
    ...{ engine, images, tags: [], maxMtimeSeconds: undefined, onImage: () => {}, onTag: () => {} },
    isProvenanceInlineOnly: true,
    forms: exported.map((each) => formOf(roots, each)),
    progress: new BuildProgress(onStatus),
  });
}

function formOf({ images }: StepRoots, { platform, root, document: given }: ExportedRoot): BuiltForm {
  const { history, ...document } = given ?? { ...platform, config: { Env: [`PATH=${DEFAULT_PATH}`] }, history: [] };
  const makeImage = async () => {
    const below = await images.packSnapshot(root, undefined);
    const created = document.created ?? history.at(-1)?.created ?? formatNow();
    const fitting = fittingHistory(history, below.diffIds.length, created);
    const image: SnapshotImage = { below, document: { ...document, created }, history: fitting };
    const id = idOfSnapshotImage(image);
    const isNew = images.stored(id) === undefined;
    if (isNew) await addSnapshotImages(images, [image]);
    return { id, isNew };
  };
  return { platform, root, makeImage };
}

/** The history with as many entries that have a layer as there are layers. Source: moby/buildkit exporter/containerimage/writer.go. */
function fittingHistory(
  history: ImageDocument["history"],
  layerCount: number,
  created: string,
): ImageDocument["history"] {
  let count = history.filter((entry) => entry.empty_layer !== true).length;
  const fitting = history.map((entry) =>
    entry.empty_layer !== true && count > layerCount && count-- > 0 ? { ...entry, empty_layer: true } : entry,
  );
  for (; count < layerCount; count++) fitting.push({ created, comment: "buildkit.exporter.image.v0" });
  return fitting;
}
