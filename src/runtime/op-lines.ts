import { listProgram } from "../linux/program/list.ts";
import type { Op, Program } from "../linux/program/op.ts";

/** A line for each op, with its number and what it is for, as a log has it: of the environment the names alone. */
export function opLines(program: Program): string[] {
  const [host, init, cleanup] = [program.host, program.init, program.cleanup].map((ops) => ops.map(withoutValues));
  const text = listProgram({ ...program, host: host!, init: init!, cleanup: cleanup! });
  return text.split("\n").flatMap((line) => (/^ *\d+ /.test(line) ? [line.trim().replace(/ {2,}/g, " ")] : []));
}

function withoutValues(op: Op): Op {
  if (op.kind !== "execute") return op;
  return { ...op, env: op.env.map((variable) => `${variable.split("=", 1)[0]}=…`) };
}
