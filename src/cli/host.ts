import { errnoOf, messageOf } from "../base/errors.ts";
import { lazyFs } from "../base/lazy-fs.ts";
import type { Address, ClientTls } from "./http.ts";

export const DEFAULT_SOCKET_PATH = "/run/lighter/lighter.sock";

/** Where the daemon is, as the user named it. */
export interface Host {
  /** "unix:///run/lighter/lighter.sock", for messages. */
  readonly name: string;
  readonly address: Address;
  /**
   * The socket path if a daemon may be started there: not for DOCKER_HOST, which names somebody else's, and not for another path than
   * the default one, unless the environment says where such a daemon has its data: those of the default daemon are not for it.
   */
  readonly startSocketPath?: string;
  /** The daemon may be Lighter's own: whoever names it by DOCKER_HOST has another one in mind. */
  readonly mayBeOurs?: boolean;
}

/** `docker`'s global flags; what is not given comes from the environment. */
export interface TlsFlags {
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * -H, LIGHTER_HOST, DOCKER_HOST, the default: the first that is set. unix:// and tcp:// are known.
 * @throws Error that says what is wrong with the text, or with a certificate
 */
export function resolveHost(flag: string | undefined, env: Environment, tls: TlsFlags = {}): Host {
  const ours = flag ?? (env.LIGHTER_HOST || undefined);
  if (ours !== undefined) return parseHost(ours, true, env, tls);
  if (env.DOCKER_HOST) return parseHost(env.DOCKER_HOST, false, env, tls);
  return parseHost(`unix://${DEFAULT_SOCKET_PATH}`, true, env, tls);
}

/** Undefined: none is asked for. `--tls` alone does not ask who the server is. */
function resolveTls(env: Environment, flags: TlsFlags): ClientTls | undefined {
  const verify = flags.tlsverify ?? (env.DOCKER_TLS_VERIFY ?? "") !== "";
  if (!verify && !(flags.tls ?? (env.DOCKER_TLS ?? "") !== "")) return undefined;
  const directory = env.DOCKER_CERT_PATH || `${env.HOME || process.getBuiltinModule("node:os").homedir()}/.docker`;
  const read = (given: string | undefined, name: string): Buffer | undefined => {
    const path = given || `${directory}/${name}`;
    try {
      return lazyFs().readFileSync(path);
    } catch (error) {
      // The defaults need not be there: a server may want no certificate, and have one that everybody trusts.
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

function parseHost(text: string, ours: boolean, env: Environment, flags: TlsFlags): Host {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [];
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
    const tls = resolveTls(env, flags);
    const [, hostname = "", port = tls === undefined ? "2375" : "2376"] =
      /^(\[[^\]]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(rest) ?? [];
    const address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port) };
    if (hostname !== "") return { name: text, address: { ...address, ...(tls && { tls }) } };
  }
  throw new Error(`unable to parse docker host \`${text}\``);
}
