import { LighterError } from "../base/errors.ts";
import type { Image, LoadProgress } from "../engine/mod.ts";
import { EMPTY_CONFIG } from "./container-view.ts";
import type { Daemon } from "./daemon-state.ts";
import { Filters, matchesPattern } from "./filters.ts";
import { COMMON_HEADERS, sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";
import { answerOf } from "./status.ts";

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

/** POST /images/create: clients send it for an image that is not there, so it must say more than "page not found". */
export function pullImage(): void {
  throw new LighterError("not-supported", "pulling images is not available yet", {
    hint: "load one: docker save IMAGE | lighter load",
  });
}

const PROGRESS_INTERVAL_MS = 100;

/** POST /images/load: one JSON message a line, as the work goes on. */
export async function loadImages({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const quiet = query.boolean("quiet");
  const send = (message: object) => {
    if (!response.headersSent) response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
    response.write(`${JSON.stringify(message)}\r\n`);
  };
  let lastMs = 0;
  const onProgress = ({ diffId, unpackedBytes, done }: LoadProgress) => {
    const now = Date.now();
    if (quiet || (!done && now - lastMs < PROGRESS_INTERVAL_MS)) return;
    lastMs = now;
    const id = diffId.slice("sha256:".length, "sha256:".length + 12);
    send({ status: "Loading layer", progressDetail: { current: unpackedBytes }, id });
  };
  try {
    const loaded = await daemon.images.load(request, onProgress);
    for (const { id, names } of loaded) {
      if (names.length === 0) send({ stream: `Loaded image ID: ${id}\n` });
      for (const name of names) send({ stream: `Loaded image: ${name}\n` });
    }
    response.end();
  } catch (error) {
    if (!response.headersSent) throw error;
    const { message } = answerOf(error);
    send({ errorDetail: { message }, error: message });
    response.end();
  }
}
