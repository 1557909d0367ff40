/**
 * Docker's contexts: names for daemons, which the stock client keeps beside its config.json. They are only read here.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { dockerConfigPath } from "../login/docker-config.ts";
import { type Host, parseHost } from "./host.ts";
import type { ClientTls } from "./transport.ts";

type Environment = Readonly<Record<string, string | undefined>>;

interface DockerContext {
  readonly name: string;
  readonly description: string;
  /** Address of the daemon, "" for the stock client's default. */
  readonly host: string;
  readonly skipTlsVerify: boolean;
  /** Metadata exactly as in the file. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly metadataPath: string;
  readonly tlsPath: string;
}

const DOCKERS_DEFAULT_HOST = "unix:///var/run/docker.sock";

function contextsPath(env: Environment): string {
  return join(dirname(dockerConfigPath(env)), "contexts");
}

/**
 * Reads a context.
 * @throws Error that says which file is missing or wrong
 */
export function readContext(name: string, env: Environment): DockerContext {
  const id = createHash("sha256").update(name).digest("hex");
  return readContextFile(id, name, env);
}

function readContextFile(id: string, named: string, env: Environment): DockerContext {
  const metadataPath = join(contextsPath(env), "meta", id);
  const path = join(metadataPath, "meta.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const missing = errnoOf(error) === "ENOENT";
    const why = missing ? `context not found: open ${path}: no such file or directory` : messageOf(error);
    throw new Error(`context "${named}": ${why}`, { cause: error });
  }
  try {
    const { Name, Metadata, Endpoints } = JSON.parse(text);
    const { Host = "", SkipTLSVerify = false } = Endpoints?.docker ?? {};
    return {
      name: String(Name),
      description: String(Metadata?.Description ?? ""),
      host: String(Host),
      skipTlsVerify: SkipTLSVerify === true,
      metadata: { Name, Metadata: Metadata ?? {}, Endpoints: Endpoints ?? {} },
      metadataPath,
      tlsPath: join(contextsPath(env), "tls", id),
    };
  } catch (error) {
    throw new Error(`context "${named}": ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Lists contexts by name. One whose file cannot be read is left out. */
export function listContexts(env: Environment): DockerContext[] {
  const folder = join(contextsPath(env), "meta");
  const ids = existsSync(folder) ? readdirSync(folder) : [];
  return ids
    .flatMap((id) => {
      try {
        return [readContextFile(id, id, env)];
      } catch {
        return [];
      }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Returns the daemon that the context names, which may be ours or another one.
 * @throws Error
 */
export function resolveContext(name: string, env: Environment): Host {
  try {
    const context = readContext(name, env);
    const host = parseHost(context.host || DOCKERS_DEFAULT_HOST, false, env, () => readTls(context));
    return { ...host, contextName: name };
  } catch (error) {
    throw new Error(`unable to resolve docker endpoint: ${messageOf(error)}`, { cause: error });
  }
}

function readTls({ tlsPath, skipTlsVerify }: DockerContext): ClientTls | undefined {
  const read = (name: string) => {
    const path = join(tlsPath, "docker", name);
    return existsSync(path) ? readFileSync(path) : undefined;
  };
  const [ca, cert, key] = [read("ca.pem"), read("cert.pem"), read("key.pem")];
  if (ca === undefined && cert === undefined && key === undefined && !skipTlsVerify) return undefined;
  return { verify: !skipTlsVerify, ...(ca && { ca }), ...(cert && key && { cert, key }) };
}
