/** Saves the results of measurements. */
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { cgroupSetup, run } from "./commands.ts";

/** Writes results with a description of the machine: without that they could not be compared. */
export function saveBaseline(path: string, results: object): void {
  const commit = run(["git", "-C", import.meta.dirname, "rev-parse", "HEAD"]).trim();
  const machine = { commit, kernel: release(), cpu: cpus()[0]?.model, cores: cpus().length, cgroups: cgroupSetup() };
  writeFileSync(path, `${JSON.stringify({ ...machine, ...results }, null, 2)}\n`);
}
