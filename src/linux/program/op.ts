/** What a program is made of: one row for each op, from which its type, its bytes, its check in the launcher and its line come. */
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

const inRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;

const netlinkProtocol = { route: 0, netfilter: 12 };
export type NetlinkProtocol = keyof typeof netlinkProtocol;

/** The kernel's numbers of types, as in readdir(3)'s d_type. */
const deviceType = { fifo: 1, character: 2, block: 6 };
export type DeviceType = keyof typeof deviceType;

/**
 * All ops but `call`, which makes a system call (calls.ts). A row has the op's line in a listing, and its fields in the order
 * of its arguments. In the line, {field} is a field, and a part in brackets is left out if its field is unset, false, 0 or empty.
 *
 * The order of the rows is wire format: append only, or raise PROGRAM_VERSION.
 */
export const OPS = {
  /** open(path, O_WRONLY) under `dir`, one write(2) of all of `data`, close. */
  write: row("write [{dir} ]{path} {data}", { dir: slotOr(AT_FDCWD), path: plain, data: bytes }),
  /** Writes into the file PREFIX, a slot's value in decimal, SUFFIX under `dir`: PID/uid_map of a procfs. */
  writeByPid: row("write [{dir} ]{prefix}{pid}{suffix} {data}", {
    prefix: plain,
    pid: slot,
    suffix: plain,
    data: bytes,
    dir: slotOr(AT_FDCWD),
  }),
  /** openat2(2) with O_PATH and RESOLVE_IN_ROOT under `root`; what is missing of `path` is made first. */
  openTarget: row("open-target {root}/{path} {type}[ {noSymlinks}]", {
    root: slot,
    path: plain,
    type: choice({ file: 0, directory: 1 }),
    noSymlinks: either("", "RESOLVE_NO_SYMLINKS", [inRoot, inRoot | RESOLVE.NO_SYMLINKS]),
    out,
  }),
  /** Copies what is in directory `from` to `to`, which has its mode already. */
  copyUp: row("copy-up {from} to {to}[ {owner}]", { from: slot, to: slot, owner: either("", "with its owner") }),
  /** Gives the file system that fsopen(2) has begun the mode of directory `from` as its parameter. */
  inheritMode: row("inherit-mode {fs} of {from}", { fs: slot, from: slot }),
  /** Removes all that is in the open directory, and then itself, at `path`; again, if something has come into it meanwhile. */
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

  /** Puts a slot's value into a shared struct as u32. */
  store: row("store {slot} into {into}", { slot, into: place }),
  /** pipe2(2) with O_CLOEXEC. */
  pipe: row("pipe2 -> {read} {write}", { read: newSlot, write: newSlot }),
  /**
   * Sends all of `messages` (netlink(7)) to the kernel in one go, over a socket of the network namespace that we are in; fails with
   * the first error that it answers. `out`: when it is done, the index of the link that an RTM_GETLINK among them asks for, or 0.
   */
  netlink: row("netlink {protocol} {messages}", { protocol: choice(netlinkProtocol), messages, out: optionalOut }),

  /** clone3(2). `cgroup` is a slot with a cgroup v2 directory for CLONE_INTO_CGROUP. Sets `out` to the child's pid. */
  clone: row("clone3 {flags}[ CLONE_INTO_CGROUP={cgroup}]", { flags: flags(CLONE_FLAGS), cgroup: optionalSlot, out }),
  /** A fd of a new user namespace with these maps; `proc` is a procfs. */
  userNamespace: row("user-namespace {proc} uids {uidMap} gids {gidMap}", {
    uidMap: bytes,
    gidMap: bytes,
    proc: slot,
    out,
  }),
  /**
   * In `init`: a child with the same parent goes on, born into what namespaces were unshared for children; we end.
   * The launcher meets it by `adopt`.
   */
  rebirth: row("rebirth", {}),
  /** In `host`: the process that `rebirth` makes is the child from here on; its pid goes to `out`. */
  adopt: row("adopt", { out }),
  /** A token to the other side of `clone`, with a copy of an fd if `fd` is given. */
  send: row("send[ {fd}]", { fd: optionalSlot }),
  /** Waits for the other side's next token; its fd goes to `out`. */
  receive: row("receive", { out: optionalOut }),
  /** In `init`: gives a fd to the process that `forwardFd` made, by no system call; waits until it has been sent. */
  offerFd: row("offer-fd {fd}", { fd: slot }),
  /**
   * In `host`, after the clone: what `offerFd` will offer is sent over a connected socket, with the text
   * `before` pid `between` and, if `after` is not empty, pid `after`.
   */
  forwardFd: row("forward-fd of {pid} to {socket} with {before} {pid} {between} {pid} {after}", {
    pid: slot,
    socket: slot,
    before: quoted,
    between: quoted,
    after: quoted,
  }),
  /** Takes the capabilities (bit n is number n) out of the bounding set; those that this kernel does not have are not in it. */
  dropBounding: row("drop-bounding {capabilities}", { capabilities }),
  /** Fails with ENOENT if the working directory is outside the root. */
  checkCwd: row("check-cwd", {}),
  /** Reads one byte from fd number `fd`, which the launcher was started with; blocks until there is one. */
  await: row("await {fd}", { fd: decimal }),
  /** Fails as `execute` would if no path of `paths` may be executed. */
  checkExecutable: row("check-executable {paths}", { paths }),
  /** execve(2) of the first path that can be executed. Must be the last op of `init`. */
  execute: row("execve {paths} {argv} env {env}", { paths, argv: words, env: words }),

  /** Appends up to `maxBytes` of a file to the exit record. */
  capture: row("capture {path}", { path: plain, maxBytes: decimal }),
  /** Kills every process listed in a cgroup.procs file until it is empty. */
  killCgroup: row("kill-cgroup {procsPath}", { procsPath: plain }),
  /** rmdir(2), waiting up to a second for a cgroup that is busy with dying processes. */
  removeCgroup: row("remove-cgroup {path}", { path: plain }),

  /**
   * Fails, with ESRCH or EBUSY, unless the process that began at `startTime` (field 22 of proc_pid_stat(5)) lives, or has ended:
   * a zombie has. One that is to have ended, and has been killed, is waited for. `out` is set if it does not fail.
   */
  checkProcess: row("check-process {pid} of {startTime} {lives}", {
    pid: decimal,
    startTime: decimal,
    lives: either("has ended", "lives"),
    out: optionalOut,
  }),
  /** Waits until nobody has the FIFO open for reading any more; `fd` is open for writing. */
  awaitReadersGone: row("await-closed {fd} {timeoutMs} ms", { fd: slot, timeoutMs: decimal }),
  /**
   * Waits until the process of a supervisor waits for its start, or if `start`, starts it; its pid goes to `out`, or 0 if the
   * supervisor has gone, so that nobody knows whether it has started. `connection` is the number of an open control connection.
   * ECANCELED: the start has failed; ECHILD: the supervisor went before; EINTR: one of the signals `ending` (bit n - 1 is signal n),
   * which are blocked, is there, and stays. A program that begins with this is played in the place of the process that began it:
   * with its stdio, and the exit code in the slot `supervise.init`; where an op fails, `cleanup` is played.
   */
  awaitStart: row("{start} on {connection}[, unless signals {ending}]", {
    connection: decimal,
    start: either("await-start", "start"),
    ending: hex,
    out,
  }),
  /** Writes `before` pid `between`, and if `after` is not empty, the process's start time `after`, to an open file. */
  writeProcess: row("write-process {fd} {before} {pid} {between}[ its start time {after}]", {
    fd: slot,
    pid: slot,
    before: quoted,
    between: quoted,
    after: quoted,
  }),
  /**
   * Passes the signals (bit n - 1 is signal n), which are blocked, on to the process of a supervisor until that has gone, and closes
   * the connection. The process's exit code goes to `out`.
   */
  awaitExit: row("await-exit on {connection}, signals {signals}", { connection: decimal, signals: hex, out }),
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
