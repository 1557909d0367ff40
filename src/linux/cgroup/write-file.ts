/** Writes a value to a file of a cgroup file system. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";

/**
 * Writes by one write(2) to a file that exists: creating it, the default, would turn ENOENT into EPERM on cgroup file systems.
 */
export function writeFile(file: string, value: string): void {
  const fd = openSync(file, constants.O_WRONLY);
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** Writes as `writeFile` does, with an error that says what the write was for. @throws LighterError ("kernel") with the errno */
export function writeCgroupFile(file: string, value: string, why: string): void {
  try {
    writeFile(file, value);
  } catch (error) {
    const errno = errnoOf(error);
    throw new LighterError("kernel", `${why}: write "${value}" to "${file}": ${errno}`, { errno, cause: error });
  }
}
