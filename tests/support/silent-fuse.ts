/** A file system that answers until it is told to stop: silent-fuse.py. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export class SilentFuse implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #path: string;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, path: string) {
    this.#path = path;
    this.#process = process;
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  /** Mounts the file system at `path`, a directory. */
  static async mount(path: string): Promise<SilentFuse> {
    const script = join(import.meta.dirname, "silent-fuse.py");
    const fuse = new SilentFuse(spawn("python3", [script, path], { stdio: ["pipe", "pipe", "inherit"] }), path);
    await fuse.#expect("ready");
    return fuse;
  }

  async #expect(word: string): Promise<void> {
    const { value } = await this.#lines.next();
    if (value !== word) throw new Error(`the FUSE server said ${value} in place of ${word}`);
  }

  /** Makes every request wait from now on. */
  async fallSilent(): Promise<void> {
    this.#process.stdin!.write("x");
    await this.#expect("silent");
  }

  /** Resolves when some process waits for an answer. */
  async asked(): Promise<void> {
    await this.#expect("asked");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.stdin!.end();
      await ended;
    }
    spawnSync("umount", ["--lazy", this.#path], { stdio: "ignore" }); // for a file system that was killed
  }
}
