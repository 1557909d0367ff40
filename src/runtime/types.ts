import type { Socket } from "node:net";
import type { CgroupHost, CgroupPlan } from "../linux/cgroup/mod.ts";
import type { OciConfig, OciMount, OciProcess } from "../spec/oci-runtime.ts";
import type { StandInPlan } from "./stand-in.ts";

/** What becomes of a process's stdin, stdout and stderr. The supervisor holds the other ends. */
export interface StdioPlan {
  /** A pty from the container's own devpts instead of three pipes. */
  terminal: boolean;
  /** Keep a pipe (or the pty's input) open for clients; else stdin is /dev/null. */
  stdin: boolean;
  /** With a terminal: lines end as they are written, for who shows them on a terminal of its own. */
  plainLines?: boolean;
  /** Without a terminal: our own stdin, stdout and stderr in place of the supervisor's pipes. */
  inherit?: boolean;
}

/** The process is given to whoever waits for our orphans (`Supervised.release`), as callers of an OCI runtime want it. */
export interface HandOver {
  /** A connected unix socket that takes the terminal's master. */
  consoleSocketFd?: number;
  /** A FIFO open for reading and writing. A created process that was released waits on it for one byte, its start. */
  startFifoFd?: number;
}

/** Docker's json-file log, written by the supervisor. */
interface LogPlan {
  path: string;
  /** Rotate when the file is larger; 0: never. */
  maxBytes: number;
  /** Files kept, the current one included; at least 1. */
  maxFiles: number;
}

/** Which streams a client wants. Output is in Docker's 8-byte-header framing, or raw with a terminal. */
export interface AttachPlan {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** When this client's stdin ends, close the process's stdin (Docker: StdinOnce). */
  closeStdinOnEnd: boolean;
  /**
   * Called once, right before the output begins: gives the client's own socket, a plain one, to which nobody else writes
   * until the connection has ended. The supervisor writes the output there, if the kernel has all that was written before;
   * else the connection has it.
   */
  output?: () => Socket;
}

/** An interface that shares a link of the host: with an address of its own there, or, of ipvlan, with that link's. */
export type AboveLink =
  | { type: "macvlan"; mode: "bridge" | "private" | "vepa" | "passthru" }
  | { type: "ipvlan"; mode: "l2" | "l3" | "l3s"; flag: "bridge" | "private" | "vepa" };

/** How an interface of a container is tied to the host. */
export type InterfaceLink =
  /** One end of a veth pair; the other, `hostName`, is a port of the bridge. `isolated`: it reaches no other such port. */
  | { type: "veth"; hostName: string; bridgeIndex: number; isolated: boolean; hairpin: boolean }
  | (AboveLink & { parentIndex: number });

/** An interface of a container. Made by its program, removed by the kernel with the container's network namespace. */
export interface NetworkInterface {
  /** In the container: "eth0". At most 15 bytes. */
  name: string;
  link: InterfaceLink;
  /** "02:42:ac:11:00:02"; "" for ipvlan, which has its parent's. */
  macAddress: string;
  /** 0: the link's own. */
  mtu: number;
  /** Without one of IPv6, the interface has no IPv6 at all, link-local addresses included. */
  addresses: readonly { address: string; prefixLength: number }[];
  /** Of default routes through this interface, at most one a family. "0.0.0.0", "::": to whoever is on the link itself. */
  gateways: readonly string[];
  /** Further routes: "10.1.0.0/16", through the interface itself or `via` an address. */
  routes?: readonly { destination: string; via?: string }[];
  /** In the container, as `net.ipv4.conf.IFNAME.forwarding`: IFNAME stands for `name`. */
  sysctls?: Readonly<Record<string, string>>;
}

/** A default route of an interface that is there already: one of its `gateways`, and its name. */
export interface DefaultGateway {
  gateway: string;
  through: string;
}

/** What a container's own network namespace gets beside loopback. */
export interface NetworkPlan {
  interfaces: readonly NetworkInterface[];
  /** Queries to 127.0.0.11, port 53, go to this port of the same address instead, UDP and TCP. */
  resolverPort?: number;
}

/**
 * A file system that several containers mount. It is the root of a mount namespace in which nobody lives: the fds keep it
 * mounted, here and in the supervisors of the containers that have it, and the kernel unmounts it with the last of them.
 */
export interface SharedFilesystem {
  namespaceFd: number;
  /** O_PATH, of its "/". */
  rootFd: number;
}

export interface StartRequest {
  id: string;
  config: OciConfig;
  /** Which `VolumeMount.filesystem` names. */
  filesystems?: readonly SharedFilesystem[];
  /** Of `config.linux.netDevices`, by their names on the host: what they keep. */
  netDeviceAddresses?: Readonly<Record<string, readonly { address: string; prefixLength: number }[]>>;
  /** For a network namespace that the start makes. */
  network?: NetworkPlan;
  /** Mounts that make the rootfs, done inside the container's own mount namespace; empty: `config.root.path`. */
  rootfs: readonly OciMount[];
  /**
   * For a user namespace: directories that `rootfs` names paths in. Owners of files in them are ids of the container, and
   * `rootfs` is mounted by the host's root, who also opens the sources of binds. `linux.uidMappings` and `gidMappings` must
   * be there even if the namespace is one that is joined. Not together with `placeInCgroup`.
   */
  idmappedDirectories?: readonly string[];
  /** Host directory of this container's run-time files, 0700; made if missing: `supervisor.sock`, `exit`. */
  runDirectory: string;
  /** What a seccomp agent is told; else the run directory. */
  bundle?: string;
  stdio: StdioPlan;
  /** So many of our own fds from 3 on are the process's, too. */
  preserveFds?: number;
  handOver?: HandOver;
  /** chroot(2) into a moved root instead of pivot_root(2), for a root on a ramfs. Less safe. */
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** The process is never to run: of the root there are the layers and the config's mounts, without devices of ours. */
  filesOnly?: boolean;
  /** Told what of the config has no effect on this host, and harms nobody. */
  onWarning?: (warning: string) => void;
  /** Told what will be done before it is: a line an op. */
  onOp?: (line: string) => void;
  log?: LogPlan;
  /** At the end it stays, empty or not, until `removeCgroup`. */
  keepCgroup?: boolean;
  /**
   * Called when init exists and is in its caller's cgroup: makes the cgroup of `plan`, and puts init into it; for those
   * who have somebody else make cgroups. What is made is theirs to remove. Its error ends the start.
   */
  placeInCgroup?: (pid: number, plan: CgroupPlan, host: CgroupHost) => Promise<void>;
  /** Called when the namespaces and mounts are made, before pivot_root(2), with init's pid on the host. Its error ends the start. */
  beforePivot?: (pid: number) => Promise<void>;
  /** Connections made before the process starts, so that they miss no byte. */
  attach: readonly AttachPlan[];
}

export interface ExecRequest {
  /** Of the exec, not of the container. */
  id: string;
  /** Init of the container, on the host. */
  containerPid: number;
  /** What a seccomp agent is told of the container. */
  container?: { id: string; bundle: string };
  /** The container's config: namespaces, cgroupsPath and seccomp come from here. */
  config: OciConfig;
  process: OciProcess;
  /** Where it goes, if not into the container's cgroup, or where init is. */
  cgroup?: Pick<CgroupPlan, "tasksFiles" | "v2Directory">;
  /** The file to execute, where it is not `process.args[0]`. */
  file?: string;
  runDirectory: string;
  stdio: StdioPlan;
  /** As in StartRequest. */
  preserveFds?: number;
  handOver?: HandOver;
  onWarning?: (warning: string) => void;
  /** Told what will be done before it is: a line an op. */
  onOp?: (line: string) => void;
  attach: readonly AttachPlan[];
}

export interface ExitRecord {
  /** The process's own code, or 128 + signal. */
  exitCode: number;
  signal: number;
  oomKilled: boolean;
  /** Real time, nanoseconds since 1970. */
  startedAtNs: bigint;
  finishedAtNs: bigint;
}

/** A live connection to the supervisor of one process (a container's init, or an exec). */
export interface Supervised {
  readonly pid: number;
  /** Connections for `request.attach`, in order; empty after a reconnect. Duplex: write raw stdin, read output. */
  readonly attached: readonly Socket[];
  /** Resolves when the process ended and its exit record is durable on disk. Rejects if the supervisor was killed. */
  readonly exited: Promise<ExitRecord>;
  /** Resolves when the supervisor has cleaned up (cgroup, run-time files but `exit`) and is gone. Never rejects. */
  readonly gone: Promise<void>;
  /** From now on `act` is called when files of the log have got new names; not for each time, if there are many. */
  onLogRotated(act: () => void): void;
  /** False: the process has already ended. */
  signal(signal: number): Promise<boolean>;
  /** Of what has no terminal: nothing. */
  resize(rows: number, columns: number): Promise<void>;
  closeStdin(): Promise<void>;
  /** A further connection. Output from now on; ends when the process's output ends. @throws LighterError "unavailable" for one too many */
  attach(plan: AttachPlan): Promise<Socket>;
  /** Closes our connection; the process runs on, unless it is to be handed over. */
  disconnect(): void;
  /** With `handOver`: the supervisor leaves, and the process has our parent for its own. */
  release(): Promise<void>;
}

/** A container whose init waits for `start` (runtime-spec's `created`). */
export interface Created extends Supervised {
  /** Lets init execve. Throws like `Runtime.start`. */
  start(): Promise<void>;
  /** Ends it instead. Resolves when nothing is left of it but run-time files. */
  abandon(): Promise<void>;
}

/**
 * Runs processes by runtime-spec configs. It keeps no list of them: what there is of one is in its run directory and in the kernel.
 *
 *   run directory   one process's socket, exit record and files, in memory; the caller chooses the path and removes it
 *   supervisor      the process that made init, holds its pipes, reaps it, and writes its exit record before anybody hears of the end
 *   program         the list of ops that a config is compiled to; `explain` prints it
 *
 * Life of a process: created (namespaces and mounts are there, execve(2) is not done) → running → ended, with an exit record. A start that
 * fails throws and leaves nothing but the run directory.
 *
 *   const runtime = createRuntime({ execRoot: "/run/lighter", launcher });
 *   const supervised = await runtime.start({ id, config, rootfs: [], runDirectory, attach: [] });
 *   const { exitCode } = await supervised.exited;
 *
 * After the caller's own death `reconnect(runDirectory)` gives the same `Supervised`, or the exit record.
 *
 * Start errors are LighterError: "exec-not-found" / "exec-denied" for the entrypoint, "kernel" with `errno` and
 * `opIndex` for a failed step, "invalid"/"not-supported" for the config. A failed start leaves nothing on the host.
 */
export interface Runtime {
  /** Resolves when execve(2) of the container's process has succeeded. */
  start(request: StartRequest): Promise<Supervised>;
  create(request: StartRequest): Promise<Created>;
  exec(request: ExecRequest): Promise<Supervised>;
  /**
   * Creates or executes it, and goes on as who starts it and waits for its end: this process, as the launcher, with a program that is
   * compiled from the plan. Throws where it does not come to that, and then leaves nothing.
   */
  standIn(request: StartRequest | ExecRequest, plan: () => StandInPlan): Promise<never>;
  /** After a daemon restart: the live supervisor, or its exit record, or "lost" if it died without one. */
  reconnect(runDirectory: string): Promise<Supervised | ExitRecord | "lost">;
  /**
   * Gives a running container one more interface. Throws as a start does, and then leaves nothing.
   * `containerPid`: its init, which the caller knows to be alive.
   */
  connect(request: { containerPid: number; interface: NetworkInterface; resolverPort?: number }): Promise<void>;
  /** Takes it away again; false: there was none of that name. `gateways` become default routes by way of what is left. */
  disconnect(request: { containerPid: number; name: string; gateways: readonly DefaultGateway[] }): Promise<boolean>;
  /** Removes a link of our own network namespace, if it is there: without us, as the kernel lets nobody go on meanwhile. */
  removeLink(index: number): Promise<void>;
  /** Removes what a killed supervisor left: processes of the cgroup, the cgroup, run-time files. Idempotent. */
  cleanup(request: { id: string; config: OciConfig; runDirectory: string }): Promise<void>;
  /** The same for the cgroup alone; none is "". */
  removeCgroup(path?: string): Promise<void>;
  /** The program `start` would play, as text. */
  explain(request: StartRequest): Promise<string>;
}
