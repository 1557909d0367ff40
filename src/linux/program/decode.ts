import { LighterError } from "../../base/errors.ts";
import { PROGRAM_MAX_BYTES, PROGRAM_MAX_OPS, PROGRAM_MAX_SLOTS } from "../../base/limits.ts";
import { errnoName } from "../sys/errno.ts";
import { RESOLVE } from "./builder.ts";
import { type ArgKind, AT_FDCWD, CALL_NAMES, type CallName, callOf } from "./calls.ts";
import {
  ARG_BLOB,
  ARG_NUMBER,
  ARG_SLOT,
  HEADER_BYTES,
  HEADER_FIELDS,
  type HeaderField,
  LISTEN_FD,
  MAX_TOLERATED,
  NO_OFFSET,
  NO_SLOT,
  OP_BYTES,
  PROGRAM_MAGIC,
  PROGRAM_VERSION,
  RELOCATION_BYTES,
} from "./format.ts";
import {
  type Arg,
  COPY,
  DEVICE_MODES,
  type DeviceType,
  NETLINK_PROTOCOLS,
  type NetlinkProtocol,
  OP_KINDS,
  type Op,
  type Program,
  type SharedData,
} from "./op.ts";

/**
 * The program that `encodeProgram` wrote (format.ts has the drawing), as far as the bytes tell: slots have numbers for
 * names ("s0"), every `why` is empty, and a struct that no other op touches is plain data.
 * `encodeProgram(decodeProgram(bytes))` gives the same bytes. Accepts nothing that the launcher refuses.
 * @throws LighterError ("invalid") for anything that is not a whole, sane program.
 */
export function decodeProgram(bytes: Uint8Array): Program {
  return new Decoder(bytes).program();
}

interface RawOp {
  index: number;
  kind: Op["kind"];
  call: number;
  out: number;
  guard: number;
  unless: number;
  argKinds: number[];
  tolerate: number[];
  args: bigint[];
}

function refuse(what: string): never {
  throw new LighterError("invalid", `program: ${what}`);
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) refuse(what);
}

class Decoder {
  readonly #view: DataView;
  readonly #header: Record<HeaderField, bigint>;
  readonly #blob: Uint8Array;
  /** Byte offset in the blob to what is to be pointed at from there. */
  readonly #relocations = new Map<number, number>();
  /** Every offset at which something of the blob starts, and its end: where the thing before it ends at the latest. */
  readonly #starts: number[];
  /** Structs that ops share or store into, by offset. */
  readonly #shared = new Map<number, SharedData>();

  constructor(bytes: Uint8Array) {
    check(bytes.length >= HEADER_BYTES && bytes.length <= PROGRAM_MAX_BYTES, `${bytes.length} bytes are none`);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#header = this.#readHeader(bytes.length);
    const blobAt = bytes.length - this.#number("blob_bytes");
    this.#blob = bytes.subarray(blobAt);
    this.#readRelocations(blobAt);
    check(this.#blob.at(-1) === 0, "the blob does not end with 0");
    this.#starts = this.#findStarts();
    this.#findShared();
  }

  #number(field: HeaderField): number {
    return Number(this.#header[field]);
  }

  #readHeader(length: number): Record<HeaderField, bigint> {
    let at = 0;
    const fields = HEADER_FIELDS.map(([name, type]) => {
      const value = type === "u64" ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true));
      at += type === "u64" ? 8 : 4;
      return [name, value] as const;
    });
    const header = Object.fromEntries(fields) as Record<HeaderField, bigint>;
    check(header.magic === BigInt(PROGRAM_MAGIC), "no program: the magic number is missing");
    check(header.version === BigInt(PROGRAM_VERSION), `version ${header.version}, not ${PROGRAM_VERSION}`);
    check(header.total_bytes === BigInt(length), `${length} bytes instead of ${header.total_bytes}`);
    const ops = header.host_count + header.init_count + header.cleanup_count;
    check(ops <= PROGRAM_MAX_OPS, `${ops} ops`);
    check(header.slot_count <= PROGRAM_MAX_SLOTS, `${header.slot_count} slots`);
    check(header.hold <= 1n, `hold is ${header.hold}`);
    check(header.hand_over <= 1n, `hand_over is ${header.hand_over}`);
    check(header.terminal <= 1n, `terminal is ${header.terminal}`);
    check(header.console_fd < 1024n, `console_fd is ${header.console_fd}`);
    check(header.sync_fd >= 3n && header.sync_fd < 1024n, `sync_fd is ${header.sync_fd}`);
    const parts = ops * BigInt(OP_BYTES) + header.relocation_count * BigInt(RELOCATION_BYTES) + header.blob_bytes;
    check(header.blob_bytes > 0n && BigInt(HEADER_BYTES) + parts === BigInt(length), "the parts are not the whole");
    return header;
  }

  #opCount(): number {
    return this.#number("host_count") + this.#number("init_count") + this.#number("cleanup_count");
  }

  #readRelocations(blobAt: number): void {
    let at = blobAt - this.#number("relocation_count") * RELOCATION_BYTES;
    for (; at < blobAt; at += RELOCATION_BYTES) {
      const where = this.#view.getUint32(at, true);
      const target = this.#view.getUint32(at + 4, true);
      this.#inBlob(where, 8);
      this.#inBlob(target, 1);
      // An address may stand anywhere but in the last byte, which must stay 0.
      check(where + 8 < this.#blob.length, "a relocation overwrites the end of the blob");
      this.#relocations.set(where, target);
    }
  }

  #inBlob(at: number, size: number): void {
    check(at <= this.#blob.length && size <= this.#blob.length - at, `${size} bytes at ${at} are not in the blob`);
  }

  #rawOp(index: number): RawOp {
    const at = HEADER_BYTES + index * OP_BYTES;
    const view = this.#view;
    const kind = OP_KINDS[view.getUint16(at, true)];
    check(kind !== undefined, `op ${index} is of no known kind`);
    const raw: RawOp = {
      index,
      kind,
      call: view.getUint16(at + 2, true),
      out: view.getUint16(at + 4, true),
      guard: view.getUint16(at + 6, true),
      unless: view.getUint16(at + 8, true),
      argKinds: Array.from({ length: 6 }, (_, k) => view.getUint8(at + 10 + k)),
      tolerate: Array.from({ length: MAX_TOLERATED }, (_, k) => view.getUint16(at + 16 + 2 * k, true)),
      args: Array.from({ length: 6 }, (_, k) => view.getBigUint64(at + 24 + 8 * k, true)),
    };
    for (const [k, argKind] of raw.argKinds.entries()) {
      check(argKind <= ARG_BLOB, `op ${index} has an argument of no known kind`);
      if (argKind === ARG_SLOT) this.#slotName(Number(raw.args[k]));
    }
    return raw;
  }

  #rawOps(): RawOp[] {
    return Array.from({ length: this.#opCount() }, (_, index) => this.#rawOp(index));
  }

  #findStarts(): number[] {
    const starts = new Set([...this.#relocations.values(), this.#blob.length]);
    for (const { argKinds, args } of this.#rawOps())
      for (const [k, kind] of argKinds.entries()) if (kind === ARG_BLOB) starts.add(Number(args[k]));
    for (const field of ["log_path", "exit_path", "socket_path"] as const)
      if (this.#number(field) !== NO_OFFSET) starts.add(this.#number(field));
    return [...starts].sort((a, b) => a - b);
  }

  /** Structs that two calls use, and those that a `store` writes into. */
  #findShared(): void {
    const uses = new Map<number, number>();
    const sizes = new Map<number, number>();
    const stores: number[] = [];
    for (const raw of this.#rawOps()) {
      if (raw.kind === "store") stores.push(Number(raw.args[1]));
      if (raw.kind === "netlink" && raw.argKinds[1] === ARG_BLOB && raw.argKinds[2] === ARG_NUMBER) {
        sizes.set(Number(raw.args[1]), Number(raw.args[2]));
        uses.set(Number(raw.args[1]), 2); // where two ops have the same messages, they have the same object
      }
      if (raw.kind !== "call") continue;
      for (const [k, kind] of this.#argKindsOf(raw).entries()) {
        if (kind.is !== "struct" || raw.argKinds[k] !== ARG_BLOB) continue;
        const at = Number(raw.args[k]);
        uses.set(at, (uses.get(at) ?? 0) + 1);
        sizes.set(at, kind.bytes);
      }
    }
    for (const [at, size] of sizes)
      if (uses.get(at)! > 1 || stores.some((store) => store >= at && store + 4 <= at + size))
        this.#shared.set(at, { name: `shared.${at}`, ...this.#struct(at, size) });
  }

  #argKindsOf(raw: RawOp): readonly ArgKind[] {
    const name = CALL_NAMES[raw.call];
    check(name !== undefined, `op ${raw.index} makes a call of no known number`);
    return callOf(name).args;
  }

  #slotName(slot: number): string {
    check(slot < this.#number("slot_count"), `there is no slot ${slot}`);
    return `s${slot}`;
  }

  #optionalSlot(slot: number): string | undefined {
    return slot === NO_SLOT ? undefined : this.#slotName(slot);
  }

  #string(at: number): string {
    this.#inBlob(at, 1);
    return decodeUtf8(this.#blob.subarray(at, this.#blob.indexOf(0, at)));
  }

  #bytes(at: number, size: number): Uint8Array {
    this.#inBlob(at, size);
    return this.#blob.slice(at, at + size);
  }

  #struct(at: number, size: number): { data: Uint8Array; pointers?: { at: number; to: Uint8Array }[] } {
    const data = this.#bytes(at, size);
    const pointers = [...this.#relocations]
      .filter(([where]) => where >= at && where + 8 <= at + size)
      .map(([where, target]) => ({ at: where - at, to: this.#upToNext(target) }));
    return pointers.length > 0 ? { data, pointers } : { data };
  }

  /** What is at `at`, with the padding behind it: its length is nowhere told. */
  #upToNext(at: number): Uint8Array {
    return this.#blob.slice(at, this.#starts.find((start) => start > at) ?? this.#blob.length);
  }

  /** A NULL-terminated vector of strings. */
  #vector(at: number): string[] {
    const items: string[] = [];
    for (let where = at; ; where += 8) {
      this.#inBlob(where, 8);
      const target = this.#relocations.get(where);
      if (target === undefined) break;
      items.push(this.#string(target));
    }
    return items;
  }

  program(): Program {
    const ops = this.#rawOps().map((raw) => this.#op(raw));
    const hostEnd = this.#number("host_count");
    const initEnd = hostEnd + this.#number("init_count");
    const slots = (["stdin", "stdout", "stderr"] as const).flatMap((name) => {
      const slot = this.#optionalSlot(this.#number(`${name}_slot`));
      return slot === undefined ? [] : [[name, slot]];
    });
    const maxFiles = this.#number("log_max_files");
    check(maxFiles >= 1 && maxFiles <= 1000, `log_max_files is ${maxFiles}`);
    const log = this.#number("log_path");
    return {
      host: ops.slice(0, hostEnd),
      init: ops.slice(hostEnd, initEnd),
      cleanup: ops.slice(initEnd),
      supervise: {
        init: this.#slotName(this.#number("init_slot")),
        hold: this.#header.hold === 1n,
        ...(this.#header.terminal === 1n ? { terminal: true } : {}),
        ...(this.#header.console_fd === 0n ? {} : { consoleFd: this.#number("console_fd") }),
        ...(this.#header.hand_over === 1n ? { handOver: true } : {}),
        ...(this.#number("sync_fd") === LISTEN_FD ? {} : { syncFd: this.#number("sync_fd") }),
        ...Object.fromEntries(slots),
        ...(log === NO_OFFSET
          ? {}
          : { log: { path: this.#string(log), maxBytes: this.#number("log_max_bytes"), maxFiles } }),
        exitPath: this.#string(this.#number("exit_path")),
        socketPath: this.#string(this.#number("socket_path")),
      },
    };
  }

  #op(raw: RawOp): Op {
    const guard = this.#optionalSlot(raw.guard);
    const unless = this.#optionalSlot(raw.unless);
    const out = this.#optionalSlot(raw.out);
    const tolerate = raw.tolerate.filter((errno) => errno !== 0).map(errnoName);
    return {
      ...this.#what(raw, new Args(this, raw)),
      ...(out !== undefined ? { out } : {}),
      ...(tolerate.length > 0 ? { tolerate } : {}),
      ...(guard !== undefined ? { guard } : {}),
      ...(unless !== undefined ? { unless } : {}),
    };
  }

  #what(raw: RawOp, arg: Args): Op {
    const { kind } = raw;
    const why = "";
    switch (kind) {
      case "call":
        return { kind, ...this.#call(raw), why };
      case "write":
        return { kind, dir: arg.slotOr(0, AT_FDCWD) ?? null, path: arg.string(1), data: arg.text(2, 3), why };
      case "clone": {
        const cgroup = arg.slotOr(1, -1);
        const out = this.#slotName(raw.out);
        return { kind, flags: arg.number(0), ...(cgroup === undefined ? {} : { cgroup }), out, why };
      }
      case "pipe":
        return { kind, read: arg.slotNumber(0), write: arg.slotNumber(1), why };
      case "send": {
        const fd = arg.slotOr(0, -1);
        return { kind, ...(fd === undefined ? {} : { fd }), why };
      }
      case "receive":
      case "checkCwd":
        return { kind, why };
      case "execute":
        return { kind, paths: arg.vector(0), argv: arg.vector(1), env: arg.vector(2), why };
      case "await":
        return { kind, fd: arg.number(0), why };
      case "checkExecutable":
        return { kind, paths: arg.vector(0), why };
      case "openTarget": {
        const extra = arg.number(3) - (RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
        check(extra === 0 || extra === RESOLVE.NO_SYMLINKS, `op ${raw.index} resolves in no known way`);
        const type = arg.number(2) === 1 ? "directory" : "file";
        const out = this.#slotName(raw.out);
        return { kind, root: arg.slot(0), path: arg.string(1), type, noSymlinks: extra !== 0, out, why };
      }
      case "checkFilesystem":
        return { kind, fd: arg.slot(0), magic: arg.number(1), why };
      case "checkDevice":
        return {
          kind,
          fd: arg.slot(0),
          type: this.#deviceType(raw, arg),
          major: arg.number(1),
          minor: arg.number(2),
          why,
        };
      case "copyUp": {
        const what = arg.number(2);
        const has = (bit: number) => (what & bit) !== 0;
        check(what >= 0 && what < 8, `op ${raw.index} copies what nobody knows`);
        const bits = { tree: has(COPY.tree), mode: has(COPY.mode), owner: has(COPY.owner) };
        return { kind, from: arg.slot(0), to: arg.slot(1), ...bits, why };
      }
      case "userNamespace": {
        const out = this.#slotName(raw.out);
        return { kind, uidMap: arg.text(0, 1), gidMap: arg.text(2, 3), proc: arg.slot(4), out, why };
      }
      case "rebirth":
        return { kind, why };
      case "adopt":
        return { kind, out: this.#slotName(raw.out), why };
      case "offerFd":
        return { kind, fd: arg.slot(0), why };
      case "forwardFd":
        return {
          kind,
          pid: arg.slot(0),
          socket: arg.slot(1),
          texts: [arg.string(2), arg.string(3), arg.string(4)],
          why,
        };
      case "writeByPid":
        return {
          kind,
          dir: arg.slotOr(5, AT_FDCWD) ?? null,
          prefix: arg.string(0),
          pid: arg.slot(1),
          suffix: arg.string(2),
          data: arg.text(3, 4),
          why,
        };
      case "netlink": {
        const found = (Object.keys(NETLINK_PROTOCOLS) as NetlinkProtocol[]).find(
          (name) => NETLINK_PROTOCOLS[name] === arg.number(0),
        );
        check(found !== undefined, `op ${raw.index} speaks no known protocol`);
        return { kind, protocol: found, messages: this.#messages(arg.offset(1), arg.number(2)), why };
      }
      case "store":
        return { kind, slot: arg.slot(0), ...this.#storeTarget(arg.offset(1)), why };
      case "capture":
        return { kind, path: arg.string(0), maxBytes: arg.number(1), why };
      case "killCgroup":
        return { kind, procsPath: arg.string(0), why };
      case "removeCgroup":
        return { kind, path: arg.string(0), why };
      case "checkProcess":
        return { kind, pid: arg.number(0), startTime: arg.number(1), lives: arg.number(2) !== 0, why };
      case "checkText":
        return { kind, path: arg.string(0), text: arg.text(1, 2), why };
      case "awaitReadersGone":
        return { kind, fd: arg.slot(0), timeoutMs: arg.number(1), why };
      case "removeTree":
        return { kind, directory: arg.slot(0), path: arg.string(1), why };
      case "awaitStart":
        return {
          kind,
          connection: arg.number(0),
          start: arg.number(1) !== 0,
          ending: arg.number(2),
          out: this.#slotName(raw.out),
          why,
        };
      case "writeProcess":
        return {
          kind,
          fd: arg.slot(0),
          pid: arg.slot(1),
          texts: [arg.string(2), arg.string(3), arg.string(4)],
          why,
        };
      case "awaitExit":
        return { kind, connection: arg.number(0), signals: arg.number(1), out: this.#slotName(raw.out), why };
      case "dropBounding":
        return { kind, capabilities: BigInt(arg.number(0)), why };
    }
  }

  #deviceType(raw: RawOp, arg: Args): DeviceType {
    const mode = arg.number(3);
    const found = (Object.keys(DEVICE_MODES) as DeviceType[]).find((type) => DEVICE_MODES[type] === mode);
    check(found !== undefined, `op ${raw.index} checks for a device of no known type`);
    return found;
  }

  #messages(at: number, size: number): SharedData {
    const shared = this.#shared.get(at);
    return shared?.data.length === size ? shared : { name: `shared.${at}`, ...this.#struct(at, size) };
  }

  #storeTarget(offset: number): { into: SharedData; at: number } {
    this.#inBlob(offset, 4);
    for (const [at, into] of this.#shared)
      if (offset >= at && offset + 4 <= at + into.data.length) return { into, at: offset - at };
    return { into: { name: `shared.${offset}`, data: this.#bytes(offset, 4) }, at: 0 };
  }

  #call(raw: RawOp): { name: CallName; args: Arg[] } {
    const name = CALL_NAMES[raw.call]!;
    const { fixed, args } = callOf(name);
    const decoded = args.map((kind, k) => this.#callArg(raw, k, kind));
    for (let k = args.length; k < 6; k++)
      check(raw.argKinds[k] === ARG_NUMBER && raw.args[k] === 0n, `op ${raw.index} has an argument too many`);
    if (fixed) {
      check(decoded[fixed.index] === fixed.value, `op ${raw.index}: ${name} with another ${fixed.name}`);
      decoded.splice(fixed.index, 1);
    }
    return { name, args: decoded };
  }

  #callArg(raw: RawOp, k: number, kind: ArgKind): Arg {
    const argKind = raw.argKinds[k];
    const value = raw.args[k]!;
    const wrong = `op ${raw.index}: argument ${k} is of the wrong kind`;
    if (kind.is === "number") {
      check(argKind !== ARG_BLOB, wrong);
      return argKind === ARG_SLOT ? { slot: this.#slotName(Number(value)) } : signed(value);
    }
    if (kind.is === "string" && kind.orNull && argKind === ARG_NUMBER && value === 0n) return 0;
    check(argKind === ARG_BLOB, wrong);
    const at = Number(value);
    if (kind.is === "string") return { text: this.#string(at) };
    if (kind.is === "buffer") check(raw.argKinds[kind.lengthIn] === ARG_NUMBER, wrong);
    const shared = kind.is === "struct" ? this.#shared.get(at) : undefined;
    if (shared) return { shared };
    const bytes = kind.is === "struct" ? kind.bytes : Number(raw.args[kind.lengthIn]) * kind.unit;
    return { ...this.#struct(at, bytes), show: `${bytes} bytes` };
  }

  /** For `Args`. */
  readonly read = {
    slot: (slot: number) => this.#slotName(slot),
    string: (at: number) => this.#string(at),
    bytes: (at: number, size: number) => this.#bytes(at, size),
    vector: (at: number) => this.#vector(at),
  };
}

/** The arguments of an op that is not a call, each with the kind it must have. */
class Args {
  constructor(
    readonly decoder: Decoder,
    readonly raw: RawOp,
  ) {}

  #of(k: number, kind: number): bigint {
    check(this.raw.argKinds[k] === kind, `op ${this.raw.index}: argument ${k} is of the wrong kind`);
    return this.raw.args[k]!;
  }

  number(k: number): number {
    const value = signed(this.#of(k, ARG_NUMBER));
    check(typeof value === "number", `op ${this.raw.index}: argument ${k} is out of range`);
    return value;
  }

  offset(k: number): number {
    return Number(this.#of(k, ARG_BLOB));
  }

  slot(k: number): string {
    return this.decoder.read.slot(Number(this.#of(k, ARG_SLOT)));
  }

  /** A slot, or a number that stands for none. */
  slotOr(k: number, none: number): string | undefined {
    if (this.raw.argKinds[k] !== ARG_NUMBER) return this.slot(k);
    check(signed(this.raw.args[k]!) === none, `op ${this.raw.index}: argument ${k} is neither a slot nor none`);
    return undefined;
  }

  /** A slot's number, for ops that set it. */
  slotNumber(k: number): string {
    return this.decoder.read.slot(Number(this.#of(k, ARG_NUMBER)));
  }

  string(k: number): string {
    return this.decoder.read.string(this.offset(k));
  }

  text(k: number, length: number): string {
    return decodeUtf8(this.decoder.read.bytes(this.offset(k), this.number(length)));
  }

  vector(k: number): string[] {
    return this.decoder.read.vector(this.offset(k));
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return refuse("a string is not UTF-8");
  }
}

/** As the encoder took it: two's complement, a number if that is exact. */
function signed(value: bigint): number | bigint {
  const number = BigInt.asIntN(64, value);
  return number >= BigInt(Number.MIN_SAFE_INTEGER) && number <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(number)
    : number;
}
