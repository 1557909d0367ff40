/** The hidden command `lighter file-worker`, with all the jobs that it can do. */
import { closeSync, fstatSync } from "node:fs";
import { addGeneralJobs, JobTable, writeOutput } from "../../files/mod.ts";
import { runFileWorker } from "../../files/worker.ts";
import { type Change, copyDirectoryFromLayers, listChanges, writeTreesTar } from "../../image/mod.ts";
import { isEmptyDirectory } from "../../linux/sys/directory.ts";
import { showPath } from "../../linux/sys/fs.ts";
import {
  changeFilesJob,
  copySourcesJob,
  fillSpoolJob,
  hashSourcesJob,
  makeDirectoryInJob,
  readDockerfileJob,
  spoolContextJob,
  writeContextJob,
  writeDownloadJob,
} from "../build/build-jobs.ts";
import { fillSpool, readDockerfile, spoolContext, writeContext, writeDownload } from "../build/context-work.ts";
import { copySources, hashSources, makeDirectoryIn } from "../build/copy-work.ts";
import { changeFiles } from "../llb/change-work.ts";
import { makeMissingDirectory } from "../plan/bind-source.ts";
import { hostProbe, openBeneath } from "../plan/host-facts.ts";
import { answerTo } from "../plan/patient-probe.ts";
import { listFilesBelow, readFilesBelow, statFilesBelow, writeFilesBelow } from "./archive-files.ts";
import {
  changesJob,
  type FillArgument,
  fillJob,
  listFilesJob,
  makeDirectoryJob,
  probeJob,
  readFilesJob,
  statFilesJob,
  treeTarJob,
  writeFilesJob,
} from "./file-jobs.ts";

export function fileWorkerMain(): Promise<number> {
  const jobs = addGeneralJobs(new JobTable())
    .on(statFilesJob, ({ target }, { fds }) => statFilesBelow(fds[0]!, target))
    .on(listFilesJob, ({ target }, { fds, beat }) => listFilesBelow(fds[0]!, target, beat))
    .on(readFilesJob, (argument, context) => readFilesBelow(context.fds[0]!, argument, context))
    .on(writeFilesJob, (argument, { fds, beat }) => writeFilesBelow(fds, argument, beat))
    .on(treeTarJob, ({ trees, ...options }, context) =>
      writeOutput(context, null, writeTreesTar(trees, { ...options, beat: context.beat })),
    )
    .on(changesJob, ({ upper, lower }, context) =>
      writeOutput(context, null, jsonOf(upper === undefined ? [] : listChanges(upper, lower, context.beat))),
    )
    .on(fillJob, (argument, { beat }) => fill(argument, beat))
    .on(probeJob, (question) => answerTo(hostProbe, question))
    .on(fillSpoolJob, fillSpool)
    .on(spoolContextJob, spoolContext)
    .on(writeContextJob, (argument, { beat }) => writeContext(argument, beat))
    .on(readDockerfileJob, readDockerfile)
    .on(writeDownloadJob, (argument, { fds, beat }) => writeDownload(fds[0]!, argument, beat))
    .on(hashSourcesJob, (inputs, { beat }) => hashSources(inputs, beat))
    .on(changeFilesJob, (argument, { beat }) => changeFiles(argument, beat))
    .on(copySourcesJob, (argument, { beat }) => copySources(argument, beat))
    .on(makeDirectoryInJob, ({ path, layers, upper }) => makeDirectoryIn(path, layers, upper))
    .on(makeDirectoryJob, ({ path }) => {
      makeMissingDirectory(path);
      return null;
    });
  return runFileWorker(jobs);
}

function fill({ layers, from, to, part, ifEmpty }: FillArgument, beat: () => void): boolean {
  if (part !== undefined) return fillBeneath({ layers, from, to, ifEmpty }, part, beat);
  return ifEmpty && !isEmptyDirectory(to) ? false : copyDirectoryFromLayers(layers, from, to, beat);
}

/** Fills a directory by its fd, as others may change the path meanwhile. A part that is no directory is not filled. */
function fillBeneath(argument: FillArgument, part: string, beat: () => void): boolean {
  const fd = openBeneath(argument.to, part);
  if (fd === undefined) return false;
  try {
    return fstatSync(fd).isDirectory() && fill({ ...argument, to: `/proc/self/fd/${fd}/.` }, beat);
  } finally {
    closeSync(fd);
  }
}

const KINDS = { modified: 0, added: 1, deleted: 2 } as const;
const CHANGES_AT_ONCE = 1000;

/** Encodes a list as Go does: null if it is empty. */
function* jsonOf(changes: readonly Change[]): Generator<Uint8Array> {
  if (changes.length === 0) yield Buffer.from("null\n");
  for (let at = 0; at < changes.length; at += CHANGES_AT_ONCE) {
    const shown = changes
      .slice(at, at + CHANGES_AT_ONCE)
      .map(({ path, kind }) => JSON.stringify({ Path: showPath(path), Kind: KINDS[kind] }));
    const isLast = at + CHANGES_AT_ONCE >= changes.length;
    yield Buffer.from(`${at === 0 ? "[" : ","}${shown.join(",")}${isLast ? "]\n" : ""}`);
  }
}
