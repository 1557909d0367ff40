/** Decodes programs, to check what the encoder wrote. */
import { LighterError } from "../../src/base/errors.ts";
import { PROGRAM_MAX_BYTES, PROGRAM_MAX_OPS, PROGRAM_MAX_SLOTS } from "../../src/base/limits.ts";
import { type ArgKind, CALL_NAMES, type CallName, callOf } from "../../src/linux/program/calls.ts";
import type { AnyField, Place, SharedData } from "../../src/linux/program/fields.ts";
import {
  ARG_BLOB,
  ARG_NUMBER,
  ARG_SLOT,
  HEADER_BYTES,
  HEADER_FIELDS,
  type HeaderField,
  LISTEN_FD,
  LOG_CRI,
  MAX_TOLERATED,
  NO_OFFSET,
  NO_SLOT,
  OP_BYTES,
  PROGRAM_MAGIC,
  PROGRAM_VERSION,
  RELOCATION_BYTES,
} from "../../src/linux/program/format.ts";
import { type Arg, OP_KINDS, OPS, type Op, type OpKind, type Program, type Row } from "../../src/linux/program/op.ts";
import { AT_FDCWD } from "../../src/linux/sys/abi.ts";
import { errnoName } from "../../src/linux/sys/errno.ts";

/**
 * Decodes the program that `encodeProgram` wrote (format.ts has the drawing), as far as the bytes tell: slots have numbers for
 * names ("s0"), every `why` is empty, and a struct that no other op touches is plain data. `encodeProgram(decodeProgram(bytes))`
 * gives the same bytes. Accepts nothing that the launcher refuses.
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
  /** The addresses to insert: the byte offset in the blob, and the offset that it points to. */
  readonly #relocations = new Map<number, number>();
  /** Every offset at which something in the blob starts, and the blob's end: no item extends past the next of these. */
  readonly #starts: number[];
  /** The structs that ops share or store into, by offset. */
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

  /** Finds the structs that two calls use, and those that a `store` writes into. */
  #findShared(): void {
    const uses = new Map<number, number>();
    const sizes = new Map<number, number>();
    const stores: number[] = [];
    for (const raw of this.#rawOps()) {
      if (raw.kind === "store") stores.push(Number(raw.args[1]));
      if (raw.kind === "netlink" && raw.argKinds[1] === ARG_BLOB && raw.argKinds[2] === ARG_NUMBER) {
        sizes.set(Number(raw.args[1]), Number(raw.args[2]));
        uses.set(Number(raw.args[1]), 2); // two ops with the same messages share one object
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

  /** The bytes at `at`, with the padding after them: their length is not stored. */
  #upToNext(at: number): Uint8Array {
    return this.#blob.slice(at, this.#starts.find((start) => start > at) ?? this.#blob.length);
  }

  /** Reads a NULL-terminated vector of strings. */
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
    const notify = this.#optionalSlot(this.#number("notify_slot"));
    const notified = this.#number("notified_path");
    const trace = this.#number("trace_path");
    check(notify === undefined || notified !== NO_OFFSET, "there is no path for notifications");
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
          : {
              log: {
                ...{ path: this.#string(log), maxBytes: this.#number("log_max_bytes"), maxFiles },
                ...(this.#number("log_format") === LOG_CRI ? { format: "cri" as const } : {}),
              },
            }),
        ...(notify === undefined ? {} : { notify: { socket: notify, path: this.#string(notified) } }),
        ...(trace === NO_OFFSET ? {} : { tracePath: this.#string(trace) }),
        exitPath: this.#string(this.#number("exit_path")),
        socketPath: this.#string(this.#number("socket_path")),
      },
    };
  }

  #op(raw: RawOp): Op {
    const guard = this.#optionalSlot(raw.guard);
    const unless = this.#optionalSlot(raw.unless);
    const tolerate = raw.tolerate.filter((errno) => errno !== 0).map(errnoName);
    const conditions = {
      ...(tolerate.length > 0 ? { tolerate } : {}),
      ...(guard !== undefined ? { guard } : {}),
      ...(unless !== undefined ? { unless } : {}),
    };
    const { kind } = raw;
    if (kind !== "call") return { kind, ...this.#fields(raw, kind), why: "", ...conditions } as Op;
    const out = this.#optionalSlot(raw.out);
    return { kind, ...this.#call(raw), why: "", ...(out !== undefined ? { out } : {}), ...conditions };
  }

  /** Decodes the fields of an op that is not a call. */
  #fields(raw: RawOp, kind: Exclude<OpKind, "call">): Record<string, unknown> {
    const { entries }: Row = OPS[kind];
    const values: Record<string, unknown> = {};
    const args = new Args(raw);
    for (const [name, field] of entries) {
      const value = this.#field(field, args);
      if (value !== undefined) values[name] = value;
    }
    args.end();
    return values;
  }

  /** Decodes a field from the next arguments; undefined if the field is left out. */
  #field(field: AnyField, args: Args): unknown {
    switch (field.is) {
      case "number":
        return field.show === "capabilities" ? BigInt(args.number()) : args.number();
      case "slot": {
        if (field.absent === undefined || args.nextIs(ARG_SLOT)) return this.#slotName(Number(args.take(ARG_SLOT)));
        check(args.number() === field.absent, "an argument is neither a slot nor none");
        return field.absent === AT_FDCWD ? null : undefined;
      }
      case "newSlot":
        return this.#slotName(args.number());
      case "text":
        return this.#string(args.offset());
      case "bytes":
        return decodeUtf8(this.#bytes(args.offset(), args.number()));
      case "vector":
        return this.#vector(args.offset());
      case "choice": {
        const number = args.number();
        const found = field.among.find((choice) => choice[1] === number);
        check(found !== undefined, `${number} stands for nothing`);
        return found[0];
      }
      case "messages":
        return this.#messages(args.offset(), args.number());
      case "place":
        return this.#place(args.offset());
      case "out":
        return this.#optionalSlot(args.raw.out);
    }
  }

  #messages(at: number, size: number): SharedData {
    const shared = this.#shared.get(at);
    return shared?.data.length === size ? shared : { name: `shared.${at}`, ...this.#struct(at, size) };
  }

  #place(offset: number): Place {
    this.#inBlob(offset, 4);
    for (const [at, shared] of this.#shared)
      if (offset >= at && offset + 4 <= at + shared.data.length) return { shared, at: offset - at };
    return { shared: { name: `shared.${offset}`, data: this.#bytes(offset, 4) }, at: 0 };
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
}

/** The arguments of an op, which are read one after another, each as the kind that it must have. */
class Args {
  #next = 0;

  constructor(readonly raw: RawOp) {}

  nextIs(kind: number): boolean {
    return this.raw.argKinds[this.#next] === kind;
  }

  take(kind: number): bigint {
    check(this.nextIs(kind), `op ${this.raw.index}: argument ${this.#next} is of the wrong kind`);
    return this.raw.args[this.#next++]!;
  }

  number(): number {
    const value = signed(this.take(ARG_NUMBER));
    check(typeof value === "number", `op ${this.raw.index}: argument ${this.#next - 1} is out of range`);
    return value;
  }

  offset(): number {
    return Number(this.take(ARG_BLOB));
  }

  end(): void {
    while (this.#next < this.raw.args.length)
      check(this.take(ARG_NUMBER) === 0n, `op ${this.raw.index} has an argument too many`);
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

/** The value that the encoder was given: two's complement, as a number if that is exact. */
function signed(value: bigint): number | bigint {
  const number = BigInt.asIntN(64, value);
  return number >= BigInt(Number.MIN_SAFE_INTEGER) && number <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(number)
    : number;
}
