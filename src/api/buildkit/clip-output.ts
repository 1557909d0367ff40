/** Clips what steps print, as BuildKit does: its clients give up on a build whose output they have not shown soon after its end. */
import { STEP_OUTPUT_BYTES_PER_SECOND, STEP_OUTPUT_MAX_BYTES } from "../../base/limits.ts";
import type { BuildStatus } from "../../spec/buildkit.ts";

const MS_PER_SECOND = 1000;
const BYTES_PER_KIB = 1024;

/** What one stream of a step has printed. */
interface Printed {
  startedMs: number;
  byteCount: number;
  isClipping: boolean;
}

export class OutputClip {
  readonly #printed = new Map<string, Printed>();

  /** The event with as much output as clients get, and a line where some is missing. */
  clip(event: BuildStatus, nowMs = performance.now()): BuildStatus {
    const { logs = [] } = event;
    if (logs.length === 0) return event;
    return {
      ...event,
      logs: logs.flatMap((log) => {
        const { vertex = "", stream = 0, message = new Uint8Array() } = log;
        const kept = this.#take(`${vertex} ${stream}`, message, nowMs);
        return kept.length === 0 ? [] : [{ ...log, message: kept }];
      }),
    };
  }

  #take(key: string, bytes: Uint8Array, nowMs: number): Uint8Array {
    const printed = this.#printed.get(key) ?? { startedMs: nowMs, byteCount: 0, isClipping: false };
    this.#printed.set(key, printed);
    const seconds = Math.floor((nowMs - printed.startedMs) / MS_PER_SECOND) + 1;
    const bySpeed = seconds * STEP_OUTPUT_BYTES_PER_SECOND;
    const room = Math.max(0, Math.min(bySpeed, STEP_OUTPUT_MAX_BYTES) - printed.byteCount);
    const kept = bytes.subarray(0, room);
    printed.byteCount += kept.length;
    const wasClipping = printed.isClipping;
    printed.isClipping = kept.length < bytes.length;
    if (!printed.isClipping || wasClipping) return kept;
    const limit =
      bySpeed < STEP_OUTPUT_MAX_BYTES ? `${kib(STEP_OUTPUT_BYTES_PER_SECOND)}/s` : kib(STEP_OUTPUT_MAX_BYTES);
    return Buffer.concat([kept, Buffer.from(`\n[output clipped, log limit ${limit} reached]\n`)]);
  }
}

function kib(byteCount: number): string {
  return `${byteCount / BYTES_PER_KIB}KiB`;
}
