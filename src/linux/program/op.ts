import type { CallName } from "./calls.ts";

/**
 * A program: what the launcher does to start one process. Plain data, in three lists played in order:
 * `host` in the launcher (one of its ops is `clone`), `init` in the cloned child up to `execute`, and `cleanup`
 * in the launcher when the child has ended, or when the start has failed. A program without `init` starts no process: it is done when
 * `host` has been played, or when `cleanup` has because something of it failed.
 *
 * Values made by one op and used by a later one (fds, pids) live in named slots. A slot is unset until an op sets
 * it, and again if that op is skipped or fails in a tolerated way. The child starts with a copy of the launcher's slots
 * as they were at `clone`; its fds need no closing one by one, since it ends with close_range(2).
 */
export interface Program {
  host: Op[];
  init: Op[];
  cleanup: Op[];
  supervise: Supervise;
}

export type Slot = string;

export type Arg =
  | number
  | bigint
  | { slot: Slot }
  /** A NUL-terminated string. */
  | { text: string }
  /** Bytes of a struct or buffer; `pointers` are filled in with addresses of other blobs. `show` is for listings. */
  | { data: Uint8Array; show: string; pointers?: readonly { at: number; to: Uint8Array }[] }
  /** As `data`, shared under a name, so that `store` can put a slot's value into it. */
  | { shared: SharedData };

/** A struct that ops change while the program plays. Identity matters: the same object is the same bytes. */
export interface SharedData {
  name: string;
  data: Uint8Array;
  pointers?: readonly { at: number; to: Uint8Array }[];
}

interface OpCommon {
  /** What this op is for; shown in listings and in the error when it fails. */
  why: string;
  /** errno names that count as success; the result slot then stays unset. */
  tolerate?: readonly string[];
  /** Skip unless this slot is set. */
  guard?: Slot;
  /** Skip if this slot is set. */
  unless?: Slot;
}

export type Op = OpCommon &
  (
    | { kind: "call"; name: CallName; args: readonly Arg[]; out?: Slot }
    /** open(path, O_WRONLY) under `dir`, one write(2) of all of `data`, close. */
    | { kind: "write"; dir: Slot | null; path: string; data: string }
    /** clone3(2). `cgroup` is a slot with a cgroup v2 directory for CLONE_INTO_CGROUP. Sets `out` to the child's pid. */
    | { kind: "clone"; flags: number; cgroup?: Slot; out: Slot }
    /** pipe2(2) with O_CLOEXEC. */
    | { kind: "pipe"; read: Slot; write: Slot }
    /** A token to the other side of `clone`, with a copy of an fd if `fd` is given. */
    | { kind: "send"; fd?: Slot }
    /** Waits for the other side's next token; its fd goes to `out`. */
    | { kind: "receive"; out?: Slot }
    /** Reads one byte from fd number `fd`, which the launcher was started with; blocks until there is one. */
    | { kind: "await"; fd: number }
    /** Fails as `execute` would if no path of `paths` may be executed. */
    | { kind: "checkExecutable"; paths: readonly string[] }
    /** execve(2) of the first path that can be executed. Must be the last op of `init`. */
    | { kind: "execute"; paths: readonly string[]; argv: readonly string[]; env: readonly string[] }
    /** openat2(2) with O_PATH and RESOLVE_IN_ROOT under `root`; what is missing of `path` is made first. */
    | { kind: "openTarget"; root: Slot; path: string; type: "directory" | "file"; noSymlinks: boolean; out: Slot }
    /** Fails with EXDEV unless the fd is on a file system of this type (statfs f_type). */
    | { kind: "checkFilesystem"; fd: Slot; magic: number }
    /** Fails with ENODEV unless the fd is this device. */
    | { kind: "checkDevice"; fd: Slot; type: DeviceType; major: number; minor: number }
    /** Fails with ENOENT if the working directory is outside the root. */
    | { kind: "checkCwd" }
    /** Writes into the file PREFIX, a slot's value in decimal, SUFFIX under `dir`: PID/uid_map of a procfs. */
    | { kind: "writeByPid"; dir: Slot | null; prefix: string; pid: Slot; suffix: string; data: string }
    /** Copies from directory `from` to `to`: what is in it, its mode, its owner. */
    | { kind: "copyUp"; from: Slot; to: Slot; tree: boolean; mode: boolean; owner: boolean }
    /** A fd of a new user namespace with these maps; `proc` is a procfs. */
    | { kind: "userNamespace"; uidMap: string; gidMap: string; proc: Slot; out: Slot }
    /** In `init`: gives a fd to the process that `forwardFd` made, by no system call; waits until it has been sent. */
    | { kind: "offerFd"; fd: Slot }
    /**
     * In `host`, after the clone: what `offerFd` will offer is sent over a connected socket, with the text
     * `texts[0]` pid `texts[1]` and, if `texts[2]` is not empty, pid `texts[2]`.
     */
    | { kind: "forwardFd"; pid: Slot; socket: Slot; texts: readonly [string, string, string] }
    /**
     * In `init`: a child with the same parent goes on, born into what namespaces were unshared for children; we end.
     * The launcher meets it by `adopt`.
     */
    | { kind: "rebirth" }
    /** In `host`: the process that `rebirth` makes is the child from here on; its pid goes to `out`. */
    | { kind: "adopt"; out: Slot }
    /**
     * Sends all of `messages` (netlink(7)) to the kernel in one go, over a socket of the network namespace that we are in; fails with
     * the first error that it answers. `out`: when it is done, the index of the link that an RTM_GETLINK among them asks for, or 0.
     */
    | { kind: "netlink"; protocol: NetlinkProtocol; messages: SharedData; out?: Slot }
    /** Puts a slot's value into a shared struct as u32 at byte `at`. */
    | { kind: "store"; slot: Slot; into: SharedData; at: number }
    /** Appends up to `maxBytes` of a file to the exit record. */
    | { kind: "capture"; path: string; maxBytes: number }
    /** Kills every process listed in a cgroup.procs file until it is empty. */
    | { kind: "killCgroup"; procsPath: string }
    /** rmdir(2), waiting up to a second for a cgroup that is busy with dying processes. */
    | { kind: "removeCgroup"; path: string }
    /**
     * Fails, with ESRCH or EBUSY, unless the process that began at `startTime` (field 22 of proc_pid_stat(5)) lives, or has ended:
     * a zombie has. One that is to have ended, and has been killed, is waited for. `out` is set if it does not fail.
     */
    | { kind: "checkProcess"; pid: number; startTime: number; lives: boolean; out?: Slot }
    /** Fails with EBUSY unless the file begins with `text`, of at most 64 bytes. */
    | { kind: "checkText"; path: string; text: string }
    /** Waits until nobody has the FIFO open for reading any more; `fd` is open for writing. */
    | { kind: "awaitReadersGone"; fd: Slot; timeoutMs: number }
    /**
     * Waits until the process of a supervisor waits for its start, or if `start`, starts it; its pid goes to `out`, or 0 if the
     * supervisor has gone, so that nobody knows whether it has started. `connection` is the number of an open control connection.
     * ECANCELED: the start has failed; ECHILD: the supervisor went before; EINTR: one of the signals `ending` (bit n - 1 is signal n),
     * which are blocked, is there, and stays. A program that begins with this is played in the place of the process that began it:
     * with its stdio, and the exit code in the slot `supervise.init`; where an op fails, `cleanup` is played.
     */
    | { kind: "awaitStart"; connection: number; start: boolean; ending: number; out: Slot }
    /** Writes `texts[0]` pid `texts[1]`, and if `texts[2]` is not empty, the process's start time `texts[2]`, to an open file. */
    | { kind: "writeProcess"; fd: Slot; pid: Slot; texts: readonly [string, string, string] }
    /**
     * Passes the signals (bit n - 1 is signal n), which are blocked, on to the process of a supervisor until that has gone, and closes
     * the connection. The process's exit code goes to `out`.
     */
    | { kind: "awaitExit"; connection: number; signals: number; out: Slot }
    /** Removes all that is in the open directory, and then itself, at `path`; again, if something has come into it meanwhile. */
    | { kind: "removeTree"; directory: Slot; path: string }
    /** Takes the capabilities (bit n is number n) out of the bounding set; those that this kernel does not have are not in it. */
    | { kind: "dropBounding"; capabilities: bigint }
  );

export type NetlinkProtocol = "route" | "netfilter";

/** Numbers of protocols for socket(2). Source: netlink(7). */
export const NETLINK_PROTOCOLS: Readonly<Record<NetlinkProtocol, number>> = { route: 0, netfilter: 12 };

export type DeviceType = "character" | "block" | "fifo";

/** The type's bits of st_mode. Source: inode(7). */
export const DEVICE_MODES: Readonly<Record<DeviceType, number>> = { fifo: 0o10000, character: 0o20000, block: 0o60000 };

/** What `copyUp` copies, as bits. */
export const COPY = { tree: 1, mode: 2, owner: 4 } as const;

export type OpKind = Op["kind"];

/** Order is wire format: append only, or raise PROGRAM_VERSION. */
export const OP_KINDS = [
  "call",
  "write",
  "clone",
  "pipe",
  "send",
  "receive",
  "execute",
  "checkFilesystem",
  "checkDevice",
  "checkCwd",
  "writeByPid",
  "store",
  "capture",
  "killCgroup",
  "removeCgroup",
  "openTarget",
  "await",
  "checkExecutable",
  "copyUp",
  "userNamespace",
  "offerFd",
  "forwardFd",
  "rebirth",
  "adopt",
  "netlink",
  "checkProcess",
  "checkText",
  "awaitReadersGone",
  "removeTree",
  "awaitExit",
  "dropBounding",
  "awaitStart",
  "writeProcess",
] as const satisfies readonly OpKind[];

/** What the launcher does once the program has been played. */
export interface Supervise {
  /** The pid to watch: `clone`'s out slot. */
  init: Slot;
  /** Ends the launcher holds: write end of stdin, read ends of stdout and stderr, or the pty's master. */
  stdin?: Slot;
  stdout?: Slot;
  stderr?: Slot;
  /** The one fd that `init` sends is a terminal's master, to serve. */
  terminal?: boolean;
  /** It goes to the unix socket that is fd number `consoleFd` instead. */
  consoleFd?: number;
  /** Every `send` of `init` without a fd is a pause, CREATED: what it then receives is sent by a client's START or RELEASE. */
  hold: boolean;
  /**
   * The process is for our caller's parent: the launcher does not wait for it, kills it when its last client goes, and
   * goes itself on RELEASE, leaving it.
   */
  handOver?: boolean;
  /** Number of the child's end of the sync socket, one the launcher was started with and nobody uses. Default 3. */
  syncFd?: number;
  log?: { path: string; maxBytes: number; maxFiles: number };
  /** Where the exit record goes; written to `exitPath + ".tmp"` first. */
  exitPath: string;
  /** The listening socket's path, unlinked at the end. */
  socketPath: string;
}
