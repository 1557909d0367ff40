/** Compiles the programs that start a container, or one more process in it. */
import type { CgroupPlan } from "../linux/cgroup/mod.ts";
import { O, OpList, type PhaseStart, slot } from "../linux/program/builder.ts";
import type { Program, Supervise } from "../linux/program/op.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { cloneProcess, furtherCgroup, joinCgroup } from "./cgroup.ts";
import type { HostFacts } from "./host-facts.ts";
import { joinRdtGroup, planIntelRdt } from "./intel-rdt.ts";
import { labelOnExec, needsLabels } from "./labels.ts";
import { becomeRoot, CLONE, hostUserId, SLOT_INIT } from "./namespaces.ts";
import { supervisedSocket } from "./notify.ts";
import { closePrivateProc, openPrivateProc, writeOomScore } from "./proc.ts";
import { becomeProcess, checkUser, dieWithSupervisor, raiseRlimits, startSession } from "./process.ts";
import { runFiles } from "./run-files.ts";
import { resetAffinity, setAffinity, setMemoryPolicy, setPersonality } from "./scheduling.ts";
import { connectAgent, forwardListener, listenerPathOf } from "./seccomp-listener.ts";
import { cleanupOps } from "./start/cleanup.ts";
import { hostOps } from "./start/host.ts";
import { initOps, pausesOf } from "./start/init.ts";
import { type Networking, planStart } from "./start/plan.ts";
import { carriedFds, connectStdio, openPipes, openTerminal, supervisedStdio, takeOver } from "./stdio.ts";
import type { ExecRequest, StartRequest } from "./types.ts";

/** A compiled start, with the cgroup's shared parents, which must be made outside of the program. */
export interface CompiledStart {
  program: Program;
  cgroup: CgroupPlan | undefined;
  /** What the parts of its lists are about. */
  phases: Readonly<Record<"host" | "init", readonly PhaseStart[]>>;
}

/**
 * Compiles the program that starts a container, from a plan of it. Pure, apart from what `host` reads.
 * @param existing Cgroups of its own that exist already, and become its own.
 * @throws LighterError ("invalid"/"not-supported") for a config that cannot be honoured; it names the field.
 */
export function compileStart(
  request: StartRequest,
  host: HostFacts,
  hold: boolean,
  networking?: Networking,
  existing: ReadonlySet<string> = new Set(),
): CompiledStart {
  const plan = planStart(request, host, networking);
  const [onHost, init, cleanup] = [hostOps(plan, existing), initOps(plan, hold), cleanupOps(plan)];
  return {
    cgroup: plan.cgroup,
    phases: { host: onHost.phases, init: init.phases },
    program: {
      host: onHost.ops,
      init: init.ops,
      cleanup: cleanup.ops,
      supervise: {
        ...superviseOf(request, hold || pausesOf(plan) > 0, request.log),
        ...supervisedSocket(request),
        ...traced(request),
      },
    },
  };
}

/** Compiles the program that runs one more process in a container. */
export function compileExec(request: ExecRequest, host: HostFacts, hold = false): Program {
  const { config, process, stdio } = request;
  checkUser(process);
  const path = config.linux?.cgroupsPath;
  const cgroup = request.cgroup ?? (path ? furtherCgroup(host, path, request.containerPid) : undefined);

  const ops = new OpList("host");
  openPipes(ops, stdio, hostUserId(config, process, "uid"), hostUserId(config, process, "gid"));
  ops.call("pidfd_open", [request.containerPid, 0], "the container's init", { out: "container" });
  const types = namespacesToJoin(config);
  if (types.pid !== 0)
    ops.call("setns", [slot("container"), types.pid], "the child is to be born in the container's pid namespace");
  const labels = needsLabels(host, process);
  const listenerPath = listenerPathOf(config.linux?.seccomp);
  connectAgent(ops, listenerPath);
  const procNeeds = { sysctls: false, processes: labels || process.oomScoreAdj !== undefined };
  openPrivateProc(ops, host, procNeeds);
  // It has other CPUs until it is in the cgroup, so it cannot be born there.
  const joinLate = process.execCPUAffinity?.initial !== undefined;
  const v2Directory = cgroup?.v2Directory;
  const bornIn = joinLate ? undefined : v2Directory;
  cloneProcess(ops, 0, bornIn, "the process, which goes into the container by itself");
  closePrivateProc(ops, procNeeds);
  const fds = carriedFds(request);
  takeOver(ops, stdio);
  const { containerPid, container = { id: request.id, bundle: request.runDirectory } } = request;
  forwardListener(ops, listenerPath, { ...container, config, containerPid }, SLOT_INIT);

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
  return { host: ops.ops, init: init.ops, cleanup: [], supervise: superviseOf(request, hold, undefined) };
}

function traced({ onTrace, isTraced, runDirectory }: StartRequest): Pick<Supervise, "tracePath"> {
  return onTrace || isTraced ? { tracePath: runFiles(runDirectory).trace } : {};
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

/** Flags for setns(2): the pid namespace is joined before the clone, all others in the child at once. */
function namespacesToJoin(config: OciConfig): { pid: number; others: number } {
  let pid = 0;
  let others = 0;
  for (const { type } of config.linux?.namespaces ?? [])
    if (type === "pid") pid = CLONE.pid;
    else others += CLONE[type];
  return { pid, others };
}
