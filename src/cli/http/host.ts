/** Which daemon a command talks to, according to flags, environment and contexts. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { errnoOf, messageOf } from "../../base/errors.ts";
import type { Address, ClientTls } from "./transport.ts";

export const DEFAULT_SOCKET_PATH = "/run/lighter/lighter.sock";

/** A daemon's address, as the user named it. */
export interface Host {
  /** Address for messages: "unix:///run/lighter/lighter.sock". */
  readonly name: string;
  readonly address: Address;
  /**
   * The socket path if a daemon may be started there. Not set for DOCKER_HOST, which names somebody else's daemon, nor
   * for a path other than the default one, unless the environment says where such a daemon has its data.
   */
  readonly startSocketPath?: string;
  /** Whether the daemon may be Lighter's own; false for DOCKER_HOST, which names another one. */
  readonly mayBeOurs?: boolean;
  /** Name of the Docker context that gave this address. */
  readonly contextName?: string;
}

/** `docker`'s global flags for TLS; what is not given comes from the environment. */
export interface TlsFlags {
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the first address that is set of: -H, LIGHTER_HOST, DOCKER_HOST, the default.
 * @throws Error that says what is wrong with the text, or with a certificate
 */
export function resolveHost(flag: string | undefined, env: Environment, tls: TlsFlags = {}): Host {
  const ours = flag ?? (env.LIGHTER_HOST || undefined);
  const makeTls = () => resolveTls(env, tls);
  if (ours !== undefined) return parseHost(ours, true, env, makeTls);
  if (env.DOCKER_HOST) return parseHost(env.DOCKER_HOST, false, env, makeTls);
  return parseHost("", true, env, makeTls);
}

/**
 * Returns the name of the chosen context: that of the flag, or of DOCKER_CONTEXT where no variable names a host.
 * Undefined means the default one.
 */
export function chosenContext(flag: string, hasHost: boolean, env: Environment): string | undefined {
  const name = flag || (hasHost || env.LIGHTER_HOST || env.DOCKER_HOST ? "" : (env.DOCKER_CONTEXT ?? ""));
  return name === "" || name === "default" ? undefined : name;
}

/** Returns the TLS settings, or undefined if TLS is not wanted. `--tls` alone does not verify the server. */
function resolveTls(env: Environment, flags: TlsFlags): ClientTls | undefined {
  const verify = flags.tlsverify ?? (env.DOCKER_TLS_VERIFY ?? "") !== "";
  if (!verify && !(flags.tls ?? (env.DOCKER_TLS ?? "") !== "")) return undefined;
  const directory = env.DOCKER_CERT_PATH || `${env.HOME || homedir()}/.docker`;
  const read = (given: string | undefined, name: string): Buffer | undefined => {
    const path = given || `${directory}/${name}`;
    try {
      return readFileSync(path);
    } catch (error) {
      // The default files may be missing: a server may need no client certificate, and have one that everybody trusts.
      if (!given && errnoOf(error) === "ENOENT") return undefined;
      throw new Error(`read the certificate or key "${path}": ${messageOf(error)}`, { cause: error });
    }
  };
  const [ca, cert, key] = [
    verify ? read(flags.tlscacert, "ca.pem") : undefined,
    read(flags.tlscert, "cert.pem"),
    read(flags.tlskey, "key.pem"),
  ];
  if ((cert === undefined) !== (key === undefined))
    throw new Error(`a client's certificate and its key go together: only one of them is in "${directory}"`);
  return { verify, ...(ca && { ca }), ...(cert && key && { cert, key }) };
}

/**
 * Parses unix://PATH, ssh://[USER@]HOST[:PORT][PATH], tcp://HOST:PORT, or the last without its scheme, as the stock
 * client does.
 * @throws Error that says what is wrong with the text, and whatever `makeTls` throws
 */
export function parseHost(text: string, ours: boolean, env: Environment, makeTls: () => ClientTls | undefined): Host {
  const [, scheme = "", rest = ""] =
    /^([a-z]+):\/\/(.*)$/.exec(text) ?? (text === "" ? ["", "unix"] : /^[./]/.test(text) ? [] : ["", "tcp", text]);
  if (scheme === "ssh") return { name: text, address: { ssh: sshCommand(text) } };
  if (scheme === "unix") {
    const path = rest === "" ? DEFAULT_SOCKET_PATH : rest;
    const mayStart = ours && (path === DEFAULT_SOCKET_PATH || (env.LIGHTER_DATA_ROOT && env.LIGHTER_EXEC_ROOT));
    return {
      name: `unix://${path}`,
      address: { unix: path },
      mayBeOurs: ours,
      ...(mayStart ? { startSocketPath: path } : {}),
    };
  }
  if (scheme === "tcp") {
    const tls = makeTls();
    const [whole, hostname = "", port = tls === undefined ? "2375" : "2376"] =
      /^(\[[^\]]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(rest) ?? [];
    const name = hostname || "localhost";
    const address = { hostname: name.replace(/^\[|\]$/g, ""), port: Number(port) };
    if (whole !== undefined) return { name: `tcp://${name}:${port}`, address: { ...address, ...(tls && { tls }) } };
  }
  throw new Error(`unable to parse docker host \`${text}\``);
}

/**
 * Returns the ssh(1) command whose remote program passes bytes on to a daemon's socket: Lighter's, or Docker's if that
 * is installed there.
 * @throws Error that says what is wrong with the URL
 */
function sshCommand(text: string): string[] {
  const refuse = (why: string) => new Error(`ssh host connection is not valid: ${why}`);
  const [, user = "", password, host = "", port, path = "", rest = ""] =
    /^ssh:\/\/(?:([^@:/?#]*)(:[^@/?#]*)?@)?(\[[^\]]+\]|[^:/?#@]*)(?::(\d{1,5}))?(\/[^?#]*)?(.*)$/.exec(text) ?? [];
  if (password !== undefined) throw refuse("plain-text password is not supported");
  if (rest.startsWith("?")) throw refuse(`extra query after the host: "${rest.slice(1)}"`);
  if (rest.startsWith("#")) throw refuse(`extra fragment after the host: "${rest.slice(1)}"`);
  if (rest !== "") throw refuse(`unable to parse \`${text}\``);
  if (host === "") throw refuse("no host specified");
  if (!/^[\w./@%+=:,-]*$/.test(path)) throw refuse(`a path that needs no quotes is wanted, not "${path}"`);
  const dial = `${path === "" || path === "/" ? "" : `--host unix://${path} `}system dial-stdio`;
  return [
    ...["ssh", "-o", "ConnectTimeout=30", "-T"],
    ...(user === "" ? [] : ["-l", user]),
    ...(port === undefined ? [] : ["-p", port]),
    ...["--", host.replace(/^\[|\]$/g, "")],
    `sh -c 'if command -v lighter >/dev/null; then exec lighter ${dial}; else exec docker ${dial}; fi'`,
  ];
}
