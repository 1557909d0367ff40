/** Finds the compiler of the C programs in the executable: the launcher, the init and `hello`. */
import { spawnSync } from "node:child_process";
import type { Machine } from "./machine.ts";

export const C_FLAGS = [
  ..."-std=c11 -Os -static -Wall -Wextra -Werror".split(" "),
  ..."-ffunction-sections -fdata-sections -Wl,--gc-sections -s".split(" "),
];

/** The sources of the launcher, out of all files of launcher/. */
export function launcherSources(sources: readonly string[]): string[] {
  return sources.filter((path) => path !== "launcher/runtime.c");
}

/** The sources of dist/lighter-runtime, which plays programs and supervises nothing. */
export function runtimeSources(sources: readonly string[]): string[] {
  return sources.filter((path) => path !== "launcher/main.c" && path !== "launcher/supervise.c");
}

/**
 * The compilers' commands, which may hold arguments, the best first. `wanted`: $CC, which leaves no choice. musl comes first: its
 * static program starts in 0.05 ms, one of glibc in 0.3 in a virtual machine (where CPUID, by which it chooses string functions,
 * traps), and the launcher is a tenth as large.
 */
export function compilersToLookFor(machine: Machine, wanted = ""): string[] {
  if (wanted.trim() !== "") return [wanted.trim()];
  return machine.isThis ? ["musl-gcc", ...compilersForGlibc(machine)] : compilersForGlibc(machine);
}

/** Those that make programs of Debian's C library. */
export function compilersForGlibc({ isThis, triplet }: Machine): string[] {
  return isThis ? ["cc", "gcc", "clang"] : [`${triplet}-gcc`];
}

/** The argument vector of a compiler that exists, with what it needs to find all headers; otherwise undefined. */
export function compilerCommand(command: string): string[] | undefined {
  const [program = "", ...args] = command.split(/ +/);
  if (Bun.which(program) === null) return undefined;
  return program === "musl-gcc" ? [program, ...args, ...kernelHeaders()] : [program, ...args];
}

/**
 * The flags for the kernel's headers: musl-gcc finds only musl's. They are searched last, so that nothing of another C library
 * takes musl's place.
 */
function kernelHeaders(): string[] {
  const multiarch = spawnSync("musl-gcc", ["-print-multiarch"], { encoding: "utf8" }).stdout.trim();
  const folders = ["/usr/include", ...(multiarch === "" ? [] : [`/usr/include/${multiarch}`])];
  return folders.flatMap((folder) => ["-idirafter", folder]);
}
