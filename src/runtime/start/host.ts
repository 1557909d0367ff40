/** The ops that the launcher plays for a start, before its clone and after it. */
import { OpList, slot } from "../../linux/program/builder.ts";
import { cloneProcess, delegateCgroup, makeBirthplace, makeCgroup } from "../cgroup.ts";
import { closeGivenNodes, makeGivenNodes } from "../devices.ts";
import {
  cloneElsewhere,
  cloneOnHost,
  closeOnHost,
  closeOwnersOf,
  inMountsOfInit,
  mapForInit,
  mountIdmappedRoot,
  openOwnersOf,
} from "../idmap.ts";
import { makeRdtGroup } from "../intel-rdt.ts";
import { holdRoot, sendRoot } from "../mounts/root.ts";
import { sendSources } from "../mounts/sources.ts";
import { cloneFlags, hostUserId, mapIds, openNamespaces, SLOT_INIT } from "../namespaces.ts";
import { openNotifySocket } from "../notify.ts";
import { closePrivateProc, openPrivateProc } from "../proc.ts";
import { raiseRlimits } from "../process.ts";
import { connectAgent, forwardListener } from "../seccomp-listener.ts";
import { openPipes, takeOver } from "../stdio.ts";
import { makeView } from "../view.ts";
import type { StartPlan } from "./plan.ts";

/**
 * Makes the ops.
 * @param existing Cgroups of the container's own that exist already, and become its own.
 */
export function hostOps(plan: StartPlan, existing: ReadonlySet<string>): OpList {
  const ops = new OpList("host");
  prepare(ops, plan, existing);
  cloneInit(ops, plan);
  if (plan.rootByHost) mountRootOfInit(ops, plan);
  equipInit(ops, plan, existing);
  letInitGoOn(ops, plan);
  return ops;
}

/** Prepares what init is born with. */
function prepare(ops: OpList, plan: StartPlan, existing: ReadonlySet<string>): void {
  const { request, host, config, process, sources, idmappedRoot, ownCgroup } = plan;
  ops.begin("mounts");
  cloneElsewhere(ops, sources);
  ops.begin("streams");
  openNotifySocket(ops, request);
  openPipes(ops, request.stdio, hostUserId(config, process, "uid"), hostUserId(config, process, "gid"));
  ops.begin("limits");
  if (ownCgroup) {
    makeCgroup(ops, ownCgroup.plan, ownCgroup.early, existing);
    makeBirthplace(ops, ownCgroup);
  }
  delegateCgroup(ops, plan.delegated, hostUserId(config, process, "uid"));
  makeRdtGroup(ops, plan.rdt);
  makeView(ops, request, host);
  ops.begin("mounts");
  makeGivenNodes(ops, config, plan.nodes);
  ops.begin("namespaces");
  openPrivateProc(ops, host, plan.procNeeds);
  connectAgent(ops, plan.listenerPath);
  ops.begin("mounts");
  cloneOnHost(ops, [...sources, ...idmappedRoot]);
  ops.begin("namespaces");
  openOwnersOf(ops, plan.mappedLate);
  openNamespaces(ops, config, plan.namespaces);
}

function cloneInit(ops: OpList, { config, process, namespaces, userNamespace, ownCgroup }: StartPlan): void {
  const why = "the container's first process, in namespaces of its own";
  cloneProcess(ops, cloneFlags(config, namespaces), ownCgroup?.birthplace, why);
  if (userNamespace === "joined")
    ops.add({ kind: "adopt", out: SLOT_INIT, why: "the process that has joined the user namespace" });
  if (userNamespace === "created") raiseRlimits(ops, process, slot(SLOT_INIT));
}

function mountRootOfInit(ops: OpList, plan: StartPlan): void {
  const { request, host, config, mounts, idmappedRoot } = plan;
  ops.begin("root");
  inMountsOfInit(ops, () => {
    if (plan.userNamespace === "created") sendSources(ops, host, mounts, request.runDirectory, plan.locked);
    mountIdmappedRoot(ops, host, config, idmappedRoot, request.rootfs);
    sendRoot(ops, host, plan.holdsRoot);
  });
}

/** Does for init what it cannot do itself. */
function equipInit(ops: OpList, plan: StartPlan, existing: ReadonlySet<string>): void {
  const { request, networking, ownCgroup } = plan;
  ops.begin("namespaces");
  mapIds(ops, plan.config, plan.namespaces);
  ops.begin("network");
  networking?.moveNetDevices(ops, plan.netDevices);
  if (ownCgroup?.late) {
    ops.begin("limits");
    makeCgroup(ops, ownCgroup.plan, ownCgroup.late, existing);
    ops.add({ kind: "send", why: "the cgroups are made" });
  }
  ops.begin("network");
  if (request.network) networking?.makeNetwork(ops, request.network);
  ops.begin("namespaces");
  if (plan.userNamespace) mapForInit(ops, plan.mappedLate);
}

function letInitGoOn(ops: OpList, plan: StartPlan): void {
  const { request, config } = plan;
  const { id, bundle = request.runDirectory } = request;
  closePrivateProc(ops, plan.procNeeds);
  closeOnHost(ops, [...plan.sources, ...plan.idmappedRoot]);
  closeOwnersOf(ops, plan.mappedLate);
  closeGivenNodes(ops, plan.nodes);
  ops.begin("streams");
  takeOver(ops, request.stdio);
  forwardListener(ops, plan.listenerPath, { id, config, bundle }, SLOT_INIT);
  ops.begin("root");
  if (plan.holdsRoot && !plan.rootByHost) holdRoot(ops);
}
