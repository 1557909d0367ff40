/** Docker's POST /images/create (pull) and POST /images/{name}/push. */

import type { IncomingMessage } from "node:http";
import { LighterError } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import {
  type PullEvent,
  type PushedLayerEvent,
  pullImage,
  pushImage,
  pushIndex,
  requirePlatform,
} from "../../engine/mod.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withTag,
} from "../../spec/image-reference.ts";
import { parsePlatform } from "../../spec/platform.ts";
import { type AuthConfig, parseRegistryAuth } from "../../spec/registry-auth.ts";
import type { AnswerCall } from "../http/router.ts";
import { withTransfer } from "../http/status.ts";
import { ProgressStream } from "../streams/progress-stream.ts";
import { publishTransfer } from "./image-events.ts";

/** The time between two messages of one layer's progress. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * The credentials in the request's header. A header that cannot be read counts as none, as with dockerd: the registry will say if
 * it wants some.
 */
function credentialsOf({ headers }: IncomingMessage): AuthConfig {
  const header = headers["x-registry-auth"];
  try {
    return parseRegistryAuth(typeof header === "string" ? header : "");
  } catch (error) {
    if (error instanceof LighterError) return {};
    throw error;
  }
}

/** The reference that a request names. `tag` may be a digest. Without a tag in either, all tags are meant. */
function referenceOf(name: string, tag: string | undefined): Reference {
  if (tag === undefined) return parseReference(name);
  if (tag.includes(":")) return parseReference(`${name}@${tag}`);
  return withTag(parseReference(name), tag);
}

/** POST /images/create, with `fromImage` */
export async function pull({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const name = query.text("fromImage");
  if (name === undefined) throw new LighterError("invalid", "invalid reference format"); // dockerd's words
  const reference = referenceOf(name, query.text("tag"));
  const platformText = query.text("platform");
  const platform = platformText === undefined ? undefined : parsePlatform(platformText);
  const stream = new ProgressStream(response);
  const transfer = async () => {
    const { signal } = stream;
    const client = await daemon.registries.open(reference, {
      credentials: credentialsOf(request),
      clientAgent: request.headers["user-agent"],
      signal,
      timing: { attempts: daemon.settings.downloadAttempts },
    });
    const isAll = reference.tag === undefined && reference.digest === undefined;
    const references = isAll ? (await client.listTags()).map((tag) => withTag(reference, tag)) : [reference];
    let isNew = false;
    for (const one of references) {
      const options = { client, signal, onEvent: pullMessages(stream), ...(platform && { platform }) };
      if (await pullImage(daemon.images, one, options)) isNew = true;
      publishTransfer(daemon, "pull", one);
    }
    const what = isNew ? "Downloaded newer image for" : "Image is up to date for";
    stream.send({ status: `Status: ${what} ${familiarReference(reference)}` });
    // An image that is not part of an index is pulled whatever its platform is.
    const pulled = isAll || platform === undefined ? undefined : daemon.images.referenced(reference);
    if (pulled !== undefined) requirePlatform(formatReference(reference), pulled.document, platform!);
  };
  await withTransfer(() => stream.carry(transfer));
}

function pullMessages(stream: ProgressStream): (event: PullEvent) => void {
  const isDue = throttle();
  return (event) => {
    switch (event.kind) {
      case "from":
        return stream.send({ status: `Pulling from ${event.repository}`, id: event.id });
      case "digest":
        return stream.send({ status: `Digest: ${event.digest}` });
      case "layer":
        if (event.phase === "Downloading" && !isDue(event.digest)) return;
        return stream.send(layerMessage(shortId(event.digest), event));
    }
  };
}

/** A function that returns true for the first call with a key, then once in each interval. */
function throttle(): (key: string) => boolean {
  const lastMs = new Map<string, number>();
  return (key) => {
    const nowMs = performance.now();
    if (nowMs - (lastMs.get(key) ?? Number.NEGATIVE_INFINITY) < PROGRESS_INTERVAL_MS) return false;
    lastMs.set(key, nowMs);
    return true;
  };
}

function layerMessage(
  id: string,
  { phase, currentBytes, totalBytes }: { phase: string; currentBytes?: number; totalBytes?: number },
): object {
  const progressDetail = currentBytes === undefined ? {} : { current: currentBytes, total: totalBytes };
  return { status: phase, progressDetail, id };
}

/** POST /images/{name}/push */
export async function push({ daemon, parameter, query, request, response }: AnswerCall): Promise<void> {
  const named = parseReference(parameter("name"));
  if (named.digest !== undefined) throw new LighterError("invalid", "cannot push a digest reference");
  const tag = query.text("tag") ?? named.tag;
  const wanted = tag === undefined ? named : withTag(named, tag);
  const credentials = credentialsOf(request);
  const { images } = daemon;
  const stream = new ProgressStream(response);
  const transfer = async () => {
    const { signal } = stream;
    stream.send({ status: `The push refers to repository [${wanted.domain}/${wanted.path}]` });
    const tags = images.tagsOf(wanted);
    if (tags.length === 0)
      throw new LighterError("not-found", `An image does not exist locally with the tag: ${familiarName(wanted)}`);
    const references = tag === undefined ? tags : [wanted];
    const clientAgent = request.headers["user-agent"];
    const client = await daemon.registries.open(wanted, { credentials, clientAgent, signal, actions: "pull,push" });
    for (const reference of references) {
      const image = images.referenced(reference);
      if (image === undefined)
        throw new LighterError("not-found", `tag does not exist: ${familiarReference(reference)}`);
      const { maxUploads } = daemon.settings;
      const options = { client, signal, maxUploads, onEvent: pushMessages(stream) };
      const forms = images.formsOf(reference);
      const pushed =
        forms.length === 0
          ? await pushImage(images, image, reference, options)
          : await pushIndex(images, forms, reference, options);
      publishTransfer(daemon, "push", reference);
      stream.send({ status: `${pushed.tag}: digest: ${pushed.digest} size: ${pushed.sizeBytes}` });
      stream.send({ progressDetail: {}, aux: { Tag: pushed.tag, Digest: pushed.digest, Size: pushed.sizeBytes } });
    }
  };
  await withTransfer(() => stream.carry(transfer));
}

function pushMessages(stream: ProgressStream): (event: PushedLayerEvent) => void {
  const isDue = throttle();
  return (event) => {
    if (event.phase === "Pushing" && !isDue(event.diffId)) return;
    stream.send(layerMessage(shortId(event.diffId), event));
  };
}
