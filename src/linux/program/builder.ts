/** Appends ops to a program's lists: system calls by name, and the sequences of calls that one deed takes. */
import { utf8 } from "../../base/bytes.ts";
import type { ExplainedPhase } from "../../spec/explanation.ts";
import { align4 } from "../netlink/attributes.ts";
import { joinMessages } from "../netlink/messages.ts";
import { AT_EMPTY_PATH, AT_FDCWD } from "../sys/abi.ts";
import { type CallName, RESOLVE } from "./calls.ts";
import type { Arg, NetlinkProtocol, Op, SharedData, Slot } from "./op.ts";

/** What every op may have besides its arguments. */
export interface OpExtras {
  out?: Slot;
  tolerate?: readonly string[];
  guard?: Slot;
  unless?: Slot;
}

const O_RDONLY_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSCONFIG_CMD_RECONFIGURE = 7;
const FSPICK_CLOEXEC = 1;
const FSPICK_EMPTY_PATH = 8;
const MOUNT_ATTR_IDMAP = 0x100000;
const OPEN_TREE_CLONE_CLOEXEC = 0o2000001;
const AT_RECURSIVE = 0x8000;

export const O = {
  PATH: 0o10000000,
  RDONLY: 0,
  WRONLY: 0o1,
  RDWR: 0o2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  NONBLOCK: 0o4000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  CLOEXEC: 0o2000000,
} as const;

export function text(value: string): Arg {
  return { text: value };
}

export function slot(name: Slot): Arg {
  return { slot: name };
}

/** The fields of `struct open_how`: flags, mode, resolve. */
function openHow(flags: number, resolve: number): Arg {
  const data = new Uint8Array(24);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, BigInt(flags), true);
  view.setBigUint64(16, BigInt(resolve), true);
  const shown = [
    flags & O.PATH ? "O_PATH" : flags & O.RDWR ? "O_RDWR" : "O_RDONLY",
    ...(flags & O.DIRECTORY ? ["O_DIRECTORY"] : []),
    ...(resolve & RESOLVE.IN_ROOT ? ["RESOLVE_IN_ROOT"] : []),
    ...(resolve & RESOLVE.NO_SYMLINKS ? ["RESOLVE_NO_SYMLINKS"] : []),
  ];
  return { data, show: shown.join("|") };
}

/** The fields of `struct mount_attr`: attr_set, attr_clr, propagation, userns_fd. */
function mountAttr(set: number, clear: number, propagation: number): Arg {
  const data = new Uint8Array(32);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, BigInt(set), true);
  view.setBigUint64(8, BigInt(clear), true);
  view.setBigUint64(16, BigInt(propagation), true);
  return {
    data,
    show: `set=0x${set.toString(16)} clear=0x${clear.toString(16)} propagation=0x${propagation.toString(16)}`,
  };
}

export interface NetlinkRequest {
  message: Uint8Array;
  from?: readonly { at: number; slot: Slot }[];
}

/** Where in a list the ops of a phase begin. */
export interface PhaseStart {
  phase: ExplainedPhase;
  at: number;
}

/** One of a program's lists. Every method appends one op or a usual sequence of them; `why` is as in `Op`. */
export class OpList {
  readonly ops: Op[] = [];
  /** For those who read the program: what its parts are about. */
  readonly phases: PhaseStart[] = [];
  #fresh = 0;

  constructor(readonly name: "host" | "init" | "cleanup") {}

  /** Returns a slot that nobody else uses. */
  fresh(what: string): Slot {
    this.#fresh++;
    return `${what}.${this.name}${this.#fresh}`;
  }

  /** Says what the next ops are about. */
  begin(phase: ExplainedPhase): void {
    this.phases.push({ phase, at: this.ops.length });
  }

  add(op: Op): void {
    this.ops.push(op);
  }

  call(name: CallName, args: readonly Arg[], why: string, extras: OpExtras = {}): void {
    this.ops.push({ kind: "call", name, args, why, ...extras });
  }

  write(dir: Slot | null, path: string, data: string, why: string, extras: OpExtras = {}): void {
    this.ops.push({ kind: "write", dir, path, data, why, ...extras });
  }

  close(fd: Slot, why: string, extras: OpExtras = {}): void {
    this.call("close", [slot(fd)], why, extras);
  }

  /** open(2) on a host path. */
  open(path: string, flags: number, out: Slot, why: string, extras: OpExtras = {}): void {
    this.call("openat", [AT_FDCWD, text(path), flags | O_RDONLY_CLOEXEC, 0], why, { out, ...extras });
  }

  /** openat2(2) on a container path under `root`: no symlink in the image leads out of it. */
  openInRoot(
    root: Slot,
    path: string,
    flags: number,
    out: Slot,
    why: string,
    extras: OpExtras & { noSymlinks?: boolean } = {},
  ): void {
    const { noSymlinks, ...rest } = extras;
    const resolve = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | (noSymlinks ? RESOLVE.NO_SYMLINKS : 0);
    this.call("openat2", [slot(root), text(path), openHow(flags | O.CLOEXEC, resolve), 24], why, { out, ...rest });
  }

  /**
   * Makes a file system that is not mounted anywhere yet (fsopen, fsconfig, fsmount); `out` is its root. If the slot `modeOf` is
   * set, the root gets the mode of that directory. `connection`: the fd by which a file system of fuse(4) is served, until nobody
   * has it mounted.
   */
  newFilesystem(
    type: string,
    parameters: readonly { key: string; value?: string }[],
    attributes: number,
    out: Slot,
    why: string,
    { modeOf, connection, ...extras }: OpExtras & { modeOf?: Slot; connection?: Slot } = {},
  ): void {
    const fs = this.fresh("fs");
    this.call("fsopen", [text(type), 1], why, { out: fs, ...extras });
    const guarded: OpExtras = Object.keys(extras).length > 0 ? { guard: fs } : {};
    this.#parameters(fs, parameters, why, guarded);
    if (modeOf !== undefined) this.ops.push({ kind: "inheritMode", fs, from: modeOf, guard: modeOf, why });
    if (connection !== undefined)
      this.ops.push({ kind: "fdParameter", fs, key: "fd", fd: connection, why, ...guarded });
    this.call("fsconfig", [slot(fs), FSCONFIG_CMD_CREATE, 0, 0, 0], why, guarded);
    this.call("fsmount", [slot(fs), 1, attributes], why, { ...guarded, out });
    if (connection !== undefined) this.close(fs, why, guarded);
  }

  /** Changes the parameters of the file system that is mounted on the directory `target` (fspick, fsconfig). */
  reconfigure(target: Slot, parameters: readonly { key: string; value?: string }[], why: string): void {
    const fs = this.fresh("fs");
    this.call("fspick", [slot(target), text(""), FSPICK_CLOEXEC | FSPICK_EMPTY_PATH], why, { out: fs });
    this.#parameters(fs, parameters, why, {});
    this.call("fsconfig", [slot(fs), FSCONFIG_CMD_RECONFIGURE, 0, 0, 0], why);
    this.close(fs, why);
  }

  #parameters(fs: Slot, parameters: readonly { key: string; value?: string }[], why: string, extras: OpExtras): void {
    for (const { key, value } of parameters) {
      if (value === undefined) this.call("fsconfig", [slot(fs), FSCONFIG_SET_FLAG, text(key), 0, 0], why, extras);
      else this.call("fsconfig", [slot(fs), FSCONFIG_SET_STRING, text(key), text(value), 0], why, extras);
    }
  }

  /** Copies what is mounted at a host path; the copy is not mounted anywhere yet. */
  cloneTree(path: string, recursive: boolean, out: Slot, why: string): void {
    this.call("open_tree", [AT_FDCWD, text(path), OPEN_TREE_CLONE_CLOEXEC | (recursive ? AT_RECURSIVE : 0)], why, {
      out,
    });
  }

  /** Copies the mount that an open fd is on. */
  cloneTreeOf(fd: Slot, recursive: boolean, out: Slot, why: string, extras: OpExtras = {}): void {
    const flags = OPEN_TREE_CLONE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    this.call("open_tree", [slot(fd), text(""), flags], why, { out, ...extras });
  }

  setAttributes(
    mount: Slot,
    attributes: { set?: number; clear?: number; propagation?: number; recursive?: boolean },
    why: string,
    extras: OpExtras = {},
  ): void {
    const { set = 0, clear = 0, propagation = 0, recursive = false } = attributes;
    const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    this.call("mount_setattr", [slot(mount), text(""), flags, mountAttr(set, clear, propagation), 32], why, extras);
  }

  /** Maps the owners of a detached mount's files by a user namespace. Source: mount_setattr(2), "ID mapped mounts". */
  mapOwners(mount: Slot, userNamespace: Slot, recursive: boolean, why: string, extras: OpExtras = {}): void {
    const data = new Uint8Array(32);
    new DataView(data.buffer).setBigUint64(0, BigInt(MOUNT_ATTR_IDMAP), true);
    const attr: SharedData = { name: this.fresh("mount_attr"), data };
    this.ops.push({ kind: "store", slot: userNamespace, into: { shared: attr, at: 24 }, why });
    const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    this.call("mount_setattr", [slot(mount), text(""), flags, { shared: attr }, data.length], why, extras);
  }

  setAttributesAt(
    path: string,
    attributes: { set?: number; clear?: number; propagation?: number; recursive?: boolean },
    why: string,
  ): void {
    const { set = 0, clear = 0, propagation = 0, recursive = false } = attributes;
    this.call(
      "mount_setattr",
      [AT_FDCWD, text(path), recursive ? AT_RECURSIVE : 0, mountAttr(set, clear, propagation), 32],
      why,
    );
  }

  /**
   * Sends messages of netlink(7) to the kernel in one go. `from`: at these offsets of a message, u32 values are taken from slots.
   */
  netlink(protocol: NetlinkProtocol, requests: readonly NetlinkRequest[], why: string, extras: OpExtras = {}): void {
    const messages: SharedData = {
      name: this.fresh("netlink"),
      data: joinMessages(
        requests.map(({ message }) => message),
        1,
      ),
    };
    const { guard, unless } = extras;
    const conditions = { ...(guard === undefined ? {} : { guard }), ...(unless === undefined ? {} : { unless }) };
    let start = 0;
    for (const { message, from = [] } of requests) {
      for (const { at, slot } of from)
        this.ops.push({ kind: "store", slot, into: { shared: messages, at: start + at }, why, ...conditions });
      start += align4(message.length);
    }
    this.ops.push({ kind: "netlink", protocol, messages, why, ...extras });
  }

  /** Puts a detached mount on the directory or file that the slot `target` holds open. */
  moveMount(mount: Slot, target: Slot, why: string, extras: OpExtras = {}): void {
    const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    this.call("move_mount", [slot(mount), text(""), slot(target), text(""), flags], why, extras);
  }

  /** Puts a detached mount on a host path. */
  moveMountTo(mount: Slot, path: string, why: string): void {
    this.call("move_mount", [slot(mount), text(""), AT_FDCWD, text(path), MOVE_MOUNT_F_EMPTY_PATH], why);
  }
}

/** A struct argument made of u32 values, little-endian. */
export function words(values: readonly number[], show: string): { data: Uint8Array; show: string } {
  const data = new Uint8Array(4 * values.length);
  const view = new DataView(data.buffer);
  for (const [index, value] of values.entries()) view.setUint32(4 * index, value, true);
  return { data, show };
}

/** A buffer argument: the string's bytes without a terminator. */
export function buffer(value: string): { data: Uint8Array; show: string } {
  return { data: utf8(value), show: JSON.stringify(value) };
}
