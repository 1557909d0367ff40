/** Opens the sockets that the API is served on. */

import { lookup } from "node:dns/promises";
import { chmodSync, chownSync, closeSync, lstatSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, isIP, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { duplicateFd } from "../../engine/mod.ts";
import { formatHost, type Host, isLoopback } from "../config/hosts.ts";
import type { TlsFiles } from "../config/options.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { ServiceManager } from "../daemon/notify.ts";
import { createMetricsServer } from "../system/metrics.ts";

interface ListenOptions {
  /** The group of unix sockets. Undefined: one of DEFAULT_GROUPS, if the host has it. */
  group: string | undefined;
  tls: TlsFiles | undefined;
  manager: ServiceManager;
  /** Whether the daemon replaces a socket that is already served, because its server cannot end. */
  takesOver: boolean;
  accept: (socket: Socket) => void;
}

/** The groups whose members may use the API without being root, if the host has one. The second is Docker's. */
const DEFAULT_GROUPS = ["lighter", "docker"];

/** Listens on one address. @throws LighterError, naming the address */
export async function listen(host: Host, options: ListenOptions): Promise<void> {
  try {
    if (host.kind === "unix") await listenUnix(host.path, options);
    else if (host.kind === "tcp") await listenTcp(host, options);
    else return await listenPassed(host.which, options);
    log.info(`listening on ${formatHost(host)}`);
  } catch (error) {
    if (error instanceof LighterError) throw error;
    throw new LighterError("unavailable", `listen on ${formatHost(host)}: ${messageOf(error)}`, { cause: error });
  }
}

function started(server: Server, begin: (done: () => void) => void, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    begin(() => {
      server.off("error", reject);
      server.on("error", (error) => log.error(`accept on ${name}: ${error.message}`));
      resolve();
    });
  });
}

/** Listens on a unix socket that only root and its group may connect to. A socket that nobody serves is replaced. */
async function listenUnix(path: string, { group, accept, takesOver }: ListenOptions): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined) {
    if (!stat.isSocket()) throw new LighterError("conflict", `listen on "${path}": there is a file that is no socket`);
    if (!takesOver && (await isServed(path)))
      throw new LighterError("conflict", `listen on "${path}": another program serves it`);
    rmSync(path);
  }
  const gid = findGroup(group);
  const server = createServer({ allowHalfOpen: true }, accept);
  const umask = process.umask(0o777); // nobody may connect before owner and mode are set
  try {
    await started(server, (done) => server.listen(path, done), path);
    if (gid !== undefined) chownSync(path, 0, gid);
    chmodSync(path, 0o660);
  } finally {
    process.umask(umask);
  }
  removeAtExit(path);
}

/** Removes our socket when this process ends in an orderly way, unless somebody else's has taken its place. */
function removeAtExit(path: string): void {
  const { dev, ino } = lstatSync(path);
  process.on("exit", () => {
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there?.dev === dev && there.ino === ino) rmSync(path, { force: true });
  });
}

/** The group's number. @throws LighterError "invalid" for a group that was asked for and does not exist */
function findGroup(group: string | undefined): number | undefined {
  if (group !== undefined && /^\d{1,10}$/.test(group)) return Number(group);
  const ids = parseGroups(readGroups());
  if (group === undefined) return DEFAULT_GROUPS.map((name) => ids.get(name)).find((gid) => gid !== undefined);
  const gid = ids.get(group);
  if (gid === undefined) throw new LighterError("invalid", `group: there is no group "${group}"`);
  return gid;
}

/** Reads /etc/group. A small root file system may have none. */
function readGroups(): string {
  try {
    return readFileSync("/etc/group", "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

/** Parses /etc/group. Source: group(5). */
function parseGroups(text: string): Map<string, number> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const [name = "", , gid = ""] = line.split(":");
      return /^\d+$/.test(gid) ? [[name, Number(gid)] as const] : [];
    }),
  );
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
        resolve(true); // something accepted the connection, then closed it
      else reject(error);
    });
  });
}

async function listenTcp(host: Host & { kind: "tcp" }, { tls, accept }: ListenOptions): Promise<void> {
  const name = formatHost(host);
  if (tls?.caPath === undefined) warnOfOpenDoor(name, host.hostname);
  const makeServer = () => (tls === undefined ? createServer({ allowHalfOpen: true }, accept) : createTls(tls, accept));
  await listenAt(host, makeServer, name);
}

/** The kernel's errors for an address that this machine does not have, and for a missing address family. */
const NOT_OURS = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];

/**
 * Listens on each of the name's addresses that this machine has ("localhost" may have one or both families); there must be one.
 */
async function listenAt(
  { hostname, port }: { hostname: string; port: number },
  makeServer: () => Server,
  name: string,
) {
  const found = isIP(hostname) ? [{ address: hostname }] : await lookup(hostname, { all: true });
  let isServed = false;
  let notOurs: unknown;
  for (const host of new Set(found.map(({ address }) => address))) {
    const server = makeServer();
    try {
      await started(server, (done) => server.listen({ host, port }, done), name);
      isServed = true;
    } catch (error) {
      if (!NOT_OURS.includes(errnoOf(error) ?? "")) throw error;
      notOurs = error;
    }
  }
  if (!isServed) throw notOurs;
}

/** The warning of Docker's `info` about this address; undefined if only known clients may connect. */
export function describeOpenDoor(host: Host, tls: TlsFiles | undefined): string | undefined {
  if (host.kind !== "tcp" || tls?.caPath !== undefined) return undefined;
  const address = formatHost(host).replace(/^tcp:/, tls === undefined ? "http:" : "https:");
  const what = tls === undefined ? "encryption" : "TLS client verification";
  return `WARNING: API is accessible on ${address} without ${what}.`;
}

function warnOfOpenDoor(name: string, hostname: string): void {
  const who = isLoopback(hostname)
    ? "every user of this machine, and every web page that one of them opens,"
    : "everyone who has access to your network";
  log.warn(`${name}: binding to an IP address without --tlsverify is insecure: ${who} can become root here`);
}

/** Serves metrics on a TCP address. @throws LighterError, naming the address */
export async function listenForMetrics(daemon: Daemon, address: { hostname: string; port: number }): Promise<void> {
  const name = formatHost({ kind: "tcp", ...address });
  try {
    await listenAt(address, () => createMetricsServer(daemon), name);
    log.info(`listening on ${name} for metrics`);
  } catch (error) {
    throw new LighterError("unavailable", `metrics-addr: listen on ${name}: ${messageOf(error)}`, { cause: error });
  }
}

/** A TLS server. A client without a certificate of the configured authority gets no further than the handshake. */
function createTls(tls: TlsFiles, accept: (socket: Socket) => void): Server {
  const options = {
    cert: readPem("tlscert", tls.certPath),
    key: readPem("tlskey", tls.keyPath),
    ...(tls.caPath === undefined ? {} : { ca: readPem("tlscacert", tls.caPath) }),
    requestCert: tls.caPath !== undefined,
    rejectUnauthorized: tls.caPath !== undefined,
    minVersion: "TLSv1.2" as const,
    allowHalfOpen: true,
  };
  const server = createTlsServer(options, (socket) => {
    // The server has verified the certificate; this check holds whatever the runtime makes of the options above.
    if (tls.caPath !== undefined && !socket.authorized) return void socket.destroy();
    accept(socket);
  });
  server.on("tlsClientError", (error) => log.warn(`refused a TLS client: ${error.message}`));
  return server;
}

function readPem(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new LighterError("invalid", `${setting}: read "${path}": ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Makes a passed descriptor this process's alone: systemd leaves it open over execve(2), and supervisors would keep it after the
 * daemon's end.
 */
function takeFd(passedFd: number): number {
  const fd = duplicateFd(passedFd, passedFd + 1);
  closeSync(passedFd);
  return fd;
}

/** Serves passed sockets. Whoever passes a socket has decided who may connect to it. */
async function listenPassed(which: string, { manager, accept }: ListenOptions): Promise<void> {
  const sockets = manager.find(which);
  if (sockets.length === 0)
    throw new LighterError(
      "invalid",
      which === ""
        ? "no sockets found via socket activation: make sure the service was started by systemd"
        : `fd://${which}: systemd has passed no such socket`,
    );
  for (const { fd } of sockets) {
    const server = createServer({ allowHalfOpen: true }, accept);
    const ownFd = takeFd(fd);
    const name = `fd://${fd}`;
    await started(server, (done) => server.listen({ fd: ownFd }, done), name);
    log.info(`listening on ${name}`);
  }
}
