/** Credentials for a registry, as Docker's clients send them: in X-Registry-Auth, and as the body of POST /auth. */
import { LighterError } from "../base/errors.ts";
import { REGISTRY_AUTH_MAX_CHARS } from "../base/limits.ts";
import { handled, parseBody } from "./body-fields.ts";
import { parseGoJson } from "./go-json.ts";

/** The API's AuthConfig. An empty field counts as absent. */
export interface AuthConfig {
  username?: string;
  password?: string;
  /** "USER:PASSWORD" in base64, which replaces the two fields. */
  auth?: string;
  /** "https://index.docker.io/v1/", "HOST[:PORT]". */
  serveraddress?: string;
  /** A refresh token for the registry's token server. */
  identitytoken?: string;
  /** A bearer token for the registry itself. */
  registrytoken?: string;
}

export const DOCKER_HUB = "docker.io";
/** Where docker.io is served. */
export const DOCKER_HUB_HOST = "registry-1.docker.io";
/** The key for docker.io in the credentials of Docker's clients and at `login`. */
const DOCKER_HUB_AUTH_KEY = "https://index.docker.io/v1/";

/** The key under which clients keep the credentials for an image's domain. */
export function authKeyOfDomain(domain: string): string {
  return domain === DOCKER_HUB ? DOCKER_HUB_AUTH_KEY : domain;
}

/**
 * The registry that a client's `serveraddress` means: "docker.io", "HOST[:PORT]".
 * Source: docker login(1); the file of credentials of Docker's clients has URLs from earlier times.
 */
export function domainOfServerAddress(address: string): string {
  const host = address.replace(/^https?:\/\//, "").replace(/\/.*/s, "");
  return ["", "index.docker.io", DOCKER_HUB_HOST].includes(host) ? DOCKER_HUB : host;
}

const AUTH_FIELDS = {
  username: handled("string"),
  password: handled("string"),
  auth: handled("string"),
  serveraddress: handled("string"),
  identitytoken: handled("string"),
  registrytoken: handled("string"),
} satisfies Record<keyof AuthConfig, unknown>;

/** Parses credentials. @throws LighterError ("invalid"), beginning with `where`. */
export function parseAuthConfig(json: unknown, where: string): AuthConfig {
  const fields = readFields(json, where);
  const filled = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "")) as AuthConfig;
  const { auth, ...config } = filled;
  if (auth === undefined) return config;
  const pair = Buffer.from(auth, "base64").toString();
  const colon = pair.indexOf(":");
  if (colon < 1) throw new LighterError("invalid", `${where}: auth is not a user and a password in base64`);
  return { ...config, username: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

function readFields(json: unknown, where: string): AuthConfig {
  try {
    return parseBody(json, AUTH_FIELDS);
  } catch (error) {
    if (error instanceof LighterError) throw new LighterError(error.code, `${where}: ${error.message}`);
    throw error;
  }
}

/**
 * Parses X-Registry-Auth: JSON in base64, of either alphabet, with or without padding. An absent or empty one means no
 * credentials.
 * @throws LighterError ("invalid"), never with a part of the value.
 */
export function parseRegistryAuth(header: string): AuthConfig {
  if (header === "") return {};
  if (header.length > REGISTRY_AUTH_MAX_CHARS || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(header))
    throw new LighterError("invalid", "X-Registry-Auth is not base64");
  try {
    return parseAuthConfig(parseGoJson(Buffer.from(header, "base64")), "X-Registry-Auth");
  } catch (error) {
    // The message of a JSON error may quote the document, and with it a password.
    if (error instanceof LighterError)
      throw new LighterError("invalid", "X-Registry-Auth is not a JSON of credentials");
    throw error;
  }
}
