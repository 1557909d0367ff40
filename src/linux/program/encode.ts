/** Turns a program into the bytes that the launcher reads. */
import { assert } from "../../base/assert.ts";
import { utf8, zeroed } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";
import { PROGRAM_MAX_BYTES, PROGRAM_MAX_OPS, PROGRAM_MAX_SLOTS } from "../../base/limits.ts";
import { errnoNumber } from "../sys/errno.ts";
import { CALL_NAMES, callOf } from "./calls.ts";
import type { AnyField, Place, SharedData, Slot } from "./fields.ts";
import {
  ARG_BLOB,
  ARG_NUMBER,
  ARG_SLOT,
  HEADER_BYTES,
  HEADER_FIELDS,
  type HeaderField,
  LISTEN_FD,
  LOG_CRI,
  LOG_JSON,
  MAX_TOLERATED,
  NO_OFFSET,
  NO_SLOT,
  OP_BYTES,
  PROGRAM_MAGIC,
  PROGRAM_VERSION,
  RELOCATION_BYTES,
} from "./format.ts";
import { type Arg, OP_KINDS, OPS, type Op, type Program, type Row } from "./op.ts";

/** For test builds of the launcher: the op at `index` fails with this errno instead of being played. */
export interface Fault {
  index: number;
  errno: string;
}

const OP_WORDS = OP_BYTES / 4;
/** Where an op's parts are: bytes, and words of 32 bits. */
const ARG_KINDS_AT = 10;
const ARGS_AT_WORD = 6;

const KIND_NUMBERS = new Map(OP_KINDS.map((kind, index) => [kind, index]));
const CALL_NUMBERS = new Map(CALL_NAMES.map((name, index) => [name, index]));

/**
 * Encodes a program in the form that format.ts draws; tests/support/decode-program.ts reads it back.
 * @throws LighterError ("invalid") if the program is larger than the launcher accepts, or a string holds a NUL.
 */
export function encodeProgram(program: Program, fault?: Fault): Uint8Array<ArrayBuffer> {
  const encoder = new Encoder(program.host.length + program.init.length + program.cleanup.length);
  const all = [...program.host, ...program.init, ...program.cleanup];
  if (all.length > PROGRAM_MAX_OPS)
    throw new LighterError("invalid", `the container's program has ${all.length} ops, more than ${PROGRAM_MAX_OPS}`);
  for (const op of all) encoder.op(op);
  const { supervise } = program;
  const fields: Partial<Record<HeaderField, number | bigint>> = {
    host_count: program.host.length,
    init_count: program.init.length,
    cleanup_count: program.cleanup.length,
    hold: supervise.hold ? 1 : 0,
    hand_over: supervise.handOver ? 1 : 0,
    sync_fd: supervise.syncFd ?? LISTEN_FD,
    init_slot: encoder.slot(supervise.init),
    stdin_slot: encoder.slot(supervise.stdin),
    stdout_slot: encoder.slot(supervise.stdout),
    stderr_slot: encoder.slot(supervise.stderr),
    notify_slot: encoder.slot(supervise.notify?.socket),
    notified_path: supervise.notify ? encoder.string(supervise.notify.path) : NO_OFFSET,
    trace_path: supervise.tracePath ? encoder.string(supervise.tracePath) : NO_OFFSET,
    terminal: supervise.terminal ? 1 : 0,
    console_fd: supervise.consoleFd ?? 0,
    log_path: supervise.log ? encoder.string(supervise.log.path) : NO_OFFSET,
    log_max_files: supervise.log?.maxFiles ?? 1,
    log_format: supervise.log?.format === "cri" ? LOG_CRI : LOG_JSON,
    log_max_bytes: BigInt(supervise.log?.maxBytes ?? 0),
    exit_path: encoder.string(supervise.exitPath),
    socket_path: encoder.string(supervise.socketPath),
    fail_index: fault ? fault.index : NO_OFFSET,
    fail_errno: fault ? errnoNumber(fault.errno) : 0,
  };
  return encoder.finish(fields);
}

class Encoder {
  /** The ops as 32-bit words in the host's byte order, which is little-endian. */
  readonly #words: Int32Array<ArrayBuffer>;
  /** The same memory. */
  readonly #bytes: Uint8Array;
  #opCount = 0;
  #blob = zeroed(32768);
  #blobLength = 0;
  /** Pairs: where, target. */
  readonly #relocations: number[] = [];
  readonly #strings = new Map<string, number>();
  readonly #shared = new Map<SharedData, number>();
  readonly #slots = new Map<string, number>();

  constructor(opCount: number) {
    this.#words = new Int32Array(opCount * OP_WORDS);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  slot(name: string | null | undefined): number {
    if (name === undefined || name === null) return NO_SLOT;
    let index = this.#slots.get(name);
    if (index === undefined) {
      index = this.#slots.size;
      if (index >= PROGRAM_MAX_SLOTS)
        throw new LighterError(
          "invalid",
          `the container has too many mounts: ${PROGRAM_MAX_SLOTS} slots are not enough`,
        );
      this.#slots.set(name, index);
    }
    return index;
  }

  /** Makes room for that many bytes, which are 0. */
  #reserve(byteCount: number): number {
    const at = (this.#blobLength + 7) & ~7;
    this.#blobLength = at + byteCount;
    if (this.#blobLength > this.#blob.length) {
      const larger = zeroed(2 * this.#blobLength);
      larger.set(this.#blob);
      this.#blob = larger;
    }
    return at;
  }

  /** Adds a NUL-terminated copy of the string and returns its offset; equal strings share one. */
  string(text: string): number {
    let at = this.#strings.get(text);
    if (at === undefined) {
      if (text.includes("\0")) throw new LighterError("invalid", `${JSON.stringify(text)} contains a NUL byte`);
      at = this.#reserve(3 * text.length + 1); // at most
      this.#blobLength = at + this.#blob.write(text, at) + 1;
      this.#strings.set(text, at);
    }
    return at;
  }

  bytes(data: Uint8Array, terminator = 0): number {
    const at = this.#reserve(data.length + terminator);
    this.#blob.set(data, at);
    return at;
  }

  struct(data: Uint8Array, pointers: readonly { at: number; to: Uint8Array }[] = []): number {
    const at = this.bytes(data);
    for (const pointer of pointers) this.#relocations.push(at + pointer.at, this.bytes(pointer.to));
    return at;
  }

  #sharedOffset(shared: SharedData): number {
    let at = this.#shared.get(shared);
    if (at === undefined) {
      at = this.struct(shared.data, shared.pointers);
      this.#shared.set(shared, at);
    }
    return at;
  }

  /** Adds a NULL-terminated array of pointers to strings, as execve(2) takes them, and returns its offset. */
  #vector(items: readonly string[]): number {
    const offsets = items.map((item) => this.string(item));
    const at = this.#reserve(8 * (items.length + 1));
    for (const [index, offset] of offsets.entries()) this.#relocations.push(at + 8 * index, offset);
    return at;
  }

  #putArg(at: number, index: number, arg: Arg): void {
    if (typeof arg === "number" || typeof arg === "bigint") this.#put(at, index, ARG_NUMBER, arg);
    else if ("slot" in arg) this.#put(at, index, ARG_SLOT, this.slot(arg.slot));
    else if ("text" in arg) this.#put(at, index, ARG_BLOB, this.string(arg.text));
    else if ("shared" in arg) this.#put(at, index, ARG_BLOB, this.#sharedOffset(arg.shared));
    else this.#put(at, index, ARG_BLOB, this.struct(arg.data, arg.pointers));
  }

  /** Sets argument `index` of the op whose first word is at `at`. */
  #put(at: number, index: number, kind: number, value: number | bigint): void {
    const words = this.#words;
    if (kind !== ARG_NUMBER) this.#bytes[4 * at + ARG_KINDS_AT + index] = kind;
    const low = at + ARGS_AT_WORD + 2 * index;
    if (typeof value === "bigint") {
      words[low] = Number(BigInt.asIntN(32, value));
      words[low + 1] = Number(BigInt.asIntN(32, value >> 32n));
    } else {
      words[low] = value | 0;
      if (value < 0 || value > 0xffff_ffff) words[low + 1] = Math.floor(value / 0x1_0000_0000) | 0;
    }
  }

  /** Writes a field's arguments from `index` on and returns the index after them. */
  #field(at: number, index: number, field: AnyField, value: unknown): number {
    switch (field.is) {
      case "number":
        this.#put(at, index, ARG_NUMBER, value as number | bigint);
        return index + 1;
      case "slot":
        if (value === undefined || value === null) this.#put(at, index, ARG_NUMBER, field.absent!);
        else this.#put(at, index, ARG_SLOT, this.slot(value as Slot));
        return index + 1;
      case "newSlot":
        this.#put(at, index, ARG_NUMBER, this.slot(value as Slot));
        return index + 1;
      case "text":
        this.#put(at, index, ARG_BLOB, this.string(value as string));
        return index + 1;
      case "bytes": {
        const data = utf8(value as string);
        this.#put(at, index, ARG_BLOB, this.bytes(data, 1));
        this.#put(at, index + 1, ARG_NUMBER, data.length);
        return index + 2;
      }
      case "vector":
        this.#put(at, index, ARG_BLOB, this.#vector(value as readonly string[]));
        return index + 1;
      case "choice":
        this.#put(at, index, ARG_NUMBER, field.among.find(([choice]) => choice === value)![1]);
        return index + 1;
      case "messages": {
        const shared = value as SharedData;
        this.#put(at, index, ARG_BLOB, this.#sharedOffset(shared));
        this.#put(at, index + 1, ARG_NUMBER, shared.data.length);
        return index + 2;
      }
      case "place": {
        const place = value as Place;
        this.#put(at, index, ARG_BLOB, this.#sharedOffset(place.shared) + place.at);
        return index + 1;
      }
      case "out":
        return index;
    }
  }

  #callArgs(at: number, op: Op & { kind: "call" }): void {
    const { args, fixed } = callOf(op.name);
    if (op.args.length + (fixed ? 1 : 0) !== args.length) assert(false, `${op.name} takes other arguments`);
    const words = this.#words;
    let given = 0;
    for (let index = 0; index < args.length; index++) {
      const arg = index === fixed?.index ? fixed.value : op.args[given++]!;
      // Most are small numbers: not to call for those takes a third off.
      if (typeof arg === "number" && arg >= 0 && arg <= 0x7fff_ffff) words[at + ARGS_AT_WORD + 2 * index] = arg;
      else this.#putArg(at, index, arg);
    }
  }

  op(op: Op): void {
    const words = this.#words;
    const at = OP_WORDS * this.#opCount++;
    const { tolerate } = op;
    // Loops count instead of iterating, which costs twice as much in the OCI runtime.
    if (tolerate !== undefined) {
      assert(tolerate.length <= MAX_TOLERATED, "too many tolerated errors");
      for (let i = 0; i < tolerate.length; i++)
        words[at + 4 + (i >> 1)]! |= errnoNumber(tolerate[i]!) << (16 * (i & 1));
    }
    let call = 0;
    if (op.kind === "call") {
      this.#callArgs(at, op);
      call = CALL_NUMBERS.get(op.name)!;
    } else {
      const { entries }: Row = OPS[op.kind];
      const values = op as unknown as Readonly<Record<string, unknown>>;
      let index = 0;
      for (let i = 0; i < entries.length; i++) index = this.#field(at, index, entries[i]![1], values[entries[i]![0]]);
    }
    const out = "out" in op && op.out !== undefined ? this.slot(op.out) : NO_SLOT;
    words[at] = KIND_NUMBERS.get(op.kind)! | (call << 16);
    words[at + 1] = out | ((op.guard === undefined ? NO_SLOT : this.slot(op.guard)) << 16);
    words[at + 2]! |= op.unless === undefined ? NO_SLOT : this.slot(op.unless);
  }

  finish(fields: Partial<Record<HeaderField, number | bigint>>): Uint8Array<ArrayBuffer> {
    this.#reserve(1); // the last byte is 0
    const blobLength = this.#reserve(0);
    const blob = this.#blob.subarray(0, blobLength);
    const words = this.#words;
    const relocations = this.#relocations;
    const total = HEADER_BYTES + words.byteLength + 4 * relocations.length + blob.length;
    if (total > PROGRAM_MAX_BYTES)
      throw new LighterError(
        "invalid",
        `arguments and environment are too long: the program has ${total} bytes, more than ${PROGRAM_MAX_BYTES}`,
      );
    const values: typeof fields = {
      ...fields,
      magic: PROGRAM_MAGIC,
      version: PROGRAM_VERSION,
      total_bytes: total,
      relocation_count: (4 * relocations.length) / RELOCATION_BYTES,
      blob_bytes: blob.length,
      slot_count: this.#slots.size,
    };
    const program = new Uint8Array(total);
    const header = new DataView(program.buffer, 0, HEADER_BYTES);
    let at = 0;
    for (const [name, type] of HEADER_FIELDS) {
      const value = values[name] ?? 0;
      if (type === "u64") header.setBigUint64(at, BigInt(value), true);
      else header.setUint32(at, Number(value), true);
      at += type === "u64" ? 8 : 4;
    }
    assert(at === HEADER_BYTES && this.#opCount * OP_WORDS === words.length, "program layout");
    new Int32Array(program.buffer, at, words.length).set(words);
    const pairs = new Uint32Array(program.buffer, at + words.byteLength, relocations.length);
    for (let i = 0; i < relocations.length; i++) pairs[i] = relocations[i]!;
    program.set(blob, total - blob.length);
    return program;
  }
}
