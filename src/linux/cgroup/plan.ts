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

/** One directory to make. Making it may find it there already only if it is shared. */
export interface CgroupDirectory {
  /** Absolute, on the host. */
  path: string;
  /** True: this cgroup's own, to be removed with it. False: a parent shared with others, which stays. */
  leaf: boolean;
}

/** What shared parents need before a leaf can be made in them. Idempotent; done by `setupCgroupParents`. */
export type ParentStep =
  /** v1 cpuset: if `file` is blank, it gets the text of `from`. Processes cannot join while it is blank (ENOSPC). */
  | { kind: "inherit"; file: string; from: string; why: string }
  | { kind: "write"; file: string; value: string; why: string }
  /** v2: hand controllers down. `required`: those that the resources need; the others are for statistics. */
  | { kind: "enable"; file: string; controllers: readonly string[]; required: readonly string[]; why: string };

/**
 * All that it takes to have a cgroup, as data. In this order: `directories` that are not leaves, `parents`, the leaves,
 * `writes`, `deviceProgram`, and only then processes: no process ever runs without its limits.
 */
export interface CgroupPlan {
  /** Parents first, one chain for each hierarchy. The leaves are removed in any order. */
  directories: CgroupDirectory[];
  parents: ParentStep[];
  /** To files of the leaves, in order. */
  writes: CgroupWrite[];
  /**
   * v1: a process that has one thread joins by writing "0" to each, without a wait (docs/adr/0002-join-by-tasks.md). A
   * number moves the thread of that number. v2 is joined by clone3(CLONE_INTO_CGROUP) on `v2Directory`.
   */
  tasksFiles: string[];
  /** The leaf in the v2 hierarchy, also on hybrid hosts. */
  v2Directory?: string;
  /** eBPF, to be attached to `v2Directory` (`encodeBpfLoad`). Absent: v1 does it, or nothing is restricted. */
  deviceProgram?: Uint8Array<ArrayBuffer>;
  /** Files whose text, read after the exit and before removal, tells of OOM kills: see `wasOomKilled`. */
  oomFiles: string[];
  /** Writing "1" kills every process below, at once, forks included. Since Linux 5.14, v2; absent on v1-only hosts. */
  killFile?: string;
  /**
   * Planned without `CgroupHost.interfaceFiles`, a setting may go nowhere, unnoticed: plan again with them
   * (`setupCgroupParents`, `readInterfaceFiles`) to have it written or refused by name.
   */
  needsInterfaceFiles: boolean;
  /** Asked for, and impossible here, in a way that runc passes over in silence. */
  warnings: string[];
}

/** Handed down whenever they are on v2: `docker stats` and later updates need them. Others only when asked for. */
const CONTROLLERS_ALWAYS = ["cpuset", "cpu", "io", "memory", "pids", "rdma", "misc"];

/**
 * How to make the cgroup `cgroupsPath` in every hierarchy of `host`, limited by `asked`. Pure.
 *
 * Devices: without `resources.devices` they are left as the parent has them; any list starts from "deny all".
 * v2's "no internal processes" rule: the path starts at the top of the hierarchy (`parseCgroupsPath`), and the real
 * root may hold processes while it hands controllers down. In a container the top is no real root, so the processes
 * there have to move once: `setupCgroupParents` does that.
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
 * The writes that change a live cgroup. `current` as `readCurrentLimits` gives it.
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
  return policy.defaultAllow && policy.exceptions.length === 0 ? undefined : compileDeviceProgram(policy);
}

/** A cpuset directly below the top: there is no parent of ours to set clone_children on, so the values are copied. */
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
    // New children then start with their parent's values. Costs nothing at each start.
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
