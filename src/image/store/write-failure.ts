/** Words the error of a failed write. */
import { errnoOf, LighterError } from "../../base/errors.ts";
import { errnoText } from "../../linux/sys/errno.ts";

/** The error in Docker's words: "write /a/path: no space left on device". */
export function writeFailure(path: string, cause: unknown, errno = errnoOf(cause)): LighterError {
  return new LighterError("kernel", `write ${path}: ${errnoText(errno)}`, { errno, cause });
}
