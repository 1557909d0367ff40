/** What compiles the C programs in the executable: the launcher, the init and `hello`. */
import { spawnSync } from "node:child_process";

export const C_FLAGS = [
  ..."-std=c11 -Os -static -Wall -Wextra -Werror".split(" "),
  ..."-ffunction-sections -fdata-sections -Wl,--gc-sections -s".split(" "),
];

/** Those of `sources`, all files of launcher/, that make the launcher. */
export function launcherSources(sources: readonly string[]): string[] {
  return sources.filter((path) => path !== "launcher/runtime.c");
}

/** Those that make dist/lighter-runtime, which plays programs and supervises nothing. */
export function runtimeSources(sources: readonly string[]): string[] {
  return sources.filter((path) => path !== "launcher/main.c" && path !== "launcher/supervise.c");
}

/**
 * Commands, which may hold arguments, the best first. `wanted`: $CC, which leaves no choice. musl's is before the others: a
 * static program of musl's starts in 0.05 ms, one of glibc's in 0.3 in a virtual machine (CPUID, by which it chooses its
 * string functions, traps there), and the launcher is a tenth as large.
 */
export function compilersToLookFor(wanted = ""): string[] {
  return wanted.trim() === "" ? ["musl-gcc", "cc", "gcc", "clang"] : [wanted.trim()];
}

/** The argument vector of a compiler that is here, with what it needs to find all headers; else undefined. */
export function compilerCommand(command: string): string[] | undefined {
  const [program = "", ...args] = command.split(/ +/);
  if (Bun.which(program) === null) return undefined;
  return program === "musl-gcc" ? [program, ...args, ...kernelHeaders()] : [program, ...args];
}

/** musl-gcc sees musl's headers alone. The kernel's are looked for last: nothing of another C library takes their place. */
function kernelHeaders(): string[] {
  const multiarch = spawnSync("musl-gcc", ["-print-multiarch"], { encoding: "utf8" }).stdout.trim();
  const folders = ["/usr/include", ...(multiarch === "" ? [] : [`/usr/include/${multiarch}`])];
  return folders.flatMap((folder) => ["-idirafter", folder]);
}
