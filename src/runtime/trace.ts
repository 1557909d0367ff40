/** Reads the times of a start's ops. */
import { readFileSync } from "node:fs";
import { listOps, superviseLines } from "../linux/program/list.ts";
import type { Program } from "../linux/program/op.ts";
import type { ExplainedOp, Listing } from "../spec/explanation.ts";
import type { CompiledStart } from "./compile.ts";
import { runFiles } from "./run-files.ts";

interface Traced {
  program: Program;
  phases?: CompiledStart["phases"];
}

/** Returns the ops of a process that runs, with their times. */
export function readTrace(runDirectory: string, { program, phases }: Traced): Listing {
  const file = readFileSync(runFiles(runDirectory).trace);
  const times = new BigUint64Array(new Uint8Array(file).buffer);
  const ops = listOps(program, phases).map((op) => ({ ...op, ...timesOf(op, times) }));
  return { ops, supervise: superviseLines(program) };
}

/** The times of one op: none if it is not of host or init. */
function timesOf({ index }: ExplainedOp, times: BigUint64Array): Pick<ExplainedOp, "beganNs" | "tookNs"> {
  const [began, ended] = [times[2 * index], times[2 * index + 1]];
  if (began === undefined || ended === undefined) return {};
  return { beganNs: Number(began - times[0]!), tookNs: Number(ended - began) };
}
