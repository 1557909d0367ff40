import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LighterError } from "../base/errors.ts";
import { measureJob } from "./jobs.ts";
import { measureTrees } from "./measure.ts";
import type { FileJob } from "./protocol.ts";
import { Trash } from "./trash.ts";
import { FileWorkers } from "./workers.ts";

function inTemporaryDirectory(work: (directory: string, workers: FileWorkers) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-files-"));
    using workers = new FileWorkers();
    try {
      await work(directory, workers);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
}

test(
  "a worker measures, and says why it cannot do what it is asked for",
  inTemporaryDirectory(async (directory, workers) => {
    writeFileSync(join(directory, "file"), "seven b");
    const unknown: FileJob<null, null> = { kind: "unknown" };
    const refused = await workers.run(unknown, null).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(LighterError);
    expect((refused as LighterError).message).toContain('cannot do "unknown"');
    const jobs = [[directory, join(directory, "missing")], [directory]].map((paths) => measureTrees(workers, paths));
    expect(await Promise.all(jobs)).toEqual([[7, 0], [7]]);
  }),
);

test(
  "a job that is given up ends at once with the reason",
  inTemporaryDirectory(async (directory, workers) => {
    const aborter = new AbortController();
    const job = workers.run(measureJob, { paths: [directory] }, { signal: aborter.signal });
    aborter.abort(new LighterError("conflict", "not wanted"));
    await expect(job).rejects.toThrow("not wanted");
    expect(await measureTrees(workers, [directory])).toEqual([0]);
  }),
);

test("a job that is given up while it waits for its turn ends then", async () => {
  using workers = new FileWorkers(undefined, 1);
  const ended: string[] = [];
  const run = (signal?: AbortSignal): Promise<unknown> => {
    const unknown: FileJob<null, null> = { kind: "unknown" };
    return workers.run(unknown, null, { signal }).catch((error: Error) => ended.push(error.message));
  };
  const aborter = new AbortController();
  const jobs = [run(), run(aborter.signal), run()];
  aborter.abort(new LighterError("conflict", "not wanted"));
  await Promise.all(jobs);
  expect(ended).toEqual(["not wanted", expect.stringContaining("cannot do"), expect.stringContaining("cannot do")]);
});

test(
  "trash is out of sight at once, and deleted when that is allowed; so is what an earlier process has left",
  inTemporaryDirectory(async (directory, workers) => {
    const path = join(directory, "trash");
    mkdirSync(join(path, "left/below"), { recursive: true });
    mkdirSync(join(directory, "tree/below"), { recursive: true });
    const trash = new Trash(path, workers);
    await trash.discard(join(directory, "tree"));
    await trash.discard(join(directory, "missing"));
    expect(existsSync(join(directory, "tree"))).toBe(false);
    expect(trash.pendingCount).toBe(2);
    expect(readdirSync(path).length).toBe(2);
    trash.begin();
    await trash.emptied();
    expect(trash.pendingCount).toBe(0);
    expect(readdirSync(path)).toEqual([]);
  }),
);
