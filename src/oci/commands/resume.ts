import { LighterError } from "../../base/errors.ts";
import { isFrozen, thawCgroup } from "../../linux/cgroup/mod.ts";
import { cgroupHost, cgroupsPathOf } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { lockState } from "../state.ts";

export const command: OciCommand = {
  name: "resume",
  usage: "<container-id>",
  summary: "let the processes of a paused container run again",
  flags: [],
  positionals: { min: 1, max: 1 },
  async run({ root }, parsed) {
    using handle = lockState(root, parsed.arg(0));
    const host = cgroupHost();
    const path = cgroupsPathOf(handle);
    if (!isFrozen(host, path)) throw new LighterError("conflict", "container not paused");
    thawCgroup(host, path);
    return 0;
  },
};
