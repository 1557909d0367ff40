/** The processes of a container, as ps(1) of the host shows them. */
import { LighterError } from "../../base/errors.ts";
import { detectCgroupHost, effectiveCgroupsPath, locateController, readPids } from "../../linux/cgroup/mod.ts";
import { runProgram } from "../../linux/process/run-program.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import { containerRestarting, notRunning } from "../errors.ts";
import { checkPsArguments, type ProcessTable, parsePsOutput } from "./ps-output.ts";

const DEFAULT_ARGUMENTS = "-ef";

/** Lists the processes. @throws LighterError "conflict" if it does not run, "internal" with what ps has to say */
export async function listProcesses(
  container: Container,
  psArguments: string = DEFAULT_ARGUMENTS,
): Promise<ProcessTable> {
  checkPsArguments(psArguments);
  if (container.restarts.isWaiting) throw containerRestarting(container.id);
  if (!container.isRunning) throw notRunning(container.id);
  const pids = pidsOf(container);
  const output = await runPs(psArguments.split(" "), pids);
  const table = parsePsOutput(output, new Set(pids));
  container.publish("top");
  return table;
}

function pidsOf(container: Container): number[] {
  const cgroupsPath = cgroupsPathOf(container.record);
  const host = detectCgroupHost();
  const place = host.mode === "unified" ? host.v2 : locateController(host, "pids");
  if (place === undefined) return [container.record.pid];
  return readPids(`${place.mountPoint}${effectiveCgroupsPath(host, cgroupsPath, container.id)}`);
}

/**
 * Runs ps. Some of its options do not go with a list of pids: then it shows all processes, and the others are left out. It does
 * not sort a list, and does not say so.
 */
async function runPs(words: readonly string[], pids: readonly number[]): Promise<string> {
  const sorts = words.some((word) => /^(--sort|-?k)/.test(word));
  const listed = sorts ? undefined : await runProgram("ps", [...words, `-q${pids.join(",")}`]);
  const result = listed?.exitCode === 0 ? listed : await runProgram("ps", words);
  if (result.exitCode === 0) return result.stdout;
  const line = result.stderr.split("\n")[0] || `exit status ${result.exitCode}`;
  throw new LighterError("internal", `ps: ${line}`);
}
