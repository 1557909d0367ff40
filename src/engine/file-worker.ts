/** `lighter file-worker`, a hidden command: all that it can do. */
import { addGeneralJobs, JobTable } from "../files/mod.ts";
import { runFileWorker } from "../files/worker.ts";

export function fileWorkerMain(): Promise<number> {
  return runFileWorker(addGeneralJobs(new JobTable()));
}
