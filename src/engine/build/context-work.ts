/** What a file worker does with a build's context, and with what is downloaded. */
import { createHash } from "node:crypto";
import { closeSync, futimesSync, openSync, writeFileSync, writeSync } from "node:fs";
import { type JobContext, receiveAll } from "../../files/mod.ts";
import {
  copySource,
  fillLarge,
  type KnownDigests,
  LayerTarget,
  openSource,
  SpooledTree,
  SpoolWriter,
} from "../../image/mod.ts";
import { bytePath } from "../../linux/sys/fs.ts";
import { readIncoming } from "../files/incoming-tar.ts";
import type { SpoolArgument, Spooled, SpoolNote, SpoolReply, TreePlace } from "./build-jobs.ts";
import { openTree } from "./copy-work.ts";
import { takeDockerfile } from "./read-dockerfile.ts";

/** Writes a file that only root may read, as Docker does with what it has downloaded. */
export async function writeDownload(
  inputFd: number,
  { path, modifiedSeconds }: { path: string; modifiedSeconds: number },
  beat: () => void,
): Promise<string> {
  const fd = openSync(path, "wx", 0o600);
  try {
    const hash = createHash("sha256");
    for await (const chunk of receiveAll(inputFd, beat)) {
      for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
      hash.update(chunk);
    }
    futimesSync(fd, modifiedSeconds, modifiedSeconds);
    return `sha256:${hash.digest("hex")}`;
  } finally {
    closeSync(fd);
  }
}

/** How long the daemon hears nothing of what has come. */
const NOTE_INTERVAL_MS = 200;

/** Spools a context, all of which belongs to root. @throws LighterError for what is no tar, and for entries that leave it. */
export async function spoolContext(
  { path, form, recalls, basePath }: SpoolArgument,
  daemon: JobContext,
): Promise<Spooled> {
  const note = (value: SpoolNote) => daemon.note(value);
  const known: KnownDigests = {
    find: (identity) => {
      note({ find: identity });
      return (daemon.receive().value as SpoolReply).digest ?? undefined;
    },
    learn: (identity, digest) => note({ learn: [identity, digest] }),
  };
  const {
    fds: [fd, firstFd],
    beat,
  } = daemon;
  using writer = new SpoolWriter(path, { known: recalls ? known : undefined, basePath });
  let [byteCount, notedMs] = [0, 0];
  await readIncoming({ fd: fd!, form, firstFd }, writer, beat, (count) => {
    byteCount += count;
    if (performance.now() - notedMs < NOTE_INTERVAL_MS) return;
    notedMs = performance.now();
    note({ byteCount });
  });
  writer.finish();
  return { byteCount, absent: writer.absent };
}

/** Writes a large file of a spooled context, whose bytes come from an fd. @throws LighterError if they are others */
export async function fillSpool(
  { spoolPath, number }: { spoolPath: string; number: number },
  { fds: [fd], beat }: Pick<JobContext, "fds" | "beat">,
): Promise<null> {
  await fillLarge(spoolPath, number, receiveAll(fd!, beat), beat);
  return null;
}

export function writeContext({ spoolPath, path }: { spoolPath: string; path: string }, beat: () => void): null {
  using tree = new SpooledTree(spoolPath);
  using target = new LayerTarget(path, []);
  const root = bytePath("/");
  copySource(target, openSource(tree, root), root, { mustBeInto: false }, beat);
  return null;
}

export function readDockerfile(argument: { tree: TreePlace; dockerfile: string; textPath: string }): null {
  using tree = openTree(argument.tree);
  writeFileSync(argument.textPath, takeDockerfile(tree, argument.dockerfile));
  return null;
}
