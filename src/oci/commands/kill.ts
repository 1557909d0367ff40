import { LighterError } from "../../base/errors.ts";
import { parseSignal, SIGKILL } from "../../base/signals.ts";
import { hasOwnPids } from "../../runtime/own-pids.ts";
import type { OciCommand } from "../command.ts";
import { signalAll, signalInit } from "../lifecycle.ts";
import { lockState } from "../state.ts";

export const command: OciCommand = {
  name: "kill",
  usage: "[command options] <container-id> [signal]",
  summary: "send a signal to the init process of a container (default: SIGTERM)",
  flags: [{ name: "all", short: "a", kind: "boolean", help: "send the signal to all processes of the container" }],
  positionals: { min: 1, max: 2 },
  async run({ root, log }, parsed) {
    const text = parsed.args[1] ?? "SIGTERM";
    const signal = text === "0" ? 0 : parseSignal(text); // 0 only asks whether the process is alive
    if (signal === undefined) throw new LighterError("invalid", `unknown signal ${JSON.stringify(text)}`);
    using handle = lockState(root, parsed.arg(0));
    // As with runc, an empty container is no error. Without a pid namespace the other processes outlive init.
    const all = parsed.boolean("all") || (signal === SIGKILL && !hasOwnPids(handle.config));
    log.debug(`send signal ${signal} to ${all ? "all processes" : `init, process ${handle.state.pid}`}`);
    if (all) await signalAll(handle, signal);
    else if (!signalInit(handle, signal)) throw new LighterError("conflict", "container not running");
    return 0;
  },
};
