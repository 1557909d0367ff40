/** Refuses requests that web pages may have sent, before anything else looks at them. */
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { LighterError } from "../../base/errors.ts";
import { isLoopback } from "../config/hosts.ts";

/**
 * Why a request is refused, or undefined if it is not. A request by TCP whose client has shown no certificate must not come from
 * a web page: a browser on this machine or network sends what any page tells it to, and a page's own name can lead here if its
 * owner says so (DNS rebinding). `ownNames`: the names that the daemon was told to listen at.
 */
export function refusalOf(request: IncomingMessage, ownNames: readonly string[]): LighterError | undefined {
  const encoding = request.headers["transfer-encoding"];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== "chunked")
    return new LighterError("not-supported", "Unsupported transfer encoding");
  const { socket } = request;
  if (socket.remoteAddress === undefined || ("authorized" in socket && socket.authorized)) return undefined;
  return strangerOf(request, ownNames);
}

/**
 * Why a request to a public port is refused, or undefined. Web pages are kept off where the port listens on this machine's
 * loopback alone.
 */
export function refusalOnLoopback(request: IncomingMessage): LighterError | undefined {
  const address = request.socket.localAddress ?? "";
  return isLoopback(address.replace(/^::ffff:/, "")) ? strangerOf(request, []) : undefined;
}

function strangerOf({ headers }: IncomingMessage, ownNames: readonly string[]): LighterError | undefined {
  if (headers.origin !== undefined)
    return new LighterError("forbidden", `requests of web pages are refused: Origin: ${headers.origin}`);
  const name = nameIn(headers.host ?? "");
  if (isOwnName(name, ownNames)) return undefined;
  return new LighterError("forbidden", `"${name}" is no name of this host`, {
    hint: "use an address, a name from /etc/hosts, or TLS with client certificates",
  });
}

/** The host's name without the port. */
function nameIn(host: string): string {
  const bare = /^\[(.*)\](?::\d*)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, "");
  return bare.replace(/\.$/, "").toLowerCase();
}

/** Whether the name is this machine's. A name without a dot belongs to nobody on the internet. */
function isOwnName(name: string, ownNames: readonly string[]): boolean {
  if (!name.includes(".") || isIP(name) !== 0 || name.endsWith(".localhost")) return true;
  return [hostname(), ...ownNames].some((own) => own.toLowerCase() === name) || namesOfHosts().has(name);
}

/** The names in /etc/hosts. Source: hosts(5). */
function namesOfHosts(): Set<string> {
  let text: string;
  try {
    text = readFileSync("/etc/hosts", "utf8");
  } catch {
    return new Set();
  }
  const names = text.split("\n").flatMap((line) => line.replace(/#.*/, "").trim().split(/\s+/).slice(1));
  return new Set(names.map((name) => name.toLowerCase()));
}
