/** Speaks with the service manager that started the daemon. Source: sd_notify(3), "Notes"; sd_listen_fds(3). */
import { messageOf } from "../../base/errors.ts";
import { LISTEN_FDS_MAX } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { sendDatagram } from "../../engine/mod.ts";

type Environment = Record<string, string | undefined>;

const FIRST_FD = 3;

interface PassedSocket {
  fd: number;
  name: string;
}

/** Sends states such as "READY=1". It is no failure if there is no service manager. */
export class ServiceManager {
  readonly #socketPath: string | undefined;
  readonly passed: readonly PassedSocket[];

  /**
   * Removes the service manager's variables from the environment: processes that the daemon starts must not speak in its name.
   */
  constructor(env: Environment, pid: number) {
    this.#socketPath = env.NOTIFY_SOCKET || undefined;
    this.passed = parsePassedSockets(env, pid);
    for (const name of ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  }

  tell(...states: readonly string[]): void {
    if (this.#socketPath === undefined) return;
    try {
      sendDatagram(this.#socketPath, new TextEncoder().encode(`${states.join("\n")}\n`));
    } catch (error) {
      log.warn(`tell the service manager "${states[0]}": ${messageOf(error)}`);
    }
  }

  /** The sockets that fd://WHICH names: "" is all of them, anything else a number or a name. */
  find(which: string): PassedSocket[] {
    return this.passed.filter(({ fd, name }) => which === "" || which === String(fd) || which === name);
  }
}

/** The passed sockets. There are none if the variables are for another process, such as a parent. */
function parsePassedSockets(env: Environment, pid: number): PassedSocket[] {
  if (env.LISTEN_PID !== String(pid) || !/^\d{1,4}$/.test(env.LISTEN_FDS ?? "")) return [];
  const count = Math.min(Number(env.LISTEN_FDS), LISTEN_FDS_MAX);
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  return Array.from({ length: count }, (_, index) => ({ fd: FIRST_FD + index, name: names[index] ?? "unknown" }));
}
