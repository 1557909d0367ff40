/** The contract of the runtime: what it is asked for, and what it answers. */
import type { Socket } from "node:net";
import type { CgroupHost, CgroupPlan } from "../linux/cgroup/mod.ts";
import type { Listing } from "../spec/explanation.ts";
import type { OciConfig, OciMount, OciProcess } from "../spec/oci-runtime.ts";
import type { StandInPlan } from "./stand-in.ts";

/** How a process's stdin, stdout and stderr are connected. The supervisor holds the other ends. */
export interface StdioPlan {
  /** A pty from the container's own devpts instead of three pipes. */
  terminal: boolean;
  /** Keep a pipe (or the pty's input) open for clients; otherwise stdin is /dev/null. */
  stdin: boolean;
  /** With a terminal: lines end as they are written, for clients that show them on a terminal of their own. */
  plainLines?: boolean;
  /** Without a terminal: our own stdin, stdout and stderr instead of the supervisor's pipes. */
  inherit?: boolean;
}

/** Hands the process over to whoever adopts our orphans (`Supervised.release`), as callers of an OCI runtime want it. */
export interface HandOver {
  /** A connected unix socket that takes the terminal's master. */
  consoleSocketFd?: number;
  /** A FIFO open for reading and writing. A created process that was released waits on it for one byte, its start. */
  startFifoFd?: number;
}

/** The log, written by the supervisor: Docker's json-file, unless it has another format. */
interface LogPlan {
  path: string;
  /** The size beyond which a file is rotated; 0 means never. */
  maxBytes: number;
  /** The number of files kept, the current one included; at least 1. */
  maxFiles: number;
  /** Kubernetes' format. */
  format?: "cri";
}

/** The streams that a client wants. Output is in Docker's 8-byte-header framing, or raw with a terminal. */
export interface AttachPlan {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** When this client's stdin ends, close the process's stdin (Docker: StdinOnce). */
  closeStdinOnEnd: boolean;
  /** Output has headers even if the process has a terminal. */
  headers?: boolean;
  /**
   * Called once, right before the output begins: returns the client's own socket, a plain one, to which nobody else writes until
   * the connection has ended. The supervisor writes the output there if the kernel has taken all that was written before;
   * otherwise output comes on the connection.
   */
  output?: () => Socket;
}

/** An interface that shares a link of the host: with an address of its own there or, for ipvlan, with that link's. */
export type AboveLink =
  | { type: "macvlan"; mode: "bridge" | "private" | "vepa" | "passthru" }
  | { type: "ipvlan"; mode: "l2" | "l3" | "l3s"; flag: "bridge" | "private" | "vepa" };

/** How an interface of a container is tied to the host. */
export type InterfaceLink =
  /** One end of a veth pair; the other, `hostName`, is a port of the bridge. An `isolated` port reaches no other such port. */
  | { type: "veth"; hostName: string; bridgeIndex: number; isolated: boolean; hairpin: boolean }
  | (AboveLink & { parentIndex: number });

/** An interface of a container. Its program makes it; the kernel removes it with the container's network namespace. */
export interface NetworkInterface {
  /** The name in the container: "eth0". At most 15 bytes. */
  name: string;
  link: InterfaceLink;
  /** "02:42:ac:11:00:02"; "" for ipvlan, which has its parent's address. */
  macAddress: string;
  /** 0 keeps the link's own. */
  mtu: number;
  /** The addresses. Without an IPv6 one, the interface has no IPv6 at all, link-local addresses included. */
  addresses: readonly { address: string; prefixLength: number }[];
  /** The gateways of default routes through this interface, at most one per family. "0.0.0.0" and "::" mean the link itself. */
  gateways: readonly string[];
  /** Further routes: "10.1.0.0/16", through the interface itself or `via` an address. */
  routes?: readonly { destination: string; via?: string }[];
  /** Sysctls in the container, such as `net.ipv4.conf.IFNAME.forwarding`: IFNAME stands for `name`. */
  sysctls?: Readonly<Record<string, string>>;
}

/** A default route of an existing interface: one of its `gateways`, and its name. */
export interface DefaultGateway {
  gateway: string;
  through: string;
}

/** The content of a container's own network namespace besides loopback. */
export interface NetworkPlan {
  interfaces: readonly NetworkInterface[];
  /** The port to which queries to 127.0.0.11, port 53, go instead, by UDP and TCP. */
  resolverPort?: number;
}

/**
 * A file system that several containers mount. It is the root of a mount namespace without processes: the fds keep it mounted,
 * here and in the supervisors of the containers that have it, and the kernel unmounts it with the last of them.
 */
export interface SharedFilesystem {
  namespaceFd: number;
  /** An O_PATH fd of its "/". */
  rootFd: number;
}

/** A file that a start writes into the root, when all is mounted and nothing of the container runs. */
export interface RootFile {
  /** In the container. What of its directory is missing is made. */
  path: string;
  text: string;
  /** Only in the place of a file that is there: where there is a link, or nothing, that stays. */
  replaces?: boolean;
  /** By default 0644. What not everybody may read is not shown in listings. */
  mode?: number;
}

export interface StartRequest {
  id: string;
  config: OciConfig;
  files?: readonly RootFile[];
  /**
   * The container sees its own limits in /proc/meminfo and the like, in the place of the host's numbers: where the kernel has
   * FUSE and the launcher may use it. Needs `config.linux.cgroupsPath`; not together with `handOver`.
   */
  view?: boolean;
  /**
   * On cgroup v2, the process is in a cgroup below `config.linux.cgroupsPath`, which has the limits. For a container that may write
   * to its cgroup as the host's root.
   */
  limitsAbove?: boolean;
  /** The file systems that `VolumeMount.filesystem` names. */
  filesystems?: readonly SharedFilesystem[];
  /** The addresses that devices of `config.linux.netDevices` keep, by their names on the host. */
  netDeviceAddresses?: Readonly<Record<string, readonly { address: string; prefixLength: number }[]>>;
  /** The network, for a network namespace that the start makes. */
  network?: NetworkPlan;
  /** Mounts that make the rootfs, done inside the container's own mount namespace; if empty, it is `config.root.path`. */
  rootfs: readonly OciMount[];
  /**
   * For a user namespace: directories in which `rootfs` names paths. Owners of files in them are ids of the container. `rootfs`
   * is mounted by the host's root, who also opens the sources of binds. `linux.uidMappings` and `gidMappings` must be set even if
   * the namespace is joined. Not together with `placeInCgroup`.
   */
  idmappedDirectories?: readonly string[];
  /** The host's directory for this container's run-time files, `supervisor.sock` and `exit`. Mode 0700; made if missing. */
  runDirectory: string;
  /** The bundle that a seccomp agent is told of; by default the run directory. */
  bundle?: string;
  stdio: StdioPlan;
  /**
   * The path of a datagram socket to make, for the process to say how it is by sd_notify(3). What it is to find there is up to the
   * mounts. Only the container's root may write to it. Without effect if the path is too long for a socket.
   */
  notifySocket?: string;
  /** How many of our own fds from 3 on the process gets, too. */
  preserveFds?: number;
  handOver?: HandOver;
  /** Use chroot(2) into a moved root instead of pivot_root(2), for a root on a ramfs. Less safe. */
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** The process will never run: the root has the layers and the config's mounts, but no devices of ours. */
  filesOnly?: boolean;
  /** Called for what has no effect on this host and harms nobody. */
  onWarning?: (warning: string) => void;
  /** Called before anything is done, with a line for each op. */
  onOp?: (line: string) => void;
  /** Called when the process runs, with the ops of its start and their times. */
  onTrace?: (listing: Listing, request: StartRequest) => void;
  /** The phases of the program become parts of the span in which it is started. */
  isTraced?: boolean;
  log?: LogPlan;
  /**
   * A process that keeps the cgroup of `config.linux.cgroupsPath` (see `holdPlace`): somebody has made it for this container, whose it
   * becomes.
   */
  placeHolder?: number;
  /** The cgroup stays at the end, empty or not, until `removeCgroup`. */
  keepCgroup?: boolean;
  /**
   * Called when init exists and is in its caller's cgroup: makes the cgroup of `plan`, and puts init into it. For callers that
   * let somebody else make cgroups. They remove what was made. Its error ends the start.
   */
  placeInCgroup?: (pid: number, plan: CgroupPlan, host: CgroupHost) => Promise<void>;
  /**
   * Called when the namespaces and mounts are made, before pivot_root(2), with init's pid on the host. Its error ends the start.
   */
  beforePivot?: (pid: number) => Promise<void>;
  /** Connections to make before the process starts, so that they miss no byte. */
  attach: readonly AttachPlan[];
}

export interface ExecRequest {
  /** The exec's id, not the container's. */
  id: string;
  /** The pid of the container's init, on the host. */
  containerPid: number;
  /** The container that a seccomp agent is told of. */
  container?: { id: string; bundle: string };
  /** The container's config: namespaces, cgroupsPath and seccomp come from here. */
  config: OciConfig;
  process: OciProcess;
  /** The cgroup for it, if it is neither the container's nor init's. */
  cgroup?: Pick<CgroupPlan, "tasksFiles" | "v2Directory">;
  /** The file to execute, if it is not `process.args[0]`. */
  file?: string;
  runDirectory: string;
  stdio: StdioPlan;
  /** As in StartRequest. */
  preserveFds?: number;
  handOver?: HandOver;
  onWarning?: (warning: string) => void;
  /** Called before anything is done, with a line for each op. */
  onOp?: (line: string) => void;
  attach: readonly AttachPlan[];
}

export interface ExitRecord {
  /** The process's own code, or 128 + the signal. */
  exitCode: number;
  signal: number;
  oomKilled: boolean;
  /** The last word of what the process said of itself: see `Supervised.notified`. */
  notified: string;
  /** The real time, in nanoseconds since 1970. */
  startedAtNs: bigint;
  finishedAtNs: bigint;
}

/** A live connection to the supervisor of one process (a container's init, or an exec). */
export interface Supervised {
  readonly pid: number;
  /** Connections for `request.attach`, in order; empty after a reconnect. Duplex: write raw stdin, read output. */
  readonly attached: readonly Socket[];
  /** Resolves when the process has ended and its exit record is durably on disk. Rejects if the supervisor was killed. */
  readonly exited: Promise<ExitRecord>;
  /** Resolves when the supervisor has cleaned up (cgroup, run-time files except `exit`) and gone. Never rejects. */
  readonly gone: Promise<void>;
  /** Calls `act` when the log's files have got new names; once for several times in quick succession. */
  onLogRotated(act: () => void): void;
  /**
   * What the process says of itself by sd_notify(3): lines of "NAME=value", in the order in which they came last. What was said
   * long ago, and otherwise since, may be missing. Hostile, and at most 4 KiB.
   */
  readonly notified: string;
  /** Calls `act` when `notified` has changed; once for several times in quick succession. */
  onNotified(act: () => void): void;
  /** Sends a signal; false if the process has already ended. */
  signal(signal: number): Promise<boolean>;
  /** Sets the terminal's size. Does nothing without a terminal. */
  resize(rows: number, columns: number): Promise<void>;
  closeStdin(): Promise<void>;
  /** Goes on with the log in the file that its path names now. No line is lost or torn. @throws LighterError */
  reopenLog(): Promise<void>;
  /**
   * Opens a further connection. It gets output from now on, and ends when the process's output ends. @throws LighterError
   * "unavailable" for one too many
   */
  attach(plan: AttachPlan): Promise<Socket>;
  /** Closes our connection; the process runs on, unless it is to be handed over. */
  disconnect(): void;
  /** With `handOver`: the supervisor goes, and our parent becomes the process's parent. */
  release(): Promise<void>;
}

/** A container whose init waits for `start` (runtime-spec's `created`). */
export interface Created extends Supervised {
  /** Lets init execve. Throws like `Runtime.start`. */
  start(): Promise<void>;
  /** Ends init instead. Resolves when nothing is left but run-time files. */
  abandon(): Promise<void>;
}

export interface PlaceHolder {
  readonly pid: number;
  /** Ends the process. Resolves when it has ended. */
  release(): Promise<void>;
}

/**
 * Runs processes by runtime-spec configs. It keeps no list of them: all there is of one is in its run directory and in the
 * kernel.
 *
 *   run directory   one process's socket, exit record and files, in memory; the caller chooses the path and removes it
 *   supervisor      the process that made init, holds its pipes, reaps it, and writes its exit record before anybody hears of the end
 *   program         the list of ops that a config is compiled to; `explain` prints it
 *
 * Life of a process: created (namespaces and mounts are there, execve(2) is not done) → running → ended, with an exit record. A
 * start that fails throws and leaves nothing but the run directory.
 *
 *   const runtime = createRuntime({ execRoot: "/run/lighter", launcher });
 *   const supervised = await runtime.start({ id, config, rootfs: [], runDirectory, attach: [] });
 *   const { exitCode } = await supervised.exited;
 *
 * After the caller's own death `reconnect(runDirectory)` gives the same `Supervised`, or the exit record.
 *
 * Start errors are LighterError: "exec-not-found" / "exec-denied" for the entrypoint, "kernel" with `errno` and `opIndex` for a
 * failed step, "invalid"/"not-supported" for the config.
 */
export interface Runtime {
  /** Resolves when execve(2) of the container's process has succeeded. */
  start(request: StartRequest): Promise<Supervised>;
  create(request: StartRequest): Promise<Created>;
  exec(request: ExecRequest): Promise<Supervised>;
  /**
   * Creates or executes it; then this process becomes the launcher, with a program compiled from the plan, which starts it and
   * waits for its end. Throws if it does not come to that, and then leaves nothing.
   */
  standIn(request: StartRequest | ExecRequest, plan: () => StandInPlan): Promise<never>;
  /** After a daemon restart: the live supervisor, or its exit record, or "lost" if it died without one. */
  reconnect(runDirectory: string): Promise<Supervised | ExitRecord | "lost">;
  /**
   * Gives a running container one more interface. Throws as a start does, and then leaves nothing. `containerPid` is its init,
   * which the caller knows to be alive.
   */
  connect(request: { containerPid: number; interface: NetworkInterface; resolverPort?: number }): Promise<void>;
  /**
   * Removes an interface; false if there was none of that name. `gateways` become default routes through the interfaces that are
   * left.
   */
  disconnect(request: { containerPid: number; name: string; gateways: readonly DefaultGateway[] }): Promise<boolean>;
  /**
   * Removes a link of our own network namespace, if it exists. The launcher does it, since the kernel blocks the process that
   * removes a link.
   */
  removeLink(index: number): Promise<void>;
  /** Starts a process that does nothing until it is released, or until we end: for a cgroup that is not to be empty. */
  holdPlace(): PlaceHolder;
  /** Removes what a killed supervisor left: processes of the cgroup, the cgroup, run-time files. Idempotent. */
  cleanup(request: { id: string; config: OciConfig; runDirectory: string }): Promise<void>;
  /** Removes a cgroup in the same way; does nothing for "". */
  removeCgroup(path?: string): Promise<void>;
  /** The program that `start` would play, as text. */
  explain(request: StartRequest): Promise<Listing>;
}
