/** Finds the route of each request. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { LighterError } from "../../base/errors.ts";
import type { RawBody } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { ClientStream } from "../streams/client-stream.ts";
import { API_VERSION, MIN_API_VERSION } from "./protocol.ts";
import { Query } from "./query.ts";

type Method = "OPTIONS" | "GET" | "HEAD" | "POST" | "PUT" | "DELETE";

/** A request whose route has been found. */
export interface Call {
  daemon: Daemon;
  /** A part of the path, decoded. */
  parameter(name: string): string;
  query: Query;
  /** The minor version of the API that the client asked for: 45 for 1.45. */
  apiMinor: number;
}

export interface AnswerCall extends Call {
  request: IncomingMessage;
  response: ServerResponse;
}

export interface StreamCall extends Call {
  client: ClientStream;
}

/** A connection that leaves HTTP/1.1 by the request's Upgrade header. Nothing has been answered yet. */
export interface UpgradeCall extends Call {
  request: IncomingMessage;
  socket: Socket;
}

/** Takes a request's body directly from its connection. Resolves with the whole answer. */
export type Upload = (body: RawBody) => Promise<{ contentType: string; text: string }>;

interface RouteBase {
  /** Replaces `answer` where possible. Returns undefined for a request that has to be answered while its body is read. */
  upload?: (call: Call) => Upload | undefined;
  method: Method;
  /** The path's pattern: "{id}" is one part of a path, "{name...}" one or more. */
  path: string;
}

/**
 * A route with its handler: `answer` gets the usual request and response; `stream` takes the connection over. `upgrade`, beside
 * `answer`, gets the connections of requests with an Upgrade header.
 */
export type Route = RouteBase &
  (
    | {
        answer: (call: AnswerCall) => Promise<void> | void;
        upgrade?: (call: UpgradeCall) => Promise<void> | void;
        stream?: never;
      }
    | { stream: (call: StreamCall) => Promise<void> | void; answer?: never; upgrade?: never }
  );

interface CompiledRoute {
  route: Route;
  pattern: RegExp;
  names: readonly string[];
}

export interface Match {
  route: Route;
  call: Pick<Call, "parameter" | "query" | "apiMinor">;
}

const MINORS = { newest: Number(API_VERSION.split(".")[1]), oldest: Number(MIN_API_VERSION.split(".")[1]) };

/** Finds the route of a request, with or without the API version's prefix. */
export class Router {
  readonly #routes = new Map<string, CompiledRoute[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const list = this.#routes.get(route.method) ?? [];
      list.push(compileRoute(route));
      this.#routes.set(route.method, list);
    }
  }

  /**
   * The matching route, or undefined if there is none.
   * @throws LighterError "invalid" for an unsupported version or a path that is not well encoded
   */
  match(method: string, url: string): Match | undefined {
    const end = url.indexOf("?");
    const fullPath = end === -1 ? url : url.slice(0, end);
    const version = /^\/v([\d.]+)(?=\/)/.exec(fullPath);
    const path = version === null ? fullPath : fullPath.slice(version[0].length);
    for (const { route, pattern, names } of this.#routes.get(method) ?? []) {
      const match = pattern.exec(path);
      if (match === null) continue;
      const apiMinor = version === null ? MINORS.newest : checkVersion(version[1]!);
      const parameters = new Map(names.map((name, index) => [name, decodePart(match[index + 1]!)]));
      const query = new Query(end === -1 ? "" : url.slice(end + 1));
      return { route, call: { query, apiMinor, parameter: (name) => parameters.get(name) ?? "" } };
    }
    return undefined;
  }
}

function compileRoute(route: Route): CompiledRoute {
  const names: string[] = [];
  const source = route.path.replace(/\{(\w+)(\.\.\.)?\}|[.*+?^${}()|[\]\\]/g, (text, name?: string, many?: string) => {
    if (name === undefined) return `\\${text}`;
    names.push(name);
    return many === undefined ? "([^/]+)" : "(.+)";
  });
  return { route, names, pattern: new RegExp(`^${source}$`) };
}

function checkVersion(version: string): number {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 1 || (major === 1 && minor > MINORS.newest))
    throw new LighterError(
      "invalid",
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`,
    );
  if (major < 1 || minor < MINORS.oldest)
    throw new LighterError(
      "invalid",
      `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, ` +
        "please upgrade your client to a newer version",
    );
  return minor;
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new LighterError("invalid", `the path has a malformed %-escape: "${part}"`);
  }
}
