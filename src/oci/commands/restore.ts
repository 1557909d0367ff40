import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { attachDeviceProgram } from "../../linux/cgroup/attach-devices.ts";
import {
  applyCgroupWrites,
  effectiveCgroupsPath,
  planCgroup,
  readInterfaceFiles,
  setupCgroupParents,
} from "../../linux/cgroup/mod.ts";
import { bindTree, detachTree, waitForChild } from "../../linux/sys/restore.ts";
import { withBuiltinDevices } from "../../runtime/mod.ts";
import { readBundle } from "../bundle.ts";
import { cgroupHost } from "../cgroup.ts";
import type { OciCommand, OciContext } from "../command.ts";
import { CRIU_FLAGS, criuOptions, externalParts, refuseUncheckpointable, runCriu } from "../criu.ts";
import type { Parsed } from "../flags.ts";
import { effectiveConfig, recordPid, writePidFile } from "../launch.ts";
import { destroy } from "../lifecycle.ts";
import { createState, type StateHandle } from "../state.ts";

export const command: OciCommand = {
  name: "restore",
  usage: "[command options] <container-id>",
  summary: "restore a container from a checkpoint",
  flags: [
    ...CRIU_FLAGS,
    { name: "bundle", short: "b", kind: "string", help: "path to the bundle directory", default: '"."' },
    { name: "detach", short: "d", kind: "boolean", help: "do not wait for the container's process" },
    { name: "pid-file", kind: "string", help: "file to write the process id to" },
    { name: "console-socket", kind: "string", help: "for containers with a terminal, which are not supported" },
    { name: "no-subreaper", kind: "boolean", help: "accepted, and without meaning here" },
    { name: "no-pivot", kind: "boolean", help: "accepted, and without meaning here" },
    { name: "lsm-profile", kind: "string", help: "LSM profile to restore with, as TYPE:NAME" },
    { name: "lsm-mount-context", kind: "string", help: "LSM mount context to restore with" },
  ],
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    using handle = prepare(context, parsed);
    const detach = parsed.boolean("detach");
    try {
      await restoreInit(context, handle, parsed);
      writePidFile(parsed.string("pid-file"), handle.state.pid);
    } catch (error) {
      await destroy(context, handle);
      throw error;
    }
    if (detach) return 0;
    handle[Symbol.dispose](); // releases the lock: others may look at the container and stop it meanwhile
    const exitCode = waitForChild(handle.state.pid);
    await destroy(context, handle);
    return exitCode;
  },
};

/** Creates the container's state, as `create` does. */
function prepare(context: OciContext, parsed: Parsed): StateHandle {
  const bundle = readBundle(parsed.string("bundle") ?? ".");
  refuseUncheckpointable(bundle.config);
  for (const name of ["prestart", "createRuntime", "createContainer"] as const)
    if (bundle.config.hooks?.[name]?.length)
      throw new LighterError("not-supported", `restore of a container with hooks.${name} is not supported`);
  if (context.systemdCgroup || process.geteuid?.() !== 0)
    throw new LighterError(
      "not-supported",
      "restore with --systemd-cgroup, or by another user than root, is not supported",
    );
  const id = parsed.arg(0);
  const cgroupsPath = effectiveCgroupsPath(cgroupHost(), bundle.config.linux?.cgroupsPath, id);
  return createState(
    context.root,
    id,
    { bundle: bundle.path, rootfs: bundle.rootfs, cgroupsPath, systemdCgroup: false, rootless: false },
    bundle.configBytes,
  );
}

async function restoreInit(context: OciContext, handle: StateHandle, parsed: Parsed): Promise<void> {
  const { cgroupsPath, rootfs } = handle.state;
  const config = effectiveConfig(handle);
  const { options, paths } = criuOptions(parsed, "restore.log");
  const pidPath = join(handle.directory, "criu.pid");
  const rootPath = join(handle.directory, "criu-root");
  const parts = externalParts(config, paths.images);
  try {
    makeLimitedCgroup(handle);
    mkdirSync(rootPath);
    bindTree(rootfs, rootPath); // CRIU needs a mount of its own for the root
    try {
      const lsm = ["lsm-profile", "lsm-mount-context"].flatMap((name) => {
        const value = parsed.string(name);
        return value === undefined ? [] : [`--${name}`, value];
      });
      // The process becomes this command's child if it is waited for; otherwise the caller's reaper gets it when CRIU has ended.
      const child = parsed.boolean("detach") ? [] : ["--restore-sibling"];
      const place = ["--root", rootPath, "--cgroup-root", cgroupsPath, "--restore-detached", "--pidfile", pidPath];
      const args = [...options, ...place, ...child, ...lsm, ...parts.options];
      await runCriu(context, "restore", args, paths.log, parts.fds);
    } finally {
      detachTree(rootPath);
      rmdirSync(rootPath);
    }
  } finally {
    parts.close();
  }
  recordPid(handle, Number(readFileSync(pidPath, "utf8")));
}

/**
 * Makes the cgroup before CRIU makes the processes: CRIU would make it with the limits at the time of the dump and, on v2,
 * without a device filter. A cgroup that exists is left as it is by CRIU.
 */
function makeLimitedCgroup({ state, config }: StateHandle): void {
  const resources = withBuiltinDevices(config.linux?.resources);
  const host = cgroupHost();
  const first = planCgroup(host, state.cgroupsPath, resources);
  setupCgroupParents(host, first);
  const interfaceFiles = first.needsInterfaceFiles ? readInterfaceFiles(first) : undefined;
  const plan = interfaceFiles ? planCgroup({ ...host, interfaceFiles }, state.cgroupsPath, resources) : first;
  for (const { path, leaf } of plan.directories) if (leaf) mkdirSync(path, { recursive: true });
  applyCgroupWrites(plan.writes);
  if (plan.deviceProgram && plan.v2Directory) attachDeviceProgram(plan.deviceProgram, plan.v2Directory);
}
