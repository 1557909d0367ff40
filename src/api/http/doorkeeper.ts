/** Requests that are turned away before anybody looks at what they ask for. */
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { LighterError } from "../../base/errors.ts";
import { isLoopback } from "../config/hosts.ts";

/**
 * Why a request is not answered, or undefined. On a connection by TCP whose client has shown no certificate of ours it must not
 * come from a web page: a browser of this machine, or of its network, sends what any page tells it to, and a name that is the
 * page's own leads here if its owner says so (DNS rebinding). `ownNames`: by which the daemon was told to listen.
 */
export function refusalOf(request: IncomingMessage, ownNames: readonly string[]): LighterError | undefined {
  const encoding = request.headers["transfer-encoding"];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== "chunked")
    return new LighterError("not-supported", "Unsupported transfer encoding");
  const { socket } = request;
  if (socket.remoteAddress === undefined || ("authorized" in socket && socket.authorized)) return undefined;
  return strangerOf(request, ownNames);
}

/** The same of a port where everybody may look, if web pages are to be kept off: on an address of this machine alone. */
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

/** Without the port. */
function nameIn(host: string): string {
  const bare = /^\[(.*)\](?::\d*)?$/.exec(host)?.[1] ?? host.replace(/:\d*$/, "");
  return bare.replace(/\.$/, "").toLowerCase();
}

/** A name without a dot is nobody's on the internet. */
function isOwnName(name: string, ownNames: readonly string[]): boolean {
  if (!name.includes(".") || isIP(name) !== 0 || name.endsWith(".localhost")) return true;
  return [hostname(), ...ownNames].some((own) => own.toLowerCase() === name) || namesOfHosts().has(name);
}

/** Source: hosts(5). */
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
