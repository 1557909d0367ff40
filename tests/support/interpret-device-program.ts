/** An interpreter for eBPF device programs. */
import { assert } from "../../src/base/assert.ts";
import { EBPF_INSTRUCTION_BYTES, OPCODE } from "../../src/linux/cgroup/device-program.ts";

/** What the kernel passes to a program of type BPF_PROG_TYPE_CGROUP_DEVICE. */
export interface DeviceAccess {
  type: "b" | "c";
  major: number;
  minor: number;
  /** A combination of r, w and m. */
  access: string;
}

/**
 * Runs an eBPF device program as the kernel would. It follows the instruction set's definition, not the assembler in src, and is
 * as strict as the verifier: it rejects unknown opcodes, reads of registers never written, jumps backwards or past the end, and
 * loads outside the context.
 */
export function interpretDeviceProgram(program: Uint8Array, { type, major, minor, access }: DeviceAccess): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const context = new DataView(new ArrayBuffer(12));
  const bits = [...access].reduce((sum, letter) => sum | { m: 1, r: 2, w: 4 }[letter as "m" | "r" | "w"], 0);
  context.setUint32(0, (bits << 16) | (type === "b" ? 1 : 2), true);
  context.setUint32(4, major, true);
  context.setUint32(8, minor, true);

  const registers: (number | "context" | undefined)[] = [undefined, "context"];
  const number = (register: number): number => {
    const value = registers[register];
    assert(typeof value === "number", `register ${register} holds no number`);
    return value;
  };
  for (let at = 0; ; at += EBPF_INSTRUCTION_BYTES) {
    assert(at < program.length, "ran past the end");
    const target = view.getUint8(at + 1) & 15;
    const source = view.getUint8(at + 1) >> 4;
    const offset = view.getInt16(at + 2, true);
    const immediate = view.getUint32(at + 4, true);
    const jumpIf = (condition: boolean) => {
      assert(offset >= 0, "jumps backwards");
      if (condition) at += offset * EBPF_INSTRUCTION_BYTES;
    };
    switch (view.getUint8(at)) {
      case OPCODE.LOAD_WORD:
        assert(registers[source] === "context" && offset >= 0 && offset <= 8, "loads from elsewhere");
        registers[target] = context.getUint32(offset, true);
        break;
      case OPCODE.MOVE_REGISTER:
        registers[target] = number(source);
        break;
      case OPCODE.MOVE:
        registers[target] = immediate;
        break;
      case OPCODE.AND:
        registers[target] = (number(target) & immediate) >>> 0;
        break;
      case OPCODE.SHIFT_RIGHT:
        registers[target] = number(target) >>> immediate;
        break;
      case OPCODE.JUMP_IF_EQUAL:
        jumpIf(number(target) === immediate);
        break;
      case OPCODE.JUMP_IF_NOT_EQUAL:
        jumpIf(number(target) !== immediate);
        break;
      case OPCODE.EXIT:
        assert(number(0) <= 1, "the verdict is 0 or 1");
        return number(0) === 1;
      default:
        assert(false, `unknown opcode ${view.getUint8(at)}`);
    }
  }
}
