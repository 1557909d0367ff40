/** Plans what it takes to make a container's cgroup or to change its limits. */
import { LighterError } from "../../base/errors.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { withPlainNumbers } from "./convert.ts";
import { compileDeviceProgram } from "./device-program.ts";
import { compileDeviceRules, deviceWritesV1 } from "./device-rules.ts";
import type { CgroupHost } from "./host.ts";
import { locateController } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import type { CurrentLimits } from "./resource-writes.ts";
import {
  writeBlockIo,
  writeCpu,
  writeHugepages,
  writeMemory,
  writeNetwork,
  writePids,
  writeRdma,
  writeUnified,
} from "./resource-writes.ts";
import type { CgroupWrite } from "./write-list.ts";
import { WriteList } from "./write-list.ts";

/** A directory to make. Only a shared one may exist already. */
export interface CgroupDirectory {
  /** The absolute path on the host. */
  path: string;
  /** True for this cgroup's own directory, which is removed with it; false for a parent that others share, which stays. */
  leaf: boolean;
}

/** What a shared parent needs before a leaf can be made in it. Idempotent; done by `setupCgroupParents`. */
export type ParentStep =
  /** v1 cpuset: copies the text of `from` to `file` if that is blank. Processes cannot join while it is blank (ENOSPC). */
  | { kind: "inherit"; file: string; from: string; why: string }
  | { kind: "write"; file: string; value: string; why: string }
  /** v2: hands controllers down. The resources need those in `required`; the others are for statistics. */
  | { kind: "enable"; file: string; controllers: readonly string[]; required: readonly string[]; why: string };

/**
 * All that it takes to have a cgroup, as data. The order is: `directories` that are not leaves, `parents`, the leaves, `writes`,
 * `deviceProgram`, and only then processes: no process ever runs without its limits.
 */
export interface CgroupPlan {
  /** The directories, parents first, one chain for each hierarchy. Leaves are removed in any order. */
  directories: CgroupDirectory[];
  parents: ParentStep[];
  /** Writes to files of the leaves, in order. */
  writes: CgroupWrite[];
  /**
   * Files of v1 hierarchies to which a process with one thread writes "0" to join, without a wait
   * (docs/adr/0002-join-by-tasks.md). A number moves the thread of that number. v2 is joined by clone3(CLONE_INTO_CGROUP) on
   * `v2Directory`.
   */
  tasksFiles: string[];
  /** The leaf in the v2 hierarchy, on hybrid hosts too. */
  v2Directory?: string;
  /** An eBPF program to attach to `v2Directory` (`encodeBpfLoad`). Absent if v1 does it, nobody may, or nothing is restricted. */
  deviceProgram?: Uint8Array<ArrayBuffer>;
  /** Files that tell of OOM kills, to be read between the exit and the removal: see `wasOomKilled`. */
  oomFiles: string[];
  /**
   * A file to which "1" is written to kill every process below at once, forks included. Exists on v2 since Linux 5.14; absent on
   * v1-only hosts.
   */
  killFile?: string;
  /**
   * True if the plan was made without `CgroupHost.interfaceFiles` and a setting may silently have no effect. Planning again with
   * them (`setupCgroupParents`, `readInterfaceFiles`) writes it or refuses it by name.
   */
  needsInterfaceFiles: boolean;
  /** Settings that are impossible here and that runc ignores silently. */
  warnings: string[];
}

/**
 * Controllers that are always handed down on v2: `docker stats` and later updates need them. Others are handed down when asked
 * for.
 */
const CONTROLLERS_ALWAYS = ["cpuset", "cpu", "io", "memory", "pids", "rdma", "misc"];

/**
 * Plans how to make the cgroup `cgroupsPath` in every hierarchy of `host`, limited by `asked`. Pure.
 *
 * Devices: without `resources.devices` the parent's rules apply; any list starts from "deny all".
 * v2's "no internal processes" rule: the path starts at the top of the hierarchy (`parseCgroupsPath`), and the real root may hold
 * processes while it hands controllers down. In a container the top is not the real root, so `setupCgroupParents` moves the
 * processes there once.
 *
 * @throws LighterError "invalid" for a malformed path or value, "not-supported" for what this host cannot limit.
 */
export function planCgroup(host: CgroupHost, cgroupsPath: string, asked: OciResources): CgroupPlan {
  const resources = withPlainNumbers(asked);
  const components = parseCgroupsPath(cgroupsPath);
  const list = new WriteList(host, components.join("/"));
  writeInheritedCpuset(list, components);
  writeResources(list, resources);
  const deviceProgram = writeDevices(list, resources);
  if (resources.unified !== undefined) writeUnified(list, resources.unified);

  const v2Directory = host.v2 === undefined ? undefined : `${host.v2.mountPoint}/${list.path}`;
  const memory = locateController(host, "memory");
  return {
    directories: planDirectories(host, components),
    parents: planParents(host, components, list.controllersV2),
    writes: list.writes,
    tasksFiles: host.v1.map(({ mountPoint }) => `${mountPoint}/${list.path}/tasks`),
    ...(v2Directory === undefined ? {} : { v2Directory, killFile: `${v2Directory}/cgroup.kill` }),
    ...(deviceProgram === undefined ? {} : { deviceProgram }),
    oomFiles:
      memory === undefined
        ? []
        : [`${memory.mountPoint}/${list.path}/${memory.version === 1 ? "memory.oom_control" : "memory.events"}`],
    needsInterfaceFiles: list.needsInterfaceFiles,
    warnings: list.warnings,
  };
}

/**
 * Plans the writes that change a live cgroup. `current` comes from `readCurrentLimits`.
 * @throws LighterError as `planCgroup`; "conflict" if `checkBeforeUpdate` finds more memory in use than the new limit;
 *   "not-supported" for devices, which are fixed at creation.
 */
export function planUpdate(
  host: CgroupHost,
  cgroupsPath: string,
  asked: OciResources,
  current: CurrentLimits,
): { writes: CgroupWrite[]; warnings: string[] } {
  const resources = withPlainNumbers(asked);
  if (resources.devices !== undefined)
    throw new LighterError("not-supported", "resources.devices cannot be changed while the cgroup is in use");
  const list = new WriteList(host, parseCgroupsPath(cgroupsPath).join("/"));
  writeResources(list, resources, current);
  if (resources.unified !== undefined) writeUnified(list, resources.unified);
  return { writes: list.writes, warnings: list.warnings };
}

function writeResources(list: WriteList, resources: OciResources, current?: CurrentLimits): void {
  if (resources.pids !== undefined) writePids(list, resources.pids);
  if (resources.memory !== undefined) writeMemory(list, resources.memory, current);
  if (resources.cpu !== undefined) writeCpu(list, resources.cpu, current);
  if (resources.blockIO !== undefined) writeBlockIo(list, resources.blockIO);
  if (resources.hugepageLimits !== undefined) writeHugepages(list, resources.hugepageLimits);
  if (resources.network !== undefined) writeNetwork(list, resources.network);
  if (resources.rdma !== undefined) writeRdma(list, resources.rdma);
}

function writeDevices(list: WriteList, resources: OciResources): Uint8Array<ArrayBuffer> | undefined {
  if (resources.devices === undefined) return undefined;
  const policy = compileDeviceRules(resources.devices);
  const target = list.target("devices", "devices");
  if (target.version === 1) {
    for (const [file, value] of deviceWritesV1(policy)) list.add(target, file, value, `devices (${value})`);
    return undefined;
  }
  const isNeeded = !list.host.withoutDeviceFilters && !(policy.defaultAllow && policy.exceptions.length === 0);
  return isNeeded ? compileDeviceProgram(policy) : undefined;
}

/** Copies the values of a cpuset directly below the top, where there is no parent of ours to set clone_children on. */
function writeInheritedCpuset(list: WriteList, components: readonly string[]): void {
  const { cpuset } = list.host;
  if (components.length > 1 || cpuset === undefined) return;
  const target = list.target("cpuset", "cpu.cpus");
  const why = "a v1 cpuset starts empty";
  for (const file of ["cpus", "mems"] as const)
    list.writes.push({ file: `${target.directory}/cpuset.${file}`, value: cpuset[file], why });
}

function planDirectories(host: CgroupHost, components: readonly string[]): CgroupDirectory[] {
  const mountPoints = [...host.v1, ...(host.v2 === undefined ? [] : [host.v2])].map(({ mountPoint }) => mountPoint);
  return mountPoints.flatMap((mountPoint) =>
    components.map((_, index) => ({
      path: [mountPoint, ...components.slice(0, index + 1)].join("/"),
      leaf: index === components.length - 1,
    })),
  );
}

function planParents(host: CgroupHost, components: readonly string[], asked: ReadonlySet<string>): ParentStep[] {
  const steps: ParentStep[] = [];
  const ancestors = components.slice(0, -1);

  const cpuset = host.v1.find(({ controllers }) => controllers.includes("cpuset"));
  if (cpuset !== undefined && ancestors.length > 0) {
    let above = cpuset.mountPoint;
    for (const component of ancestors) {
      const directory = `${above}/${component}`;
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        steps.push({
          kind: "inherit",
          file: `${directory}/${file}`,
          from: `${above}/${file}`,
          why: "a v1 cpuset starts empty",
        });
      above = directory;
    }
    // With this, new children start with their parent's values, at no cost for each start.
    const file = `${above}/cgroup.clone_children`;
    steps.push({ kind: "write", file, value: "1", why: "let children inherit the cpuset" });
  }

  if (host.v2 !== undefined) {
    const { mountPoint, controllers: available } = host.v2;
    const wanted = new Set([...CONTROLLERS_ALWAYS, ...asked]);
    const controllers = available.filter((each) => wanted.has(each));
    for (let depth = 0; depth <= ancestors.length && controllers.length > 0; depth++) {
      const directory = [mountPoint, ...ancestors.slice(0, depth)].join("/");
      steps.push({
        kind: "enable",
        file: `${directory}/cgroup.subtree_control`,
        controllers,
        required: controllers.filter((each) => asked.has(each)),
        why: `hand controllers down from ${directory}`,
      });
    }
  }
  return steps;
}
