/** Ops that turn the new process into the one asked for: limits, identity, filter, execve. */
import { LighterError } from "../base/errors.ts";
import { SIGKILL } from "../base/signals.ts";
import {
  CAPABILITIES,
  type Capability,
  capabilityMask,
  capabilityNumber,
  encodeCapsetData,
  encodeCapsetHeader,
  parseCapability,
} from "../linux/capability/mod.ts";
import { type OpList, text, words } from "../linux/program/builder.ts";
import { RLIMIT_NUMBERS } from "../linux/program/calls.ts";
import type { Arg } from "../linux/program/op.ts";
import { filterOf } from "../linux/seccomp/memo.ts";
import type { OciCapabilities, OciProcess, OciSeccomp } from "../spec/oci-runtime.ts";
import { notInPath } from "./play-error.ts";
import { setScheduling } from "./scheduling.ts";
import { listenerPathOf } from "./seccomp-listener.ts";
import { type CarriedFds, closeOthers } from "./stdio.ts";
import type { HandOver } from "./types.ts";

const SECCOMP_SET_MODE_FILTER = 1;
const PR_CAP_AMBIENT_RAISE = 2;
const KEYCTL_JOIN_SESSION_KEYRING = 1;

/** In the child: makes it end with its supervisor, without which it would run unseen, its output blocked. Source: prctl(2). */
export function dieWithSupervisor(init: OpList): void {
  init.call("prctl.PR_SET_PDEATHSIG", [SIGKILL], "die with the supervisor");
}

/** In the child, early: starts a session (the terminal needs it) and a keyring that nobody else reads. */
export function startSession(init: OpList, id: string, noNewKeyring = false): void {
  init.call("setsid", [], "a session of its own");
  if (noNewKeyring) return;
  init.call("keyctl", [KEYCTL_JOIN_SESSION_KEYRING, text(`_ses.${id}`)], "a session keyring of its own", {
    tolerate: ["ENOSYS", "EDQUOT", "EPERM"], // absent, too many keyrings, or refused inside a container
  });
}

/** How a process comes to its execve(2): what it waits for, and who owns it then. */
export interface Ending {
  /** Wait until a client lets it go. */
  hold: boolean;
  /** What can be known of the program before it is executed is checked before `hold`, as with `handOver`. */
  checked?: boolean;
  fds: CarriedFds | undefined;
  handOver: HandOver | undefined;
  /** The file to execute, if it is not `args[0]`. */
  file?: string | undefined;
}

/** In the child, last: sets limits, identity and filter, and executes. From here on the root directory is the container's. */
export function becomeProcess(
  init: OpList,
  process: OciProcess,
  seccomp: OciSeccomp | undefined,
  { hold, checked, fds, handOver, file = process.args?.[0] ?? "" }: Ending,
): void {
  const { uid, gid, additionalGids = [], umask = 0o022 } = process.user ?? { uid: 0, gid: 0 };
  setRlimits(init, process);
  setScheduling(init, process);
  closeOthers(init, fds, handOver);
  // As root, like runc: the user may not be allowed to enter the directory.
  init.call("chdir", [text(process.cwd)], `process.cwd "${process.cwd}"`);
  init.add({ kind: "checkCwd", why: "the working directory is inside the root" });
  init.call("umask", [umask], "process.user.umask");
  if (process.noNewPrivileges) init.call("prctl.PR_SET_NO_NEW_PRIVS", [1, 0, 0, 0], "process.noNewPrivileges");
  // The agent gets its listener from the launcher, which may have gone by the time the process is started.
  const listened = listenerPathOf(seccomp) !== undefined;
  const identify = () => {
    // Without no_new_privs a filter takes CAP_SYS_ADMIN, so it must be installed before the capabilities go.
    if (seccomp && !process.noNewPrivileges) installFilter(init, seccomp);
    setIdentity(init, process, uid, gid, additionalGids);
    if (!handOver || listened) dieWithSupervisor(init); // again: a change of user cleared it
    if (seccomp && process.noNewPrivileges) installFilter(init, seccomp);
  };
  if (listened) identify();
  if (handOver || checked)
    init.add({ kind: "checkExecutable", paths: executablePaths(process, file), why: "is there a program to run?" });
  if (hold && handOver) outliveLauncher(init);
  if (hold) pause(init, "created: everything is ready", "wait for start");
  if (hold && fds && handOver?.startFifoFd !== undefined)
    init.add({ kind: "await", fd: fds.startFifo, why: "wait for start" });
  if (!listened) identify();
  if (!hold && handOver) outliveLauncher(init);
  execute(init, process, file);
}

/** In the child: says CREATED and waits for START or RELEASE. */
export function pause(init: OpList, reached: string, waits: string): void {
  init.add({ kind: "send", why: reached });
  init.add({ kind: "receive", why: waits });
}

/** Undoes `dieWithSupervisor`. A process that still waits notices by other means if the launcher dies. */
function outliveLauncher(init: OpList): void {
  init.call("prctl.PR_SET_PDEATHSIG", [0], "outlive the launcher");
}

function setRlimits(init: OpList, process: OciProcess): void {
  const seen = new Set<string>();
  for (const { type, soft, hard } of process.rlimits ?? []) {
    if (seen.has(type)) throw new LighterError("invalid", `process.rlimits: "${type}" is listed twice`);
    seen.add(type);
    setRlimit(init, 0, type, soft, hard, `process.rlimits, ${type}`);
  }
}

/** The most fds that the set-up needs. */
const SETUP_FDS = 1024;

/**
 * Raises hard limits, which only the host's root may do: for a process in a user namespace that happens from outside, before it
 * goes on. `setRlimits` then sets the final values.
 */
export function raiseRlimits(ops: OpList, process: OciProcess, pid: Arg): void {
  for (const { type, hard } of process.rlimits ?? []) {
    const enough = type === "RLIMIT_NOFILE" && hard >= 0 ? Math.max(hard, SETUP_FDS) : hard;
    setRlimit(ops, pid, type, enough, enough, `process.rlimits, ${type}, which the user namespace could not raise`);
  }
}

function setRlimit(ops: OpList, pid: Arg, type: string, soft: number, hard: number, why: string): void {
  const resource = RLIMIT_NUMBERS.get(type);
  if (resource === undefined) throw new LighterError("invalid", `process.rlimits: unknown type "${type}"`);
  const data = new Uint8Array(16);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, rlimitValue(soft), true);
  view.setBigUint64(8, rlimitValue(hard), true);
  ops.call("prlimit64", [pid, resource, { data, show: `${soft}:${hard}` }, 0], why);
}

/** A limit's value. -1, and what JSON cannot hold exactly (RLIM_INFINITY as 2^64 - 1), are infinity. */
function rlimitValue(value: number): bigint {
  return value < 0 || value >= 2 ** 63 ? 0xffffffffffffffffn : BigInt(Math.trunc(value));
}

function capabilitySet(process: OciProcess, set: keyof OciCapabilities): Capability[] {
  return (process.capabilities?.[set] ?? []).filter(isKnown).map(parseCapability);
}

function isKnown(name: string): boolean {
  try {
    parseCapability(name);
    return true;
  } catch {
    return false;
  }
}

/** Warnings about capabilities that a process is not given, as with runc. */
export function capabilityWarnings(process: OciProcess): string[] {
  const unknown = new Set(
    Object.values<readonly string[] | undefined>({ ...process.capabilities })
      .flatMap((names) => names ?? [])
      .filter((name) => !isKnown(name)),
  );
  const [permitted, inheritable] = [capabilitySet(process, "permitted"), capabilitySet(process, "inheritable")];
  const vain = capabilitySet(process, "ambient").filter(
    (each) => !permitted.includes(each) || !inheritable.includes(each),
  );
  return [
    ...(unknown.size > 0 ? [`ignoring unknown or unavailable capabilities: [${[...unknown].sort().join(" ")}]`] : []),
    ...vain.map((each) => `can't raise ambient capability ${each}: operation not permitted`),
  ];
}

/**
 * Sets the identity. Order: the bounding set while CAP_SETPCAP is there, groups before uid (refused afterwards), the other sets
 * last.
 */
function setIdentity(init: OpList, process: OciProcess, uid: number, gid: number, groups: readonly number[]): void {
  const dropped = capabilityMask(CAPABILITIES) & ~capabilityMask(capabilitySet(process, "bounding"));
  if (dropped !== 0n) init.add({ kind: "dropBounding", capabilities: dropped, why: "not in the bounding set" });
  init.call("prctl.PR_SET_KEEPCAPS", [1], "keep the permitted set over the change of user");
  const list = words(groups, groups.join(","));
  init.call("setgroups", [groups.length, list], "process.user.additionalGids");
  init.call("setresgid", [gid, gid, gid], "process.user.gid");
  init.call("setresuid", [uid, uid, uid], "process.user.uid");
  const ambient = capabilitySet(process, "ambient");
  const sets = {
    effective: capabilityMask(capabilitySet(process, "effective")),
    permitted: capabilityMask(capabilitySet(process, "permitted")),
    inheritable: capabilityMask(capabilitySet(process, "inheritable")),
  };
  init.call(
    "capset",
    [
      { data: encodeCapsetHeader(), show: "version 3, self" },
      {
        data: encodeCapsetData(sets),
        show: `eff=0x${sets.effective.toString(16)} prm=0x${sets.permitted.toString(16)} inh=0x${sets.inheritable.toString(16)}`,
      },
    ],
    "process.capabilities",
  );
  for (const capability of ambient)
    init.call(
      "prctl.PR_CAP_AMBIENT",
      [PR_CAP_AMBIENT_RAISE, capabilityNumber(capability), 0, 0],
      `ambient: ${capability}`,
      { tolerate: ["EPERM"] }, // see `capabilityWarnings`
    );
}

/** `struct sock_fprog`: u16 length, padding, pointer. */
function installFilter(init: OpList, seccomp: OciSeccomp): void {
  const filter = filterOf(seccomp);
  const count = filter.instructions.length / 8;
  const fprog = new Uint8Array(16);
  new DataView(fprog.buffer).setUint16(0, count, true);
  init.call(
    "seccomp",
    [
      SECCOMP_SET_MODE_FILTER,
      filter.flags,
      { data: fprog, show: `filter of ${count} instructions`, pointers: [{ at: 8, to: filter.instructions }] },
    ],
    "linux.seccomp",
    filter.listenerPath ? { out: "listener" } : {},
  );
  if (filter.listenerPath) init.add({ kind: "offerFd", fd: "listener", why: "linux.seccomp.listenerPath" });
}

/** The environment, with only the last of variables that occur more than once: programs differ in which they take. */
function withoutDuplicates(env: readonly string[]): string[] {
  const nameOf = (variable: string) => variable.split("=", 1)[0]!;
  const last = new Map(env.map((variable, index) => [nameOf(variable), index]));
  return env.filter((variable, index) => last.get(nameOf(variable)) === index);
}

function execute(init: OpList, process: OciProcess, file: string): void {
  const { args: argv = [] } = process;
  const env = withoutDuplicates(process.env ?? []);
  init.add({
    kind: "execute",
    paths: executablePaths(process, file),
    argv,
    env,
    why: `run ${JSON.stringify(argv[0])}`,
  });
}

function executablePaths({ args = [], env = [] }: OciProcess, file: string): string[] {
  if (args.length === 0) throw new LighterError("invalid", "process.args is empty");
  if (file === "") throw notInPath(file);
  return candidatePaths(file, env);
}

/**
 * The paths that execvp(3) would try: the file itself if it has a slash, else one for each PATH entry of the process's
 * environment.
 */
export function candidatePaths(file: string, env: readonly string[]): string[] {
  if (file.includes("/")) return [file];
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? "";
  return path
    .split(":")
    .filter((directory) => directory !== "")
    .map((directory) => `${directory.replace(/\/+$/, "")}/${file}`);
}

/** Refuses user ids that cannot be, for start and exec. */
export function checkUser(process: OciProcess): void {
  const { uid, gid, additionalGids = [] } = process.user ?? { uid: 0, gid: 0 };
  for (const id of [uid, gid, ...additionalGids])
    if (!Number.isInteger(id) || id < 0 || id >= 0xffffffff)
      throw new LighterError("invalid", `process.user: id ${id} is not between 0 and 4294967294`);
  if (!process.cwd.startsWith("/")) throw new LighterError("invalid", `process.cwd "${process.cwd}" is not absolute`);
}
