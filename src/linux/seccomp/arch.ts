/** The architectures a filter can tell apart, and the system call numbers of each. */
import { assert } from "../../base/assert.ts";
import { LighterError } from "../../base/errors.ts";
import { SYSCALL_TABLE, SYSCALL_TABLE_COLUMNS } from "./syscall-table.ts";

/** x32 is no architecture of its own to the kernel: x86_64 with bit 30 of the number set. */
export type SeccompArch = (typeof SYSCALL_TABLE_COLUMNS)[number];
/** What a kernel can be built for; the others are its compatibility modes. */
export type NativeArch = "x86_64" | "aarch64";

export const X32_SYSCALL_BIT = 0x40000000;
/** cacheflush(2) and its like: far above the ordinary numbers (arch/arm, `__ARM_NR_BASE`). */
export const ARM_PRIVATE_BASE = 0x0f0000;

export interface ArchInfo {
  /** AUDIT_ARCH_…, as in `seccomp_data.arch` (linux/audit.h): the ELF machine and flags for 64-bit and little-endian. */
  auditArch: number;
  /** Width of an argument as libseccomp compares it: on 32-bit ABIs, x32 too, only the low word. */
  argBits: 32 | 64;
}

export const ARCH_INFO: Record<SeccompArch, ArchInfo> = {
  x86_64: { auditArch: 0xc000003e, argBits: 64 },
  i386: { auditArch: 0x40000003, argBits: 32 },
  x32: { auditArch: 0xc000003e, argBits: 32 },
  aarch64: { auditArch: 0xc00000b7, argBits: 64 },
  arm: { auditArch: 0x40000028, argBits: 32 },
};

/** The architectures that can make system calls on a kernel built for the key, itself first. */
export const ARCH_FAMILY: Record<NativeArch, readonly SeccompArch[]> = {
  x86_64: ["x86_64", "i386", "x32"],
  aarch64: ["aarch64", "arm"],
};

/** Runtime-spec names (config-linux.md#seccomp); null: known, but no kernel we run on has it. */
export const SCMP_ARCHES: ReadonlyMap<string, SeccompArch | null> = new Map([
  ["SCMP_ARCH_X86_64", "x86_64"],
  ["SCMP_ARCH_X86", "i386"],
  ["SCMP_ARCH_X32", "x32"],
  ["SCMP_ARCH_AARCH64", "aarch64"],
  ["SCMP_ARCH_ARM", "arm"],
  ...[
    "LOONGARCH64",
    "M68K",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PARISC",
    "PARISC64",
    "PPC",
    "PPC64",
    "PPC64LE",
    "RISCV64",
    "S390",
    "S390X",
    "SH",
    "SHEB",
  ].map((name) => [`SCMP_ARCH_${name}`, null] as const),
]);

/** The architecture this process runs on. @throws LighterError ("not-supported") on any we have no table for. */
export function hostArch(): NativeArch {
  if (process.arch === "x64") return "x86_64";
  if (process.arch === "arm64") return "aarch64";
  throw new LighterError("not-supported", `seccomp: no system call table for the architecture "${process.arch}"`);
}

let numbersByName: Map<string, readonly (number | undefined)[]> | undefined;

/** Parsed on first use: half a millisecond that most commands never need. */
function syscallNumbers(): Map<string, readonly (number | undefined)[]> {
  if (numbersByName) return numbersByName;
  numbersByName = new Map();
  for (const row of SYSCALL_TABLE.split("\n")) {
    if (row === "") continue;
    const [name, ...cells] = row.split(" ");
    assert(cells.length === SYSCALL_TABLE_COLUMNS.length, `syscall table row "${row}"`);
    numbersByName.set(
      name!,
      SYSCALL_TABLE_COLUMNS.map((arch, column) => {
        const cell = cells[column]!;
        if (cell === "-") return undefined;
        return arch === "x32" ? Number(cell) + X32_SYSCALL_BIT : Number(cell);
      }),
    );
  }
  return numbersByName;
}

/** The number in `seccomp_data.nr` (with bit 30 for x32), or undefined where the architecture has no such call. */
export function syscallNumber(arch: SeccompArch, name: string): number | undefined {
  return syscallNumbers().get(name)?.[SYSCALL_TABLE_COLUMNS.indexOf(arch)];
}

/** Every name some architecture has. */
export function syscallNames(): Iterable<string> {
  return syscallNumbers().keys();
}
