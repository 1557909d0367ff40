/** Runs seccomp-probe.c, which asks the kernel what a filter does. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SeccompFilter } from "../../src/linux/seccomp/memo.ts";
import type { Call } from "./seccomp-reference.ts";

/** The compiled seccomp-probe.c, whose comment explains each line of its answer. */
export class SeccompProbe implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "lighter-seccomp-probe-"));
  readonly #program = join(this.#folder, "probe");

  constructor() {
    const source = join(import.meta.dirname, "seccomp-probe.c");
    const built = spawnSync("cc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", this.#program, source]);
    if (built.status !== 0) throw new Error(`cc: ${built.stderr} ${built.error ?? ""}`);
  }

  /**
   * Tries calls under a filter; returns one line for each. "guarded": the calls are not made, and "passed" is a call that the
   * filter let through.
   * @throws Error if the kernel does not accept the filter.
   */
  run(filter: SeccompFilter, calls: readonly Call[], mode: "guarded" | "real"): string[] {
    const path = join(this.#folder, "filter");
    writeFileSync(path, filter.instructions);
    const input = calls.map(({ arch, nr, args }) => [arch, nr, ...args].map((value) => value.toString(16)).join(" "));
    const done = spawnSync(this.#program, [filter.flags.toString(16), path, mode], {
      input: input.join("\n"),
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    if (done.status !== 0) throw new Error(`seccomp-probe: ${done.stderr.trim() || done.signal || done.status}`);
    const lines = done.stdout.trimEnd().split("\n");
    return calls.length === 0 ? [] : lines;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** The probe's answer, when guarded, for a call that the filter answers with `action` (SECCOMP_RET_…). */
export function guardedAnswer(action: number): string {
  const data = action & 0xffff;
  switch ((action & 0xffff0000) >>> 0) {
    case 0x80000000:
    case 0x00000000:
    case 0x00030000:
      return "SIGSYS";
    case 0x00050000:
      return `errno ${data}`;
    default:
      return "passed";
  }
}
