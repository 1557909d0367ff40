/** An interpreter and a disassembler for BPF programs over seccomp_data. */
import { LighterError } from "../../src/base/errors.ts";
import {
  INSTRUCTION_BYTES,
  MAX_INSTRUCTIONS,
  OP_AND,
  OP_JUMP,
  OP_JUMP_EQ,
  OP_JUMP_GE,
  OP_JUMP_GT,
  OP_JUMP_SET,
  OP_LOAD_ABSOLUTE,
  OP_RETURN,
} from "../../src/linux/seccomp/bpf.ts";

/** struct seccomp_data, without the instruction pointer: no filter here reads it. */
export interface SeccompData {
  nr: number;
  /** An AUDIT_ARCH_… value. */
  arch: number;
  /** Six arguments; absent ones are 0. */
  args?: readonly bigint[];
}

export interface Verdict {
  /** A SECCOMP_RET_… value with its data in the low 16 bits. */
  action: number;
  /** The number of executed instructions. */
  steps: number;
}

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

const JUMPS = [OP_JUMP_EQ, OP_JUMP_GT, OP_JUMP_GE, OP_JUMP_SET];
const SECCOMP_DATA_BYTES = 64;

/**
 * Decodes and checks a filter as the kernel does when it loads one. Source: net/core/filter.c bpf_check_classic(),
 * kernel/seccomp.c seccomp_check_filter().
 * @throws LighterError ("invalid") naming the instruction.
 */
export function decodeFilter(bytes: Uint8Array): Instruction[] {
  const count = bytes.length / INSTRUCTION_BYTES;
  if (!Number.isInteger(count) || count === 0 || count > MAX_INSTRUCTIONS)
    throw new LighterError("invalid", `a filter of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const filter = Array.from({ length: count }, (_, index) => ({
    code: view.getUint16(index * INSTRUCTION_BYTES, true),
    jt: view.getUint8(index * INSTRUCTION_BYTES + 2),
    jf: view.getUint8(index * INSTRUCTION_BYTES + 3),
    k: view.getUint32(index * INSTRUCTION_BYTES + 4, true),
  }));
  filter.forEach(({ code, jt, jf, k }, index) => {
    const bad = (what: string) => new LighterError("invalid", `instruction ${index}: ${what}`);
    if (JUMPS.includes(code)) {
      if (index + 1 + Math.max(jt, jf) >= count) throw bad("jumps past the end");
    } else if (code === OP_JUMP) {
      if (index + 1 + k >= count) throw bad("jumps past the end");
    } else if (code === OP_LOAD_ABSOLUTE) {
      if (k % 4 !== 0 || k >= SECCOMP_DATA_BYTES) throw bad(`loads from offset ${k}`);
    } else if (code !== OP_AND && code !== OP_RETURN) throw bad(`unknown code 0x${code.toString(16)}`);
  });
  if (filter.at(-1)!.code !== OP_RETURN) throw new LighterError("invalid", "the last instruction does not return");
  return filter;
}

function encodeData(data: SeccompData): DataView {
  const view = new DataView(new ArrayBuffer(SECCOMP_DATA_BYTES));
  view.setUint32(0, data.nr, true);
  view.setUint32(4, data.arch, true);
  data.args?.forEach((arg, index) => {
    view.setBigUint64(16 + 8 * index, arg, true);
  });
  return view;
}

function holds(code: number, accumulator: number, k: number): boolean {
  if (code === OP_JUMP_EQ) return accumulator === k;
  if (code === OP_JUMP_GT) return accumulator > k;
  if (code === OP_JUMP_GE) return accumulator >= k;
  return (accumulator & k) !== 0;
}

/** Runs a filter that decodeFilter() returned. */
export function interpretFilter(filter: readonly Instruction[], data: SeccompData): Verdict {
  const memory = encodeData(data);
  let accumulator = 0;
  for (let at = 0, steps = 1; ; at++, steps++) {
    const { code, jt, jf, k } = filter[at]!;
    if (code === OP_RETURN) return { action: k, steps };
    if (code === OP_LOAD_ABSOLUTE) accumulator = memory.getUint32(k, true);
    else if (code === OP_AND) accumulator = (accumulator & k) >>> 0;
    else if (code === OP_JUMP) at += k;
    else at += holds(code, accumulator, k) ? jt : jf;
  }
}

const ACTION_NAMES: ReadonlyMap<number, string> = new Map([
  [0x80000000, "kill-process"],
  [0x00000000, "kill-thread"],
  [0x00030000, "trap"],
  [0x00050000, "errno"],
  [0x7fc00000, "notify"],
  [0x7ff00000, "trace"],
  [0x7ffc0000, "log"],
  [0x7fff0000, "allow"],
]);

/** The action as text: "allow", "errno(38)". */
export function formatAction(action: number): string {
  const name = ACTION_NAMES.get((action & 0xffff0000) >>> 0) ?? `0x${action.toString(16)}`;
  const data = action & 0xffff;
  return data === 0 ? name : `${name}(${data})`;
}

function formatOffset(offset: number): string {
  if (offset === 0) return "nr";
  if (offset === 4) return "arch";
  return `arg${(offset - 16) >> 3}.${offset % 8 === 0 ? "low" : "high"}`;
}

const JUMP_SIGNS: Record<number, string> = {
  [OP_JUMP_EQ]: "==",
  [OP_JUMP_GT]: ">",
  [OP_JUMP_GE]: ">=",
  [OP_JUMP_SET]: "&",
};

/**
 * The filter as text, one line for each instruction. Jumps name the line they go to; the false branch is shown only if it is not
 * the next line.
 */
export function formatFilter(bytes: Uint8Array): string {
  return decodeFilter(bytes)
    .map(({ code, jt, jf, k }, index) => {
      const hex = `0x${k.toString(16)}`;
      const line = () => {
        if (code === OP_RETURN) return `return ${formatAction(k)}`;
        if (code === OP_LOAD_ABSOLUTE) return `load ${formatOffset(k)}`;
        if (code === OP_AND) return `and ${hex}`;
        if (code === OP_JUMP) return `goto ${index + 1 + k}`;
        const otherwise = jf === 0 ? "" : ` else ${index + 1 + jf}`;
        return `if ${JUMP_SIGNS[code]} ${hex} goto ${index + 1 + jt}${otherwise}`;
      };
      return `${String(index).padStart(4)}  ${line()}\n`;
    })
    .join("");
}
