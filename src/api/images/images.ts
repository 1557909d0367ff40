/** Lists, inspects, removes and creates images. */
import { LighterError } from "../../base/errors.ts";
import { type Image, imageUsers } from "../../engine/mod.ts";
import { EMPTY_CONFIG } from "../containers/container-view.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { Filters } from "../http/filters.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";
import { importTar } from "./image-changes.ts";
import { publishRemoval } from "./image-events.ts";
import { compileListFilters, compileReferenceFilter, createdSeconds } from "./image-filters.ts";
import { pull } from "./pull-push.ts";

const FILTERS = ["before", "dangling", "label", "reference", "since", "until"];
const NEVER = "0001-01-01T00:00:00Z";

/** GET /images/json */
export function listImages({ daemon, query, response, apiMinor }: AnswerCall): void {
  const filters = Filters.parse(query.text("filters"), FILTERS);
  const matches = compileListFilters(daemon, filters);
  const withMatchingNames = compileReferenceFilter(filters.get("reference"));
  const all = listedImages(daemon, query.boolean("all"));
  const sharedSizeOf = query.boolean("shared-size") ? measureShared(daemon, all) : () => -1;
  const users = new Map<string, number>();
  for (const { record } of daemon.engine.list()) users.set(record.imageId, (users.get(record.imageId) ?? 0) + 1);
  const images = all.filter(matches).flatMap((image) => withMatchingNames(image) ?? []);
  sendJson(
    response,
    200,
    images.map((image) =>
      shapeFor("image summary", apiMinor, {
        ...summarizeImage(image),
        ...(apiMinor < EMPTY_NAMES_SINCE ? namesOfNameless(image) : {}),
        Containers: apiMinor < 51 ? -1 : (users.get(image.id) ?? 0),
        SharedSize: sharedSizeOf(image),
      }),
    ),
  );
}

/** Before this version, an image without a name was listed with a stand-in. */
const EMPTY_NAMES_SINCE = 43;

/** The names that older clients expect of an image without any: those that see an empty list do not show the image. */
function namesOfNameless({ repoTags, repoDigests }: Image): { RepoTags?: string[]; RepoDigests?: string[] } {
  if (repoTags.length + repoDigests.length > 0) return {};
  return { RepoTags: ["<none>:<none>"], RepoDigests: ["<none>@<none>"] };
}

/** The images of the store; with `isAll` also those that are only steps on the way to others. */
export function listedImages({ images }: Daemon, isAll: boolean): Image[] {
  return images.list().filter(({ isIntermediate }) => isAll || !isIntermediate);
}

/** An element of `GET /images/json`. */
export function summarizeImage(image: Image): object {
  return {
    Containers: -1,
    Created: createdSeconds(image),
    Id: image.id,
    Labels: image.document.config.Labels ?? null,
    ParentId: image.parentId,
    RepoDigests: image.repoDigests,
    RepoTags: image.repoTags,
    SharedSize: -1,
    Size: image.sizeBytes,
    VirtualSize: image.sizeBytes,
  };
}

/** A function for the bytes of an image's layers that other images have, too. */
function measureShared({ images }: Daemon, all: readonly Image[]): (image: Image) => number {
  const users = new Map<string, number>();
  for (const { chainIds } of all) for (const chainId of chainIds) users.set(chainId, (users.get(chainId) ?? 0) + 1);
  return ({ id, chainIds }) =>
    images.layerSizesOf(id).reduce((sum, size, index) => sum + (users.get(chainIds[index]!)! > 1 ? size : 0), 0);
}

/** GET /images/{name}/json */
export function inspectImage({ daemon, parameter, response, apiMinor }: AnswerCall): void {
  const image = daemon.images.get(parameter("name"));
  const { document } = image;
  const [topmost = "", ...below] = daemon.images.layersOf(image.id).lowerDirs;
  const created = document.created ?? (apiMinor < 44 ? NEVER : undefined);
  const inspected = {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parentId,
    Comment: document.comment || document.history.at(-1)?.comment || "",
    ...(created === undefined ? {} : { Created: created }),
    Container: "",
    ContainerConfig: { ...EMPTY_CONFIG, Labels: null },
    DockerVersion: document.docker_version ?? "",
    Author: document.author ?? "",
    Config: {
      ...EMPTY_CONFIG,
      Labels: null,
      ...document.config,
    },
    Architecture: document.architecture,
    ...(document.variant === undefined ? {} : { Variant: document.variant }),
    Os: document.os,
    ...(document["os.version"] === undefined ? {} : { OsVersion: document["os.version"] }),
    Size: image.sizeBytes,
    VirtualSize: image.sizeBytes,
    GraphDriver: {
      Data: { ...(below.length === 0 ? {} : { LowerDir: below.join(":") }), UpperDir: topmost },
      Name: "overlay2",
    },
    RootFS: { Type: "layers", Layers: document.rootfs.diff_ids },
    Metadata: { LastTagTime: NEVER },
  };
  sendJson(response, 200, shapeFor("image", apiMinor, inspected));
}

/** The id shown for a step of the history that is no image here. */
const MISSING_ID = "<missing>";

/** GET /images/{name}/history: lists the steps, newest first. */
export function imageHistory({ daemon, parameter, response }: AnswerCall): void {
  const image = daemon.images.get(parameter("name"));
  const sizes = daemon.images.layerSizesOf(image.id);
  let layer = 0;
  const steps = image.document.history.map((step) => ({
    Comment: step.comment ?? "",
    Created: Math.floor((Date.parse(step.created ?? "") || 0) / 1000),
    CreatedBy: step.created_by ?? "",
    Id: MISSING_ID,
    Size: step.empty_layer ? 0 : (sizes[layer++] ?? 0),
    Tags: null as string[] | null,
  }));
  steps.reverse();
  let [at, id]: [number, string] = [0, image.id];
  for (; at < steps.length && id !== ""; at++) {
    const { repoTags, parentId } = daemon.images.get(id);
    Object.assign(steps[at]!, { Id: id, Tags: repoTags.length > 0 ? repoTags : null });
    id = parentId;
  }
  sendJson(response, 200, steps);
}

/** DELETE /images/{name} */
export async function removeImage({ daemon, parameter, query, response }: AnswerCall): Promise<void> {
  const name = parameter("name");
  if (name.trim() === "") throw new LighterError("invalid", "image name cannot be blank");
  const options = {
    force: query.boolean("force"),
    users: imageUsers(daemon.engine),
    parents: !query.boolean("noprune"),
  };
  const image = daemon.images.get(name);
  const records = await daemon.images.remove(name, options);
  publishRemoval(daemon, image, records);
  sendJson(response, 200, records);
}

/** POST /images/create: imports the tar of `fromSrc`, or pulls the image `fromImage`. */
export async function createImage(call: AnswerCall): Promise<void> {
  await (call.query.has("fromSrc") ? importTar(call) : pull(call));
}
