/** Prepares what later commands on a container will do, so that the small program can do it alone. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../base/errors.ts";
import { writePoint } from "../base/write-point.ts";
import { hasOwnPids } from "../runtime/own-pids.ts";
import { cgroupHost } from "./cgroup.ts";
import type { OciContext } from "./command.ts";
import { formatState } from "./container-view.ts";
import { EXEC_FIFO, STATE_FILE, type StateHandle } from "./state.ts";

/** Whether the container is a usual one: without hooks, and without anything that systemd or resctrl takes part in. */
export function isUsual({ state, config }: StateHandle): boolean {
  const hooks = Object.values(config.hooks ?? {}).some((list) => list.length > 0);
  return !(hooks || state.systemdCgroup || state.rootless || config.linux?.intelRdt);
}

/**
 * Writes the programs of `start`, `kill`, `delete` and `state` (src/runtime/later.ts) beside the state of a created container:
 * `start.program` and so on, which dist/lighter-runtime plays. Only a usual container gets them: without them everything works as
 * well.
 */
export async function rememberLater({ log }: OciContext, handle: StateHandle): Promise<void> {
  if (!isUsual(handle)) return;
  const { state, directory } = handle;
  const { encodeLater } = await import("../runtime/mod.ts");
  const { pid, pidStartTime, cgroupsPath } = state;
  const files = { directory, stateFile: STATE_FILE, startFifo: EXEC_FIFO };
  const programs = encodeLater({
    ...{ ...files, pid, pidStartTime, cgroupsPath, cgroups: cgroupHost() },
    stateTexts: {
      created: formatState(handle, "created"),
      running: formatState(handle, "running"),
      stopped: formatState(handle, "stopped"),
    },
  });
  for (const [command, bytes] of programs) {
    if (command === "kill" && !hasOwnPids(handle.config)) continue; // these kill more than init
    const path = join(directory, `${command}.program`);
    try {
      writeFileSync(path, bytes, { mode: 0o600 });
      writePoint("remember a later command");
    } catch (error) {
      rmSync(path, { force: true });
      log.debug(messageOf(error));
    }
  }
}
