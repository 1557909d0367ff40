/**
 * One HTTP exchange on Bun's fetch. Measured with Bun 1.4.5 on loopback: 1.6 GB/s; bodies of both directions have back-pressure;
 * heads, chunk lines and trailers without an end are refused or not kept; proxies are taken from the environment. This file adds
 * what it lacks: time limits that a slow reader of ours does not trip, and errors in Docker's words.
 */
import { isIP } from "node:net";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { REGISTRY_COMMIT_MS, REGISTRY_MAX_REDIRECTS, REGISTRY_STALL_MS } from "../../base/limits.ts";
import { VERSION } from "../../base/version.ts";
import { systemAuthorities } from "../../linux/authorities.ts";

/** Options for TLS: plain data, PEM texts. */
export interface TlsOptions {
  /** Authorities that are trusted in addition to the system's. */
  ca?: string;
  /** The client's certificate and key. */
  cert?: string;
  key?: string;
  /** True if the server's certificate is not verified. */
  insecure?: boolean;
}

export interface HttpRequest {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH";
  url: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array<ArrayBuffer> | { sizeBytes: number; pieces: AsyncIterable<Uint8Array> };
  tls?: TlsOptions;
  /** The User-Agent of whom the request is made for. */
  clientAgent?: string | undefined;
  signal?: AbortSignal | undefined;
  timing?: Partial<Timing> | undefined;
}

export interface Timing {
  /** How long the other side may send nothing. */
  stallMs: number;
  /** How long the answer may take after the end of an upload. */
  commitMs: number;
}

/** Why there was no complete answer. */
type ConnectionFailure = "refused" | "lookup" | "certificate" | "not-tls" | "broken" | "stalled" | "malformed";

/** Thrown if there is no answer, or no complete one. */
export class ConnectionError extends LighterError {
  constructor(
    readonly failure: ConnectionFailure,
    message: string,
    cause?: unknown,
  ) {
    super("unavailable", message, { cause });
  }
}

export class HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The URL from which the answer came, after redirects. */
  readonly url: string;
  readonly #response: Response;
  readonly #watch: Watch;
  readonly #request: HttpRequest;

  constructor(response: Response, url: string, watch: Watch, request: HttpRequest) {
    this.status = response.status;
    this.headers = response.headers;
    this.url = url;
    this.#response = response;
    this.#watch = watch;
    this.#request = request;
  }

  /**
   * The body as it comes. Ending the loop early closes the connection.
   * @throws ConnectionError; whatever the signal was aborted with.
   */
  async *pieces(): AsyncGenerator<Uint8Array, void> {
    const reader = this.#response.body?.getReader();
    try {
      while (reader !== undefined) {
        this.#watch.arm();
        const { done, value } = await reader.read().catch((error: unknown) => {
          throw this.#watch.explain(error, this.#request.method, this.url);
        });
        this.#watch.disarm();
        if (done) return;
        yield value;
      }
    } finally {
      this.#watch.close();
      await reader?.cancel().catch(() => {}); // it is broken already
    }
  }

  /** Reads the whole body. @throws LighterError ("invalid") beyond the limit; and as `pieces`. */
  async readAll(maxBytes: number, what: string): Promise<Buffer> {
    const { text, isWhole } = await this.#readUpTo(maxBytes);
    if (!isWhole) throw new LighterError("invalid", `${what} is longer than ${maxBytes} bytes`);
    return text;
  }

  /** Reads as much of the body as the limit allows. */
  async readStart(maxBytes: number): Promise<Buffer> {
    return (await this.#readUpTo(maxBytes)).text.subarray(0, maxBytes);
  }

  async #readUpTo(maxBytes: number): Promise<{ text: Buffer; isWhole: boolean }> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of this.pieces()) {
      pieces.push(piece);
      length += piece.length;
      if (length > maxBytes) return { text: Buffer.concat(pieces), isWhole: false };
    }
    return { text: Buffer.concat(pieces), isWhole: true };
  }

  /** Discards the body, or the rest of it. */
  async discard(): Promise<void> {
    this.#watch.close();
    const { body } = this.#response;
    if (body?.locked === false) await body.cancel(); // otherwise `pieces` has the body and will cancel it
  }
}

/**
 * Sends a request and waits for the answer's head. Redirects are not followed: see `sendFollowing`.
 * @throws ConnectionError; whatever the signal was aborted with.
 */
export async function send(request: HttpRequest): Promise<HttpResponse> {
  const watch = new Watch(request);
  const { method, url, body } = request;
  const headers: Record<string, string> = {
    "User-Agent": userAgent(request.clientAgent),
    "Accept-Encoding": "identity",
    ...request.headers,
  };
  if (typeof body === "object" && "pieces" in body) headers["Content-Length"] = `${body.sizeBytes}`;
  const options: BunFetchRequestInit = {
    method,
    headers,
    redirect: "manual",
    decompress: false,
    signal: watch.signal,
    ...(body === undefined ? {} : { body: bodyOf(body, watch) }),
    ...(url.startsWith("https:") ? { tls: tlsOf(request.tls ?? {}) } : {}),
  };
  // Bun's own limit, 5 minutes, would end a body whose reader is slow. Like Go, we use no proxy for loopback.
  Object.assign(options, { timeout: false, ...(isLoopback(new URL(url).hostname) ? { proxy: false } : {}) });
  watch.arm();
  try {
    const response = await fetch(url, options);
    watch.disarm();
    return new HttpResponse(response, url, watch, request);
  } catch (error) {
    watch.close();
    throw watch.explain(error, method, url);
  }
}

/** The User-Agent in Docker's form, which registries and their proxies read: who asks, and for whom. */
function userAgent(clientAgent: string | undefined): string {
  const own = `lighter/${VERSION}`;
  if (clientAgent === undefined || clientAgent === "") return own;
  return `${own} UpstreamClient(${clientAgent.replace(/[();\\]/g, "\\$&")})`;
}

/** A request's body, whose pieces show that the exchange goes on. */
function bodyOf(body: NonNullable<HttpRequest["body"]>, watch: Watch): NonNullable<BunFetchRequestInit["body"]> {
  if (typeof body === "string" || !("pieces" in body)) return body;
  async function* watched(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    watch.disarm(); // our own disk may be slow
    for await (const piece of pieces) {
      watch.arm();
      yield piece;
      watch.disarm();
    }
    watch.armForCommit();
  }
  return watched(body.pieces) as unknown as NonNullable<BunFetchRequestInit["body"]>;
}

/**
 * Sends a request and follows redirects, unless a body would have to be sent once more: then the redirect is the answer. Another
 * host gets neither authorization nor the client's certificate; the trusted authorities stay, as with Docker.
 * @throws LighterError ("unavailable") for too many redirects, for one without a place, and for one out of TLS.
 */
export async function sendFollowing(request: HttpRequest): Promise<HttpResponse> {
  let current = request;
  for (let count = 0; ; count++) {
    const response = await send(current);
    if (!isFollowed(response.status, request)) return response;
    await response.discard();
    const fail = (why: string): LighterError =>
      new LighterError("unavailable", `${describe(request.method, request.url)}: ${why}`);
    if (count >= REGISTRY_MAX_REDIRECTS) throw fail(`stopped after ${REGISTRY_MAX_REDIRECTS} redirects`);
    const location = response.headers.get("location") ?? "";
    if (location === "" || !URL.canParse(location, current.url)) throw fail("redirected to no valid place");
    const from = new URL(current.url);
    const to = new URL(location, from);
    if (to.protocol !== "https:" && to.protocol !== "http:") throw fail(`redirected to ${to.protocol}`);
    if (from.protocol === "https:" && to.protocol === "http:")
      throw fail(`redirected from https to http at ${to.host}`);
    current = { ...current, url: to.href };
    if (to.host !== from.host) {
      const headers = Object.entries(current.headers ?? {}).filter(([name]) => name.toLowerCase() !== "authorization");
      current = { ...current, tls: withoutClient(current.tls ?? {}), headers: Object.fromEntries(headers) };
    }
  }
}

/** Whether a redirect is followed. 301 to 303 would make a GET of other methods. */
function isFollowed(status: number, { method, body }: HttpRequest): boolean {
  if (method === "GET" || method === "HEAD") return [301, 302, 303, 307, 308].includes(status);
  return body === undefined && (status === 307 || status === 308);
}

/** The options for another host than the one that the client's certificate is for. */
export function withoutClient({ cert: _cert, key: _key, ...tls }: TlsOptions): TlsOptions {
  return tls;
}

/** Ends an exchange when the other side is silent or our caller gives up. */
class Watch {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal | undefined;
  readonly #timing: Timing;
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);
  #commitTimer: NodeJS.Timeout | undefined;
  #armed = false;
  #stalledMs = 0;

  constructor({ signal, timing }: HttpRequest) {
    signal?.throwIfAborted();
    this.#timing = { stallMs: REGISTRY_STALL_MS, commitMs: REGISTRY_COMMIT_MS, ...timing };
    this.#caller = signal;
    signal?.addEventListener("abort", this.#onAbort);
    this.#timer = setTimeout(() => this.#armed && this.#stall(this.#timing.stallMs), this.#timing.stallMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #stall(ms: number): void {
    this.#stalledMs = ms;
    this.#controller.abort(new Error("stalled"));
  }

  /** Begins to wait for the other side. */
  arm(): void {
    this.#armed = true;
    this.#timer.refresh();
  }

  /** Stops waiting, since the other side waits for us. */
  disarm(): void {
    this.#armed = false;
    clearTimeout(this.#commitTimer);
  }

  armForCommit(): void {
    this.#armed = false;
    const { commitMs } = this.#timing;
    this.#commitTimer = setTimeout(() => this.#stall(commitMs), commitMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#commitTimer);
    this.#caller?.removeEventListener("abort", this.#onAbort);
  }

  /** The error to throw for one of fetch or of the body's reader. */
  explain(error: unknown, method: string, url: string): unknown {
    if (this.#stalledMs > 0)
      return new ConnectionError("stalled", `${describe(method, url)}: nothing came for ${this.#stalledMs / 1000} s`);
    if (this.#caller?.aborted === true) return this.#caller.reason;
    if (error instanceof LighterError) return error; // the request's own body has failed
    return connectionError(error, method, url);
  }
}

/** Names a request as Go does: `Get "https://HOST/v2/"`. The query is left out, since it may hold signatures. */
export function describe(method: string, url: string): string {
  const { origin, pathname } = new URL(url);
  return `${method[0]}${method.slice(1).toLowerCase()} "${origin}${pathname}"`;
}

const CERTIFICATE_FAILURES: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "certificate is not valid for HOST",
  CERT_HAS_EXPIRED: "certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "certificate has expired or is not yet valid",
};
const UNKNOWN_AUTHORITY = "certificate signed by unknown authority";
const UNKNOWN_AUTHORITY_CODES = [
  ...["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
  ...["DEPTH_ZERO_SELF_SIGNED_CERT", "SELF_SIGNED_CERT_IN_CHAIN", "CERT_UNTRUSTED"],
];
const MALFORMED_CODES = ["Malformed_HTTP_Response", "InvalidHTTPResponse", "InvalidContentLength"];

/** The error in the words of Go's net/http, which Docker's users know and their programs look for. */
export function connectionError(error: unknown, method: string, url: string): ConnectionError {
  const code = errnoOf(error);
  const { host, hostname, port, protocol, origin, pathname } = new URL(url);
  const address = port === "" ? `${host}:${protocol === "https:" ? 443 : 80}` : host;
  const fail = (failure: ConnectionFailure, why: string): ConnectionError => {
    const established = failure === "broken" || failure === "malformed";
    // Docker first looks at /v2/, so it names that when it cannot connect.
    const what = !established && pathname.startsWith("/v2/") ? describe("GET", `${origin}/v2/`) : describe(method, url);
    return new ConnectionError(failure, `${what}: ${why}`, error);
  };
  const certificate = (why: string): ConnectionError =>
    fail("certificate", `tls: failed to verify certificate: x509: ${why}`);
  switch (code) {
    case "ECONNREFUSED":
      return fail("refused", `dial tcp ${address}: connect: connection refused`);
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return fail(
        "refused",
        `dial tcp ${address}: connect: ${code === "ENETUNREACH" ? "network is unreachable" : "no route to host"}`,
      );
    case "ETIMEDOUT":
      return fail("refused", `dial tcp ${address}: i/o timeout`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return fail("lookup", `dial tcp: lookup ${hostname}: no such host`);
    case "EPROTO":
      return fail("not-tls", "http: server gave HTTP response to HTTPS client");
    case "FailedToOpenSocket": // Bun also says this for a certificate or key of ours that it cannot read
      if (protocol === "http:") return fail("refused", `dial tcp ${address}: no socket`);
      return fail("certificate", "tls: no connection with the certificates of this registry's directory");
    case "ResponseHeadersTooLarge":
      return fail("malformed", "the head of the answer is too long");
    case "ECONNRESET":
      return fail("broken", "connection reset by peer");
  }
  if (UNKNOWN_AUTHORITY_CODES.includes(code)) return certificate(UNKNOWN_AUTHORITY);
  const known = CERTIFICATE_FAILURES[code];
  if (known !== undefined) return certificate(known.replace("HOST", hostname));
  if (code.startsWith("CERT_")) return certificate(code.slice("CERT_".length).toLowerCase().replaceAll("_", " "));
  if (MALFORMED_CODES.includes(code)) return fail("malformed", "malformed HTTP response");
  return fail("broken", messageOf(error).split("\n")[0]!.slice(0, 200));
}

/** Whether a host is 127.0.0.0/8, ::1 or "localhost". IPv6 is in brackets, as in a URL. */
export function isLoopback(hostname: string): boolean {
  const plain = hostname.replace(/^\[|\]$/g, "");
  return plain === "localhost" || plain === "::1" || (isIP(plain) === 4 && plain.startsWith("127."));
}

function tlsOf({ ca, cert, key, insecure }: TlsOptions): NonNullable<BunFetchRequestInit["tls"]> {
  if (insecure === true) return { rejectUnauthorized: false, ...(cert === undefined ? {} : { cert, key: key ?? "" }) };
  const authorities = [systemAuthorities(), ca].filter((pem) => pem !== undefined);
  return {
    ...(authorities.length === 0 ? {} : { ca: authorities }),
    ...(cert === undefined ? {} : { cert, key: key ?? "" }),
  };
}
