/**
 * Ops for a container's view of its own limits: files over those of /proc and /sys that otherwise tell of the host. The
 * supervisor serves them (launcher/fuse.c), as a file system whose mount the container's mount namespace gets.
 */
import { locateController, parseCgroupsPath } from "../linux/cgroup/mod.ts";
import { ATTR } from "../linux/mount/options.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import { MNT_DETACH } from "../linux/sys/abi.ts";
import type { HostFacts } from "./host-facts.ts";
import { ROOT } from "./mounts/place.ts";
import type { PlannedMount } from "./mounts/plan.ts";
import type { StartRequest } from "./types.ts";

/** What is covered by the file of the same name. */
const COVERED = [
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/loadavg",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/sys/devices/system/cpu/online",
];

const CONNECTION = "view.connection";
const VIEW = "view";
const WHY = "a view of its own limits";

const PARAMETERS = [
  { key: "source", value: "lighter" },
  { key: "subtype", value: "lighter" },
  { key: "rootmode", value: "40000" },
  { key: "user_id", value: "0" },
  { key: "group_id", value: "0" },
  { key: "default_permissions" },
  { key: "allow_other" },
];
const ATTRIBUTES = ATTR.RDONLY | ATTR.NOSUID | ATTR.NODEV | ATTR.NOEXEC;

/**
 * Host side, before the clone: makes the file system, which nobody needs to answer for yet. Without FUSE, or without the right to
 * it, there is no view.
 */
export function makeView(host: OpList, { view, config }: StartRequest, { cgroups }: HostFacts): void {
  const path = config.linux?.cgroupsPath;
  if (!view || path === undefined) return;
  const below = parseCgroupsPath(path).join("/");
  const directoryOf = (mountPoint: string | undefined) => (mountPoint === undefined ? "" : `${mountPoint}/${below}`);
  const of = (controller: string) => directoryOf(locateController(cgroups, controller)?.mountPoint);
  const guard = { guard: CONNECTION };
  host.open("/dev/fuse", O.RDWR | O.NONBLOCK, CONNECTION, WHY, { tolerate: ["ENOENT", "ENODEV", "ENXIO", "EPERM"] });
  host.newFilesystem("fuse", PARAMETERS, ATTRIBUTES, VIEW, WHY, {
    connection: CONNECTION,
    tolerate: ["ENODEV"],
    ...guard,
  });
  host.add({
    kind: "serveView",
    connection: CONNECTION,
    memory: of("memory"),
    cpu: of("cpu"),
    cpuacct: of("cpuacct") || directoryOf(cgroups.v2?.mountPoint),
    cpuset: of("cpuset"),
    blkio: of("blkio"),
    why: WHY,
    guard: VIEW,
  });
}

/**
 * In the child, when all else is mounted: puts the files over the kernel's, unless the config has something there. To look for a
 * name in the view takes an answer: the launcher supervises by now, or soon.
 */
export function showView(init: OpList, { view }: StartRequest, mounts: readonly PlannedMount[]): void {
  if (!view) return;
  const guard = { guard: VIEW };
  init.moveMount(VIEW, ROOT, `${WHY}: copies are made of what is mounted`, guard);
  for (const path of COVERED) {
    const isTaken = mounts.some(
      ({ destination, options }) =>
        destination === path || (options.bind && !options.remount && path.startsWith(`${destination}/`)),
    );
    if (isTaken) continue;
    const why = `${WHY}: ${path}`;
    const tolerate = ["ENOENT", "ENOTDIR"];
    init.openInRoot(ROOT, path.slice(1), O.PATH, "covered", why, { noSymlinks: true, tolerate, ...guard });
    const name = path.slice(path.lastIndexOf("/") + 1);
    init.openInRoot(VIEW, name, O.PATH, "file", why, { guard: "covered" });
    init.cloneTreeOf("file", false, "copy", why, { guard: "covered" });
    init.moveMount("copy", "covered", why, { guard: "covered" });
  }
  init.call("fchdir", [slot(VIEW)], `${WHY}: the directory goes`, guard);
  init.call("umount2", [text("."), MNT_DETACH], `${WHY}: the directory goes`, guard);
}
