/** Assembles the program by which cgroup v2 filters access to devices. */
import { ByteWriter, utf8 } from "../../base/bytes.ts";
import type { DevicePolicy } from "./device-rules.ts";
import { ACCESS_ALL } from "./device-rules.ts";

/*
 * An eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE: 1 in r0 allows the access, 0 refuses it.
 *
 *   instruction, 8 bytes:  | opcode u8 | source:4 target:4 | jump offset s16 | immediate s32 |
 *   r1 points at:          | access << 16 | type  u32 | major u32 | minor u32 |     struct bpf_cgroup_dev_ctx
 *
 * Sources: bpf(2); Linux Documentation/bpf/standardization/instruction-set.rst; include/uapi/linux/bpf.h.
 */

/** The size of every `union bpf_attr` here; fields that a call does not use must be zero. */
const BPF_ATTR_BYTES = 128;
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/**
 * Allows several programs on a cgroup, all of which must allow an access. Without it a parent's program keeps its children from
 * having any.
 */
const BPF_F_ALLOW_MULTI = 2;

/**
 * The `union bpf_attr` for bpf(BPF_PROG_LOAD), which returns an fd; `pointers` say where each address goes. The program calls no
 * GPL-only function, so its licence does not matter.
 */
export function encodeBpfLoad(program: Uint8Array): { data: Uint8Array; pointers: { at: number; to: Uint8Array }[] } {
  const data = new ByteWriter(BPF_ATTR_BYTES)
    .u32(BPF_PROG_TYPE_CGROUP_DEVICE)
    .u32(program.length / EBPF_INSTRUCTION_BYTES)
    .zeros(40) // insns, license, log_level, log_size, log_buf, kern_version, prog_flags
    .bytes(utf8("lighter_devices")) // prog_name: 15 bytes and a NUL, for `bpftool cgroup show`
    .zeros(1)
    .align(BPF_ATTR_BYTES)
    .finish();
  return {
    data,
    pointers: [
      { at: 8, to: program },
      { at: 16, to: utf8("Apache\0") },
    ],
  };
}

/** The `union bpf_attr` for bpf(BPF_PROG_ATTACH). The cgroup's fd goes to byte 0 and the program's to byte 4, both u32. */
export function encodeBpfAttach(): Uint8Array<ArrayBuffer> {
  return new ByteWriter(BPF_ATTR_BYTES)
    .zeros(8)
    .u32(BPF_CGROUP_DEVICE)
    .u32(BPF_F_ALLOW_MULTI)
    .align(BPF_ATTR_BYTES)
    .finish();
}

export const EBPF_INSTRUCTION_BYTES = 8;

/** The opcodes that the program uses. Each is class, size or operation, and source or-ed, as the kernel does. */
export const OPCODE = {
  /** target = *(u32 *)(source + offset) */
  LOAD_WORD: 0x61,
  /** 32-bit operations, which clear the upper half. */
  MOVE_REGISTER: 0xbc,
  MOVE: 0xb4,
  AND: 0x54,
  SHIFT_RIGHT: 0x74,
  /** Jumps compare 32 bits, so that numbers above 2^31 are not sign-extended (BPF_JMP32, since Linux 5.1). */
  JUMP_IF_EQUAL: 0x16,
  JUMP_IF_NOT_EQUAL: 0x56,
  EXIT: 0x95,
} as const;

const DEVICE_TYPE = { b: 1, c: 2 } as const; // BPF_DEVCG_DEV_*
const [R0, R1, TYPE, ACCESS, MAJOR, MINOR] = [0, 1, 2, 3, 4, 5];

/** One test of a rule. If it fails, the rule does not match, and the program goes on after the rule. */
type Instruction = { opcode: number; target: number; source?: number; offset?: number; immediate?: number };

/**
 * The program that enforces `policy`. A policy of "allow" without exceptions needs none.
 *
 * An exception to "deny" must cover the whole access: `open(O_RDWR)` asks for r and w at once. An exception to "allow" refuses an
 * access that overlaps it, as cgroup v1 does; runc's program lets O_RDWR through a denied "w".
 */
export function compileDeviceProgram(policy: DevicePolicy): Uint8Array<ArrayBuffer> {
  const out = new ByteWriter(EBPF_INSTRUCTION_BYTES * (16 + 8 * policy.exceptions.length));
  const emit = ({ opcode, target, source = 0, offset = 0, immediate = 0 }: Instruction) => {
    out
      .u8(opcode)
      .u8((source << 4) | target)
      .u16(offset & 0xffff)
      .u32(immediate >>> 0);
  };
  const verdict = (allow: boolean) => {
    emit({ opcode: OPCODE.MOVE, target: R0, immediate: allow ? 1 : 0 });
    emit({ opcode: OPCODE.EXIT, target: 0 });
  };

  emit({ opcode: OPCODE.LOAD_WORD, target: TYPE, source: R1, offset: 0 });
  emit({ opcode: OPCODE.MOVE_REGISTER, target: ACCESS, source: TYPE });
  emit({ opcode: OPCODE.AND, target: TYPE, immediate: 0xffff });
  emit({ opcode: OPCODE.SHIFT_RIGHT, target: ACCESS, immediate: 16 });
  emit({ opcode: OPCODE.LOAD_WORD, target: MAJOR, source: R1, offset: 4 });
  emit({ opcode: OPCODE.LOAD_WORD, target: MINOR, source: R1, offset: 8 });

  for (const { type, major, minor, access } of policy.exceptions) {
    const tests: Instruction[] = [{ opcode: OPCODE.JUMP_IF_NOT_EQUAL, target: TYPE, immediate: DEVICE_TYPE[type] }];
    if (major !== undefined) tests.push({ opcode: OPCODE.JUMP_IF_NOT_EQUAL, target: MAJOR, immediate: major });
    if (minor !== undefined) tests.push({ opcode: OPCODE.JUMP_IF_NOT_EQUAL, target: MINOR, immediate: minor });
    if (access !== ACCESS_ALL) {
      // r1's pointer is no longer needed: it gets the part of the access that lies outside (deny) or inside (allow).
      const bits = policy.defaultAllow ? access : ~access & ACCESS_ALL;
      const jump = policy.defaultAllow ? OPCODE.JUMP_IF_EQUAL : OPCODE.JUMP_IF_NOT_EQUAL;
      tests.push({ opcode: OPCODE.MOVE_REGISTER, target: R1, source: ACCESS });
      tests.push({ opcode: OPCODE.AND, target: R1, immediate: bits });
      tests.push({ opcode: jump, target: R1, immediate: 0 });
    }
    // Two instructions, the verdict, follow the last test.
    for (const [index, test] of tests.entries()) {
      const jumps = test.opcode === OPCODE.JUMP_IF_EQUAL || test.opcode === OPCODE.JUMP_IF_NOT_EQUAL;
      emit(jumps ? { ...test, offset: tests.length - 1 - index + 2 } : test);
    }
    verdict(!policy.defaultAllow);
  }
  verdict(policy.defaultAllow);
  return out.finish();
}
