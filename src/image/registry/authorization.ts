/**
 * The Authorization header for one server: Basic, or tokens from the server that its challenge names.
 *
 *   registry ── 401, Bearer realm,service,scope ──► we ── GET realm?service&scope, Basic ──────────► token server
 *   registry ◄─────── Authorization: Bearer … ────── we ◄─ { token, expires_in } ───────────────────
 *                                                       (POST grant_type=refresh_token for an identity token)
 *
 * Sources: distribution's token and oauth2 specifications (spec/auth); RFC 6749 §6.
 */
import { LighterError } from "../../base/errors.ts";
import { REGISTRY_ERROR_MAX_BYTES, REGISTRY_TOKEN_MAX_BYTES } from "../../base/limits.ts";
import { integer, object, readDocument, string } from "../../spec/reader.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import type { Challenge } from "./challenge.ts";
import { RegistryError, refusalError } from "./registry-error.ts";
import { describe, type HttpRequest, sendFollowing, type Timing, type TlsOptions } from "./transport.ts";

/** Somebody who has the credentials, and may talk to token servers in our place. */
export interface Login {
  /** Resolves with the credentials. */
  ask(): Promise<AuthConfig>;
  /** Gets a token, so that the password stays where it is; undefined: we are to ask for the credentials. */
  fetchToken(request: TokenRequest): Promise<TokenAnswer | undefined>;
}

export interface TokenRequest {
  /** The token server's URL. */
  realm: string;
  service: string;
  scopes: readonly string[];
  /** Who asks. */
  clientId: string;
}

interface AuthorizationOptions {
  readonly credentials?: AuthConfig | Login | undefined;
  /** The base URL of the server that asks for authorization. */
  readonly baseUrl: string;
  readonly tls: TlsOptions;
  /** True to also ask for a token that can be kept instead of the password. */
  readonly wantsIdentityToken?: boolean | undefined;
  readonly clientAgent?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<Timing> | undefined;
}

/** The answer of a token server. */
interface TokenAnswer {
  token?: string;
  access_token?: string;
  refresh_token?: string;
  /** The token's lifetime in seconds. */
  expires_in?: number;
}

const readTokenAnswer = object<TokenAnswer>({
  token: string,
  access_token: string,
  refresh_token: string,
  expires_in: integer(0, 2 ** 31),
});

interface Token {
  readonly value: string;
  readonly scopes: readonly string[];
  readonly refreshToken?: string;
  readonly expiresAtMs: number;
}

/** The lifetime of a token if the registry does not say one: the specification's number. */
const DEFAULT_TOKEN_SECONDS = 60;
/** The part of its life that a token must have left to be used: a download that begins with it takes its time. */
const MIN_LIFE_LEFT = 0.2;
const CLIENT_ID = "lighter";

/** Keeps tokens until they run out. A token is asked for once, however many requests wait for it. */
export class Authorization {
  readonly #options: AuthorizationOptions;
  #challenge: Challenge | undefined;
  #tokens: Token[] = [];
  readonly #pending = new Map<string, Promise<Token>>();

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /**
   * The header for a request with these scopes; undefined until the server has asked for one.
   * @throws RegistryError if there is none to be had; ConnectionError. A second call may succeed after a transient one.
   */
  async header(scopes: readonly string[]): Promise<string | undefined> {
    const challenge = this.#challenge;
    if (challenge === undefined) return undefined;
    if (challenge.scheme === "basic") {
      const header = basicHeader(await this.#credentials());
      if (header === undefined)
        throw new RegistryError("unauthorized", "no basic auth credentials", 401, "UNAUTHORIZED");
      return header;
    }
    const { credentials = {} } = this.#options;
    const registrytoken = "ask" in credentials ? undefined : credentials.registrytoken;
    return `Bearer ${registrytoken ?? (await this.#token(challenge, scopes)).value}`;
  }

  async #credentials(): Promise<AuthConfig> {
    const { credentials = {} } = this.#options;
    return "ask" in credentials ? await credentials.ask() : credentials;
  }

  /**
   * Takes the challenges of a 401 answer to a request with the header `rejected`. Resolves with the header to try next, or
   * undefined if there is no other.
   */
  async answer(
    challenges: readonly Challenge[],
    scopes: readonly string[],
    rejected: string | undefined,
  ): Promise<string | undefined> {
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer" && challenge.parameters.has("realm"));
    const challenge = bearer ?? challenges.find(({ scheme }) => scheme === "basic");
    if (challenge === undefined) return undefined;
    this.#challenge = challenge;
    this.forget(rejected);
    const header = await this.header(mergeScopes(scopes, challenge.parameters.get("scope") ?? ""));
    return header === rejected ? undefined : header;
  }

  /** Forgets a header that the server has refused. */
  forget(rejected: string | undefined): void {
    this.#tokens = this.#tokens.filter(({ value }) => `Bearer ${value}` !== rejected);
  }

  get usesTokens(): boolean {
    return this.#challenge?.scheme === "bearer";
  }

  /** The token that the token server gave for the user's password, to be kept instead of it, if that was wanted. */
  identityToken(): string | undefined {
    return this.#tokens.findLast(({ refreshToken }) => refreshToken !== undefined)?.refreshToken;
  }

  async #token(challenge: Challenge, scopes: readonly string[]): Promise<Token> {
    const now = Date.now();
    this.#tokens = this.#tokens.filter(({ expiresAtMs }) => expiresAtMs > now);
    const found = this.#tokens.find((token) => scopes.every((scope) => token.scopes.includes(scope)));
    if (found !== undefined) return found;
    const key = scopes.join(" ");
    const pending = this.#pending.get(key) ?? this.#fetchToken(challenge, scopes);
    this.#pending.set(key, pending);
    try {
      const token = await pending;
      if (!this.#tokens.includes(token)) this.#tokens.push(token);
      return token;
    } finally {
      this.#pending.delete(key);
    }
  }

  async #fetchToken(challenge: Challenge, scopes: readonly string[]): Promise<Token> {
    const { credentials = {}, baseUrl } = this.#options;
    const realm = realmOf(challenge);
    const what = describe("GET", realm.href);
    // A server with TLS whose token server has none gets no password, and nobody is asked to send it one.
    const isOpen = realm.protocol === "http:" && baseUrl.startsWith("https:");
    const service = challenge.parameters.get("service") ?? "";
    const got =
      "ask" in credentials && !isOpen
        ? await credentials.fetchToken({ realm: realm.href, service, scopes, clientId: CLIENT_ID })
        : undefined;
    const { token, access_token, refresh_token, expires_in } = got ?? (await this.#askTokenServer(challenge, scopes));
    const value = token || access_token || "";
    if (value === "" || !isHeaderValue(value))
      throw new LighterError("unavailable", `${what}: authorization server did not include a token in the response`);
    const seconds = Math.max(DEFAULT_TOKEN_SECONDS, expires_in ?? 0);
    return {
      value,
      scopes,
      expiresAtMs: Date.now() + seconds * 1000 * (1 - MIN_LIFE_LEFT),
      ...(refresh_token === undefined ? {} : { refreshToken: refresh_token }),
    };
  }

  async #askTokenServer(challenge: Challenge, scopes: readonly string[]): Promise<TokenAnswer> {
    const request = this.#tokenRequest(challenge, scopes, await this.#credentials());
    const what = describe(request.method, request.url);
    const response = await sendFollowing(request);
    if (response.status !== 200) {
      const { status, headers } = response;
      throw refusalError({ status, headers, body: `${await response.readStart(REGISTRY_ERROR_MAX_BYTES)}` }, what);
    }
    const answer = await response.readAll(REGISTRY_TOKEN_MAX_BYTES, `${what}: the answer`);
    return readDocument(readTokenAnswer, `${answer}`, what);
  }

  #tokenRequest(challenge: Challenge, scopes: readonly string[], credentials: AuthConfig): HttpRequest {
    const { tls, clientAgent, signal, timing } = this.#options;
    const { href: realm, protocol } = realmOf(challenge);
    const service = challenge.parameters.get("service") ?? "";
    const { username, password, identitytoken } = credentials;
    const isSecret = password !== undefined || identitytoken !== undefined;
    if (isSecret && protocol === "http:" && this.#options.baseUrl.startsWith("https:"))
      throw new LighterError(
        "unavailable",
        `the registry's token server "${realm.slice(0, 200)}" is without TLS: it gets no password`,
      );
    const common = { tls, clientAgent, signal, timing };
    if (identitytoken !== undefined) {
      const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: identitytoken });
      form.set("service", service);
      form.set("client_id", CLIENT_ID);
      if (scopes.length > 0) form.set("scope", scopes.join(" "));
      const headers = { "Content-Type": "application/x-www-form-urlencoded" };
      return { method: "POST", url: realm, headers, body: `${form}`, ...common };
    }
    const url = new URL(realm);
    if (service !== "") url.searchParams.set("service", service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    const headers: Record<string, string> = {};
    if (username !== undefined && password !== undefined) {
      url.searchParams.set("account", username);
      if (this.#options.wantsIdentityToken === true) {
        url.searchParams.set("client_id", CLIENT_ID);
        url.searchParams.set("offline_token", "true");
      }
      headers.Authorization = basicHeader(credentials)!;
    }
    return { method: "GET", url: url.href, headers, ...common };
  }
}

/** The URL of the token server that a challenge names. @throws LighterError "unavailable" */
function realmOf({ parameters }: Challenge): URL {
  const realm = parameters.get("realm") ?? "";
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new LighterError("unavailable", `the registry's token server "${realm.slice(0, 200)}" is not a valid URL`);
}

/**
 * Adds the scopes that the server asks for to those that we need: a server that stands for another (a proxy with a prefix for
 * names) knows better which names are granted.
 */
function mergeScopes(scopes: readonly string[], asked: string): string[] {
  const covers = (ours: string, theirs: string): boolean => {
    const [name, actions] = splitScope(ours);
    const [theirName, theirActions] = splitScope(theirs);
    return name === theirName && theirActions.every((action) => actions.includes(action));
  };
  const more = asked.split(" ").filter((scope) => scope !== "" && !scopes.some((ours) => covers(ours, scope)));
  return [...scopes, ...more];
}

/** Splits a scope into "repository:NAME" and its actions. */
function splitScope(scope: string): [string, string[]] {
  const colon = scope.lastIndexOf(":");
  return [scope.slice(0, Math.max(colon, 0)), scope.slice(colon + 1).split(",")];
}

function basicHeader(credentials: AuthConfig | undefined): string | undefined {
  const { username, password } = credentials ?? {};
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Whether the text is visible ASCII, which a token may hold (RFC 6750 §2.1), with nothing that would end a header. */
function isHeaderValue(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
