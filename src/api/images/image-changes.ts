/** Tags, prunes, commits and imports images, and lists a container's changes. */
import { LighterError } from "../../base/errors.ts";
import {
  commitContainer,
  type Image,
  type ImageStore,
  imageUsers,
  importImage,
  type JobOutput,
  listChanges,
  parseNewName,
  publishImage,
  type RawBody,
  type RemoveRecord,
  tagImage,
} from "../../engine/mod.ts";
import { familiarReference } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { readJsonBody } from "../http/body.ts";
import { Filters } from "../http/filters.ts";
import { COMMON_HEADERS, sendEmpty, sendJson } from "../http/protocol.ts";
import type { Query } from "../http/query.ts";
import { parsePlatformText } from "../http/query-platform.ts";
import type { AnswerCall, Call, Upload } from "../http/router.ts";
import { downloadTar } from "../streams/download.ts";
import { ProgressStream, progressAnswer } from "../streams/progress-stream.ts";
import { sendOutput } from "../streams/send-output.ts";
import { publishPrune, publishRemoval } from "./image-events.ts";
import { compileCommonFilters, type ImageFilter, parseUntil } from "./image-filters.ts";

/** POST /images/{name}/tag */
export async function tag({ daemon, parameter, query, response }: AnswerCall): Promise<void> {
  const isTagged = await tagImage(daemon.images, parameter("name"), query.text("repo"), query.text("tag"));
  if (!isTagged) return sendEmpty(response, 200);
  publishTag(daemon, parameter("name"), query);
  response.writeHead(201, { ...COMMON_HEADERS, "Content-Length": 0 });
  response.end();
}

/** Publishes the event of the name that the request gave an image. Returns the name; "" for none. */
function publishTag(daemon: Daemon, image: string, query: Query): string {
  const name = parseNewName(query.text("repo"), query.text("tag"));
  if (name === undefined) return "";
  publishImage(daemon, "tag", daemon.images.get(image).id, familiarReference(name));
  return familiarReference(name);
}

/** POST /images/prune */
export async function pruneImages({ daemon, query, response }: AnswerCall): Promise<void> {
  const filters = Filters.parse(query.text("filters"), ["dangling", "until", "label", "label!"]);
  const danglingOnly = filters.boolean("dangling") ?? true;
  const common = compileCommonFilters(filters, parseUntil(filters.get("until")));
  const matches = (image: Image) => common(image) && !(danglingOnly && image.repoTags.length > 0);
  const { deleted, bytes } = await pruneMatching(daemon, matches);
  publishPrune(daemon, "image", bytes);
  sendJson(response, 200, { ImagesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: bytes });
}

async function pruneMatching(
  daemon: Daemon,
  matches: ImageFilter,
): Promise<{ deleted: RemoveRecord[]; bytes: number }> {
  const { images } = daemon;
  const deleted: RemoveRecord[] = [];
  const layerBytes = measureLayers(images);
  for (const image of images.list().filter((each) => !each.isIntermediate && matches(each))) {
    const names = image.repoTags.length === 0 ? [image.id] : image.repoTags;
    for (const name of names) {
      const users = imageUsers(daemon.engine);
      if (users.some(({ imageId }) => imageId === image.id)) break;
      const records = await removeUnlessGone(images, name, users);
      publishRemoval(daemon, image, records);
      deleted.push(...records);
    }
  }
  const bytes = deleted.reduce(
    (sum, record) => sum + (("Deleted" in record && layerBytes.get(record.Deleted)) || 0),
    0,
  );
  return { deleted, bytes };
}

/** The layers' sizes by chainId, by which a removal reports layers. */
function measureLayers(images: ImageStore): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { id, chainIds } of images.list())
    for (const [index, size] of images.layerSizesOf(id).entries()) bytes.set(chainIds[index]!, size);
  return bytes;
}

async function removeUnlessGone(
  images: ImageStore,
  name: string,
  users: ReturnType<typeof imageUsers>,
): Promise<RemoveRecord[]> {
  try {
    return await images.remove(name, { force: false, users, parents: true });
  } catch (error) {
    // The image was removed meanwhile, or is used by a new container.
    if (error instanceof LighterError && (error.code === "not-found" || error.code === "conflict")) return [];
    throw error;
  }
}

/** POST /commit */
export async function commit({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const config = await readJsonBody(request);
  const ref = query.text("container");
  if (ref === undefined) throw new LighterError("invalid", 'invalid name or ID supplied: ""');
  const container = daemon.engine.find(ref);
  const comment = query.text("comment") ?? "";
  const id = await commitContainer(daemon.engine, daemon.images, container, {
    repo: query.text("repo"),
    tag: query.text("tag"),
    comment,
    author: query.text("author") ?? "",
    pause: query.text("pause") === undefined || query.boolean("pause"),
    changes: query.all("changes"),
    config,
  });
  const imageRef = publishTag(daemon, id, query);
  container.publish("commit", { comment, imageID: id, imageRef });
  sendJson(response, 201, { Id: id });
}

function sourceOf({ query }: Call): string {
  return query.text("fromSrc") ?? "-";
}

function platformOf({ daemon, query }: Call): Platform {
  return parsePlatformText(query.text("platform"), { os: "linux", architecture: daemon.host.arch });
}

/** POST /images/create?fromSrc=…: answers with one JSON message a line, the last with the image's id. */
export async function importTar(call: AnswerCall): Promise<void> {
  const { request, response } = call;
  const source = sourceOf(call);
  const platform = platformOf(call);
  const stream = new ProgressStream(response);
  await stream.carry(async () => {
    const tar = source === "-" ? request : await downloadTar(call, source, (message) => stream.send(message));
    stream.send({ status: await importFrom(call, source, tar, platform) });
  });
}

/** Handles an import whose request's body is the tar in a file worker, so that the body does not pass this process. */
export function uploadTar(call: Call): Upload | undefined {
  if (!call.query.has("fromSrc") || sourceOf(call) !== "-") return undefined;
  return async (body) => {
    const id = await importFrom(call, "-", body, platformOf(call));
    return progressAnswer([{ status: id }]);
  };
}

async function importFrom(
  { daemon, query }: Call,
  source: string,
  tar: AsyncIterable<Uint8Array> | RawBody,
  platform: Platform,
): Promise<string> {
  const id = await importImage(daemon.images, tar, {
    repo: query.text("repo"),
    tag: query.text("tag"),
    message: query.text("message") ?? `Imported from ${source}`,
    changes: query.all("changes"),
    platform,
  });
  publishTag(daemon, id, query);
  publishImage(daemon, "import", id);
  return id;
}

/** GET /containers/{id}/changes */
export async function changes({ daemon, parameter, request, response }: AnswerCall): Promise<void> {
  const container = daemon.engine.find(parameter("id"));
  const send = (json: JobOutput) => sendOutput(request, response, "application/json", json);
  await listChanges(daemon.engine, daemon.images, container, send);
  response.end();
}
