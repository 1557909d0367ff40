import { parseDurationIf } from "../../base/duration.ts";
import { LighterError } from "../../base/errors.ts";
import { OCI_EVENTS_POLL_MS } from "../../base/limits.ts";
import { timerMs } from "../../base/timer.ts";
import { watchOom } from "../../linux/cgroup/mod.ts";
import { formatJson } from "../../spec/json.ts";
import { cgroupHost, cgroupsPathOf } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { UsageError } from "../flags.ts";
import { print } from "../output.ts";
import { openState, statusOf } from "../state.ts";
import { readRuntimeStats } from "../stats.ts";

export const command: OciCommand = {
  name: "events",
  usage: "[command options] <container-id>",
  summary: "display statistics of a container, and when it runs out of memory",
  flags: [
    { name: "interval", kind: "string", help: "how often to print statistics", default: "5s" },
    { name: "stats", kind: "boolean", help: "print the statistics once" },
  ],
  positionals: { min: 1, max: 1 },
  async run({ root }, parsed) {
    const interval = parsed.string("interval") ?? "5s";
    const intervalNs = parseDurationIf(interval);
    if (intervalNs === undefined)
      throw new UsageError(`invalid value ${JSON.stringify(interval)} for flag -interval: parse error`);
    if (intervalNs <= 0) throw new LighterError("invalid", "duration interval must be greater than 0");

    const handle = openState(root, parsed.arg(0));
    const { id } = handle.state;
    if (statusOf(handle) === "stopped") throw new LighterError("conflict", `container with id ${id} is not running`);
    const host = cgroupHost();
    const path = cgroupsPathOf(handle);
    const printEvent = (type: string, data?: unknown) => print(`${formatJson({ type, id, data })}\n`);
    const printStats = () => printEvent("stats", readRuntimeStats(host, path));
    if (parsed.boolean("stats")) {
      printStats();
      return 0;
    }

    // Runs until the container has ended, so that an out-of-memory event at its very end is not missed.
    using oom = watchOom(host, path, () => printEvent("oom"));
    const timer = setInterval(printStats, timerMs(Number(intervalNs) / 1e6));
    try {
      while (statusOf(handle) !== "stopped") await new Promise((resolve) => setTimeout(resolve, OCI_EVENTS_POLL_MS));
      oom.check();
    } finally {
      clearInterval(timer);
    }
    return 0;
  },
};
