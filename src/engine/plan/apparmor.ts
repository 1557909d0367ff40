/** Writes the AppArmor profiles of containers and machines that name none, and loads them. */
import { existsSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { apparmorEnabled, isProfileLoaded, loadPolicy } from "../../linux/apparmor/mod.ts";
import { ownRights } from "../../linux/rights.ts";
import type { HostFacts } from "../config/host.ts";
import { DEFAULT_APPARMOR_PROFILE, MACHINE_APPARMOR_PROFILE } from "../config/mod.ts";
import { readText } from "./host-facts.ts";

/**
 * Writes a profile that allows everything except what reaches the host past a container's namespaces, also with capabilities that
 * were added: mounts, settings of the kernel, its memory, its security modules. It is the same as Docker's profile of this name,
 * but exact where that is approximate (a pattern there also lets /proc/sys/kernel/sem pass), and any process of the host may send
 * signals. Source: apparmor.d(5). Rules name paths as the process sees them, so they hold for a procfs that it mounts elsewhere
 * only because it may not mount.
 */
export function defaultPolicy(name: string): string {
  return profile(name, [
    "deny mount,",
    // In /proc only the processes' own directories are writable, and the settings of shared memory, which is the container's.
    deny("/proc/*", "w"),
    ...allBut("/proc", "sys", "1-9").map((path) => deny(`${path}/**`, "w")),
    ...allBut("/proc/sys", "kernel").map((path) => deny(`${path}{,/**}`, "w")),
    ...allBut("/proc/sys/kernel", "shm*").map((path) => deny(`${path}{,/**}`, "w")),
    deny("/proc/sysrq-trigger", "rwklx"),
    deny("/proc/kcore", "rwklx"),
    // In /sys only the container's cgroup is writable.
    ...allBut("/sys", "fs").map((path) => deny(`${path}/**`, "wklx")),
    ...allBut("/sys/fs", "cgroup").map((path) => deny(`${path}/**`, "wklx")),
    deny("/sys/firmware/**", "rwklx"),
    deny("/sys/devices/virtual/powercap/**", "rwklx"),
    deny("/sys/kernel/security/**", "rwklx"),
  ]);
}

/** Writes a profile whose processes do what the rules do not deny, apart from what concerns other profiles' processes. */
function profile(name: string, more: readonly string[]): string {
  const rules = [
    "network,",
    "capability,",
    "file,",
    "umount,",
    "signal (receive),",
    `signal (send) peer="${name}",`,
    `ptrace (trace, read) peer="${name}",`,
    "ptrace (tracedby, readby),",
    ...more,
  ];
  return `profile "${name}" flags=(attach_disconnected, mediate_deleted) {\n${rules.map((rule) => `  ${rule}\n`).join("")}}\n`;
}

const deny = (path: string, access: string) => `deny ${path} ${access},`;

/**
 * Writes the profile of machines. An init mounts, and so do the engines in a machine: rules about paths are no wall to it, its user
 * namespace is. The profile is a second one before what has been a way to the host, for the kernel's faults and for machines with
 * the host's ids. Rules about kinds of file systems are none: they do not hold for fsopen(2) (Linux 7.3).
 * @param modern whether the compiler knows version 4's rules: some kernels allow user namespaces only by name
 */
function machinePolicy(name: string, modern: boolean): string {
  return profile(name, [
    "mount,",
    "remount,",
    "pivot_root,",
    "dbus,",
    ...(modern ? ["userns,", "mqueue,"] : []),
    ...["core_pattern", "modprobe", "hotplug", "poweroff_cmd"].map((file) => deny(`/proc/sys/kernel/${file}`, "wkl")),
    deny("/proc/sysrq-trigger", "rwklx"),
    deny("/proc/kcore", "rwklx"),
    deny("/sys/kernel/uevent_helper", "wkl"),
    deny("/sys/firmware/efi/efivars/**", "rwklx"),
    ...["debug", "security", "tracing"].map((directory) => deny(`/sys/kernel/${directory}/**`, "rwklx")),
  ]);
}

/**
 * Returns patterns that together match every name in a directory except one, or except those that begin with it ("shm*"): one for
 * each letter that may differ, and one for longer names. `alsoFirst`: other letters that a name may begin with.
 */
export function allBut(directory: string, pattern: string, alsoFirst = ""): string[] {
  const name = pattern.replace(/\*$/, "");
  const differing = [...name].map((letter, at) =>
    at === 0 ? `${directory}/[^${alsoFirst}${letter}]*` : `${directory}/${name.slice(0, at)}{,[^${letter}]*}`,
  );
  return pattern === name ? [...differing, `${directory}/${name}?*`] : differing;
}

/** Loads the profile at the start of a daemon. A failure is logged, and then no container is promised a profile. */
export async function setUpAppArmor(): Promise<HostFacts["appArmor"]> {
  // In a user namespace they are the business of whoever made that: what runs in it stays under the profile that it has.
  if (!apparmorEnabled(readText) || !ownRights().appArmorProfiles) return undefined;
  try {
    await ensureProfile(DEFAULT_APPARMOR_PROFILE);
    return {};
  } catch (error) {
    const problem = `containers run without an AppArmor profile: ${messageOf(error)}`;
    log.warn(problem);
    return { problem };
  }
}

/** A file of compilers that know version 4's rules. */
const MODERN = "/etc/apparmor.d/abi/4.0";

const POLICIES: Readonly<Record<string, (name: string) => string>> = {
  [DEFAULT_APPARMOR_PROFILE]: defaultPolicy,
  [MACHINE_APPARMOR_PROFILE]: (name) => machinePolicy(name, existsSync(MODERN)),
};

/** Loads a profile of ours unless it is loaded; somebody may have unloaded it. @throws LighterError like `loadPolicy` */
export async function ensureProfile(name: string): Promise<void> {
  const policy = POLICIES[name];
  if (policy !== undefined && !isProfileLoaded(name)) await loadPolicy(policy(name));
}
