/** Turns a program into the bytes that the launcher reads. */
import { assert } from "../../base/assert.ts";
import { ByteWriter, utf8 } from "../../base/bytes.ts";
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
/** By how many bits an argument's kind is shifted in the op's third or fourth word. */
const ARG_KIND_SHIFTS = [16, 24, 0, 8, 16, 24];

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
  /**
   * The ops as 32-bit words in the host's byte order, which is little-endian. An array of numbers is fastest in code that runs
   * once.
   */
  readonly #words: number[];
  #opCount = 0;
  readonly #blob = new ByteWriter(32768);
  readonly #relocations: [where: number, target: number][] = [];
  readonly #strings = new Map<string, number>();
  readonly #shared = new Map<SharedData, number>();
  readonly #slots = new Map<string, number>();

  constructor(opCount: number) {
    this.#words = new Array<number>(opCount * OP_WORDS).fill(0);
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

  /** Adds a NUL-terminated copy of the string and returns its offset; equal strings share one. */
  string(text: string): number {
    let at = this.#strings.get(text);
    if (at === undefined) {
      if (text.includes("\0")) throw new LighterError("invalid", `${JSON.stringify(text)} contains a NUL byte`);
      at = this.#blob.align(8).length;
      this.#blob.utf8(text);
      this.#blob.zeros(1);
      this.#strings.set(text, at);
    }
    return at;
  }

  bytes(data: Uint8Array, terminator = 0): number {
    this.#blob.align(8);
    const at = this.#blob.length;
    this.#blob.bytes(data);
    if (terminator) this.#blob.zeros(terminator);
    return at;
  }

  struct(data: Uint8Array, pointers: readonly { at: number; to: Uint8Array }[] = []): number {
    const at = this.bytes(data);
    for (const pointer of pointers) this.#relocations.push([at + pointer.at, this.bytes(pointer.to)]);
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
    const at = this.bytes(new Uint8Array(8 * (items.length + 1)));
    for (const [index, offset] of offsets.entries()) this.#relocations.push([at + 8 * index, offset]);
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
    words[at + (index < 2 ? 2 : 3)]! |= kind << ARG_KIND_SHIFTS[index]!;
    const low = at + 6 + 2 * index;
    if (typeof value === "bigint") {
      words[low] = Number(BigInt.asIntN(32, value));
      words[low + 1] = Number(BigInt.asIntN(32, value >> 32n));
    } else {
      words[low] = value | 0;
      words[low + 1] = Math.floor(value / 0x1_0000_0000) | 0;
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
    let given = 0;
    for (let index = 0; index < args.length; index++)
      if (index === fixed?.index) this.#put(at, index, ARG_NUMBER, fixed.value);
      else this.#putArg(at, index, op.args[given++]!);
  }

  op(op: Op): void {
    const tolerate = op.tolerate ?? [];
    assert(tolerate.length <= MAX_TOLERATED, "too many tolerated errors");
    const words = this.#words;
    const at = OP_WORDS * this.#opCount++;
    // Loops count instead of iterating: this runs cold in a command of the OCI runtime, where iterators cost twice as much.
    for (let i = 0; i < tolerate.length; i++) words[at + 4 + (i >> 1)]! |= errnoNumber(tolerate[i]!) << (16 * (i & 1));
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
    this.#blob.zeros(1).align(8);
    const ops = new Uint8Array(new Int32Array(this.#words).buffer);
    const blob = this.#blob.finish();
    const total = HEADER_BYTES + ops.length + this.#relocations.length * RELOCATION_BYTES + blob.length;
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
      relocation_count: this.#relocations.length,
      blob_bytes: blob.length,
      slot_count: this.#slots.size,
    };
    const w = new ByteWriter(total);
    for (const [name, type] of HEADER_FIELDS) {
      const value = values[name] ?? 0;
      if (type === "u64") w.u64(BigInt(value));
      else w.u32(Number(value));
    }
    w.bytes(ops);
    for (const [where, target] of this.#relocations) w.u32(where).u32(target);
    w.bytes(blob);
    assert(w.length === total && OP_BYTES * (ops.length / OP_BYTES) === ops.length, "program layout");
    return w.finish();
  }
}
