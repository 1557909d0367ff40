/**
 * Compresses the rotated files of a log, if its options say so. The supervisor only renames (it is C, and there is one for each
 * container); while there is no daemon rotated files stay plain until one comes.
 *   path.N  ──►  path.compressing  ──►  path.N.gz, and path.N goes
 * The file may have another number by the end, or be gone: it is looked for again, by its inode, while names are steady.
 */
import { closeSync, fstatSync, renameSync, rmSync, statSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { writePoint } from "../../base/write-point.ts";
import { parseLogConfig } from "../config/log.ts";
import type { Container } from "../container.ts";
import { SerialQueue } from "../state/serial-queue.ts";
import { writeCompressed } from "./compressed-log.ts";
import { compressedPath, listRotated, openIfThere, plainPath, withSteadyNames } from "./log-names.ts";

interface Job {
  aborter: AbortController;
  /** True while the job waits for its turn; it will see what is there then. */
  isWaiting: boolean;
  done: Promise<void>;
}

export class LogCompressor {
  /** The queue of all logs: one file at a time is compressed, beside everything else. */
  readonly #queue = new SerialQueue();
  readonly #jobs = new Map<string, Job>();

  /** Compresses what is rotated now, and what will be while the container runs. */
  begin({ id, record, supervised }: Container, path: string): void {
    if (!parseLogConfig(record.hostConfig.LogConfig).compress) return;
    const job = this.#jobs.get(id) ?? { aborter: new AbortController(), isWaiting: false, done: Promise.resolve() };
    this.#jobs.set(id, job);
    const compress = () => {
      if (!job.isWaiting) job.done = this.#compress(job, id, path);
    };
    supervised?.onLogRotated(compress);
    compress();
  }

  /** Compresses the rotated files of a log. Never rejects. */
  async #compress(job: Job, id: string, path: string): Promise<void> {
    const { signal } = job.aborter;
    job.isWaiting = true;
    try {
      await this.#queue.run(() => {
        job.isWaiting = false;
        return compressRotated(path, signal);
      });
    } catch (error) {
      if (!signal.aborted) log.warn(`compress the log of container ${id}: ${messageOf(error)}`);
    }
  }

  /** Stops the compression of a log that is about to be removed. */
  async finish(container: Container): Promise<void> {
    const job = this.#jobs.get(container.id);
    this.#jobs.delete(container.id);
    job?.aborter.abort();
    await job?.done;
  }

  /** Stops all compression, for another engine in this process: tests. */
  async stop(): Promise<void> {
    const jobs = [...this.#jobs.values()];
    for (const { aborter } of jobs) aborter.abort();
    await Promise.all(jobs.map(({ done }) => done));
  }
}

/** Compresses rotated files, oldest first: if there was no daemon, those have waited longest. */
async function compressRotated(path: string, signal: AbortSignal): Promise<void> {
  const temporary = `${path}.compressing`;
  rmSync(temporary, { force: true }); // left by a daemon that was killed
  for (;;) {
    signal.throwIfAborted();
    const next = listRotated(path).findLast(({ plain }) => plain);
    if (next === undefined) return;
    const plainFd = openIfThere(plainPath(path, next.number));
    if (plainFd === undefined) continue; // it has another number by now
    try {
      await compressFile(path, plainFd, temporary, signal);
    } finally {
      closeSync(plainFd);
      rmSync(temporary, { force: true });
    }
  }
}

async function compressFile(path: string, plainFd: number, temporary: string, signal: AbortSignal): Promise<void> {
  const { ino: inode } = fstatSync(plainFd, { bigint: true });
  writePoint("compress log");
  await writeCompressed(plainFd, inode, temporary, signal);
  writePoint("compressed log");
  await withSteadyNames(path, () => {
    const found = listRotated(path).find(
      ({ number, plain }) => plain && statSync(plainPath(path, number), { bigint: true }).ino === inode,
    );
    if (found === undefined) return; // it was the oldest, and has gone
    renameSync(temporary, compressedPath(path, found.number));
    writePoint("named compressed log");
    rmSync(plainPath(path, found.number));
    writePoint("removed plain log");
  });
}
