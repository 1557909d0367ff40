/** What a container looks like from within, for tests that compare ours with runc's. */
import { withoutIds } from "./oci-support.ts";

/** Said by a container of its surroundings: one script, so that one start answers many questions. */
export const PROBE = [
  "id; umask; pwd; hostname; cat /proc/self/oom_score_adj /proc/self/limits /proc/self/attr/current",
  "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status",
  "env | sort",
  "echo fds; ls /proc/self/fd",
  "echo devices; ls -lnR /dev | awk '{ t = /^[bc]/ ? 7 : 6; $t = $(t + 1) = $(t + 2) = \"\"; print }' | sort", // no times
  "echo mounts; cut -d' ' -f4- /proc/self/mountinfo",
  "echo cgroups; cat /proc/self/cgroup",
  "echo paths; for p in /proc/kcore /proc/keys /proc/timer_list /proc/sys/kernel/hostname /sys/firmware /proc/irq /x; do",
  "(echo > $p) 2>&1; ls -ld $p | cut -c1-10; done",
  "tr '\\0' ' ' < /proc/1/cmdline",
].join("\n");

/** What PROBE said, by its headings. Mounts are listed by age, which is nobody's concern. */
export function sections(output: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  let lines: string[] = [];
  for (const line of withoutIds(output).replaceAll("\r", "").split("\n"))
    if (HEADINGS.includes(line)) found[line] = lines = [];
    else lines.push(line);
  for (const name of HEADINGS) if (!found[name]?.length) throw new Error(`nothing about ${name} in ${output}`);
  found.mounts?.sort();
  return found;
}

const HEADINGS = ["fds", "devices", "mounts", "cgroups", "paths"];

/** Where ours differ from runc's mounts, on purpose: runc's line, and what it is with ours. */
const MOUNTS_ON_PURPOSE: readonly (readonly [runc: RegExp, ours: string, why: string])[] = [
  [/^(\/ \/sys ro,.* sysfs) ro$/, "$1 rw", "the mount is read-only, not the file system, which may be the host's"],
  [
    /^(\/ \/(?:proc|sys)\/\S+ ro,.* - tmpfs tmpfs ro)$/,
    "$1,size=4k,nr_inodes=1",
    "masked directories can hold nothing",
  ],
  [/ - cgroup systemd rw,name=systemd$/, " - cgroup cgroup rw,name=systemd", "named as the other hierarchies are"],
];

/** What runc's sections would be with ours: on cgroup v1 and hybrid hosts some mounts differ. */
export function asOurs(runc: Record<string, string[]>, ours: Record<string, string[]>): Record<string, string[]> {
  const mounts = (runc.mounts ?? []).map((line) =>
    MOUNTS_ON_PURPOSE.reduce((text, [pattern, own]) => text.replace(pattern, own), line),
  );
  // The directory that the v1 hierarchies are mounted in is read-only where they are. runc leaves it writable.
  const readonly = mounts.some((line) => / \/sys\/fs\/cgroup\/\w+ ro,/.test(line));
  const parent = / \/sys\/fs\/cgroup rw(?=,.* - tmpfs )/;
  const tightened = readonly ? mounts.map((line) => line.replace(parent, " /sys/fs/cgroup ro")) : mounts;
  // Ours have cgroup v2, too, beside the v1 hierarchies of a hybrid host.
  const unified = (ours.mounts ?? []).filter((line) => / \/sys\/fs\/cgroup\/unified .* - cgroup2 /.test(line));
  return { ...runc, mounts: [...tightened, ...unified].sort() };
}
