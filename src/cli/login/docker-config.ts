/**
 * Docker's config.json, which holds the credentials of registries and which other clients share. Only the few keys
 * known here are read, and everything else is kept when it is written.
 */
import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { DOCKER_CONFIG_MAX_BYTES } from "../../base/limits.ts";
import { indentJson } from "../format/json-indent.ts";
import { joinMembers, setMember, splitMembers } from "../format/json-members.ts";
import { printError } from "../output.ts";
import { errnoText } from "../values/env-file.ts";

/**
 * Credentials that are sent to the daemon for a registry: the Engine API's AuthConfig, with its keys in the order in
 * which they are written.
 */
export interface AuthConfig {
  readonly username?: string;
  readonly password?: string;
  readonly email?: string;
  readonly serveraddress?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

const FORMAT_KEYS = ["imagesFormat", "networksFormat", "psFormat", "statsFormat", "volumesFormat"] as const;

export type FormatKey = (typeof FORMAT_KEYS)[number];

export interface DockerConfig {
  readonly path: string;
  readonly auths: ReadonlyMap<string, AuthConfig>;
  /** Name of the credential helper for all registries, "" for none. */
  readonly credsStore: string;
  /** Helpers by registry; they come before `credsStore`. */
  readonly credHelpers: ReadonlyMap<string, string>;
  /** Formats of lists without --format; "" for none. */
  readonly formats: Readonly<Record<FormatKey, string>>;
  /** Detach keys without --detach-keys; "" for none. */
  readonly detachKeys: string;
  /** Filters ("name=value") of every prune. */
  readonly pruneFilters: readonly string[];
}

/** Returns the file's path. DOCKER_CONFIG is a directory; the default is ~/.docker. */
export function dockerConfigPath(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker"), "config.json");
}

/**
 * Reads the file; a missing one counts as empty.
 * @throws Error that names the file
 */
export function readDockerConfig(path: string): DockerConfig {
  const text = readConfigText(path);
  try {
    return parseDockerConfig(path, text);
  } catch (cause) {
    throw new Error(`${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Reads the user's own file. If it cannot be read, a warning is printed and it counts as empty. */
export async function openDockerConfig(): Promise<DockerConfig> {
  const path = dockerConfigPath();
  try {
    return readDockerConfig(path);
  } catch (error) {
    await printError(`WARNING: Error loading config file: ${messageOf(error)}`);
    return parseDockerConfig(path, "{}");
  }
}

/**
 * Parses the file's text.
 * @throws Error that says what is wrong
 */
export function parseDockerConfig(path: string, text: string): DockerConfig {
  const config = asObject("the file", parseObject(text));
  const auths = new Map<string, AuthConfig>();
  for (const [server, entry] of Object.entries(asObject("auths", config.auths ?? {})))
    auths.set(server, parseAuth(server, asObject(`auths ${JSON.stringify(server)}`, entry ?? {})));
  const helpers = Object.entries(asObject("credHelpers", config.credHelpers ?? {}));
  return {
    path,
    auths,
    credsStore: asString("credsStore", config.credsStore),
    formats: Object.fromEntries(FORMAT_KEYS.map((key) => [key, asString(key, config[key])])) as DockerConfig["formats"],
    detachKeys: asString("detachKeys", config.detachKeys),
    pruneFilters: asStrings("pruneFilters", config.pruneFilters),
    credHelpers: new Map(
      helpers.map(([server, name]) => [server, asString(`credHelpers ${JSON.stringify(server)}`, name)]),
    ),
  };
}

/**
 * Writes or removes one entry of `auths`. The new file replaces the old one in one step, can be read by its owner only,
 * and keeps the old one's owner: root may be at work in a user's home.
 * @throws Error that names the file, which is then unchanged; a file that cannot be read is not replaced
 */
export function writeAuth(path: string, server: string, entry: AuthConfig | undefined): void {
  readDockerConfig(path); // fails on a file that we do not understand, which must not be rewritten
  const text = readConfigText(path);
  const members = splitMembers(text.trim() === "" ? "{}" : text);
  const auths = splitMembers(members.find(([key]) => key === "auths")?.[1] ?? "{}");
  const changed =
    entry === undefined
      ? auths.filter(([key]) => key !== server)
      : setMember(auths, server, JSON.stringify(encodeAuth(entry)));
  replaceFile(path, indentJson(joinMembers(setMember(members, "auths", joinMembers(changed))), "\t"));
}

function readConfigText(path: string): string {
  try {
    if (statSync(path).size > DOCKER_CONFIG_MAX_BYTES) throw new Error(`longer than ${DOCKER_CONFIG_MAX_BYTES} bytes`);
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return "";
    throw new Error(`${path}: ${errnoText(cause)}`, { cause });
  }
}

/** Parses a JSON object. The parser's own message would quote the text around the fault, which may be a password. */
function parseObject(text: string): unknown {
  try {
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw new Error("not valid JSON");
  }
}

function asObject(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`);
  return value as Readonly<Record<string, unknown>>;
}

function asString(what: string, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new Error(`${what} is not a string`);
  return value;
}

function asStrings(what: string, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error(`${what} is not a list`);
  return value.map((item) => asString(what, item));
}

function parseAuth(server: string, entry: Readonly<Record<string, unknown>>): AuthConfig {
  const field = (name: string) => asString(`auths ${JSON.stringify(server)} ${name}`, entry[name]);
  const auth = field("auth");
  const [username, password] = auth === "" ? [field("username"), field("password")] : decodeAuth(auth);
  return withoutEmpty({
    username,
    password,
    email: field("email"),
    serveraddress: server,
    identitytoken: field("identitytoken"),
    registrytoken: field("registrytoken"),
  });
}

/** Decodes base64 of "user:password". */
function decodeAuth(auth: string): [username: string, password: string] {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(auth))
    throw new Error("illegal base64 data in an auth");
  const text = Buffer.from(auth, "base64").toString();
  const colon = text.indexOf(":");
  if (colon < 1) throw new Error("Invalid auth configuration file");
  return [text.slice(0, colon), text.slice(colon + 1).replace(/^\0+|\0+$/g, "")];
}

function encodeAuth({ username = "", password = "", email, identitytoken, registrytoken }: AuthConfig): object {
  const auth = username === "" && password === "" ? "" : Buffer.from(`${username}:${password}`).toString("base64");
  return withoutEmpty({ auth, email, identitytoken, registrytoken });
}

/** Returns the object without its empty fields, as the stock client does. */
export function withoutEmpty<T extends Readonly<Record<string, string | undefined>>>(
  fields: T,
): { [K in keyof T]?: string } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== "")) as {
    [K in keyof T]?: string;
  };
}

function replaceFile(path: string, text: string): void {
  let temporaryPath: string | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const { target, owner } = findTarget(path);
    const candidate = `${target}.${crypto.randomUUID()}.tmp`;
    const fd = openSync(candidate, "wx", 0o600);
    temporaryPath = candidate;
    try {
      fchmodSync(fd, 0o600);
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (owner !== undefined && process.geteuid?.() === 0) chownSync(candidate, owner.uid, owner.gid);
    renameSync(candidate, target);
  } catch (cause) {
    if (temporaryPath !== undefined) rmSync(temporaryPath, { force: true });
    throw new Error(`write ${path}: ${errnoText(cause)}`, { cause });
  }
}

/** Returns the file to replace, a symlink's target if there is one, with its owner. */
function findTarget(path: string): { target: string; owner?: { uid: number; gid: number } } {
  try {
    const target = realpathSync(path);
    return { target, owner: statSync(target) };
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return { target: path };
  }
}
