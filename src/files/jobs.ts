/** Jobs that can be done with any files. */

import { closeSync } from "node:fs";
import { measureTree, type TreeUsage } from "../linux/measure-tree.ts";
import { removeTreeAt } from "../linux/remove-tree.ts";
import { AT_FDCWD } from "../linux/sys/abi.ts";
import { bytePath, O_DIRECTORY, O_PATH, openat } from "../linux/sys/fs.ts";
import type { FileJob, JobTable } from "./protocol.ts";

/** Removes the entry and all below it. `name` is in bytes. */
export const removeJob: FileJob<{ directory: string; name: string }, null> = { kind: "remove" };

/** Reports the usage of each directory of the host; -1 for an error. */
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
      for (const path of paths) context.note(measureOr(path, UNKNOWN, context.beat));
      return null;
    });
}

const UNKNOWN: TreeUsage = { bytes: -1, inodes: -1 };

function measureOr(path: string, otherwise: TreeUsage, beat: () => void): TreeUsage {
  try {
    return measureTree(path, beat);
  } catch {
    return otherwise;
  }
}
