/** Valid programs from which the launcher's fuzzers start. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import type { Program } from "../../src/linux/program/op.ts";
import { PROGRAM_CASES } from "./program-cases.ts";

/** A text longer than any buffer of the launcher, for offsets that come to point at it. */
const LONG = `LONG=${"x".repeat(12_000)}`;

/** A program with one op of each kind, and one of each call that the cases use: in so small a program each is changed often. */
function everyOp(): Program {
  const all = PROGRAM_CASES.flatMap(({ program }) => [...program.host, ...program.init, ...program.cleanup]);
  const first = new Map(all.map((op) => [op.kind === "call" ? op.name : op.kind, op]));
  const execute = { kind: "execute", paths: ["/bin/true"], argv: ["true"], env: [LONG], why: "" } as const;
  return {
    host: [...first.values()],
    init: [execute],
    cleanup: [],
    supervise: { init: "init", hold: false, exitPath: "/exit", socketPath: "/socket" },
  };
}

/** Writes valid programs, to be mutated, into `directory`. Returns their paths. */
export function writeCorpus(directory: string): string[] {
  const small = everyOp();
  const programs = PROGRAM_CASES.flatMap(({ program }) => [program, small]);
  return programs.map((program, index) => {
    const path = join(directory, `program-${index}`);
    writeFileSync(path, encodeProgram(program));
    return path;
  });
}
