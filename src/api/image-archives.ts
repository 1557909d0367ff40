import { LighterError } from "../base/errors.ts";
import { exportContainer, type JobOutput, type LoadProgress, saveImages } from "../engine/mod.ts";
import { publishImage, publishSaved } from "./image-events.ts";
import { ProgressStream } from "./progress-stream.ts";
import { parsePlatformJson } from "./query-platform.ts";
import type { AnswerCall } from "./router.ts";
import { sendOutput } from "./send-output.ts";
import { sendStream } from "./send-stream.ts";

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

/** POST /images/load: one JSON message a line, as the work goes on, failures too. Quiet unless told otherwise. */
export async function loadImages({ daemon, query, request, response }: AnswerCall): Promise<void> {
  const quiet = !query.has("quiet") || query.boolean("quiet");
  const stream = new ProgressStream(response);
  let lastMs = 0;
  const onProgress = ({ diffId, currentBytes, totalBytes, done }: LoadProgress) => {
    const now = Date.now();
    if (quiet || (!done && now - lastMs < PROGRESS_INTERVAL_MS)) return;
    lastMs = now;
    const id = diffId.slice("sha256:".length, "sha256:".length + 12);
    stream.send({ status: "Loading layer", progressDetail: { current: currentBytes, total: totalBytes }, id });
  };
  const work = async () => {
    for (const { id, names, replaced } of await daemon.images.load(request, onProgress)) {
      publishImage(daemon, "load", id);
      for (const { name, id: old } of replaced)
        stream.send({
          stream: `The image ${name} already exists, renaming the old one with ID ${old} to empty string\n`,
        });
      if (names.length === 0) stream.send({ stream: `Loaded image ID: ${id}\n` });
      for (const name of names) stream.send({ stream: `Loaded image: ${name}\n` });
    }
  };
  await stream.carry(work, { tellsAll: true });
}
