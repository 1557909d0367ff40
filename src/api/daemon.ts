import { chmodSync, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { DEAD_OWNER_TIMEOUT_MS } from "../base/limits.ts";
import { lockExclusiveWithin, openEngine, releaseTextPages } from "../engine/mod.ts";
import { type DaemonOptions, parseDaemonOptions } from "./daemon-config.ts";
import { Router } from "./router.ts";
import { routes } from "./routes.ts";
import { createServer } from "./server.ts";

const HELP = `Usage: lighter daemon [OPTIONS]

Serves the API and keeps the state of containers and images. Logs to standard error.
Containers do not need it: it may be ended at any time, even by SIGKILL, and the next one takes over.

Options:
  -H, --host ADDRESS      socket to listen on (default "unix:///run/lighter/lighter.sock")
      --data-root PATH    what is kept: images, containers (default "/var/lib/lighter")
      --exec-root PATH    what a reboot may clear (default "/run/lighter")
      --config-file PATH  settings in JSON: "registry-mirrors", "insecure-registries" (default "/etc/lighter/daemon.json")
      --registry-mirror URL         asked before docker.io; may be given more than once
      --insecure-registry ADDRESS   HOST[:PORT] or CIDR that need not have a certificate; may be given more than once
      --help              print this
`;

/**
 * `lighter daemon`: resolves with an exit code when it could not begin (125 for wrong usage, as all commands), or never.
 */
export async function daemonMain(args: string[]): Promise<number> {
  let options: DaemonOptions | undefined;
  try {
    options = parseDaemonOptions(args);
    if (options === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    await serve(options);
  } catch (error) {
    console.error(`lighter daemon: ${describeError(error)}`);
    return options === undefined ? 125 : 1;
  }
  return await new Promise<never>(() => {}); // ended by a signal: there is no other way to stop
}

function describeError(error: unknown): string {
  const hint = error instanceof LighterError ? error.detail.hint : undefined;
  return hint === undefined ? messageOf(error) : `${messageOf(error)}\n${hint}`;
}

async function serve({ socketPath, dataRoot, execRoot, registry }: DaemonOptions): Promise<void> {
  // What others can read of our directories is decided with each, not by whoever started us.
  process.umask(0o022);
  // An operation of one client that goes wrong in a way nobody foresaw must not end the others'.
  process.on("uncaughtException", (error) => console.error("lighter: bug:", error));
  process.on("unhandledRejection", (error) => console.error("lighter: bug:", error));
  mkdirSync(execRoot, { recursive: true, mode: 0o711 });
  await lockExecRoot(execRoot);
  const daemon = await openEngine({ dataRoot, execRoot, registry });
  const server = createServer(daemon, new Router(routes));
  await takeSocket(server, socketPath);
  console.error(`lighter: listening on ${socketPath}`);
  setImmediate(releaseTextPages); // what start-up touched
}

/** Held until this process ends, however it ends. @throws LighterError "conflict" */
async function lockExecRoot(execRoot: string): Promise<void> {
  const path = join(execRoot, "daemon.lock");
  const fd = openSync(path, "a", 0o600);
  if (!(await lockExclusiveWithin(fd, DEAD_OWNER_TIMEOUT_MS)))
    throw new LighterError("conflict", `"${path}" is locked: another daemon is running here`);
}

/** Listens on a unix socket that root only, and its group, may connect to. A socket that nobody serves is replaced. */
async function takeSocket(server: Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined) {
    if (!stat.isSocket()) throw new LighterError("conflict", `listen on "${path}": there is a file that is no socket`);
    if (await isServed(path)) throw new LighterError("conflict", `listen on "${path}": another program serves it`);
    rmSync(path);
  }
  const umask = process.umask(0o777); // nobody may connect before the mode is set
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => resolve());
    });
    chmodSync(path, 0o660);
  } finally {
    process.umask(umask);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      if (errnoOf(error) === "ECONNREFUSED" || errnoOf(error) === "ENOENT") resolve(false);
      else if (errnoOf(error) === "ECONNRESET")
        resolve(true); // somebody accepted, and hung up
      else reject(error);
    });
  });
}
