/** What the daemon gives back when nobody has asked it for anything for a while. */
import {
  DAEMON_GC_GROWTH_BYTES,
  DAEMON_HEAP_BYTES,
  DAEMON_IDLE_FILE_BYTES,
  DAEMON_SHRINK_BYTES,
} from "../../base/limits.ts";
import { releaseTextPages, residentBytes } from "../../engine/mod.ts";

/**
 * In the middle one of the pauses (`DAEMON_IDLE_MS`) memory is given back, in each one pages of the program: what comes before it lets
 * go of the load's, what comes after it of those that it has run itself.
 */
const COLLECTING_PAUSE = 1;

/** Returns what to call after each pause, with its index. */
export function createRest(): (pause: number) => void {
  let settledBytes = DAEMON_HEAP_BYTES;
  return (pause) => {
    if (pause === COLLECTING_PAUSE && residentBytes().anonymous > settledBytes + DAEMON_GC_GROWTH_BYTES) {
      Bun.gc(true);
      // Also drops all compiled code, so that the next requests take twice the time.
      if (residentBytes().anonymous > settledBytes + DAEMON_SHRINK_BYTES) Bun.shrink();
      settledBytes = Math.max(DAEMON_HEAP_BYTES, residentBytes().anonymous);
    }
    // A kernel that maps files in large pages makes far more of the program resident than has run.
    if (residentBytes().file > DAEMON_IDLE_FILE_BYTES) releaseTextPages();
  };
}
