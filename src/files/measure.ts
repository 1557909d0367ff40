import { measureJob } from "./jobs.ts";
import { type FileWorkers, Stalled } from "./workers.ts";

/** Paths of one job: their bytes go in one message. */
const PATHS_AT_ONCE = 500;

/** Bytes of the regular files below each directory; -1 where the file system does not answer, or says an error. */
export async function measureTrees(workers: FileWorkers, paths: readonly string[]): Promise<number[]> {
  const sizes: number[] = [];
  while (sizes.length < paths.length) {
    const rest = paths.slice(sizes.length, sizes.length + PATHS_AT_ONCE);
    try {
      await workers.run(measureJob, { paths: rest }, { onNote: (bytes) => void sizes.push(Number(bytes)) });
    } catch (error) {
      if (!(error instanceof Stalled)) throw error;
      sizes.push(-1); // and the next worker begins after it
    }
  }
  return sizes;
}
