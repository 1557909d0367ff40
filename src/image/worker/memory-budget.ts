/** Limits how much memory a layer worker uses, whatever its input tries to make it keep. */
import { writeFileSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_WORKER_MAX_MEMORY_BYTES } from "../../base/limits.ts";

/** How many bytes are handled between two looks at the memory, each of which costs some 10 µs. */
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;

export class MemoryBudget {
  readonly #maxBytes: number;
  #sinceLook = 0;

  constructor(maxBytes = LAYER_WORKER_MAX_MEMORY_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Notes that so many bytes have been handled. @throws LighterError ("invalid") if that has taken too much memory. */
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

/** Makes the kernel end this worker first when the machine runs out of memory: its work can be repeated. */
export function preferAsOomVictim(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "1000");
  } catch {} // the host has no procfs, or forbids it
}
