/**
 * Compiled seccomp filters, kept for later commands in `<root>/.@filters/`: no container can have that name, and `ls` does not
 * show it. Compiling one takes 1.7 ms in a new process, and a host's containers share few filters. Whoever may write there may
 * write the containers' configs, too.
 *
 *   file:  "LSF1", u32 flags, the instructions, SHA-256 of all that
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECCOMP_CACHE_FILE_MAX_BYTES, SECCOMP_CACHE_FILES } from "../base/limits.ts";
import { filterOf, keyOfSeccomp, knowFilter, prepareFilterOf, type SeccompFilter } from "../linux/seccomp/memo.ts";
import type { OciSeccomp } from "../spec/oci-runtime.ts";

const MAGIC = Buffer.from("LSF1");
const HEAD_BYTES = 8;
const INSTRUCTION_BYTES = 8;
const DIGEST_BYTES = 32;

/**
 * Makes the compiled filter of `seccomp`, this very object, available to the next code that compiles it. If the cache cannot be
 * read or written, nothing is stored.
 * @param program Identifies the compiling program: another version may compile in another way. Undefined: nothing is kept.
 */
export async function rememberFilter(
  root: string,
  seccomp: OciSeccomp | undefined,
  program = programIdentity(),
): Promise<void> {
  if (seccomp === undefined || program === undefined) return;
  const directory = join(root, ".@filters");
  const path = join(directory, sha256(`${program} ${keyOfSeccomp(seccomp)}`).toString("hex"));
  const kept = readFilter(path);
  if (kept !== undefined) {
    knowFilter(seccomp, kept);
    return;
  }
  try {
    await prepareFilterOf(seccomp);
    const filter = filterOf(seccomp);
    if (filter.listenerPath === undefined) keepFilter(directory, path, filter);
  } catch {
    // a section that does not compile is reported where it is needed; a full or read-only disk only costs time
  }
}

/** The program's identity; undefined when it runs from source, which changes. */
function programIdentity(): string | undefined {
  if (!import.meta.dirname.startsWith("/$bunfs/")) return undefined;
  const { dev, ino, size, mtimeMs } = statSync("/proc/self/exe");
  return `${dev} ${ino} ${size} ${mtimeMs}`;
}

function sha256(content: string | Uint8Array): Buffer {
  return new Bun.CryptoHasher("sha256").update(content).digest();
}

function readFilter(path: string): SeccompFilter | undefined {
  try {
    if (statSync(path).size > SECCOMP_CACHE_FILE_MAX_BYTES) return undefined;
    const bytes = readFileSync(path);
    const content = bytes.subarray(0, bytes.length - DIGEST_BYTES);
    const instructions = new Uint8Array(content.subarray(HEAD_BYTES));
    const isWhole =
      content.subarray(0, MAGIC.length).equals(MAGIC) &&
      instructions.length > 0 &&
      instructions.length % INSTRUCTION_BYTES === 0 &&
      bytes.subarray(content.length).equals(sha256(content));
    return isWhole ? { instructions, flags: content.readUInt32LE(MAGIC.length) } : undefined;
  } catch {
    return undefined; // the file does not exist yet, or is not readable
  }
}

function keepFilter(directory: string, path: string, { instructions, flags }: SeccompFilter): void {
  mkdirSync(directory, { mode: 0o700, recursive: true });
  if (readdirSync(directory).length >= SECCOMP_CACHE_FILES) rmSync(directory, { recursive: true });
  mkdirSync(directory, { mode: 0o700, recursive: true });
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt32LE(flags, MAGIC.length);
  const content = Buffer.concat([head, instructions]);
  const unfinished = `${path}.${process.pid}`;
  try {
    writeFileSync(unfinished, Buffer.concat([content, sha256(content)]), { flag: "wx", mode: 0o600 });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}
