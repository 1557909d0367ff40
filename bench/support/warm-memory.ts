/** Memory that costs both engines the same: see warm-memory.py. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** Resolves when the memory is there. It stays so until the result is disposed of. */
export async function keepMemoryWarm(mib: number): Promise<Disposable> {
  const script = join(import.meta.dirname, "warm-memory.py");
  const child = spawn("python3", [script, String(mib)], { stdio: ["pipe", "pipe", "inherit"] });
  await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(() => Promise.reject(new Error("warm-memory.py has ended"))),
  ]);
  return { [Symbol.dispose]: () => void child.kill("SIGKILL") };
}
