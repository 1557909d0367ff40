/** Starts this program once more, as a helper process of the daemon. */
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { selfCommand } from "./self.ts";

export interface SelfProcess {
  pid: number;
  /** Writes to the process's stdin. Throws nothing: bytes for a process that has ended are lost. */
  write(text: string): void;
  /** Closes the process's stdin. */
  closeInput(): void;
  output: AsyncIterable<Uint8Array>;
  kill(): void;
  /** Resolves when the process has ended and its resources are free. */
  ended: Promise<void>;
}

/**
 * Starts a helper. It has our stderr, and `fds` from its fd 3 on; those must stay open as long as it lives. @throws LighterError
 * ("kernel").
 */
export function spawnSelf(args: readonly string[], fds: readonly number[]): SelfProcess {
  try {
    // The program that is running, even if another file has its name by now.
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

/** Starts a helper with `socketFd` as its stdin, which the caller closes. */
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
