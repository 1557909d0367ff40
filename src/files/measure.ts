/** Measures directory trees by file workers. */
import { measureJob } from "./jobs.ts";
import { type FileWorkers, Stalled } from "./workers.ts";

/** The number of paths in one job: their sizes fit into one message. */
const PATHS_AT_ONCE = 500;

/** The bytes of the regular files below each directory; -1 if the file system does not answer, or fails. */
export async function measureTrees(workers: FileWorkers, paths: readonly string[]): Promise<number[]> {
  const sizes: number[] = [];
  while (sizes.length < paths.length) {
    const rest = paths.slice(sizes.length, sizes.length + PATHS_AT_ONCE);
    try {
      await workers.run(measureJob, { paths: rest }, { onNote: (bytes) => void sizes.push(Number(bytes)) });
    } catch (error) {
      if (!(error instanceof Stalled)) throw error;
      sizes.push(-1); // the next worker begins after this path
    }
  }
  return sizes;
}
