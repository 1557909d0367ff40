/** Programs of this host that make or read an image's files. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../exit.ts";
import { cleanUpOnSignal } from "../streams/signals.ts";
import { errnoText } from "../values/env-file.ts";

interface Child {
  readonly process: ChildProcess;
  /** Settles with the exit code, or null if a signal ended the process. */
  readonly closed: Promise<number | null>;
}

/**
 * Programs that run one at a time, and the empty folder that they work in. A signal that ends us ends them and removes the folder.
 */
export class Children {
  /** A path below the directory for temporary files. */
  readonly folder: string;
  readonly #task: string;
  readonly #stopWatching: () => void;
  #current: Child | undefined;
  #ending = false;

  /** @param task the word that errors begin with, also part of the folder's name */
  constructor(task: string) {
    this.#task = task;
    this.folder = mkdtempSync(join(tmpdir(), `lighter-${task}-`));
    chmodSync(this.folder, 0o711); // apt downloads as a user of its own
    this.#stopWatching = cleanUpOnSignal(() => this.#end());
  }

  /**
   * Runs commands in order and yields the last one's stdout.
   * @throws CliError if one fails
   */
  async *runAll(commands: readonly string[][]): AsyncGenerator<Uint8Array> {
    for (const [index, argv] of commands.entries()) {
      const isLast = index === commands.length - 1;
      const current = await this.#spawn(argv, isLast);
      if (isLast) yield* outputOf(current.process);
      const code = await current.closed;
      // What ended us gives the reason: a signal, or the daemon that refused the archive.
      if (this.#ending) await new Promise(() => {});
      if (code !== 0)
        throw new CliError(`${this.#task}: ${argv[0]} failed${code === null ? "" : ` with code ${code}`}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    this.#stopWatching();
  }

  /** Kills what is running and removes the folder. */
  async #end(): Promise<void> {
    this.#ending = true;
    this.#current?.process.kill("SIGKILL");
    await this.#current?.closed;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * Starts a program.
   * @throws CliError if it does not exist
   */
  async #spawn(argv: readonly string[], piped: boolean): Promise<Child> {
    if (this.#ending) throw new CliError(`${this.#task}: interrupted`);
    const [file = "", ...args] = confined(argv);
    const child = spawn(file, args, {
      stdio: ["ignore", piped ? "pipe" : 2, 2],
      env: { ...process.env, TMPDIR: this.folder },
    });
    const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
    const current = { process: child, closed };
    this.#current = current;
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        this.#current = undefined;
        reject(new CliError(`${this.#task}: run ${file}: ${errnoText(cause)}`));
      });
    });
    return current;
  }
}

/** Yields what a program writes. A reader that has seen enough ends the program. */
async function* outputOf(child: ChildProcess): AsyncGenerator<Uint8Array> {
  let isWhole = false;
  try {
    for await (const chunk of child.stdout ?? []) yield chunk;
    isWhole = true;
  } finally {
    if (!isWhole) child.kill("SIGKILL");
  }
}

/**
 * Wraps a command: if we are root, it runs in pid and mount namespaces of its own. When it is killed, so are all its
 * children, and their mounts in our folder are gone before we remove that (unshare(1)).
 */
function confined(argv: readonly string[]): readonly string[] {
  if (process.geteuid?.() !== 0) return argv;
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", ...argv];
}
