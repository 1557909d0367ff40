/** Gives memory back when the daemon has had no request for a while. */
import {
  DAEMON_GC_GROWTH_BYTES,
  DAEMON_HEAP_BYTES,
  DAEMON_IDLE_FILE_BYTES,
  DAEMON_SHRINK_BYTES,
} from "../../base/limits.ts";
import { releaseTextPages, residentBytes } from "../../engine/mod.ts";

/**
 * The index of the pause (in `DAEMON_IDLE_MS`) after which garbage is collected. Pages of the program are released after every
 * pause: before the collection those that the load used, after it those that the collection itself used.
 */
const COLLECTING_PAUSE = 1;

/** Returns the function to call after each pause, with the pause's index. */
export function createRest(): (pause: number) => void {
  let settledBytes = DAEMON_HEAP_BYTES;
  return (pause) => {
    if (pause === COLLECTING_PAUSE && residentBytes().anonymous > settledBytes + DAEMON_GC_GROWTH_BYTES) {
      Bun.gc(true);
      // Shrinking also drops all compiled code, so that the next requests take twice the time.
      if (residentBytes().anonymous > settledBytes + DAEMON_SHRINK_BYTES) Bun.shrink();
      settledBytes = Math.max(DAEMON_HEAP_BYTES, residentBytes().anonymous);
    }
    // A kernel that maps files in large pages makes far more of the program resident than has run.
    if (residentBytes().file > DAEMON_IDLE_FILE_BYTES) releaseTextPages();
  };
}
