/**
 * Who may ask the dashboard's server for what. Any user and any program of this machine can connect to it, and a browser sends it
 * what any web page says; so nothing is answered for where a request comes from alone.
 */
import type { IncomingHttpHeaders } from "node:http";

/** The header that carries the page's key: no form and no simple request of another page can have it. */
export const KEY_HEADER = "x-lighter-key";
/** The name of the subprotocol of the page's websockets. The key follows it, as browsers can add no header there. */
const SUBPROTOCOL = "lighter";

/** On every answer: no other page may read, embed or script this one, and it loads nothing from elsewhere. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
};

/**
 * Why a request for any path is refused, or undefined. A name that leads here by DNS is none of ours, and another page's script
 * names its own origin. `port`: where we listen.
 */
export function refusalAtDoor(headers: IncomingHttpHeaders, port: number): string | undefined {
  const host = headers.host?.toLowerCase() ?? "";
  if (!["127.0.0.1", "localhost"].some((name) => host === `${name}:${port}`))
    return `this page has the name 127.0.0.1:${port}, not "${host}"`;
  if (headers.origin !== undefined && headers.origin !== `http://${host}`)
    return `requests of other pages are refused: Origin: ${headers.origin}`;
  return undefined;
}

/** Why a request for the API is refused that came through the door, or undefined. `changes`: it is no mere GET. */
export function refusalOfCall(headers: IncomingHttpHeaders, changes: boolean): string | undefined {
  if (changes && headers.origin === undefined) return "a request that changes something needs the header Origin";
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") return `requests of other pages are refused: they are ${site}`;
  return undefined;
}

/** The value of one cookie, or "". */
export function cookieIn(headers: IncomingHttpHeaders, name: string): string {
  for (const part of (headers.cookie ?? "").split(";")) {
    const [key, value = ""] = part.trim().split("=", 2);
    if (key === name) return value;
  }
  return "";
}

/** The key in the list of a websocket's subprotocols, or "". */
export function keyInSubprotocols(headers: IncomingHttpHeaders): string {
  const [name, key = ""] = (headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
  return name === SUBPROTOCOL ? key : "";
}
