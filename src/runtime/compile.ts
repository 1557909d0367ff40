import { dirname } from "node:path";
import { assert } from "../base/assert.ts";
import { LighterError } from "../base/errors.ts";
import {
  BPF_PROG_ATTACH,
  BPF_PROG_LOAD,
  BUILTIN_DEVICE_RULES,
  type CgroupPlan,
  directoryForFurther,
  encodeBpfAttach,
  encodeBpfLoad,
  planCgroup,
} from "../linux/cgroup/mod.ts";
import { O, OpList, slot, text } from "../linux/program/builder.ts";
import { AT_FDCWD } from "../linux/program/calls.ts";
import type { Program, SharedData, Supervise } from "../linux/program/op.ts";
import type { OciConfig, OciProcess, OciResources } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import {
  cloneElsewhere,
  cloneOnHost,
  closeOnHost,
  inMountsOfInit,
  mountIdmappedRoot,
  planIdmappedRoot,
} from "./idmap.ts";
import { joinRdtGroup, makeRdtGroup, planIntelRdt, removeRdtGroup } from "./intel-rdt.ts";
import { labelOnExec, mountLabelOf, needsLabels } from "./labels.ts";
import {
  checkPlainDirectories,
  cloneRoot,
  cloneSources,
  holdRoot,
  hostSources,
  letGoOfRoot,
  makeReadonly,
  mountAll,
  mountRoot,
  openRootPlace,
  planMounts,
  receiveRoot,
  receiveSources,
  sendRoot,
  sendSources,
} from "./mounts.ts";
import {
  becomeRoot,
  CLONE,
  cloneFlags,
  enterNamespaces,
  finishNamespaces,
  hostIdOf,
  mapIds,
  type NamespacePlan,
  openNamespaces,
  planNamespaces,
  SLOT_INIT,
  writesProc,
} from "./namespaces.ts";
import { closePrivateProc, openPrivateProc, planSysctls, writeOomScore, writeSysctls } from "./proc.ts";
import { becomeProcess, checkUser, dieWithSupervisor, pause, raiseRlimits, startSession } from "./process.ts";
import { bindConsole, hidePaths, kernelMountsOf, makeWorkingDirectory, pivotRoot, populateDev } from "./rootfs.ts";
import { runFiles } from "./run-files.ts";
import { resetAffinity, setAffinity, setMemoryPolicy, setPersonality } from "./scheduling.ts";
import { connectAgent, forwardListener, listenerPathOf } from "./seccomp-listener.ts";
import { namespaceFdOf } from "./shared-filesystems.ts";
import { carriedFds, connectStdio, openPipes, openTerminal, supervisedStdio, takeOver } from "./stdio.ts";
import type { ExecRequest, StartRequest } from "./types.ts";

const CAPTURE_BYTES = 1024;

/** For requests with interfaces: a container without any starts without it. */
export type Networking = typeof import("./network.ts") & typeof import("./net-devices.ts");

export function isNetworked({ network, config }: StartRequest): boolean {
  return network !== undefined || config.linux?.netDevices !== undefined;
}

/** What a compiled start also needs done outside the program: the cgroup's shared parents. */
export interface CompiledStart {
  program: Program;
  cgroup: CgroupPlan | undefined;
}

/**
 * The program that starts a container. Pure, but for `host.kindOf`.
 * @param existing Cgroups of its own that are there already, and become its own.
 * @throws LighterError ("invalid"/"not-supported") for a config that cannot be honoured; it names the field.
 */
export function compileStart(
  request: StartRequest,
  host: HostFacts,
  hold: boolean,
  networking?: Networking,
  existing: ReadonlySet<string> = new Set(),
): CompiledStart {
  const { config, stdio } = request;
  const { process } = config;
  if (!process) throw new LighterError("invalid", "config.process is missing");
  checkUser(process);
  const namespaces = planNamespaces(config);
  const mounts = planMounts(config, mountLabelOf(host, config.linux));
  const cgroup = config.linux?.cgroupsPath
    ? planCgroup(host.cgroups, config.linux.cgroupsPath, withBuiltinDevices(config.linux.resources))
    : undefined;
  const userNamespace = namespaces.created.has("user") || namespaces.joined.has("user");

  const sources = hostSources(mounts, request.runDirectory, (index) => namespaceFdOf(request, index));
  const idmappedRoot = userNamespace ? planIdmappedRoot(config, request.idmappedDirectories) : [];
  const rootByHost = idmappedRoot.length > 0;
  const holdsRoot = request.rootfs.length > 0 && !request.handOver && !request.placeInCgroup;

  const hostOps = new OpList("host");
  cloneElsewhere(hostOps, sources);
  openPipes(hostOps, stdio, hostId(config, process, "uid"), hostId(config, process, "gid"));
  const ownCgroup = request.placeInCgroup ? undefined : cgroup;
  const isPlain = !userNamespace && !namespaces.created.has("cgroup") && !namespaces.joined.has("mount");
  const cgroupParts = ownCgroup && partsOf(ownCgroup, isPlain);
  if (ownCgroup && cgroupParts) makeCgroup(hostOps, ownCgroup, cgroupParts.early, existing);
  const rdt = planIntelRdt(config, host, request.id);
  makeRdtGroup(hostOps, rdt);
  const sysctls = planSysctls(config, namespaces, host);
  const { network } = request;
  assert(!isNetworked(request) || networking !== undefined, "what makes interfaces is loaded");
  const netDevices = networking?.planNetDevices(config, request.netDeviceAddresses) ?? [];
  if (network && !namespaces.created.has("network"))
    throw new LighterError("invalid", "interfaces need a network namespace of the container's own");
  // What init hears at its pause would be that its interfaces are made, before it awaits that.
  if (network && request.placeInCgroup)
    throw new LighterError("not-supported", "interfaces where somebody else makes the cgroup");
  const labels = needsLabels(host, process);
  const procNeeds = {
    sysctls: sysctls.length > 0 || (network?.interfaces.length ?? 0) > 0,
    processes:
      labels ||
      process.oomScoreAdj !== undefined ||
      writesProc(config, namespaces) ||
      [...sources, ...idmappedRoot].some(({ owners }) => owners !== undefined),
  };
  openPrivateProc(hostOps, host, procNeeds);
  const listenerPath = listenerPathOf(config.linux?.seccomp);
  connectAgent(hostOps, listenerPath);
  cloneOnHost(hostOps, [...sources, ...idmappedRoot]);
  openNamespaces(hostOps, config, namespaces);
  const flags = cloneFlags(config, namespaces);
  clone(hostOps, flags, ownCgroup?.v2Directory, "the container's first process, in namespaces of its own");
  if (namespaces.joined.has("user"))
    hostOps.add({ kind: "adopt", out: SLOT_INIT, why: "the process that has joined the user namespace" });
  if (namespaces.created.has("user")) raiseRlimits(hostOps, process, slot(SLOT_INIT));
  if (rootByHost)
    inMountsOfInit(hostOps, () => {
      if (namespaces.created.has("user")) sendSources(hostOps, mounts, request.runDirectory);
      mountIdmappedRoot(hostOps, host, config, idmappedRoot, request.rootfs);
      sendRoot(hostOps, host, holdsRoot);
    });
  mapIds(hostOps, config, namespaces);
  networking?.moveNetDevices(hostOps, netDevices);
  if (ownCgroup && cgroupParts?.late) {
    makeCgroup(hostOps, ownCgroup, cgroupParts.late, existing);
    hostOps.add({ kind: "send", why: "the cgroups are made" });
  }
  if (network) networking?.makeNetwork(hostOps, network);
  closePrivateProc(hostOps, procNeeds);
  closeOnHost(hostOps, [...sources, ...idmappedRoot]);
  const fds = carriedFds(request);
  takeOver(hostOps, stdio);
  const { id, bundle = request.runDirectory } = request;
  forwardListener(hostOps, listenerPath, { id, config, bundle }, SLOT_INIT);

  const init = new OpList("init");
  const begin = () => {
    dieWithSupervisor(init);
    startSession(init, request.id, request.noNewKeyring);
  };
  if (namespaces.joined.has("user")) dieWithSupervisor(init);
  else begin();
  if (ownCgroup && !cgroupParts?.late) joinCgroup(init, ownCgroup);
  joinRdtGroup(init, rdt);
  if (!namespaces.created.has("user")) writeOomScore(init, process);
  if (namespaces.joined.has("user")) raiseRlimits(init, process, 0);
  // As the user we are: root of a user namespace may be nobody who can reach these on the host.
  if (rootByHost && namespaces.created.has("user")) {
    receiveSources(init, mounts);
    receiveRoot(init);
  } else cloneSources(init, mounts, request.runDirectory);
  cloneRoot(init, config, request.rootfs, request.runDirectory);
  enterNamespaces(init, config, namespaces, () => {
    begin();
    if (rootByHost) receiveRoot(init);
    if (request.rootfs.length === 0) openRootPlace(init, config, request.runDirectory);
  });
  networking?.takeNetDevices(init, netDevices);
  // All that the host's side sends has been received by now: what comes next is the answer to this.
  if (cgroup && request.placeInCgroup) pause(init, "ready to be put into a cgroup", "wait until it is in its cgroup");
  finishNamespaces(init, config, namespaces);
  mountRoot(init, host, config, request.rootfs, rootByHost);
  if (mounts.length > 0 || !request.filesOnly) checkPlainDirectories(init);
  if (holdsRoot && !rootByHost) holdRoot(hostOps, init);
  let joined = false;
  const joinLate = () => {
    if (joined || !ownCgroup || !cgroupParts?.late) return;
    init.add({ kind: "receive", why: "wait until the cgroups are made" });
    joinCgroup(init, ownCgroup);
    joined = true;
  };
  mountAll(init, host, config, mounts, joinLate);
  if (!request.filesOnly) populateDev(init, host, config, mounts, userNamespace);
  if (stdio.terminal) {
    openTerminal(init, "root", process, stdio);
    bindConsole(init);
  }
  connectStdio(init, stdio, fds);
  if (network) {
    networking?.awaitNetwork(init, network);
    networking?.configureNetwork(init, network);
  }
  writeSysctls(init, sysctls);
  if (labels) labelOnExec(init, host, process);
  hidePaths(init, config, mounts);
  makeReadonly(init, mounts);
  makeWorkingDirectory(init, process.cwd);
  joinLate();
  resetAffinity(init);
  if (request.beforePivot)
    pause(init, "namespaces and mounts are made", "wait until all is done that comes before pivot_root");
  pivotRoot(init, config, request.noPivot, request.noPivot ? kernelMountsToLeave(request, host, namespaces) : []);
  setPersonality(init, config.linux);
  setMemoryPolicy(init, config.linux);
  becomeProcess(init, process, config.linux?.seccomp, { hold, fds, handOver: request.handOver });

  const cleanup = new OpList("cleanup");
  if (network) networking?.unplugNetwork(cleanup, network);
  if (ownCgroup && !request.keepCgroup) removeCgroup(cleanup, ownCgroup);
  removeRdtGroup(cleanup, rdt);
  if (holdsRoot) letGoOfRoot(cleanup);
  return {
    cgroup,
    program: {
      host: hostOps.ops,
      init: init.ops,
      cleanup: cleanup.ops,
      supervise: superviseOf(request, hold || pausesOf(request, cgroup) > 0, request.log),
    },
  };
}

/** Where the mount namespace is one that is joined, its mounts are those of a process in it. */
function kernelMountsToLeave({ config }: StartRequest, host: HostFacts, { joined }: NamespacePlan): string[] {
  const process = joined.get("mount")?.match(/^(\/proc\/\d+)\/ns\/mnt$/)?.[1] ?? "/proc/self";
  return kernelMountsOf(host.readText?.(`${process}/mountinfo`) ?? "", config.root?.path ?? "");
}

/** How often init waits before `hold`. */
function pausesOf({ placeInCgroup, beforePivot }: StartRequest, cgroup: CgroupPlan | undefined): number {
  return (placeInCgroup && cgroup ? 1 : 0) + (beforePivot ? 1 : 0);
}

/** What no container can do without is allowed whatever the config says, as runc has it. */
export function withBuiltinDevices(resources: OciResources = {}): OciResources {
  const { devices } = resources;
  return devices ? { ...resources, devices: [...devices, ...BUILTIN_DEVICE_RULES] } : resources;
}

/** The program that runs one more process in a container. */
export function compileExec(request: ExecRequest, host: HostFacts, hold = false): Program {
  const { config, process, stdio } = request;
  checkUser(process);
  const path = config.linux?.cgroupsPath;
  const cgroup = request.cgroup ?? (path ? furtherCgroup(host, path, request.containerPid) : undefined);

  const hostOps = new OpList("host");
  openPipes(hostOps, stdio, hostId(config, process, "uid"), hostId(config, process, "gid"));
  hostOps.call("pidfd_open", [request.containerPid, 0], "the container's init", { out: "container" });
  const types = namespacesToJoin(config);
  if (types.pid !== 0)
    hostOps.call("setns", [slot("container"), types.pid], "the child is to be born in the container's pid namespace");
  const labels = needsLabels(host, process);
  const listenerPath = listenerPathOf(config.linux?.seccomp);
  connectAgent(hostOps, listenerPath);
  const procNeeds = { sysctls: false, processes: labels || process.oomScoreAdj !== undefined };
  openPrivateProc(hostOps, host, procNeeds);
  // CPUs to use until it is in the cgroup: then it cannot be born there.
  const joinLate = process.execCPUAffinity?.initial !== undefined;
  const v2Directory = cgroup?.v2Directory;
  const bornIn = joinLate ? undefined : v2Directory;
  clone(hostOps, 0, bornIn, "the process, which goes into the container by itself");
  closePrivateProc(hostOps, procNeeds);
  const fds = carriedFds(request);
  takeOver(hostOps, stdio);
  const { containerPid, container = { id: request.id, bundle: request.runDirectory } } = request;
  forwardListener(hostOps, listenerPath, { ...container, config, containerPid }, SLOT_INIT);

  const init = new OpList("init");
  dieWithSupervisor(init);
  setAffinity(init, process, "initial");
  if (cgroup) joinCgroup(init, cgroup);
  joinRdtGroup(init, planIntelRdt(config, host, request.container?.id ?? request.id, true));
  if (joinLate && v2Directory) init.write(null, `${v2Directory}/cgroup.procs`, "0", `join ${v2Directory}`);
  if (process.execCPUAffinity?.initial || process.execCPUAffinity?.final) setAffinity(init, process, "final");
  else resetAffinity(init);
  startSession(init, request.id);
  writeOomScore(init, process);
  if (labels) labelOnExec(init, host, process);
  if ((types.others & CLONE.user) !== 0) raiseRlimits(init, process, 0);
  init.call("setns", [slot("container"), types.others], "enter the container");
  if ((types.others & CLONE.user) !== 0) becomeRoot(init);
  if (stdio.terminal) {
    init.open("/", O.PATH | O.DIRECTORY, "root", "the container's root");
    openTerminal(init, "root", process, stdio);
  }
  connectStdio(init, stdio, fds);
  setPersonality(init, config.linux);
  setMemoryPolicy(init, config.linux);
  becomeProcess(init, process, config.linux?.seccomp, {
    hold,
    checked: hold,
    fds,
    handOver: request.handOver,
    file: request.file,
  });
  return { host: hostOps.ops, init: init.ops, cleanup: [], supervise: superviseOf(request, hold, undefined) };
}

function furtherCgroup(host: HostFacts, path: string, pid: number): ExecRequest["cgroup"] & object {
  const { tasksFiles, v2Directory } = planCgroup(host.cgroups, path, {});
  const { v2 } = host.cgroups;
  if (v2 === undefined || v2Directory === undefined) return { tasksFiles };
  const { readText } = host;
  return { tasksFiles, v2Directory: readText ? directoryForFurther(v2, v2Directory, pid, readText) : v2Directory };
}

/** The host's id of the process's user. */
function hostId(config: OciConfig, process: OciProcess, kind: "uid" | "gid"): number {
  return hostIdOf(process.user?.[kind] ?? 0, config, kind);
}

function superviseOf(request: StartRequest | ExecRequest, hold: boolean, log: StartRequest["log"]): Supervise {
  const files = runFiles(request.runDirectory);
  const fds = carriedFds(request);
  return {
    init: SLOT_INIT,
    hold,
    ...(request.handOver ? { handOver: true } : {}),
    ...supervisedStdio(request.stdio, fds, request.handOver),
    ...(fds ? { syncFd: fds.sync } : {}),
    ...(log ? { log } : {}),
    exitPath: files.exit,
    socketPath: files.socket,
  };
}

/** Set once the directory is this program's: one that has come meanwhile is somebody else's, and stays. */
function madeSlot(cgroupDirectory: string): string {
  return `made ${cgroupDirectory}`;
}

/** What of a cgroup is made at one time. */
type CgroupPart = Pick<CgroupPlan, "directories" | "writes">;

/**
 * The hierarchy that init is born in, early; all others while init is at work already, if it `mayJoinLate`: if it has its
 * rights on the host, and the host's mounts, until then, and no cgroup namespace of its own to make.
 */
function partsOf(plan: CgroupPlan, mayJoinLate: boolean): { early: CgroupPart; late: CgroupPart | undefined } {
  if (!mayJoinLate || plan.tasksFiles.length === 0) return { early: plan, late: undefined };
  const isEarly = (path: string) => plan.v2Directory !== undefined && `${path}/`.startsWith(`${plan.v2Directory}/`);
  const part = (early: boolean): CgroupPart => ({
    directories: plan.directories.filter(({ path }) => isEarly(path) === early),
    writes: plan.writes.filter(({ file }) => isEarly(file) === early),
  });
  return { early: part(true), late: part(false) };
}

function makeCgroup(
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

/** v2 is joined by being born there; see `joinCgroup` for v1. */
function clone(host: OpList, flags: number, v2Directory: string | undefined, why: string): void {
  if (v2Directory) host.open(v2Directory, O.RDONLY | O.DIRECTORY, "cgroup", "the cgroup to be born in");
  host.add({
    kind: "clone",
    flags,
    out: SLOT_INIT,
    why,
    ...(v2Directory ? { cgroup: "cgroup" } : {}),
  });
}

/** The joining process has one thread: it needs no lock that others hold (docs/adr/0002-join-by-tasks.md). */
function joinCgroup(init: OpList, { tasksFiles }: Pick<CgroupPlan, "tasksFiles">): void {
  for (const file of tasksFiles) init.write(null, file, "0", `join ${dirname(file)}`);
}

function removeCgroup(cleanup: OpList, plan: CgroupPlan): void {
  for (const path of plan.oomFiles)
    cleanup.add({ kind: "capture", path, maxBytes: CAPTURE_BYTES, why: "was it out of memory?" });
  const { killFile, v2Directory } = plan;
  if (killFile && v2Directory)
    cleanup.write(null, killFile, "1", "kill what is left", { guard: madeSlot(v2Directory), tolerate: ["ENOENT"] });
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

/** setns(2) flags: the pid namespace before the clone, all others in the child at once. */
function namespacesToJoin(config: OciConfig): { pid: number; others: number } {
  let pid = 0;
  let others = 0;
  for (const { type } of config.linux?.namespaces ?? [])
    if (type === "pid") pid = CLONE.pid;
    else others += CLONE[type];
  return { pid, others };
}
