/** The ops that a container's first process plays, from its birth to its execve(2). */
import { OpList } from "../../linux/program/builder.ts";
import { joinCgroup } from "../cgroup.ts";
import { populateDev } from "../devices.ts";
import type { HostFacts } from "../host-facts.ts";
import { joinRdtGroup } from "../intel-rdt.ts";
import { labelOnExec } from "../labels.ts";
import { makeReadonly, mountAll } from "../mounts/mount.ts";
import { checkPlainDirectories, cloneRoot, giveRoot, mountRoot, openRootPlace, receiveRoot } from "../mounts/root.ts";
import { cloneSources, receiveSources } from "../mounts/sources.ts";
import { enterNamespaces, finishNamespaces } from "../namespaces.ts";
import { writeOomScore, writeSysctls } from "../proc.ts";
import { becomeProcess, dieWithSupervisor, pause, raiseRlimits, startSession } from "../process.ts";
import { writeFiles } from "../root-files.ts";
import { bindConsole, hidePaths, kernelMountsOf, makeWorkingDirectory, pivotRoot } from "../rootfs.ts";
import { resetAffinity, setMemoryPolicy, setPersonality } from "../scheduling.ts";
import { connectStdio, openTerminal } from "../stdio.ts";
import type { StartRequest } from "../types.ts";
import { showView } from "../view.ts";
import type { StartPlan } from "./plan.ts";

/**
 * Makes the ops.
 * @param hold The process waits for its start.
 */
export function initOps(plan: StartPlan, hold: boolean): OpList {
  const ops = new OpList("init");
  leaveHost(ops, plan);
  const joinLate = lateJoin(ops, plan);
  buildRoot(ops, plan, joinLate);
  connect(ops, plan);
  finishRoot(ops, plan);
  joinLate();
  becomeContainer(ops, plan, hold);
  return ops;
}

/** How often init pauses before `hold`. */
export function pausesOf({ request: { placeInCgroup, beforePivot }, cgroup }: StartPlan): number {
  return (placeInCgroup && cgroup ? 1 : 0) + (beforePivot ? 1 : 0);
}

/** Takes what only the host has, and enters the namespaces. */
function leaveHost(ops: OpList, plan: StartPlan): void {
  const { request, config, process, namespaces, userNamespace, mounts, rootByHost, ownCgroup } = plan;
  const begin = () => {
    dieWithSupervisor(ops);
    startSession(ops, request.id, request.noNewKeyring);
  };
  ops.begin("namespaces");
  if (userNamespace === "joined") dieWithSupervisor(ops);
  else begin();
  ops.begin("limits");
  if (ownCgroup && !ownCgroup.late) joinCgroup(ops, ownCgroup.plan);
  joinRdtGroup(ops, plan.rdt);
  if (userNamespace !== "created") writeOomScore(ops, process);
  if (userNamespace === "joined") raiseRlimits(ops, process, 0);
  ops.begin("mounts");
  // As the user we are: root of a user namespace may be somebody who cannot reach these on the host.
  if (rootByHost && userNamespace === "created") {
    receiveSources(ops, mounts, plan.locked);
    receiveRoot(ops);
  } else cloneSources(ops, mounts, request.runDirectory);
  cloneRoot(ops, config, request.rootfs, request.runDirectory);
  ops.begin("namespaces");
  enterNamespaces(ops, config, namespaces, () => {
    begin();
    if (rootByHost) receiveRoot(ops);
    if (request.rootfs.length === 0) openRootPlace(ops, config, request.runDirectory);
  });
  plan.networking?.takeNetDevices(ops, plan.netDevices);
  // Everything the host's side has sent has been received by now: what comes next is the answer to this.
  if (plan.cgroup && request.placeInCgroup)
    pause(ops, "ready to be put into a cgroup", "wait until it is in its cgroup");
  finishNamespaces(ops, config, namespaces);
}

/** Returns a function that, when first called, joins the cgroups that are made meanwhile. */
function lateJoin(ops: OpList, { ownCgroup }: StartPlan): () => void {
  let joined = false;
  return () => {
    if (joined || !ownCgroup?.late) return;
    ops.begin("limits");
    ops.add({ kind: "receive", why: "wait until the cgroups are made" });
    joinCgroup(ops, ownCgroup.plan);
    joined = true;
  };
}

/** Builds the root and everything that is mounted in it. */
function buildRoot(ops: OpList, plan: StartPlan, joinLate: () => void): void {
  const { request, host, config, mounts, rootByHost } = plan;
  ops.begin("root");
  mountRoot(ops, host, config, request.rootfs, rootByHost);
  if (mounts.length > 0 || !request.filesOnly) checkPlainDirectories(ops);
  if (plan.holdsRoot && !rootByHost) giveRoot(ops);
  ops.begin("mounts");
  mountAll(ops, host, config, mounts, joinLate);
  if (!request.filesOnly) populateDev(ops, host, config, mounts, plan.nodes);
}

/** Connects its terminal, its streams and its interfaces. */
function connect(ops: OpList, { request, process, networking, fds }: StartPlan): void {
  const { stdio, network } = request;
  ops.begin("streams");
  if (stdio.terminal) {
    openTerminal(ops, "root", process, stdio);
    bindConsole(ops);
  }
  connectStdio(ops, stdio, fds);
  if (network) {
    ops.begin("network");
    networking?.awaitNetwork(ops, network);
    networking?.configureNetwork(ops, network);
  }
}

/** Does what is possible once nothing more is mounted. */
function finishRoot(ops: OpList, { request, host, config, process, mounts, sysctls, labels }: StartPlan): void {
  ops.begin("mounts");
  writeFiles(ops, request.files ?? []);
  writeSysctls(ops, sysctls);
  if (labels) labelOnExec(ops, host, process);
  showView(ops, request, mounts);
  hidePaths(ops, config, mounts);
  makeReadonly(ops, mounts);
  makeWorkingDirectory(ops, process.cwd);
}

function becomeContainer(ops: OpList, plan: StartPlan, hold: boolean): void {
  const { request, host, config, process, fds } = plan;
  const { noPivot, handOver } = request;
  ops.begin("root");
  resetAffinity(ops);
  if (request.beforePivot)
    pause(ops, "namespaces and mounts are made", "wait until all is done that comes before pivot_root");
  pivotRoot(ops, config, noPivot, noPivot ? kernelMountsToLeave(request, host) : []);
  ops.begin("identity");
  setPersonality(ops, config.linux);
  setMemoryPolicy(ops, config.linux);
  becomeProcess(ops, process, config.linux?.seccomp, { hold, fds, handOver });
}

/** The kernel's mounts that must not be left over. */
function kernelMountsToLeave({ config }: StartRequest, host: HostFacts): string[] {
  return kernelMountsOf(host.readText?.("/proc/self/mountinfo") ?? "", config.root?.path ?? "");
}
