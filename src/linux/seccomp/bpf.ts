/**
 * A small assembler for the classic BPF that seccomp(2) takes.
 *
 *   struct sock_filter    0        2     3     4            8
 *   (linux/filter.h)      | code   | jt  | jf  | k          |   little endian; jt, jf: instructions to skip
 *
 *   struct seccomp_data   0        4        8                     16          64
 *   (linux/seccomp.h)     | nr     | arch   | instruction_pointer | args[0..5] |   args: u64 each
 */
import { assert } from "../../base/assert.ts";

export const OP_LOAD_ABSOLUTE = 0x20; // BPF_LD | BPF_W | BPF_ABS
export const OP_AND = 0x54; // BPF_ALU | BPF_AND | BPF_K
export const OP_JUMP = 0x05; // BPF_JMP | BPF_JA
export const OP_JUMP_EQ = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
export const OP_JUMP_GT = 0x25; // BPF_JMP | BPF_JGT | BPF_K
export const OP_JUMP_GE = 0x35; // BPF_JMP | BPF_JGE | BPF_K
export const OP_JUMP_SET = 0x45; // BPF_JMP | BPF_JSET | BPF_K
export const OP_RETURN = 0x06; // BPF_RET | BPF_K

export const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS (linux/bpf_common.h): the kernel refuses longer filters with EINVAL. */
export const MAX_INSTRUCTIONS = 4096;

export const DATA_NR = 0;
export const DATA_ARCH = 4;
export const argLowOffset = (arg: number) => 16 + 8 * arg;
export const argHighOffset = (arg: number) => 20 + 8 * arg;

const MAX_CONDITIONAL_SKIP = 255;

type ConditionalJump = typeof OP_JUMP_EQ | typeof OP_JUMP_GT | typeof OP_JUMP_GE | typeof OP_JUMP_SET;

/** A place in the code: the number of instructions from it to the end. */
export type Label = number & { readonly __brand: "Label" };

/**
 * Assembles code from its end to its start. BPF jumps only go forward, so an instruction's targets exist before it does: every
 * jump is known to be near or far when it is written, and nothing is patched later. Every method puts its instruction before the
 * code so far and returns its label.
 */
export class BackwardAssembler {
  /** The instructions in reverse: [0] is the last one. */
  readonly #code: number[] = [];
  readonly #operands: number[] = [];
  readonly #latestReturn = new Map<number, Label>();

  get count(): number {
    return this.#code.length;
  }

  #lay(code: number, jumpTrue: number, jumpFalse: number, k: number): Label {
    assert(Math.max(jumpTrue, jumpFalse) <= MAX_CONDITIONAL_SKIP, "a conditional jump skips at most 255");
    assert(k >= 0 && k <= 0xffffffff && Number.isInteger(k), "a BPF operand is a u32");
    this.#operands.push(k);
    return this.#code.push(code | (jumpTrue << 16) | (jumpFalse << 24)) as Label;
  }

  /** How many instructions the next one would have to skip to get to `target`. */
  #distance(target: Label): number {
    return this.#code.length - target;
  }

  /** Makes `target` run after the next instruction. */
  #fallThrough(target: Label): void {
    if (this.#distance(target) > 0) this.#lay(OP_JUMP, 0, 0, this.#distance(target));
  }

  /** `target`, or a jump to it that a conditional jump can reach, which skips at most 255. */
  #near(target: Label): Label {
    // 2: room for the trampoline of the other branch, and for this one.
    if (this.#distance(target) + 2 <= MAX_CONDITIONAL_SKIP) return target;
    return this.#lay(OP_JUMP, 0, 0, this.#distance(target));
  }

  /** Ends the filter with `action`. An equal ending close by is used instead of a new one. */
  return(action: number): Label {
    const latest = this.#latestReturn.get(action);
    if (latest !== undefined && this.#distance(latest) + 2 <= MAX_CONDITIONAL_SKIP) return latest;
    const label = this.#lay(OP_RETURN, 0, 0, action);
    this.#latestReturn.set(action, label);
    return label;
  }

  /** Loads the u32 at `offset` of seccomp_data into the accumulator, then goes to `next`. */
  load(offset: number, next: Label): Label {
    this.#fallThrough(next);
    return this.#lay(OP_LOAD_ABSOLUTE, 0, 0, offset);
  }

  /** Masks the accumulator, then goes to `next`. */
  and(mask: number, next: Label): Label {
    this.#fallThrough(next);
    return this.#lay(OP_AND, 0, 0, mask);
  }

  /** Compares the accumulator with `k`. */
  jump(op: ConditionalJump, k: number, whenTrue: Label, whenFalse: Label): Label {
    if (whenTrue === whenFalse) return whenTrue;
    const nearFalse = this.#near(whenFalse);
    const nearTrue = this.#near(whenTrue);
    return this.#lay(op, this.#distance(nearTrue), this.#distance(nearFalse), k);
  }

  /** The code so far, first instruction first; it starts at `entry`, which must be the label laid down last. */
  finish(entry: Label): Uint8Array<ArrayBuffer> {
    assert(entry === this.#code.length, "the entry is the instruction laid down last");
    const bytes = new Uint8Array(this.count * INSTRUCTION_BYTES);
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < this.count; index++) {
      const from = this.count - 1 - index;
      view.setUint32(index * INSTRUCTION_BYTES, this.#code[from]! >>> 0, true);
      view.setUint32(index * INSTRUCTION_BYTES + 4, this.#operands[from]!, true);
    }
    return bytes;
  }
}
