/** Makes directories of the host for binds whose source is missing. */
import { existsSync, mkdirSync } from "node:fs";
import type { FileWorkers } from "../../files/mod.ts";
import { isLocalPath } from "../../linux/mount/local-path.ts";
import { makeDirectoryJob } from "../files/file-jobs.ts";
import { aboutPath } from "./patient-probe.ts";

export function makeMissingDirectory(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { recursive: true, mode: 0o755 });
}

/** Does the same without waiting for a file system that does not answer. @throws LighterError "unavailable" */
export async function prepareBindSource(workers: FileWorkers, path: string): Promise<void> {
  if (isLocalPath(path)) makeMissingDirectory(path);
  else await aboutPath(path, workers.run(makeDirectoryJob, { path }));
}
