/** Describes a program's ops for a log. */
import { listProgram } from "../linux/program/list.ts";
import type { Op, Program } from "../linux/program/op.ts";

/**
 * A line for each op, with its number and purpose, as a log has it; of environments only the names. Lines between them say, in
 * words that tools look for in runc's log, where init's part begins and ends, and what the flags of its filter are.
 */
export function opLines(program: Program): string[] {
  const [host, init, cleanup] = [program.host, program.init, program.cleanup].map((ops) => ops.map(withoutValues));
  const text = listProgram({ ...program, host: host!, init: init!, cleanup: cleanup! });
  const lines = text.split("\n").flatMap((line) => (/^ *\d+ /.test(line) ? [line.trim().replace(/ {2,}/g, " ")] : []));
  const first = program.host.length;
  const isFurther = program.host.some((op) => op.kind === "clone" && op.flags === 0);
  const last = isFurther ? "setns_init: about to exec" : "init: closing the pipe to signal completion";
  return [
    "nsexec container setup",
    ...lines.slice(0, first),
    "child process in init()",
    ...program.init.flatMap((op, index) => [...beforeOp(op, last), lines[first + index]!]),
    ...lines.slice(first + program.init.length),
  ];
}

function beforeOp(op: Op, last: string): string[] {
  if (op.kind === "execute") return [last];
  return op.kind === "call" && op.name === "seccomp" ? [`seccomp filter flags: ${op.args[1]}`] : [];
}

function withoutValues(op: Op): Op {
  if (op.kind !== "execute") return op;
  return { ...op, env: op.env.map((variable) => `${variable.split("=", 1)[0]}=…`) };
}
