import { LighterError } from "../../base/errors.ts";
import type { OciCommand } from "../command.ts";
import { openRuntime } from "../launch.ts";
import { destroy, killAndWait, runPoststart, startInit } from "../lifecycle.ts";
import { lockState, statusOf } from "../state.ts";

export const command: OciCommand = {
  name: "start",
  usage: "<container-id>",
  summary: "execute the user defined process in a created container",
  flags: [],
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    using handle = lockState(context.root, parsed.arg(0));
    const status = statusOf(handle);
    if (status === "stopped") throw new LighterError("conflict", "cannot start a container that has stopped");
    if (status === "running") throw new LighterError("conflict", "cannot start an already running container");
    if (status !== "created") throw new LighterError("conflict", `cannot start a container in the ${status} state`);
    await startInit(context, openRuntime, handle);
    try {
      await runPoststart(context, openRuntime, handle);
    } catch (error) {
      await killAndWait(handle);
      await destroy(context, handle);
      throw error;
    }
    return 0;
  },
};
