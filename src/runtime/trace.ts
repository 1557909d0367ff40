/** Reads the times of a start's ops. */
import { readFileSync } from "node:fs";
import type { MeasuredSpan } from "../base/spans.ts";
import { listOps, superviseLines } from "../linux/program/list.ts";
import type { Program } from "../linux/program/op.ts";
import { phaseOf } from "../linux/program/phases.ts";
import type { ExplainedOp, Listing } from "../spec/explanation.ts";
import type { CompiledStart } from "./compile.ts";
import { runFiles } from "./run-files.ts";

interface Traced {
  program: Program;
  phases?: CompiledStart["phases"];
}

/** Returns the ops of a process that runs, with their times. */
export function readTrace(runDirectory: string, { program, phases }: Traced): Listing {
  const times = readTimes(runDirectory);
  const ops = listOps(program, phases).map((op) => ({ ...op, ...timesOf(op, times) }));
  return { ops, supervise: superviseLines(program) };
}

/** Two numbers for each op: see launcher/trace.c. */
function readTimes(runDirectory: string): BigUint64Array {
  return new BigUint64Array(new Uint8Array(readFileSync(runFiles(runDirectory).trace)).buffer);
}

/** The times of one op: none if it is not of host or init. */
function timesOf({ index }: ExplainedOp, times: BigUint64Array): Pick<ExplainedOp, "beganNs" | "tookNs"> {
  const [began, ended] = [times[2 * index], times[2 * index + 1]];
  if (began === undefined || ended === undefined) return {};
  return { beganNs: Number(began - times[0]!), tookNs: Number(ended - began) };
}

/** Who does a section's ops. */
const ACTORS = { host: "launcher", init: "container" } as const;

/** Returns when the phases of a start began and ended: the launcher's, then those of the new process. Ops that were left out have no time. */
export function readPhases(runDirectory: string, { program, phases }: Traced): MeasuredSpan[] {
  const times = readTimes(runDirectory);
  const measured: MeasuredSpan[] = [];
  let index = 0;
  for (const section of ["host", "init"] as const)
    for (const [at, op] of program[section].entries()) {
      const [began, ended] = [times[2 * index]!, times[2 * index + 1]!];
      index++;
      if (began === 0n || ended === 0n) continue;
      const name = `${ACTORS[section]}: ${phaseOf(section, phases?.[section] ?? [], op, at)}`;
      const last = measured.at(-1);
      if (last?.name === name) last.endedMs = msOf(ended);
      else measured.push({ name, beganMs: msOf(began), endedMs: msOf(ended) });
    }
  return measured;
}

function msOf(ns: bigint): number {
  return Number(ns) / 1e6;
}
