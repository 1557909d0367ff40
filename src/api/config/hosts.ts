/** Addresses that the daemon listens on. Sources: dockerd(8), "-H"; opts/hosts.go of moby for the defaults. */
import { invalid } from "./kinds.ts";

export const DEFAULT_SOCKET_PATH = "/run/lighter/lighter.sock";

export type Host =
  | { kind: "unix"; path: string }
  | { kind: "tcp"; hostname: string; port: number }
  /** Sockets that systemd has opened: all of them, a number from 3, or a name. */
  | { kind: "fd"; which: string };

const DEFAULT_CRI_PATH = "/run/lighter/cri.sock";

/** Parses the address of the socket for Kubernetes, as a URL or a path. @throws LighterError "invalid" */
export function parseCriAddress(text: string): string {
  const path = text.replace(/^unix:\/\//, "");
  if (path === "" && text !== "") return DEFAULT_CRI_PATH;
  if (/^\/[^\0]+$/.test(path)) return path;
  throw invalid(`cri: ${JSON.stringify(text)} is not unix:///path/to/socket`);
}

/** The TCP ports that Docker uses by convention, without and with TLS. */
const PLAIN_PORT = 2375;
const TLS_PORT = 2376;

/** Parses one address of `--host`. @throws LighterError "invalid" */
export function parseHost(text: string, withTls: boolean): Host {
  // An address without a scheme is TCP, as for Docker.
  const [, scheme = "", rest = ""] =
    /^([a-z]+):\/\/(.*)$/s.exec(text) ?? (/^[^./]/.test(text) ? ["", "tcp", text] : []);
  switch (scheme) {
    case "unix":
      if (rest === "") return { kind: "unix", path: DEFAULT_SOCKET_PATH };
      if (!/^\/[^\0]+$/.test(rest)) break;
      return { kind: "unix", path: rest };
    case "tcp": {
      const address = parseAddress(rest, withTls ? TLS_PORT : PLAIN_PORT);
      if (address === undefined) break;
      return { kind: "tcp", ...address };
    }
    case "fd":
      if (!/^[\w.*-]*$/.test(rest)) break;
      return { kind: "fd", which: rest === "*" ? "" : rest };
  }
  throw invalid(`hosts: ${JSON.stringify(text)} is none of unix:///path/to/socket, tcp://HOST:PORT and fd://`);
}

/** Parses "HOST:PORT", either part of which may be left out; undefined if the text is no such address. */
export function parseAddress(text: string, defaultPort: number): { hostname: string; port: number } | undefined {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[\w.-]*)(?::(\d{1,5}))?\/?$/.exec(text);
  if (match === null) return undefined;
  const hostname = (match[1] ?? "").replace(/^\[|\]$/g, "") || "127.0.0.1";
  const port = match[2] === undefined ? defaultPort : Number(match[2]);
  return port > 65535 ? undefined : { hostname, port };
}

export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

export function formatHost(host: Host): string {
  if (host.kind === "unix") return host.path;
  if (host.kind === "fd") return `fd://${host.which}`;
  return `tcp://${host.hostname.includes(":") ? `[${host.hostname}]` : host.hostname}:${host.port}`;
}
