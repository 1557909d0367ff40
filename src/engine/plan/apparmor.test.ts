import { expect, test } from "bun:test";
import { listsProfile } from "../../linux/apparmor/mod.ts";
import { allBut, defaultPolicy } from "./apparmor.ts";

/** Matches a path with those patterns of apparmor.d(5) that are used. */
function matches(pattern: string, path: string): boolean {
  const regex = pattern.replace(/\*\*|[*?{},]/g, (token) =>
    token === "**" ? ".*" : { "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|" }[token]!,
  );
  return new RegExp(`^${regex}$`).test(path);
}

const matched = (patterns: string[], names: string[]) =>
  names.filter((name) => patterns.some((pattern) => matches(pattern, `/d/${name}`)));

test("allBut matches every name but the one", () => {
  const names = ["f", "fs", "fsx", "fs.", "x", "xs", "fx", "fss", "s", "sf"];
  expect(matched(allBut("/d", "fs"), names)).toEqual(names.filter((name) => name !== "fs"));
  expect(matched(allBut("/d", "f*"), names)).toEqual(["x", "xs", "s", "sf"]);
  expect(matched(allBut("/d", "sys", "1-9"), ["1", "42", "sys", "self", "s", "sy", "syx", "sysvipc", "bus"])).toEqual([
    "self",
    "s",
    "sy",
    "syx",
    "sysvipc",
    "bus",
  ]);
});

test("the default policy denies what reaches the host, and nothing of the container's own", () => {
  const denied = [...defaultPolicy("p").matchAll(/deny (\/\S+) (\w+),/g)];
  const accessDenied = (path: string) =>
    [...new Set(denied.flatMap(([, pattern = "", access = ""]) => (matches(pattern, path) ? [...access] : [])))].join(
      "",
    );
  for (const path of [
    ...["/proc/sys/kernel/shmmax", "/proc/1/attr/current", "/proc/42/oom_score_adj", "/proc/42"],
    ...["/sys/fs/cgroup/memory/tasks", "/sys/fs/cgroup/cgroup.procs", "/etc/passwd", "/dev/shm/x", "/procs/x", "/sysx"],
  ])
    expect([path, accessDenied(path)]).toEqual([path, path === "/proc/42" ? "w" : ""]);
  for (const path of [
    ...["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/sem", "/proc/sys/kernel/s", "/proc/sys/vm/panic_on_oom"],
    ...["/proc/sys/keys/x", "/proc/bus/usb", "/proc/sysvipc/shm", "/proc/irq/1/smp_affinity", "/proc/timer_stats"],
    ...["/proc/sys/kernel/yama/ptrace_scope", "/proc/sys/net/ipv4/ip_forward"],
  ])
    expect([path, accessDenied(path)]).toEqual([path, "w"]);
  for (const path of ["/sys/kernel/uevent_helper", "/sys/fs/fuse/x", "/sys/fs/cgroupx/y", "/sys/f/x", "/sys/fsx/y"])
    expect([path, accessDenied(path)]).toEqual([path, "wklx"]);
  for (const path of ["/proc/kcore", "/proc/sysrq-trigger", "/sys/firmware/acpi/x", "/sys/kernel/security/apparmor/y"])
    expect([path, accessDenied(path)]).toEqual([path, expect.stringContaining("r")]);
});

test("a profile is in the kernel's list by its whole name", () => {
  const list = "docker-default (enforce)\na profile (with) words (complain)\n/usr/bin/x (unconfined)\n";
  for (const name of ["docker-default", "a profile (with) words", "/usr/bin/x"])
    expect(listsProfile(list, name)).toBe(true);
  for (const name of ["docker", "docker-default (enforce)", "a profile", "x"])
    expect(listsProfile(list, name)).toBe(false);
});
