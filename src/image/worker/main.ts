/**
 * `lighter layer-worker`, a hidden command: the process that downloads, unpacks and compresses layers for the daemon. It handles
 * what is hostile, slow or large; the daemon only gets the results. Speaks protocol.ts on stdin and stdout.
 */
import { createReadStream, writeSync } from "node:fs";
import { asLighterError } from "../../base/wire-error.ts";
import { dieWithParent } from "../../linux/sys/parent-death.ts";
import { openBlob } from "../registry/mod.ts";
import { compressLayer } from "./compress-layer.ts";
import { withHeartbeat } from "./heartbeat.ts";
import { inheritFromBelow } from "./inherit.ts";
import { readInput } from "./input.ts";
import { makeLayer } from "./make-layer.ts";
import { preferAsOomVictim } from "./memory-budget.ts";
import {
  type ArchiveEntry,
  decodeJob,
  encodeMessage,
  type LayerProgress,
  readMessages,
  type WorkerJob,
  type WorkerMessage,
  type WorkerResults,
} from "./protocol.ts";
import { takeArchive } from "./take-archive.ts";
import { unpackLayer } from "./unpack-layer.ts";

const PROGRESS_INTERVAL_MS = 100;
const READ_BYTES = 512 * 1024;

const STDOUT = 1;

async function send(message: WorkerMessage): Promise<void> {
  const bytes = Buffer.from(encodeMessage(message));
  for (let done = 0; done < bytes.length; ) done += writeSync(STDOUT, bytes, done);
}

/** Runs jobs; resolves with the exit code when the daemon has no more. */
export async function layerWorkerMain(): Promise<number> {
  dieWithParent();
  preferAsOomVictim();
  process.umask(0o022);
  const jobs: string[] = [];
  let wake = (): void => {};
  void (async () => {
    for await (const line of readMessages(Bun.stdin.stream() as unknown as AsyncIterable<Uint8Array>)) {
      jobs.push(line);
      wake();
    }
    process.exit(0); // even in the middle of a job: nobody wants its result
  })();
  for (;;) {
    const job = jobs.shift();
    if (job !== undefined) await send(await runJob(job));
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}

const tell = (entry: ArchiveEntry): Promise<void> => send({ type: "entry", entry });

async function runJob(line: string): Promise<WorkerMessage> {
  let lastMs = 0;
  const report = (progress: LayerProgress): void => {
    const nowMs = performance.now();
    if (nowMs - lastMs < PROGRESS_INTERVAL_MS) return;
    lastMs = nowMs;
    void send({ type: "progress", ...progress });
  };
  try {
    const job = decodeJob(line);
    return {
      type: "done",
      result: await withHeartbeat(
        () => void send({ type: "beat" }),
        () => work(job, report),
      ),
    };
  } catch (error) {
    return { type: "failed", error: asLighterError(error) };
  }
}

async function work(
  job: WorkerJob,
  report: (progress: LayerProgress) => void,
): Promise<WorkerResults[keyof WorkerResults]> {
  switch (job.kind) {
    case "layer":
      return unpackLayer(job, openBlob, report);
    case "compress":
      return compressLayer(job, report);
    case "inherit":
      return inheritFromBelow(job);
    case "archive":
      return takeArchive(
        job,
        job.path === undefined ? readInput(job.form) : createReadStream(job.path, { highWaterMark: READ_BYTES }),
        tell,
      );
    case "make":
      return makeLayer(job, readInput);
  }
}
