import { errnoOf, messageOf } from "../../base/errors.ts";
import { lazyFs } from "../../base/lazy-fs.ts";
import type { Address, ClientTls } from "./transport.ts";

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
  /** That of Docker's contexts which named it. */
  readonly contextName?: string;
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
 * -H, LIGHTER_HOST, DOCKER_HOST, the default: the first that is set.
 * @throws Error that says what is wrong with the text, or with a certificate
 */
export function resolveHost(flag: string | undefined, env: Environment, tls: TlsFlags = {}): Host {
  const ours = flag ?? (env.LIGHTER_HOST || undefined);
  const makeTls = () => resolveTls(env, tls);
  if (ours !== undefined) return parseHost(ours, true, env, makeTls);
  if (env.DOCKER_HOST) return parseHost(env.DOCKER_HOST, false, env, makeTls);
  return parseHost("", true, env, makeTls);
}

/** The context that is named: by the flag, or by DOCKER_CONTEXT where no variable names a host. Undefined: the default one. */
export function chosenContext(flag: string, hasHost: boolean, env: Environment): string | undefined {
  const name = flag || (hasHost || env.LIGHTER_HOST || env.DOCKER_HOST ? "" : (env.DOCKER_CONTEXT ?? ""));
  return name === "" || name === "default" ? undefined : name;
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

/**
 * unix://PATH, ssh://[USER@]HOST[:PORT][PATH], tcp://HOST:PORT, and that without its scheme, as the stock client takes it.
 * @throws Error that says what is wrong with the text, and what `makeTls` throws
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
 * ssh(1) with a program at the far end that passes bytes on to the daemon's socket: Lighter's, or Docker's where that is what is there.
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
