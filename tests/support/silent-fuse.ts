/** A file system that answers until it is told not to: silent-fuse.py. */
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

  /** Mounted at `path`, a directory, when this resolves. */
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

  /** From now on whoever asks for anything waits. */
  async fallSilent(): Promise<void> {
    this.#process.stdin!.write("x");
    await this.#expect("silent");
  }

  /** Resolves when somebody waits for an answer. */
  async asked(): Promise<void> {
    await this.#expect("asked");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.stdin!.end();
      await ended;
    }
    spawnSync("umount", ["--lazy", this.#path], { stdio: "ignore" }); // if it was killed
  }
}
