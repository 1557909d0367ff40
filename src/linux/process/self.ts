/** Starts this program again, as a helper that we talk to. */
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";

export interface SelfProcess {
  pid: number;
  /** Throws nothing: what is written to a process that has ended is lost. */
  write(text: string): void;
  /** Ends its stdin. */
  closeInput(): void;
  output: AsyncIterable<Uint8Array>;
  kill(): void;
  /** Resolves when it has ended and its resources are free. */
  ended: Promise<void>;
}

/** Where this program begins when it runs from source. */
const ENTRY_PATH = join(import.meta.dirname, "../../main.ts");

/** The compiled program, which is at `executablePath`; from source, bun with its first file. */
export function selfCommand(executablePath: string): string[] {
  if (import.meta.dirname.startsWith("/$bunfs/")) return [executablePath];
  return [process.execPath, "--no-env-file", "--config=/dev/null", "--no-install", ENTRY_PATH];
}

/** stderr is ours, and so are the fds: from its fd 3 on, it has them as long as it lives. @throws LighterError ("kernel"). */
export function spawnSelf(args: readonly string[], fds: readonly number[]): SelfProcess {
  try {
    // The one that is running, even if another file has its name by now.
    const child = Bun.spawn([...selfCommand("/proc/self/exe"), ...args], {
      stdio: ["pipe", "pipe", "inherit", ...fds],
      cwd: "/",
      env: process.env,
    });
    return {
      pid: child.pid,
      write: (text) => {
        child.stdin.write(text);
        child.stdin.flush();
      },
      closeInput: () => void child.stdin.end(),
      output: child.stdout as unknown as AsyncIterable<Uint8Array>,
      kill: () => child.kill("SIGKILL"),
      ended: child.exited.then(() => {}),
    };
  } catch (error) {
    throw cannotStart(error);
  }
}

export type SelfOnSocket = Pick<SelfProcess, "output" | "kill" | "ended">;

/** The same, with `socketFd` as its stdin, which is the caller's to close. */
export function spawnSelfOn(args: readonly string[], socketFd: number): SelfOnSocket {
  try {
    const child = Bun.spawn([...selfCommand("/proc/self/exe"), ...args], {
      stdio: [socketFd, "pipe", "inherit"],
      cwd: "/",
      env: process.env,
    });
    return {
      output: child.stdout as unknown as AsyncIterable<Uint8Array>,
      kill: () => child.kill("SIGKILL"),
      ended: child.exited.then(() => {}),
    };
  } catch (error) {
    throw cannotStart(error);
  }
}

function cannotStart(error: unknown): LighterError {
  const errno = errnoOf(error);
  return new LighterError("kernel", `start a helper process: ${errno || messageOf(error)}`, { errno, cause: error });
}
