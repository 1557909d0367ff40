/** Saves and loads images as archives, and exports a container's files. */
import { LighterError } from "../../base/errors.ts";
import {
  exportContainer,
  type ImageSource,
  type JobOutput,
  type LoadProgress,
  publishImage,
  saveImages,
} from "../../engine/mod.ts";
import { parsePlatformJson } from "../http/query-platform.ts";
import type { AnswerCall, Call, Upload } from "../http/router.ts";
import { failureOf, ProgressStream, progressAnswer } from "../streams/progress-stream.ts";
import { sendOutput } from "../streams/send-output.ts";
import { sendStream } from "../streams/send-stream.ts";
import { publishSaved } from "./image-events.ts";

/** GET /images/get?names=… */
export async function saveSeveral(call: AnswerCall): Promise<void> {
  await save(call, call.query.all("names"));
}

/** GET /images/{name}/get */
export async function saveOne(call: AnswerCall): Promise<void> {
  await save(call, [call.parameter("name")]);
}

async function save({ daemon, query, response }: AnswerCall, names: readonly string[]): Promise<void> {
  if (names.length === 0) throw new LighterError("invalid", "no images to save: the parameter names is missing");
  const platform = parsePlatformJson(query.text("platform"));
  const saved = saveImages(daemon.images, names, platform);
  publishSaved(daemon, names);
  await sendStream(response, "application/x-tar", saved);
}

/** GET /containers/{id}/export */
export async function exportFiles({ daemon, parameter, request, response }: AnswerCall): Promise<void> {
  const container = daemon.engine.find(parameter("id"));
  container.publish("export");
  const send = (tar: JobOutput) => sendOutput(request, response, "application/octet-stream", tar);
  await exportContainer(daemon.engine, daemon.images, container, send);
  response.end();
}

const PROGRESS_INTERVAL_MS = 100;

/**
 * POST /images/load: answers with one JSON message a line as the work goes on, failures included. It is quiet unless told
 * otherwise.
 */
export async function loadImages(call: AnswerCall): Promise<void> {
  const { request, response } = call;
  const quiet = isQuiet(call);
  const stream = new ProgressStream(response);
  let lastMs = 0;
  const onProgress = ({ diffId, currentBytes, totalBytes, done }: LoadProgress) => {
    const now = Date.now();
    if (quiet || (!done && now - lastMs < PROGRESS_INTERVAL_MS)) return;
    lastMs = now;
    const id = diffId.slice("sha256:".length, "sha256:".length + 12);
    stream.send({ status: "Loading layer", progressDetail: { current: currentBytes, total: totalBytes }, id });
  };
  await stream.carry(() => load(call, request, onProgress, (message) => stream.send(message)), { tellsAll: true });
}

/** Handles POST /images/load in a file worker, so that the body does not pass this process. */
export function uploadImages(call: Call): Upload | undefined {
  if (!isQuiet(call)) return undefined;
  return async (body) => {
    const messages: object[] = [];
    const send = (message: object) => messages.push(message);
    await load(call, body, () => {}, send).catch((error: unknown) => send(failureOf(error)));
    return progressAnswer(messages);
  };
}

function isQuiet({ query }: Call): boolean {
  return !query.has("quiet") || query.boolean("quiet");
}

async function load(
  { daemon }: Call,
  source: ImageSource,
  onProgress: (progress: LoadProgress) => void,
  send: (message: object) => void,
): Promise<void> {
  for (const { id, names, replaced } of await daemon.images.load(source, onProgress)) {
    publishImage(daemon, "load", id);
    for (const { name, id: old } of replaced)
      send({ stream: `The image ${name} already exists, renaming the old one with ID ${old} to empty string\n` });
    if (names.length === 0) send({ stream: `Loaded image ID: ${id}\n` });
    for (const name of names) send({ stream: `Loaded image: ${name}\n` });
  }
}
