/** Makes requests to one server: finds its address, answers its challenge, retries after transient failures. */
import { REGISTRY_ERROR_MAX_BYTES } from "../../base/limits.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import { Authorization, type Login } from "./authorization.ts";
import { parseChallenges } from "./challenge.ts";
import type { EndpointAddress, EndpointConfig } from "./config.ts";
import { RegistryError, refusalError } from "./registry-error.ts";
import { type RetryTiming, retrying } from "./retry.ts";
import {
  ConnectionError,
  describe,
  type HttpRequest,
  type HttpResponse,
  sendFollowing,
  withoutClient,
} from "./transport.ts";

export interface ClientOptions {
  readonly credentials?: AuthConfig | Login | undefined;
  /** The actions that tokens are asked for; "pull" if absent. */
  readonly actions?: "pull" | "pull,push";
  /** The User-Agent of whom this is done for; the server is told. */
  readonly clientAgent?: string | undefined;
  /** See `Endpoint.identityToken`. */
  readonly wantsIdentityToken?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<RetryTiming> | undefined;
}

export interface EndpointRequest {
  readonly method: HttpRequest["method"];
  /** A path below the server's base, or a whole URL on it (from a Location). */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpRequest["body"];
  readonly scopes: readonly string[];
  /** Statuses that count as success. */
  readonly accept: readonly number[];
  /** True if the caller retries, or the body's pieces come only once. Such a request is never the first one. */
  readonly once?: boolean;
}

export class Endpoint {
  readonly isMirror: boolean;
  readonly #addresses: readonly EndpointAddress[];
  readonly #options: ClientOptions;
  /** The first address that has answered, and the authorization that it wants. */
  #found: { readonly address: EndpointAddress; readonly authorization: Authorization } | undefined;

  constructor(config: EndpointConfig, options: ClientOptions) {
    this.isMirror = config.isMirror;
    this.#addresses = config.addresses;
    // Credentials are for the registry; a mirror is somebody else.
    this.#options = config.isMirror ? { ...options, credentials: undefined } : options;
  }

  /** "https://HOST[:PORT]": the address at which it was reached, or at which it will be looked for first. */
  get baseUrl(): string {
    return (this.#found?.address ?? this.#addresses[0]!).baseUrl;
  }

  /** The server's address and authorization: what a request without this object needs. */
  async access(scopes: readonly string[]): Promise<{ address: EndpointAddress; authorization?: string }> {
    if (this.#found === undefined) await this.request({ method: "GET", path: "/v2/", scopes, accept: [200] });
    const { address, authorization } = this.#found!;
    const { signal, timing } = this.#options;
    const header = await retrying(timing, signal, () => authorization.header(scopes));
    return { address, ...(header === undefined ? {} : { authorization: header }) };
  }

  forgetAuthorization(header: string): void {
    this.#found?.authorization.forget(header);
  }

  get usesTokens(): boolean {
    return this.#found?.authorization.usesTokens === true;
  }

  identityToken(): string | undefined {
    return this.#found?.authorization.identityToken();
  }

  /**
   * Makes a request and passes the answer to `use`, which reads its body; without `use` the body is not read.
   * @throws RegistryError for a status that was not accepted, ConnectionError; whatever `use` throws.
   */
  request<T = void>(
    request: EndpointRequest,
    use: (response: HttpResponse) => Promise<T> = async (response) => (await response.discard()) as T,
  ): Promise<T> {
    const attempt = async (): Promise<T> => use(await this.#attempt(request));
    return request.once === true ? attempt() : retrying(this.#options.timing, this.#options.signal, attempt);
  }

  async #attempt(request: EndpointRequest): Promise<HttpResponse> {
    const header = await this.#naming(request, async () => this.#found?.authorization.header(request.scopes));
    const response = await this.#send(request, header);
    if (response.status !== 401) return this.#check(request, response);
    const refusal = await this.#refusal(request, response);
    const challenges = parseChallenges(response.headers.get("www-authenticate") ?? "");
    const { authorization } = this.#found!;
    const next = await this.#naming(request, () => authorization.answer(challenges, request.scopes, header));
    if (next === undefined || hasSpentBody(request)) throw refusal;
    return this.#check(request, await this.#send(request, next));
  }

  /** Adds to a token server's refusal which request it was for; not at a push, as with Docker. */
  async #naming<T>(request: EndpointRequest, authorize: () => Promise<T>): Promise<T> {
    try {
      return await authorize();
    } catch (error) {
      if (!(error instanceof RegistryError) || this.#options.actions === "pull,push") throw error;
      const { code, message, status, registryCode, retryAfterMs } = error;
      const what = describe(request.method, this.#urlOf(request));
      throw new RegistryError(code, `${what}: ${message}`, status, registryCode, retryAfterMs);
    }
  }

  async #check(request: EndpointRequest, response: HttpResponse): Promise<HttpResponse> {
    if (request.accept.includes(response.status)) return response;
    throw await this.#refusal(request, response);
  }

  async #refusal(request: EndpointRequest, response: HttpResponse): Promise<RegistryError> {
    const { status, headers } = response;
    const body = `${await response.readStart(REGISTRY_ERROR_MAX_BYTES)}`;
    return refusalError({ status, headers, body }, describe(request.method, this.#urlOf(request)));
  }

  #urlOf({ path }: EndpointRequest, baseUrl = this.baseUrl): string {
    return URL.canParse(path) ? path : baseUrl + path;
  }

  /** Sends to the known address, or to the first that answers. */
  async #send(request: EndpointRequest, header: string | undefined): Promise<HttpResponse> {
    if (this.#found !== undefined) return this.#sendTo(this.#found.address, request, header);
    for (const [index, address] of this.#addresses.entries())
      try {
        const response = await this.#sendTo(address, request, header);
        const authorization = new Authorization({ ...this.#options, ...address });
        this.#found ??= { address, authorization };
        return response;
      } catch (error) {
        // A server with a wrong certificate does speak TLS: plain HTTP would only hide the problem.
        const goesOn = error instanceof ConnectionError && error.failure !== "certificate";
        if (!goesOn || index === this.#addresses.length - 1) throw error;
      }
    throw new Error("bug: an endpoint without addresses");
  }

  #sendTo(
    address: EndpointAddress,
    request: EndpointRequest,
    authorization: string | undefined,
  ): Promise<HttpResponse> {
    const url = this.#urlOf(request, address.baseUrl);
    // An upload's Location may be on another server, which must not get our credentials.
    const isOurs = new URL(url).origin === new URL(address.baseUrl).origin;
    const headers = {
      ...request.headers,
      ...(authorization !== undefined && isOurs ? { Authorization: authorization } : {}),
    };
    const { method, body } = request;
    const { clientAgent, signal, timing } = this.#options;
    return sendFollowing({
      method,
      url,
      headers,
      ...(body === undefined ? {} : { body }),
      tls: isOurs ? address.tls : withoutClient(address.tls),
      clientAgent,
      signal,
      timing,
    });
  }
}

function hasSpentBody({ body }: EndpointRequest): boolean {
  return typeof body === "object" && "pieces" in body;
}
