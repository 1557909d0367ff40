/**
 * The daemon as commands see it: requests under the API version's prefix, connections kept and reused, errors with the
 * texts users know.
 */
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { parseExactJson as parseExact } from "../../spec/json.ts";
import { ApiError, CliError, DaemonUnreachable } from "../exit.ts";
import type { FileDownload } from "./file-download.ts";
import type { Host } from "./host.ts";
import { Connection, ConnectionDropped, type Request, type Response } from "./http.ts";

/**
 * API version of our requests. Asking the daemon for its versions would cost a round trip with every command; a daemon
 * that is older says so in answer to any request.
 */
const API_VERSION = "1.45";

/**
 * How long an idle connection is reused. Servers close idle connections after some seconds (Node: 5); a request sent at
 * that moment would be lost.
 */
const IDLE_MAX_MS = 1000;

/** Query parameters. A list repeats its name for each item. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

export class Client {
  readonly #idle: { connection: Promise<Connection>; idleSinceMs?: number }[] = [];
  #starting: Promise<void> | undefined;
  #version = API_VERSION;
  /** What this command needs that older versions do not know, and the version that has it. */
  #needs: { what: string; version: string } | undefined;

  /** Headers of all requests. */
  headers: Readonly<Record<string, string>> = {};

  constructor(readonly host: Host) {}

  /** Makes later requests in a newer version than usual, because an older daemon would ignore `what`. */
  needVersion(version: string, what: string): void {
    this.#version = version;
    this.#needs = { what, version };
  }

  /**
   * Opens a connection that the next request will find ready. Settles, without an error, when it is open or has failed.
   */
  async warm(): Promise<void> {
    const connection = this.#connect();
    this.#idle.push({ connection });
    await connection.catch(() => {}); // the request that uses the connection reports its error
  }

  /**
   * Sends a request and returns the response, whatever its status.
   * @throws DaemonUnreachable
   */
  async raw(request: Request): Promise<Response> {
    const { connection, used } = await this.#take(request);
    let response: Response;
    try {
      const headers = { ...this.headers, ...request.headers };
      response = await connection.request({ ...request, headers, path: this.#versioned(request.path) });
    } catch (error) {
      // The server closed an idle connection just as we sent on it. Only a request that changes nothing may be
      // repeated.
      if (!used || request.method !== "GET" || !(error instanceof ConnectionDropped)) throw error;
      return this.raw(request);
    }
    if (!response.head.raw) response.onEnd(() => this.#release(connection, response));
    return response;
  }

  /**
   * Sends a request and returns the successful response. 304 ("already so") counts as success.
   * @throws ApiError, DaemonUnreachable
   */
  async request(request: Request): Promise<Response> {
    const asked = this.#version;
    const response = await this.raw(request);
    if (response.status < 400) return response;
    const error = await apiError(response);
    const newest = isOurOwn(request.path) ? undefined : newestVersionIn(error, asked);
    // A body that has been streamed cannot be sent a second time.
    if (newest === undefined || request.stream !== undefined) throw error;
    if (this.#needs !== undefined)
      throw new CliError(
        `${JSON.stringify(this.#needs.what)} requires API version ${this.#needs.version}, but the Docker daemon API version is ${newest}`,
      );
    this.#version = newest;
    return this.request(request);
  }

  /**
   * Sends a request whose answer may have descriptors in place of bytes. Undefined if it has to be asked for in the usual way: there
   * is no daemon on this host yet, or it says something else than 200.
   */
  async download(path: string): Promise<FileDownload | undefined> {
    const { address } = this.host;
    if (!("unix" in address)) return undefined;
    const { FileDownload } = await import("./file-download.ts");
    let download: FileDownload | undefined;
    try {
      download = new FileDownload(address.unix, this.#versioned(path));
      if (download.head.status === 200) return download;
    } catch {
      // The usual way meets and explains it.
    }
    download?.[Symbol.dispose]();
    return undefined;
  }

  #versioned(path: string): string {
    return isOurOwn(path) ? path : `/v${this.#version}${path}`;
  }

  async get<T>(path: string, query: Query = {}): Promise<T> {
    return parseJson<T>(await this.getText(path, query));
  }

  async getText(path: string, query: Query = {}): Promise<string> {
    return (await this.request({ method: "GET", path: path + encodeQuery(query) })).text();
  }

  async post(path: string, query: Query = {}, body?: unknown): Promise<Response> {
    const json = body === undefined ? {} : { json: JSON.stringify(body) };
    return this.request({ method: "POST", path: path + encodeQuery(query), ...json });
  }

  /** Sends a POST of whose answer only the status matters. */
  async postEmpty(path: string, query: Query = {}, body?: unknown): Promise<void> {
    await (await this.post(path, query, body)).text();
  }

  async postJson<T>(path: string, query: Query = {}, body?: unknown): Promise<T> {
    return parseJson<T>(await (await this.post(path, query, body)).text());
  }

  async delete(path: string, query: Query = {}): Promise<string> {
    return (await this.request({ method: "DELETE", path: path + encodeQuery(query) })).text();
  }

  /** `used`: it has served a request before. */
  /**
   * Takes a connection. `used` means that it has served a request before. The daemon hands over a connection whose
   * first request is an upload, and the bytes with it, so an upload gets a new one.
   */
  async #take({ stream }: Request): Promise<{ connection: Connection; used: boolean }> {
    if (stream !== undefined && "unix" in this.host.address)
      return { connection: await this.#connect({ isUpload: true }), used: false };
    for (let next = this.#idle.shift(); next !== undefined; next = this.#idle.shift()) {
      const { connection, idleSinceMs } = next;
      const ready = await connection;
      const fresh = idleSinceMs === undefined || performance.now() - idleSinceMs < IDLE_MAX_MS;
      if (!ready.closed && fresh) return { connection: ready, used: idleSinceMs !== undefined };
      ready.close();
    }
    return { connection: await this.#connect(), used: false };
  }

  #release(connection: Connection, response: Response): void {
    if (response.head.headers.get("connection")?.toLowerCase() === "close") connection.close();
    else if (!connection.closed)
      this.#idle.push({ connection: Promise.resolve(connection), idleSinceMs: performance.now() });
  }

  async #connect(use: { isUpload?: boolean } = {}): Promise<Connection> {
    try {
      return await Connection.open(this.host.address, use);
    } catch (error) {
      const path = this.host.startSocketPath;
      const errno = errnoOf(error);
      if (path === undefined || (errno !== "ENOENT" && errno !== "ECONNREFUSED")) throw unreachable(this.host, error);
      // The module is loaded on demand, because most commands find a daemon.
      this.#starting ??= import("./autostart.ts").then((module) => module.startDaemon(path));
      await this.#starting;
      return Connection.open(this.host.address, use).catch((again) => {
        throw unreachable(this.host, again);
      });
    }
  }
}

/** Formats "?a=1&b=2" in the order given, without what is undefined; "" if nothing is left. */
export function encodeQuery(query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (value === undefined ? [] : typeof value === "string" ? [value] : value).map(
      (text) => `${name}=${encodeURIComponent(text)}`,
    ),
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** Encodes a container or image name for the path; slashes of image names stay, as the API's routes expect. */
export function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%40", "@");
}

export function parseJson<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new LighterError("unavailable", `read the daemon's answer: ${messageOf(cause)}`, { cause });
  }
}

/** Parses JSON with integers that a number would round as bigints. */
export function parseExactJson<T>(text: string): T {
  return parseExact(text, "read the daemon's answer") as T;
}

async function apiError(response: Response): Promise<ApiError> {
  const body = await response.text();
  let message = body.trim();
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null && "message" in parsed) message = String(parsed.message);
  } catch {
    // not every error is JSON: a proxy in between answers in its own words
  }
  if (message === "") message = `status ${response.status} without a message`;
  return new ApiError(response.status, `Error response from daemon: ${message.trim()}`);
}

function unreachable(host: Host, cause: unknown): DaemonUnreachable {
  const errno = errnoOf(cause);
  if (cause instanceof LighterError) return new DaemonUnreachable(`error during connect: ${cause.message}`, { cause });
  if (errno === "EACCES" || errno === "EPERM")
    return new DaemonUnreachable(
      `permission denied while trying to connect to the Lighter daemon socket at ${host.name}`,
      { cause },
    );
  return new DaemonUnreachable(`Cannot connect to the Lighter daemon at ${host.name}. Is the lighter daemon running?`, {
    cause,
  });
}

/** Whether a path is one of our own routes, which live beside the Engine API, not under its version. */
function isOurOwn(path: string): boolean {
  return path.startsWith("/lighter/");
}

/** Returns the newest version of a daemon that refused `asked` as too new for it, having done nothing. */
function newestVersionIn({ status, message }: ApiError, asked: string): string | undefined {
  const newest = /client version \S+ is too new\. Maximum supported API version is (\d+)\.(\d+)/.exec(message);
  const [, major, minor] = newest ?? [];
  const isOlder = Number(major) === 1 && Number(minor) < Number(asked.split(".")[1]);
  return status === 400 && isOlder ? `${major}.${minor}` : undefined;
}
