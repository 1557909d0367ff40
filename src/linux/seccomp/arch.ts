/** The architectures a filter can tell apart, and the system call numbers of each. */
import type { NativeArch } from "./native.ts";
import { SYSCALL_NAMES, SYSCALL_NUMBERS } from "./syscall-table.ts";

/** The architectures. To the kernel x32 is none of its own, but x86_64 with bit 30 of the number set. */
export type SeccompArch = keyof typeof SYSCALL_NUMBERS;
export const X32_SYSCALL_BIT = 0x40000000;
/** The numbers of cacheflush(2) and its like begin here, far above the ordinary ones (arch/arm, `__ARM_NR_BASE`). */
export const ARM_PRIVATE_BASE = 0x0f0000;

interface ArchInfo {
  /** AUDIT_ARCH_…, as in `seccomp_data.arch` (linux/audit.h): the ELF machine and flags for 64-bit and little-endian. */
  auditArch: number;
  /** The width in which libseccomp compares an argument: on 32-bit ABIs, x32 too, only the low word. */
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

/** Runtime-spec names (config-linux.md#seccomp). Null: a known architecture that no kernel we run on has. */
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

let indexByName: Map<string, number> | undefined;

/** The index of each name in the table's columns. Made at the first use: most commands never need it. */
function syscallIndexes(): ReadonlyMap<string, number> {
  if (indexByName) return indexByName;
  indexByName = new Map();
  for (const name of SYSCALL_NAMES.trim().split(/\s+/)) indexByName.set(name, indexByName.size);
  return indexByName;
}

/** The number in `seccomp_data.nr` (with bit 30 for x32), or undefined where the architecture has no such call. */
export function syscallNumber(arch: SeccompArch, name: string): number | undefined {
  const index = syscallIndexes().get(name);
  const number = index === undefined ? -1 : SYSCALL_NUMBERS[arch][index]!;
  if (number < 0) return undefined;
  return arch === "x32" ? number + X32_SYSCALL_BIT : number;
}

/** The names of all calls that some architecture has. */
export function syscallNames(): Iterable<string> {
  return syscallIndexes().keys();
}
