/** Measures directory trees by file workers. */
import type { TreeUsage } from "../linux/measure-tree.ts";
import { measureJob } from "./jobs.ts";
import { type FileWorkers, Stalled } from "./workers.ts";

/** The number of paths in one job: their sizes fit into one message. */
const PATHS_AT_ONCE = 500;

/** The bytes of the regular files below each directory; -1 if the file system does not answer, or fails. */
export async function measureTrees(workers: FileWorkers, paths: readonly string[]): Promise<number[]> {
  return (await measureUsage(workers, paths)).map(({ bytes }) => bytes);
}

/** The usage of each directory; -1 if the file system does not answer, or fails. */
export async function measureUsage(workers: FileWorkers, paths: readonly string[]): Promise<TreeUsage[]> {
  const usages: TreeUsage[] = [];
  while (usages.length < paths.length) {
    const rest = paths.slice(usages.length, usages.length + PATHS_AT_ONCE);
    try {
      await workers.run(measureJob, { paths: rest }, { onNote: (usage) => void usages.push(usage as TreeUsage) });
    } catch (error) {
      if (!(error instanceof Stalled)) throw error;
      usages.push({ bytes: -1, inodes: -1 }); // the next worker begins after this path
    }
  }
  return usages;
}
