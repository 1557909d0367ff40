import { closeSync, openSync, readSync } from "node:fs";

/** "needs ip, nft": those of the programs that are not here; undefined if all are. A busybox has to be a static one. */
export function missing(...programs: readonly string[]): string | undefined {
  const absent = programs.filter((program) => !isHere(program));
  if (absent.length === 0) return undefined;
  return `needs ${absent.map((program) => (program === "busybox" ? "a static busybox" : program)).join(", ")}`;
}

/**
 * What a test file says that all its tests need, on a line of its own: "// needs: ip nft". The runner skips it where one is missing.
 */
export function neededBy(source: string): string[] {
  return /^\/\/ needs: (.+)$/m.exec(source)?.[1]?.split(" ") ?? [];
}

function isHere(program: string): boolean {
  const path = Bun.which(program);
  return path !== null && (program !== "busybox" || isStatic(path));
}

const PT_INTERP = 3;

/** Of an ELF file of this machine's kind: it names no interpreter. Source: elf(5). */
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
