/** What a layer worker may have of the machine's memory, whatever the bytes that it is given try to make it keep. */
import { writeFileSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_WORKER_MAX_MEMORY_BYTES } from "../../base/limits.ts";

/** Bytes taken between two looks, each of which costs some 10 µs. */
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;

export class MemoryBudget {
  readonly #maxBytes: number;
  #sinceLook = 0;

  constructor(maxBytes = LAYER_WORKER_MAX_MEMORY_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** So many bytes have been worked on. @throws LighterError ("invalid") if that has taken too much memory. */
  spend(byteCount: number): void {
    this.#sinceLook += byteCount;
    if (this.#sinceLook < LOOK_EVERY_BYTES) return;
    this.#sinceLook = 0;
    if (!this.#isExceeded()) return;
    Bun.gc(true);
    if (this.#isExceeded())
      throw new LighterError("invalid", `layer takes more than ${this.#maxBytes} bytes of memory to unpack`);
  }

  #isExceeded(): boolean {
    return process.memoryUsage.rss() > this.#maxBytes;
  }
}

/** Where the machine has no memory left, a worker is what the kernel ends first: its work can be done again. */
export function preferAsOomVictim(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {} // a host without procfs, or that forbids it
}
