import { LighterError } from "../../base/errors.ts";
import type { OciCommand } from "../command.ts";
import { destroy, killAndWait } from "../lifecycle.ts";
import { lockState, lockStateByForce, statusOf } from "../state.ts";

export const command: OciCommand = {
  name: "delete",
  usage: "[command options] <container-id>",
  summary: "delete any resources held by a container",
  flags: [{ name: "force", short: "f", kind: "boolean", help: "kill it if it still runs; it need not exist" }],
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    const id = parsed.arg(0);
    const force = parsed.boolean("force");
    using handle = force ? lockStateByForce(context.root, id) : lockState(context.root, id);
    if (handle === undefined) return 0;
    const status = statusOf(handle);
    if (status !== "stopped" && status !== "created" && !force)
      throw new LighterError("conflict", `cannot delete container ${id} that is not stopped: ${status}`);
    if (status !== "stopped") await killAndWait(handle);
    await destroy(context, handle);
    return 0;
  },
};
