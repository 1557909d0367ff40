/** Writes the AppArmor profile of containers that name none, and loads it. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { apparmorEnabled, isProfileLoaded, loadPolicy } from "../../linux/apparmor/mod.ts";
import type { HostFacts } from "../config/host.ts";
import { DEFAULT_APPARMOR_PROFILE } from "../config/security.ts";
import { readText } from "./host-facts.ts";

/**
 * Writes a profile that allows everything except what reaches the host past a container's namespaces, also with capabilities that
 * were added: mounts, settings of the kernel, its memory, its security modules. It is the same as Docker's profile of this name,
 * but exact where that is approximate (a pattern there also lets /proc/sys/kernel/sem pass), and any process of the host may send
 * signals. Source: apparmor.d(5). Rules name paths as the process sees them, so they hold for a procfs that it mounts elsewhere
 * only because it may not mount.
 */
export function defaultPolicy(name: string): string {
  const deny = (path: string, access: string) => `deny ${path} ${access},`;
  const rules = [
    "network,",
    "capability,",
    "file,",
    "umount,",
    "signal (receive),",
    `signal (send) peer="${name}",`,
    `ptrace (trace, read) peer="${name}",`,
    "ptrace (tracedby, readby),",
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
  ];
  return `profile "${name}" flags=(attach_disconnected, mediate_deleted) {\n${rules.map((rule) => `  ${rule}\n`).join("")}}\n`;
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
  if (!apparmorEnabled(readText)) return undefined;
  try {
    await ensureDefaultProfile();
    return {};
  } catch (error) {
    const problem = `containers run without an AppArmor profile: ${messageOf(error)}`;
    log.warn(problem);
    return { problem };
  }
}

/** Loads the profile unless it is loaded; somebody may have unloaded it. @throws LighterError like `loadPolicy` */
export async function ensureDefaultProfile(): Promise<void> {
  if (!isProfileLoaded(DEFAULT_APPARMOR_PROFILE)) await loadPolicy(defaultPolicy(DEFAULT_APPARMOR_PROFILE));
}
