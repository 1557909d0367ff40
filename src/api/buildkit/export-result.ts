/** Exports what a client has returned, if its front end has not done that already. */
import { LighterError } from "../../base/errors.ts";
import type { BuildOutput, BuiltImage, ExportedRoot } from "../../engine/mod.ts";
import type { ResultDraft } from "../../spec/buildkit.ts";
import { type ImageDocument, parseImageDocument } from "../../spec/oci-image.ts";
import { HOST_PLATFORM, parsePlatform } from "../../spec/platform.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { Job, JobResult } from "./jobs.ts";
import { targetsOf } from "./session-outputs.ts";
import { leaveCaches } from "./solve-definition.ts";
import { statusMessage } from "./status-message.ts";

interface ExportOptions {
  result: ResultDraft | undefined;
  sessionId: string;
  outputs: readonly BuildOutput[];
}

const CONFIG = "containerimage.config";

/** @throws LighterError "not-found" for a result that the build has not made, and what an export throws */
export async function exportResult(
  daemon: Daemon,
  job: Job,
  { result, sessionId, outputs }: ExportOptions,
): Promise<BuiltImage> {
  const ids = [...(result?.refs?.refs ?? []), ...(result?.ref === undefined ? [] : [["", result.ref] as const])];
  const made = ids.map(([key, { id = "" }]) => ({ key, result: id === "" ? undefined : job.result(id) }));
  const [known] = made.flatMap((each) => each.result?.image ?? []);
  if (known !== undefined) return known;
  const results = made.flatMap((each) => each.result ?? []);
  if (made.length === 0 && result?.metadata?.has(CONFIG) === true) made.push({ key: "", result: undefined });
  const built = await exportRoots(daemon, job, made, { result, sessionId, outputs });
  await leaveCaches(daemon, job, results);
  return built;
}

async function exportRoots(
  daemon: Daemon,
  job: Job,
  made: readonly { key: string; result: JobResult | undefined }[],
  { result, sessionId, outputs }: ExportOptions,
): Promise<BuiltImage> {
  if (made.length === 0 || outputs.every(({ type }) => type === "cacheonly")) return { id: "" };
  const roots = made.map(({ key, result: each }): ExportedRoot => {
    const config = result?.metadata?.get(key === "" ? CONFIG : `${CONFIG}/${key}`);
    const document = config === undefined ? each?.document : documentOf(config);
    const platform = key === "" ? (each?.platform ?? HOST_PLATFORM) : parsePlatform(key);
    return { platform, root: each?.root ?? "", document };
  });
  const session = await daemon.buildkit.sessions.find(sessionId, job.signal);
  return await daemon.builder.export({
    roots,
    outputs,
    targets: targetsOf(session, outputs, job.signal),
    signal: job.signal,
    onStatus: (status) => job.publish(statusMessage(status)),
  });
}

/** What an image says, in the client's words. @throws LighterError "invalid" */
function documentOf(config: Uint8Array): Omit<ImageDocument, "rootfs"> {
  let document: object;
  try {
    document = JSON.parse(Buffer.from(config).toString());
  } catch (cause) {
    throw new LighterError("invalid", `the result's ${CONFIG} is no JSON`, { cause });
  }
  const text = JSON.stringify({ ...document, rootfs: { type: "layers", diff_ids: [] } });
  const { rootfs: _, ...rest } = parseImageDocument(text, CONFIG);
  return rest;
}
