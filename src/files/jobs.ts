/** What can be done with files of which nothing is known. */

import { closeSync } from "node:fs";
import { measureTree } from "../linux/measure-tree.ts";
import { removeTreeAt } from "../linux/remove-tree.ts";
import { AT_FDCWD } from "../linux/sys/abi.ts";
import { bytePath, O_DIRECTORY, O_PATH, openat } from "../linux/sys/fs.ts";
import type { FileJob, JobTable } from "./protocol.ts";

/** The entry and all below it. `name`: bytes. */
export const removeJob: FileJob<{ directory: string; name: string }, null> = { kind: "remove" };

/** Notes the bytes of the regular files below each directory of the host; -1 for an error. */
export const measureJob: FileJob<{ paths: readonly string[] }, null> = { kind: "measure" };

export function addGeneralJobs(jobs: JobTable): JobTable {
  return jobs
    .on(removeJob, ({ directory, name }, { beat }) => {
      const fd = openat(AT_FDCWD, bytePath(directory), O_PATH | O_DIRECTORY);
      try {
        removeTreeAt(fd, name, beat);
        return null;
      } finally {
        closeSync(fd);
      }
    })
    .on(measureJob, ({ paths }, context) => {
      for (const path of paths) context.note(measureOr(path, -1, context.beat));
      return null;
    });
}

function measureOr(path: string, otherwise: number, beat: () => void): number {
  try {
    return measureTree(path, beat);
  } catch {
    return otherwise;
  }
}
