/** Finds out which programs a test needs and this machine lacks. */
import { closeSync, openSync, readSync } from "node:fs";

/** The missing programs as a reason to skip, "needs ip, nft"; undefined if all exist. A busybox has to be a static one. */
export function missing(...programs: readonly string[]): string | undefined {
  const absent = programs.filter((program) => !isHere(program));
  if (absent.length === 0) return undefined;
  return `needs ${absent.map((program) => (program === "busybox" ? "a static busybox" : program)).join(", ")}`;
}

/**
 * The programs that all tests of a file need, from a line of its own: "// needs: ip nft". The runner skips the file if one is
 * missing.
 */
export function neededBy(source: string): string[] {
  return /^\/\/ needs: (.+)$/m.exec(source)?.[1]?.split(" ") ?? [];
}

function isHere(program: string): boolean {
  const path = Bun.which(program);
  return path !== null && (program !== "busybox" || isStatic(path));
}

const PT_INTERP = 3;

/** Whether an ELF file of this machine's kind is static: it names no interpreter. Source: elf(5). */
function isStatic(path: string): boolean {
  const head = Buffer.alloc(4096);
  const fd = openSync(path, "r");
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const headersAt = Number(head.readBigUInt64LE(32));
  const [size, count] = [head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let at = headersAt; at < headersAt + size * count; at += size)
    if (head.readUInt32LE(at) === PT_INTERP) return false;
  return true;
}
