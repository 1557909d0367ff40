/** What a run has on the host while it lasts: a directory, a cgroup. */
import { rm } from "node:fs/promises";
import { SIGKILL } from "../../base/signals.ts";
import type { Runtime } from "../../runtime/types.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Engine } from "../engine.ts";
import { runPoststopHooks } from "../process/hooks.ts";
import type { ContainerRecord } from "../state/record.ts";
import { endScope } from "./scope.ts";

/** Removes the run directory of a run that has ended, and its scope. */
export async function clearRunDirectory(engine: Engine, record: ContainerRecord): Promise<void> {
  const runDirectory = engine.paths.runDirectory(record.id);
  await runPoststopHooks(engine.runtime, record.id, runDirectory);
  await endScope(record);
  await rm(runDirectory, { recursive: true, force: true });
}

/** Ends the process of a run directory that nobody knows of any more, if it has one. */
export async function endProcessOf(runtime: Runtime, runDirectory: string): Promise<void> {
  const found = await runtime.reconnect(runDirectory);
  if (found === "lost" || !("gone" in found)) return;
  await found.signal(SIGKILL);
  await found.gone;
}

/** Removes what a run whose supervisor is gone has left. */
export async function cleanUp(engine: Engine, record: ContainerRecord): Promise<void> {
  const config = { ociVersion: "1.2.0", linux: { cgroupsPath: cgroupsPathOf(record) } };
  await engine.runtime.cleanup({ id: record.id, config, runDirectory: engine.paths.runDirectory(record.id) });
  await endScope(record);
}
