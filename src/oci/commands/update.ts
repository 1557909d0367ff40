import { readFileSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { OCI_CONFIG_MAX_BYTES } from "../../base/limits.ts";
import {
  applyReversibly,
  type CgroupHost,
  planUpdate,
  readCurrentLimits,
  readFilesOf,
} from "../../linux/cgroup/mod.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { parseOciResources } from "../../spec/parse-oci-config.ts";
import { cgroupHost, cgroupsPathOf } from "../cgroup.ts";
import type { OciCommand, OciContext } from "../command.ts";
import type { Flag, Parsed } from "../flags.ts";
import { readFdToEnd } from "../read-file.ts";
import { lockState, type StateHandle, statusOf } from "../state.ts";
import { flagResources } from "../update-flags.ts";

const text = (name: string, help: string): Flag => ({ name, kind: "string", help });

export const command: OciCommand = {
  name: "update",
  usage: "[command options] <container-id>",
  summary: "change the limits of a container",
  flags: [
    {
      name: "resources",
      short: "r",
      kind: "string",
      help: "file with the limits to change, as in a config's linux.resources, or - for standard input; then other flags are ignored",
    },
    { name: "blkio-weight", kind: "integer", help: "I/O weight, 10 to 1000" },
    text("cpu-period", "CPU period in microseconds"),
    text("cpu-quota", "CPU time in each period, in microseconds; -1 is unlimited"),
    text("cpu-burst", "CPU time that may be saved up over periods, in microseconds"),
    text("cpu-share", "CPU shares, 2 to 262144"),
    text("cpu-rt-period", "real-time CPU period in microseconds"),
    text("cpu-rt-runtime", "real-time CPU time in each period, in microseconds"),
    text("cpu-idle", "1: run only when nothing else wants the CPU; 0: as usual"),
    text("cpuset-cpus", "CPUs to run on: 0-3,6"),
    text("cpuset-mems", "memory nodes to use: 0,1"),
    text("kernel-memory", "obsolete, ignored"),
    text("kernel-memory-tcp", "obsolete, ignored"),
    text("memory", "memory limit in bytes (k, m, g are taken); -1 is unlimited"),
    text("memory-reservation", "memory reservation in bytes"),
    text("memory-swap", "limit of memory and swap together in bytes; -1 is unlimited"),
    { name: "pids-limit", kind: "integer", help: "how many processes and threads there may be; -1 is unlimited" },
    text("l3-cache-schema", "Intel RDT L3 cache schema"),
    text("mem-bw-schema", "Intel RDT memory bandwidth schema"),
  ],
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    using handle = lockState(context.root, parsed.arg(0));
    if (statusOf(handle) === "stopped") throw new LighterError("conflict", "container not running");
    refuseRdt(parsed);
    const resources = readResources(context, handle, parsed);
    await update(context, handle, cgroupHost(), resources);
    return 0;
  },
};

/**
 * Applies all changes or none: malformed or impossible values are refused before the first write, and a failed write undoes the
 * others.
 */
async function update(
  { log }: OciContext,
  handle: StateHandle,
  detected: CgroupHost,
  resources: OciResources,
): Promise<void> {
  const path = cgroupsPathOf(handle);
  const host = { ...detected, interfaceFiles: readFilesOf(detected, path) };
  const { writes, warnings } = planUpdate(host, path, resources, readCurrentLimits(host, path));
  for (const warning of warnings) log.warn(warning);
  const warn = (warning: string) => log.warn(warning);
  if (!handle.state.systemdCgroup) {
    applyReversibly(writes, warn);
    return;
  }
  const { parseScopePath, updateScope } = await import("../../linux/systemd/scope.ts");
  const { config, state } = handle;
  const user = state.rootless;
  const scope = parseScopePath(config.linux?.cgroupsPath, state.id, user);
  await updateScope({ host, scope, user, resources }, writes, warn);
}

function readResources({ log }: OciContext, { config }: StateHandle, parsed: Parsed): OciResources {
  const source = parsed.string("resources");
  if (source === undefined || source === "") return flagResources(parsed, (warning) => log.warn(warning));
  const json =
    source === "-"
      ? readFdToEnd(0, OCI_CONFIG_MAX_BYTES, "read standard input").toString()
      : readFileSync(source, "utf8");
  const resources = parseOciResources(json, source === "-" ? "standard input" : source);
  // Clients send everything that they know, the container's devices too, which do not change.
  const { devices, ...rest } = resources;
  const isSame = !devices?.length || JSON.stringify(devices) === JSON.stringify(config.linux?.resources?.devices);
  return isSame ? rest : resources;
}

function refuseRdt(parsed: Parsed): void {
  for (const [flag, name] of [
    ["l3-cache-schema", "Intel RDT/CAT: l3 cache schema"],
    ["mem-bw-schema", "Intel RDT/MBA: memory bandwidth schema"],
  ] as const)
    if (parsed.string(flag)) throw new LighterError("not-supported", `${name} is not enabled`);
}
