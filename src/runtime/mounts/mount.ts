/** Ops that make the mounts of a plan, in its order. */
import { LighterError } from "../../base/errors.ts";
import { ATTR } from "../../linux/mount/options.ts";
import { O, type OpList } from "../../linux/program/builder.ts";
import type { Slot } from "../../linux/program/op.ts";
import type { OciConfig } from "../../spec/oci-runtime.ts";
import type { HostFacts } from "../host-facts.ts";
import { mountBind } from "./bind.ts";
import { mountCgroup } from "./cgroup.ts";
import { applyOptions, attach, DEV, isKernelDirectory, ROOT } from "./place.ts";
import type { PlannedMount } from "./plan.ts";

export function mountAll(
  init: OpList,
  host: HostFacts,
  config: OciConfig,
  plan: readonly PlannedMount[],
  beforeCgroups: () => void,
): void {
  for (const planned of plan) {
    if (planned.mount.type === "cgroup") beforeCgroups();
    if (planned.options.remount) remount(init, planned);
    else if (planned.mount.type === "cgroup") mountCgroup(init, host, config, planned);
    else if (planned.options.bind) mountBind(init, host, config, planned);
    else mountFilesystem(init, planned);
  }
}

/** Whether `ro` is set last: on /dev, when it has its devices. */
function isLate({ destination, mount, options }: PlannedMount): boolean {
  const isDev = destination === "/dev" && (mount.type === "tmpfs" || options.remount);
  return isDev && (options.set & ATTR.RDONLY) !== 0;
}

/** Changes the options of an existing mount. Source: mount(2), "Remounting an existing mount". */
function remount(init: OpList, planned: PlannedMount): void {
  const { options, destination, why } = planned;
  init.openInRoot(ROOT, destination.slice(1), O.PATH, "target", why, { noSymlinks: isKernelDirectory(destination) });
  if (options.parameters.length > 0) init.reconfigure("target", options.parameters, why);
  const set = options.set & ~(isLate(planned) ? ATTR.RDONLY : 0);
  if (set !== 0 || options.clear !== 0) init.setAttributes("target", { set, clear: options.clear }, why);
  applyOptions(init, "target", options, why);
}

/**
 * Mounts a file system. A tmpfs takes over from the directory that it covers, as with runc: its mode, unless an option sets one,
 * and with `tmpcopyup` all that is in it.
 */
function mountFilesystem(init: OpList, planned: PlannedMount): void {
  const { mount, options, destination, why } = planned;
  const type = mount.type;
  if (!type || type === "none") throw new LighterError("invalid", `${why}: a mount needs a type`);
  const made: Slot = destination === "/dev" && type === "tmpfs" ? DEV : "mount";
  const parameters = [{ key: "source", value: mount.source || type }, ...options.parameters];
  const says = (...keys: string[]) => options.parameters.some(({ key }) => keys.includes(key));
  const inheritsMode = type === "tmpfs" && !says("mode");
  // Read-only would stop the runtime, too.
  const later = options.copyUp || isLate(planned) ? ATTR.RDONLY : 0;
  if (inheritsMode || options.copyUp)
    init.openInRoot(ROOT, destination.slice(1), O.PATH | O.DIRECTORY, "covered", why, {
      noSymlinks: isKernelDirectory(destination),
      tolerate: ["ENOENT"],
    });
  const inherited = inheritsMode ? { modeOf: "covered" } : {};
  init.newFilesystem(type, parameters, options.set & ~later, made, why, inherited);
  if (options.copyUp) {
    init.add({ kind: "copyUp", from: "covered", to: made, owner: !says("uid", "gid"), guard: "covered", why });
    if (options.set & ATTR.RDONLY && !isLate(planned)) init.setAttributes(made, { set: ATTR.RDONLY }, why);
  }
  attach(init, made, destination, "directory", why);
  applyOptions(init, made, options, why);
}

/** Makes read-only what `mountFilesystem` and `remount` have put off. */
export function makeReadonly(init: OpList, plan: readonly PlannedMount[]): void {
  for (const planned of plan) if (isLate(planned)) init.setAttributes(DEV, { set: ATTR.RDONLY }, planned.why);
}
