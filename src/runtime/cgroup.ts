/** Ops that make a container's cgroup, join it and remove it. */

import { dirname } from "node:path";
import {
  BPF_PROG_ATTACH,
  BPF_PROG_LOAD,
  BUILTIN_DEVICE_RULES,
  CGROUP_GONE,
  type CgroupPlan,
  directoryForFurther,
  encodeBpfAttach,
  encodeBpfLoad,
  planCgroup,
} from "../linux/cgroup/mod.ts";
import { O, type OpList, text } from "../linux/program/builder.ts";
import type { SharedData } from "../linux/program/op.ts";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, KEEP_ID } from "../linux/sys/abi.ts";
import type { OciResources } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { SLOT_INIT } from "./namespaces.ts";
import type { ExecRequest } from "./types.ts";

const CAPTURE_BYTES = 1024;

/** The resources with the devices that no container can do without, which runc allows whatever the config says. */
export function withBuiltinDevices(resources: OciResources = {}): OciResources {
  const { devices } = resources;
  return devices ? { ...resources, devices: [...devices, ...BUILTIN_DEVICE_RULES] } : resources;
}

/** The cgroup for a further process of a container. */
export function furtherCgroup(host: HostFacts, path: string, pid: number): ExecRequest["cgroup"] & object {
  const { tasksFiles, v2Directory } = planCgroup(host.cgroups, path, {});
  const { v2 } = host.cgroups;
  if (v2 === undefined || v2Directory === undefined) return { tasksFiles };
  const { readText } = host;
  return { tasksFiles, v2Directory: readText ? directoryForFurther(v2, v2Directory, pid, readText) : v2Directory };
}

/** The part of a cgroup that is made at one time. */
type CgroupPart = Pick<CgroupPlan, "directories" | "writes">;

/** A cgroup that the program makes. */
export interface OwnCgroup {
  plan: CgroupPlan;
  early: CgroupPart;
  /** The part that is made while init already runs; init then joins it. */
  late: CgroupPart | undefined;
  /** The v2 cgroup in which init is born: the container's, or one below it. */
  birthplace: string | undefined;
}

/** The cgroup below the container's that its processes take for the top. */
const BELOW_LIMITS = "payload";

/**
 * Plans what the program makes. The hierarchy into which init is born is made early. All others are made while init already runs,
 * if it `mayJoinLate`: if it keeps its rights on the host and the host's mounts until then, and makes no cgroup namespace of its
 * own.
 */
export function planOwnCgroup(plan: CgroupPlan, mayJoinLate: boolean, limitsAbove: boolean): OwnCgroup {
  const { v2Directory } = plan;
  const birthplace = limitsAbove && v2Directory !== undefined ? `${v2Directory}/${BELOW_LIMITS}` : v2Directory;
  if (!mayJoinLate || plan.tasksFiles.length === 0) return { plan, early: plan, late: undefined, birthplace };
  const isEarly = (path: string) => plan.v2Directory !== undefined && `${path}/`.startsWith(`${plan.v2Directory}/`);
  const part = (early: boolean): CgroupPart => ({
    directories: plan.directories.filter(({ path }) => isEarly(path) === early),
    writes: plan.writes.filter(({ file }) => isEarly(file) === early),
  });
  return { plan, early: part(true), late: part(false), birthplace };
}

export function makeCgroup(
  host: OpList,
  plan: CgroupPlan,
  { directories, writes }: CgroupPart,
  existing: ReadonlySet<string>,
): void {
  const why = "the container's cgroup";
  for (const { path, leaf } of directories)
    if (leaf && existing.has(path)) host.open(path, O.PATH | O.DIRECTORY, madeSlot(path), `${why}: it is there`);
    else if (leaf) host.call("mkdirat", [AT_FDCWD, text(path), 0o755], why, { out: madeSlot(path) });
  for (const { file, value, why, tolerate } of writes) host.write(null, file, value, why, tolerate ? { tolerate } : {});
  if (plan.deviceProgram && plan.v2Directory && directories.some(({ path }) => path === plan.v2Directory))
    attachDeviceProgram(host, plan.deviceProgram, plan.v2Directory);
}

/** Makes the cgroup in which init is born, if it is not the container's own, and hands all controllers down to it. */
export function makeBirthplace(host: OpList, { plan, birthplace }: OwnCgroup): void {
  const { v2Directory, parents } = plan;
  if (birthplace === undefined || birthplace === v2Directory) return;
  const why = "a cgroup below that with the limits";
  host.call("mkdirat", [AT_FDCWD, text(birthplace), 0o755], why, { tolerate: ["EEXIST"] });
  const controllers = parents.flatMap((step) => (step.kind === "enable" ? step.controllers : []));
  for (const controller of new Set(controllers)) // one that the parent could not get is not there
    host.write(null, `${v2Directory}/cgroup.subtree_control`, `+${controller}`, why, {
      tolerate: ["ENOENT", "EINVAL"],
    });
}

/** What the container's root may divide further is its own from the start. `owner`: on the host. */
export function delegateCgroup(host: OpList, paths: readonly string[], owner: number): void {
  for (const path of paths)
    host.call(
      "fchownat",
      [AT_FDCWD, text(path), owner, KEEP_ID, AT_SYMLINK_NOFOLLOW],
      "the container divides its cgroup",
      {
        tolerate: ["ENOENT"], // the kernel lists files of controllers that need not be on
      },
    );
}

/** Loads the program and attaches it to the cgroup. Source: bpf(2). */
function attachDeviceProgram(host: OpList, instructions: Uint8Array, cgroupDirectory: string): void {
  const why = "device permissions";
  const load = { ...encodeBpfLoad(instructions), show: `device filter of ${instructions.length / 8} instructions` };
  host.call("bpf", [BPF_PROG_LOAD, load, load.data.length], why, { out: "devices" });
  host.open(cgroupDirectory, O.RDONLY | O.DIRECTORY, "cgroup", why);
  const attach: SharedData = { name: "attach", data: encodeBpfAttach() };
  host.add({ kind: "store", slot: "cgroup", into: { shared: attach, at: 0 }, why });
  host.add({ kind: "store", slot: "devices", into: { shared: attach, at: 4 }, why });
  host.call("bpf", [BPF_PROG_ATTACH, { shared: attach }, attach.data.length], why);
  host.close("devices", "the cgroup holds it");
  host.close("cgroup", why);
}

/** Clones the process. It joins v2 by being born there; see `joinCgroup` for v1. */
export function cloneProcess(host: OpList, flags: number, v2Directory: string | undefined, why: string): void {
  if (v2Directory) host.open(v2Directory, O.RDONLY | O.DIRECTORY, "cgroup", "the cgroup to be born in");
  host.add({
    kind: "clone",
    flags,
    out: SLOT_INIT,
    why,
    ...(v2Directory ? { cgroup: "cgroup" } : {}),
  });
}

/**
 * Joins the cgroups of v1. The joining process has one thread, so it needs no lock that others hold
 * (docs/adr/0002-join-by-tasks.md).
 */
export function joinCgroup(init: OpList, { tasksFiles }: Pick<CgroupPlan, "tasksFiles">): void {
  for (const file of tasksFiles) init.write(null, file, "0", `join ${dirname(file)}`);
}

export function removeCgroup(cleanup: OpList, plan: CgroupPlan): void {
  for (const path of plan.oomFiles)
    cleanup.add({ kind: "capture", path, maxBytes: CAPTURE_BYTES, why: "was it out of memory?" });
  const { killFile, v2Directory } = plan;
  if (killFile && v2Directory)
    cleanup.write(null, killFile, "1", "kill what is left", { guard: madeSlot(v2Directory), tolerate: CGROUP_GONE });
  const leaves = plan.directories.filter(({ leaf }) => leaf);
  const first = leaves[0]?.path;
  if (first)
    cleanup.add({
      kind: "killCgroup",
      procsPath: `${first}/cgroup.procs`,
      guard: madeSlot(first),
      why: "kill what is left, and wait for it",
    });
  for (const { path } of leaves)
    cleanup.add({ kind: "removeCgroup", path, guard: madeSlot(path), why: "the container's cgroup" });
}

/** The slot that is set once the directory is this program's: one that has come meanwhile is somebody else's, and stays. */
function madeSlot(cgroupDirectory: string): string {
  return `made ${cgroupDirectory}`;
}
