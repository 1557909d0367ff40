import type { Address } from "./http.ts";

export const DEFAULT_SOCKET_PATH = "/run/lighter/lighter.sock";

/** Where the daemon is, as the user named it. */
export interface Host {
  /** "unix:///run/lighter/lighter.sock", for messages. */
  readonly name: string;
  readonly address: Address;
  /** The socket path if a daemon may be started there: not for DOCKER_HOST, which names somebody else's. */
  readonly startSocketPath?: string;
}

/**
 * -H, LIGHTER_HOST, DOCKER_HOST, the default: the first that is set. unix:// and tcp:// (plain) are known.
 * @throws Error that says what is wrong with the text
 */
export function resolveHost(flag: string | undefined, env: Readonly<Record<string, string | undefined>>): Host {
  const ours = flag ?? (env.LIGHTER_HOST || undefined);
  if (ours !== undefined) return parseHost(ours, true);
  if (env.DOCKER_HOST) return parseHost(env.DOCKER_HOST, false);
  return parseHost(`unix://${DEFAULT_SOCKET_PATH}`, true);
}

function parseHost(text: string, ours: boolean): Host {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === "unix") {
    const path = rest === "" ? DEFAULT_SOCKET_PATH : rest;
    return { name: `unix://${path}`, address: { unix: path }, ...(ours ? { startSocketPath: path } : {}) };
  }
  if (scheme === "tcp") {
    const [, hostname = "", port = "2375"] = /^(\[[^\]]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(rest) ?? [];
    if (hostname !== "")
      return { name: text, address: { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) } };
  }
  throw new Error(`unable to parse docker host \`${text}\``);
}
