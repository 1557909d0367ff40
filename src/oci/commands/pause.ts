import { LighterError } from "../../base/errors.ts";
import { freezeCgroup } from "../../linux/cgroup/mod.ts";
import { cgroupHost, cgroupsPathOf } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { lockState, statusOf } from "../state.ts";

export const command: OciCommand = {
  name: "pause",
  usage: "<container-id>",
  summary: "suspend all processes of a container",
  flags: [],
  positionals: { min: 1, max: 1 },
  async run({ root }, parsed) {
    using handle = lockState(root, parsed.arg(0));
    const status = statusOf(handle);
    if (status !== "running" && status !== "created") throw new LighterError("conflict", "container not running");
    await freezeCgroup(cgroupHost(), cgroupsPathOf(handle));
    return 0;
  },
};
