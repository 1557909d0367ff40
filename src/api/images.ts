import { LighterError } from "../base/errors.ts";
import type { Image, LoadProgress } from "../engine/mod.ts";
import { EMPTY_CONFIG } from "./container-view.ts";
import type { Daemon } from "./daemon-state.ts";
import { Filters, matchesPattern } from "./filters.ts";
import { ProgressStream } from "./progress-stream.ts";
import { sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";

const FILTERS = ["before", "dangling", "label", "reference", "since", "until"];
const NO_PARENT = "";

/** GET /images/json */
export function listImages({ daemon, query, response, apiMinor }: AnswerCall): void {
  const filters = Filters.parse(query.text("filters"), FILTERS);
  const matches = compileFilters(daemon, filters);
  const images = daemon.images.list().filter(matches);
  sendJson(
    response,
    200,
    images.map((image) => summarizeImage(image, apiMinor)),
  );
}

function createdSeconds({ document }: Image): number {
  return Math.floor((Date.parse(document.created ?? "") || 0) / 1000);
}

function summarizeImage(image: Image, apiMinor: number): object {
  return {
    Containers: -1,
    Created: createdSeconds(image),
    Id: image.id,
    Labels: image.document.config.Labels ?? null,
    ParentId: NO_PARENT,
    RepoDigests: image.repoDigests,
    RepoTags: image.repoTags,
    SharedSize: -1,
    Size: image.sizeBytes,
    ...(apiMinor < 44 ? { VirtualSize: image.sizeBytes } : {}),
  };
}

function compileFilters({ images }: Daemon, filters: Filters): (image: Image) => boolean {
  const dangling = filters.boolean("dangling");
  const times = (name: string) => filters.get(name)?.map((ref) => createdSeconds(images.get(ref))) ?? [];
  const [before, since] = [times("before"), times("since")];
  if (filters.get("until") !== undefined) throw new LighterError("invalid", "invalid filter 'until'");
  return (image) =>
    (dangling === undefined || dangling === (image.repoTags.length === 0)) &&
    filters.any("reference", (pattern) => image.repoTags.some((tag) => matchesReference(pattern, tag))) &&
    filters.matchesLabels(image.document.config.Labels ?? {}) &&
    before.every((seconds) => createdSeconds(image) < seconds) &&
    since.every((seconds) => createdSeconds(image) > seconds);
}

/** A shell pattern against the name or against name and tag; "*" does not cross a slash. */
function matchesReference(pattern: string, tag: string): boolean {
  const name = tag.slice(0, tag.lastIndexOf(":"));
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*/g, "[^/]*")
    .replace(/\?/g, "[^/]");
  return [tag, name].some((text) => matchesPattern(`^${source}$`, text));
}

/** GET /images/{name}/json */
export function inspectImage({ daemon, parameter, response }: AnswerCall): void {
  const image = daemon.images.get(parameter("name"));
  const { document } = image;
  sendJson(response, 200, {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: NO_PARENT,
    Comment: document.comment ?? "",
    ...(document.created === undefined ? {} : { Created: document.created }),
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
    Size: image.sizeBytes,
    GraphDriver: { Data: { LowerDir: daemon.images.layersOf(image.id).lowerDirs.join(":") }, Name: "overlay2" },
    RootFS: { Type: "layers", Layers: document.rootfs.diff_ids },
    Metadata: { LastTagTime: "0001-01-01T00:00:00Z" },
  });
}

/** DELETE /images/{name} */
export async function removeImage({ daemon, parameter, query, response }: AnswerCall): Promise<void> {
  const users = daemon.engine.list().map((container) => ({
    containerId: container.id,
    imageId: container.record.imageId,
    isRunning: container.isRunning,
  }));
  sendJson(response, 200, await daemon.images.remove(parameter("name"), { force: query.boolean("force"), users }));
}

const PROGRESS_INTERVAL_MS = 100;

/** POST /images/load: one JSON message a line, as the work goes on. */
export async function loadImages({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const quiet = query.boolean("quiet");
  const stream = new ProgressStream(response);
  let lastMs = 0;
  const onProgress = ({ diffId, unpackedBytes, done }: LoadProgress) => {
    const now = Date.now();
    if (quiet || (!done && now - lastMs < PROGRESS_INTERVAL_MS)) return;
    lastMs = now;
    const id = diffId.slice("sha256:".length, "sha256:".length + 12);
    stream.send({ status: "Loading layer", progressDetail: { current: unpackedBytes }, id });
  };
  await stream.carry(async () => {
    for (const { id, names } of await daemon.images.load(request, onProgress)) {
      if (names.length === 0) stream.send({ stream: `Loaded image ID: ${id}\n` });
      for (const name of names) stream.send({ stream: `Loaded image: ${name}\n` });
    }
  });
}
