/** Runs the launcher by itself. */
import { closeSync } from "node:fs";
import { join } from "node:path";
import { SupervisorConnection } from "../../src/linux/process/supervisor.ts";
import type { Program } from "../../src/linux/program/op.ts";
import { createMemfd } from "../../src/linux/sys/memfd.ts";
import { listenUnix } from "../../src/linux/sys/unix-socket.ts";

/** A program that runs /bin/true in no namespaces, so it needs no root. Its socket and its exit record are in `directory`. */
export function harmlessProgram(directory: string): Program {
  return {
    host: [
      { kind: "pipe", read: "out.r", write: "out.w", why: "" },
      { kind: "clone", flags: 0, out: "init", why: "" },
    ],
    init: [{ kind: "execute", paths: ["/bin/true"], argv: ["/bin/true"], env: [], why: "" }],
    cleanup: [],
    supervise: {
      init: "init",
      stdout: "out.r",
      hold: false,
      exitPath: join(directory, "exit"),
      socketPath: join(directory, "socket"),
    },
  };
}

/** Runs a launcher on these bytes, as `spawnLauncher` does, and waits for its end. */
export async function launch(
  launcherPath: string,
  bytes: Uint8Array,
  directory: string,
): Promise<{ code: number | null; signal: string | number | null; failure: unknown }> {
  const socketPath = join(directory, "socket");
  const programFd = createMemfd("program", bytes);
  const listenFd = listenUnix(socketPath);
  const connection = await SupervisorConnection.open(socketPath);
  const failure = connection.started.then(
    () => undefined,
    (error: unknown) => error,
  );
  const child = Bun.spawn([launcherPath], { stdio: [programFd, "ignore", "ignore", listenFd], env: {} });
  closeSync(programFd);
  closeSync(listenFd);
  await child.exited;
  return { code: child.exitCode, signal: child.signalCode, failure: await failure };
}
