import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiffId, Digest } from "../../base/ids.ts";
import { Stalled } from "../../files/mod.ts";
import { spawnSelf } from "../../linux/process/helper.ts";
import { socketPair } from "../../linux/sys/passed-fds.ts";
import { LayerWorkers } from "./pool.ts";
import { encodeJob, type LayerJob, readMessages } from "./protocol.ts";

async function inTemporaryDirectory(work: (directory: string, heldFd: number) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "lighter-pool-"));
  const heldFd = openSync(directory, "r");
  try {
    await work(directory, heldFd);
  } finally {
    closeSync(heldFd);
    rmSync(directory, { recursive: true });
  }
}

test("a worker that waits for a file is given up after a while, and its turn is another's", () =>
  inTemporaryDirectory(async (directory, heldFd) => {
    const path = join(directory, "fifo"); // opening it waits for a writer, as for a file system that does not answer
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    await using workers = new LayerWorkers(1, heldFd, 500);
    const digest = `sha256:${"0".repeat(64)}`;
    const source = { kind: "file", path } as const;
    const job: LayerJob = { kind: "layer", source, digest: digest as Digest, size: 1, diffId: digest as DiffId };
    const failure = await workers.run<"layer">(async () => job).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Stalled);
    expect(workers.isBusy).toBe(false);
  }));

test("a worker that waits for a client says that it gets on", () =>
  inTemporaryDirectory(async (directory, heldFd) => {
    const [ours, its] = socketPair("stream");
    const worker = spawnSelf(["layer-worker"], [heldFd, its]);
    closeSync(its);
    try {
      worker.write(encodeJob({ kind: "archive", ingestPath: directory, known: [] }));
      const messages = readMessages(worker.output);
      for (let count = 0; count < 2; count++) expect((await messages.next()).value).toBe('{"type":"beat"}');
    } finally {
      worker.kill();
      await worker.ended;
      closeSync(ours);
    }
  }));
