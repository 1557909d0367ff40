/**
 * What a program is made of. Each op has one row here; its type, its bytes, the launcher's check of it and its line in a listing
 * all come from that row.
 */
import { AT_FDCWD } from "../sys/abi.ts";
import { type CallName, CLONE_FLAGS, RESOLVE } from "./calls.ts";
import {
  type AnyField,
  bytes,
  capabilities,
  choice,
  decimal,
  either,
  flags,
  hex,
  messages,
  newSlot,
  optionalOut,
  optionalSlot,
  out,
  paths,
  place,
  plain,
  quoted,
  type SharedData,
  type Slot,
  slot,
  slotOr,
  type Values,
  words,
} from "./fields.ts";

export type { SharedData, Slot } from "./fields.ts";

/**
 * What the launcher does to start one process, as plain data in three lists that are played in order:
 * - `host` is played in the launcher; one of its ops is `clone`.
 * - `init` is played in the cloned child, up to `execute`. A program without `init` starts no process.
 * - `cleanup` is played in the launcher when the child has ended or its start has failed; without `init`, when an op of `host`
 *   has failed.
 *
 * Values that one op makes and a later one uses (fds, pids) live in named slots. A slot is unset until an op sets it. It is unset
 * again if that op is skipped or fails in a tolerated way. The child starts with a copy of the launcher's slots as they were at
 * `clone`; it need not close its fds one by one, since it ends with close_range(2).
 */
export interface Program {
  host: Op[];
  init: Op[];
  cleanup: Op[];
  supervise: Supervise;
}

export type Arg =
  | number
  | bigint
  | { slot: Slot }
  /** A NUL-terminated string. */
  | { text: string }
  /** Bytes of a struct or buffer. The launcher fills in `pointers` with the addresses of other blobs; listings print `show`. */
  | { data: Uint8Array; show: string; pointers?: readonly { at: number; to: Uint8Array }[] }
  /** Like `data`, but shared under a name, so that `store` can put a slot's value into it. */
  | { shared: SharedData };

interface OpCommon {
  /** The op's purpose, shown in listings and in the error when it fails. */
  why: string;
  /** Names of errors that count as success; the result slot then stays unset. */
  tolerate?: readonly string[];
  /** The op is skipped unless this slot is set. */
  guard?: Slot;
  /** The op is skipped if this slot is set. */
  unless?: Slot;
}

const inRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;

const netlinkProtocol = { route: 0, netfilter: 12 };
export type NetlinkProtocol = keyof typeof netlinkProtocol;

/** The kernel's numbers for file types, as in readdir(3)'s d_type. */
const deviceType = { fifo: 1, character: 2, block: 6 };
export type DeviceType = keyof typeof deviceType;

/**
 * All ops except `call`, which makes a system call (calls.ts). A row holds the op's line in a listing, and its fields in the
 * order of its arguments. In the line, {field} stands for a field's value; a part in brackets is left out if its field is unset,
 * false, 0 or empty.
 *
 * The order of the rows is wire format: append only, or raise PROGRAM_VERSION.
 */
export const OPS = {
  /** Opens `path` under `dir` with O_WRONLY, writes all of `data` by one write(2), and closes it. */
  write: row("write [{dir} ]{path} {data}", { dir: slotOr(AT_FDCWD), path: plain, data: bytes }),
  /** Writes `data` to a file under `dir` whose name is `prefix`, the pid in decimal, and `suffix`: PID/uid_map of a procfs. */
  writeByPid: row("write [{dir} ]{prefix}{pid}{suffix} {data}", {
    prefix: plain,
    pid: slot,
    suffix: plain,
    data: bytes,
    dir: slotOr(AT_FDCWD),
  }),
  /** Opens `path` under `root` by openat2(2) with O_PATH and RESOLVE_IN_ROOT. Missing parts of the path are made first. */
  openTarget: row("open-target {root}/{path} {type}[ {noSymlinks}]", {
    root: slot,
    path: plain,
    type: choice({ file: 0, directory: 1 }),
    noSymlinks: either("", "RESOLVE_NO_SYMLINKS", [inRoot, inRoot | RESOLVE.NO_SYMLINKS]),
    out,
  }),
  /** Copies the content of directory `from` into `to`, which has its mode already. */
  copyUp: row("copy-up {from} to {to}[ {owner}]", { from: slot, to: slot, owner: either("", "with its owner") }),
  /** Gives a file system that fsopen(2) has begun the mode of directory `from`, as its parameter. */
  inheritMode: row("inherit-mode {fs} of {from}", { fs: slot, from: slot }),
  /** Empties the open directory, then removes it at `path`. Does both again if something has been put into it meanwhile. */
  removeTree: row("remove-tree {directory} {path}", { directory: slot, path: plain }),
  /** Fails with EXDEV unless the fd is on a file system of this type (statfs f_type). */
  checkFilesystem: row("check-fs {fd} {magic}", { fd: slot, magic: hex }),
  /** Fails with ENODEV unless the fd is this device. */
  checkDevice: row("check-device {fd} {type} {major}:{minor}", {
    fd: slot,
    major: decimal,
    minor: decimal,
    type: choice(deviceType),
  }),
  /** Fails with EBUSY unless the file begins with `text`, of at most 64 bytes. */
  checkText: row("check-text {path} {text}", { path: plain, text: bytes }),

  /** Puts a slot's value into a shared struct, as u32. */
  store: row("store {slot} into {into}", { slot, into: place }),
  /** pipe2(2) with O_CLOEXEC. */
  pipe: row("pipe2 -> {read} {write}", { read: newSlot, write: newSlot }),
  /**
   * Sends all of `messages` (netlink(7)) to the kernel in one go, over a socket of the current network namespace. Fails with the
   * first error that the kernel answers. If one of the messages is RTM_GETLINK, `out` gets the index of the link that it asks
   * for; otherwise 0.
   */
  netlink: row("netlink {protocol} {messages}", { protocol: choice(netlinkProtocol), messages, out: optionalOut }),

  /**
   * Starts the child by clone3(2) and sets `out` to its pid. `cgroup` is a slot with a cgroup v2 directory for CLONE_INTO_CGROUP.
   */
  clone: row("clone3 {flags}[ CLONE_INTO_CGROUP={cgroup}]", { flags: flags(CLONE_FLAGS), cgroup: optionalSlot, out }),
  /** Makes a user namespace with these maps and sets `out` to an fd of it; `proc` is a procfs. */
  userNamespace: row("user-namespace {proc} uids {uidMap} gids {gidMap}", {
    uidMap: bytes,
    gidMap: bytes,
    proc: slot,
    out,
  }),
  /**
   * In `init`: replaces this process by a child that has the same parent and is born into the namespaces that were unshared for
   * children. The launcher meets the new process by `adopt`.
   */
  rebirth: row("rebirth", {}),
  /** In `host`: from here on, the child is the process that `rebirth` makes; `out` gets its pid. */
  adopt: row("adopt", { out }),
  /** Sends a token to the other side of `clone`, with a copy of `fd` if there is one. */
  send: row("send[ {fd}]", { fd: optionalSlot }),
  /** Waits for the other side's next token; `out` gets the fd that comes with it. */
  receive: row("receive", { out: optionalOut }),
  /**
   * In `init`: passes an fd to the process that `forwardFd` made, without a system call, and waits until that process has sent it
   * on.
   */
  offerFd: row("offer-fd {fd}", { fd: slot }),
  /**
   * In `host`, after the clone: makes a process that sends on the fd that `offerFd` will offer. It goes over a connected socket,
   * with the text `before` pid `between` and, if `after` is not empty, pid `after`.
   */
  forwardFd: row("forward-fd of {pid} to {socket} with {before} {pid} {between} {pid} {after}", {
    pid: slot,
    socket: slot,
    before: quoted,
    between: quoted,
    after: quoted,
  }),
  /** Takes capabilities (bit n is number n) out of the bounding set, except those that this kernel does not know. */
  dropBounding: row("drop-bounding {capabilities}", { capabilities }),
  /** Fails with ENOENT if the working directory is outside the root. */
  checkCwd: row("check-cwd", {}),
  /** Reads one byte from fd number `fd`, with which the launcher was started; blocks until there is one. */
  await: row("await {fd}", { fd: decimal }),
  /** Fails as `execute` would if none of `paths` may be executed. */
  checkExecutable: row("check-executable {paths}", { paths }),
  /** Calls execve(2) with the first path that can be executed. Must be the last op of `init`. */
  execute: row("execve {paths} {argv} env {env}", { paths, argv: words, env: words }),

  /** Appends up to `maxBytes` of a file to the exit record. */
  capture: row("capture {path}", { path: plain, maxBytes: decimal }),
  /** Kills every process listed in a cgroup.procs file until it is empty. */
  killCgroup: row("kill-cgroup {procsPath}", { procsPath: plain }),
  /** Removes a cgroup by rmdir(2), waiting up to a second while it is busy with dying processes. */
  removeCgroup: row("remove-cgroup {path}", { path: plain }),

  /**
   * Checks the process that began at `startTime` (field 22 of proc_pid_stat(5)): fails with ESRCH if it should live but does not,
   * and with EBUSY if it should have ended but lives. A zombie has ended. A process that should have ended and has been killed is
   * waited for. `out` is set on success.
   */
  checkProcess: row("check-process {pid} of {startTime} {lives}", {
    pid: decimal,
    startTime: decimal,
    lives: either("has ended", "lives"),
    out: optionalOut,
  }),
  /** Waits until nobody has the FIFO open for reading; `fd` is open for writing. */
  awaitReadersGone: row("await-closed {fd} {timeoutMs} ms", { fd: slot, timeoutMs: decimal }),
  /**
   * Waits until a supervisor's process waits for its start or, with `start`, starts it. `connection` is the number of an open
   * control connection to the supervisor. `out` gets the pid, or 0 if the supervisor has gone and nobody knows whether the
   * process has started. A program that begins with this op takes the place of the process that began it: it has that one's stdio
   * and takes its exit code from the slot `supervise.init`. If an op fails, `cleanup` is played.
   *
   * Fails with ECANCELED if the start has failed, with ECHILD if the supervisor went before the start, and with EINTR if one of
   * the signals `ending` (bit n - 1 is signal n) is pending; they are blocked, and it stays pending.
   */
  awaitStart: row("{start} on {connection}[, unless signals {ending}]", {
    connection: decimal,
    start: either("await-start", "start"),
    ending: hex,
    out,
  }),
  /**
   * Writes `before`, the pid and `between` to an open file, then, if `after` is not empty, the process's start time and `after`.
   */
  writeProcess: row("write-process {fd} {before} {pid} {between}[ its start time {after}]", {
    fd: slot,
    pid: slot,
    before: quoted,
    between: quoted,
    after: quoted,
  }),
  /**
   * Passes signals (bit n - 1 is signal n), which are blocked, on to a supervisor's process until the supervisor has gone, then
   * closes the connection. `out` gets the process's exit code.
   */
  awaitExit: row("await-exit on {connection}, signals {signals}", { connection: decimal, signals: hex, out }),

  /** Gives a file system that fsopen(2) has begun the number of an fd, as its parameter `key`. */
  fdParameter: row("fd-parameter {fs} {key}={fd}", { fs: slot, key: plain, fd: slot }),
  /**
   * The launcher will serve the file system behind `connection`, an fd of fuse(4), when it supervises: the view of the container
   * whose cgroup has these directories, "" for a controller that is not there. Opened in `init`, its files block until then.
   */
  serveView: row("serve-view {connection} {memory} {cpu} {cpuacct} {cpuset} {blkio}", {
    connection: slot,
    memory: plain,
    cpu: plain,
    cpuacct: plain,
    cpuset: plain,
    blkio: plain,
  }),
} as const satisfies Record<string, Row>;

export interface Row<F = Readonly<Record<string, AnyField>>> {
  listing: string;
  fields: F;
  /** The fields with their names, in order. */
  entries: readonly (readonly [name: string, field: AnyField])[];
}

function row<F extends Row["fields"]>(listing: string, fields: F): Row<F> {
  return { listing, fields, entries: Object.entries(fields) };
}

export type OpKind = "call" | keyof typeof OPS;

export const OP_KINDS: readonly OpKind[] = ["call", ...(Object.keys(OPS) as (keyof typeof OPS)[])];

export type Op = OpCommon &
  (
    | { kind: "call"; name: CallName; args: readonly Arg[]; out?: Slot }
    | { [K in keyof typeof OPS]: { kind: K } & Values<(typeof OPS)[K]["fields"]> }[keyof typeof OPS]
  );

/** What the launcher does once the program has been played. */
export interface Supervise {
  /** The slot with the pid to watch: `out` of `clone`. */
  init: Slot;
  /** The ends that the launcher holds: the write end of stdin, and the read ends of stdout and stderr, or a pty's master. */
  stdin?: Slot;
  stdout?: Slot;
  stderr?: Slot;
  /** The datagram socket on which the process says how it is by sd_notify(3). The last word is left in `path`. */
  notify?: { socket: Slot; path: string };
  /** The one fd that `init` sends is a terminal's master; the launcher serves it. */
  terminal?: boolean;
  /** The terminal's master goes to the unix socket that is fd number `consoleFd`; the launcher does not serve it. */
  consoleFd?: number;
  /**
   * Every `send` of `init` without an fd is a pause, which clients are told of by CREATED. It ends when a client sends START or
   * RELEASE.
   */
  hold: boolean;
  /**
   * The process belongs to the parent of the launcher's caller. The launcher does not wait for it, kills it when the last client
   * goes, and on RELEASE goes itself and leaves it running.
   */
  handOver?: boolean;
  /** Number of the child's end of the sync socket: an fd that the launcher was started with and nobody uses. 3 by default. */
  syncFd?: number;
  log?: { path: string; maxBytes: number; maxFiles: number; format?: "cri" };
  /** The path of a new file for the times of the ops: for each of host and init its begin and end, u64 nanoseconds since 1970. */
  tracePath?: string;
  /** The exit record's path. It is written to `exitPath + ".tmp"` first. */
  exitPath: string;
  /** The listening socket's path; it is unlinked at the end. */
  socketPath: string;
}
