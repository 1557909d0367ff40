/**
 * A client for one repository of one registry. It is made for one operation (a pull, a push), whose requests share the server's
 * address and the tokens.
 * Source: OCI distribution-spec 1.1, spec.md; Docker's registry HTTP API v2.
 */

import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { IMAGE_JSON_MAX_BYTES, REGISTRY_MAX_TAGS } from "../../base/limits.ts";
import { familiarName, type Reference } from "../../spec/image-reference.ts";
import { type Descriptor, parseDigest } from "../../spec/oci-image.ts";
import { list, object, readDocument, string } from "../../spec/reader.ts";
import { type BlobEndpoint, type BlobSource, openBlob } from "./blob-source.ts";
import { endpointsOf, type RegistryConfig } from "./config.ts";
import { type ClientOptions, Endpoint, type EndpointRequest } from "./endpoint.ts";
import { contentType, digestOf, documentType, isDigest, MANIFEST_TYPES } from "./manifest.ts";
import { isUnauthorized, RegistryError } from "./registry-error.ts";
import { ConnectionError, type HttpResponse } from "./transport.ts";
import { uploadBlob } from "./upload.ts";

export interface FetchedManifest {
  /** The descriptor. Its `mediaType` comes from the document or, if that has none, from the registry. */
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export class RegistryClient {
  readonly #repository: Pick<Reference, "domain" | "path">;
  readonly #options: ClientOptions;
  readonly #endpoints: readonly Endpoint[];
  /** Mirrors that did not have a manifest or did not answer; they are not asked again. */
  readonly #dead = new Set<Endpoint>();

  private constructor(
    repository: Pick<Reference, "domain" | "path">,
    options: ClientOptions,
    endpoints: readonly Endpoint[],
  ) {
    this.#repository = repository;
    this.#options = options;
    this.#endpoints = endpoints;
  }

  /**
   * Makes a client. Connects to nothing yet.
   * @throws LighterError ("invalid") for a configuration or certificates that cannot be meant.
   */
  static async open(
    config: RegistryConfig,
    repository: Pick<Reference, "domain" | "path">,
    options: ClientOptions = {},
  ): Promise<RegistryClient> {
    const endpoints = await endpointsOf(config, repository.domain);
    return new RegistryClient(
      repository,
      options,
      endpoints.map((endpoint) => new Endpoint(endpoint, options)),
    );
  }

  /** The registry itself, which gets all pushes. */
  get #origin(): Endpoint {
    return this.#endpoints.at(-1)!;
  }

  get #scopes(): string[] {
    return [`repository:${this.#repository.path}:${this.#options.actions ?? "pull"}`];
  }

  #path(rest: string): string {
    return `/v2/${this.#repository.path}/${rest}`;
  }

  // --- Manifests ---

  /**
   * The descriptor for a tag or digest, without the document.
   * @throws as `getManifest`.
   */
  resolve(tagOrDigest: string): Promise<Descriptor> {
    return this.#fromFirstManifest(tagOrDigest, async (endpoint) => {
      const head = await this.#headManifest(endpoint, tagOrDigest);
      return head ?? (await this.#getManifest(endpoint, tagOrDigest)).descriptor;
    });
  }

  /**
   * Asks by HEAD. Undefined if the answer does not say enough: some registries say more to GET, and errors have no texts here.
   */
  async #headManifest(endpoint: Endpoint, tagOrDigest: string): Promise<Descriptor | undefined> {
    let headers: Headers;
    try {
      headers = await this.#requestManifest(endpoint, "HEAD", tagOrDigest, async (response) => {
        await response.discard();
        return response.headers;
      });
    } catch (error) {
      if (error instanceof RegistryError && error.registryCode === "" && error.status < 500) return undefined;
      throw error;
    }
    const mediaType = contentType(headers);
    const named = headers.get("docker-content-digest");
    const length = headers.get("content-length") ?? "";
    if (named === null || !/^\d{1,15}$/.test(length) || !MANIFEST_TYPES.includes(mediaType)) return undefined;
    const what = this.#nameOf(tagOrDigest);
    const digest = parseDigest(named, `digest of ${what}`);
    if (isDigest(tagOrDigest) && digest !== tagOrDigest)
      throw new LighterError("invalid", `${what}: the registry says that its digest is ${digest}`);
    return { mediaType, digest, size: Number(length) };
  }

  /**
   * Gets a manifest or index, verified against the digest asked for and the one that the registry names.
   * @throws RegistryError ("not-found", "unauthorized", …) in Docker's words; ConnectionError; LighterError ("invalid")
   * for a wrong or too long document, and ("not-supported") for one of schema 1.
   */
  getManifest(tagOrDigest: string): Promise<FetchedManifest> {
    return this.#fromFirstManifest(tagOrDigest, (endpoint) => this.#getManifest(endpoint, tagOrDigest));
  }

  #requestManifest<T>(
    endpoint: Endpoint,
    method: "GET" | "HEAD",
    tagOrDigest: string,
    use: (response: HttpResponse) => Promise<T>,
  ): Promise<T> {
    const headers = { Accept: MANIFEST_TYPES.join(", ") };
    const path = this.#path(`manifests/${tagOrDigest}`);
    return endpoint.request({ method, path, headers, scopes: this.#scopes, accept: [200] }, use);
  }

  #getManifest(endpoint: Endpoint, tagOrDigest: string): Promise<FetchedManifest> {
    return this.#requestManifest(endpoint, "GET", tagOrDigest, async (response) => {
      const what = `manifest of ${this.#nameOf(tagOrDigest)} from ${new URL(endpoint.baseUrl).host}`;
      const bytes = await response.readAll(IMAGE_JSON_MAX_BYTES, what);
      const digest = digestOf(bytes);
      const named = response.headers.get("docker-content-digest");
      for (const expected of [isDigest(tagOrDigest) ? tagOrDigest : null, named])
        if (expected !== null && expected !== digest)
          throw new LighterError(
            "invalid",
            `manifest verification failed for digest ${expected.slice(0, 80)}: ${what}: its digest is ${digest}`,
          );
      return {
        descriptor: { mediaType: documentType(response.headers, bytes, what), digest, size: bytes.length },
        bytes,
      };
    });
  }

  /** The name for messages: "team/app:1", "team/app@sha256:…". */
  #nameOf(tagOrDigest: string): string {
    return `${familiarName(this.#repository)}${isDigest(tagOrDigest) ? "@" : ":"}${tagOrDigest}`;
  }

  async #fromFirstManifest<T>(tagOrDigest: string, get: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    try {
      return await this.#fromFirst(get);
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw this.#pullError(error, tagOrDigest);
    }
  }

  /**
   * Gets something from the first endpoint that has it. A mirror that fails is left out from then on; the registry's own error is
   * thrown.
   */
  async #fromFirst<T>(get: (endpoint: Endpoint) => Promise<T>): Promise<T> {
    for (const endpoint of this.#endpoints) {
      if (endpoint.isMirror && this.#dead.has(endpoint)) continue;
      try {
        return await get(endpoint);
      } catch (error) {
        this.#options.signal?.throwIfAborted();
        if (!endpoint.isMirror || !(error instanceof LighterError)) throw error;
        this.#dead.add(endpoint);
      }
    }
    throw new Error("bug: a registry without an endpoint of its own");
  }

  /** Puts an error into Docker's words, which clients and their users look for. */
  #pullError(error: unknown, tagOrDigest: string): unknown {
    if (!(error instanceof RegistryError)) return error;
    const name = familiarName(this.#repository);
    const say = (sentence: string) =>
      new RegistryError("not-found", `${sentence}: ${error.message}`, error.status, error.registryCode);
    const manifestNotFound = `manifest for ${this.#nameOf(tagOrDigest)} not found`;
    switch (error.registryCode) {
      case "MANIFEST_UNKNOWN":
        return say(manifestNotFound);
      case "NAME_UNKNOWN":
        return say(`repository ${name} not found`);
      case "DENIED":
        return say(`pull access denied for ${name}, repository does not exist or may require 'docker login'`);
      default:
        return error;
    }
  }

  // --- Blobs ---

  /**
   * Describes a blob so that it can be read without this client: see `openBlob`. `rejected` is an earlier description that was
   * refused with 401: its tokens are not used again.
   */
  async describeBlob(descriptor: Pick<Descriptor, "digest" | "size">, rejected?: BlobSource): Promise<BlobSource> {
    const endpoints: BlobEndpoint[] = [];
    for (const endpoint of this.#endpoints) {
      if (this.#dead.has(endpoint)) continue;
      for (const { authorization } of rejected?.endpoints ?? [])
        if (authorization !== undefined) endpoint.forgetAuthorization(authorization);
      try {
        const path = this.#path(`blobs/${descriptor.digest}`);
        // Some registries want a token for some blobs only: this asks what this one wants.
        if (rejected !== undefined)
          await endpoint.request({ method: "HEAD", path, scopes: this.#scopes, accept: [200] });
        const { address, authorization } = await endpoint.access(this.#scopes);
        endpoints.push({
          url: address.baseUrl + path,
          tls: address.tls,
          ...(authorization === undefined ? {} : { authorization }),
        });
      } catch (error) {
        this.#options.signal?.throwIfAborted();
        const isReplaceable = endpoint.isMirror || endpoints.length > 0;
        if (!isReplaceable || !(error instanceof LighterError)) throw error;
        this.#dead.add(endpoint);
      }
    }
    const { clientAgent, timing } = this.#options;
    const attempts = timing?.attempts;
    return {
      digest: descriptor.digest,
      sizeBytes: descriptor.size,
      endpoints,
      ...(clientAgent === undefined ? {} : { clientAgent }),
      ...(attempts === undefined ? {} : { attempts }),
    };
  }

  /**
   * Gets a small blob (an image's config), whole and verified.
   * @throws as `openBlob`; LighterError ("invalid") if it is longer than the limit or not the right one.
   */
  async getBlob(descriptor: Pick<Descriptor, "digest" | "size">, maxBytes = IMAGE_JSON_MAX_BYTES): Promise<Buffer> {
    const { digest, size } = descriptor;
    if (size > maxBytes)
      throw new LighterError("invalid", `blob ${digest} has ${size} bytes, above the limit of ${maxBytes}`);
    const read = async (source: BlobSource): Promise<Buffer> =>
      Buffer.concat(await Array.fromAsync(openBlob(source, 0, this.#options)));
    const source = await this.describeBlob(descriptor);
    const bytes = await read(source).catch(async (error: unknown) => {
      if (!isUnauthorized(error)) throw error;
      return read(await this.describeBlob(descriptor, source));
    });
    if (digestOf(bytes) !== digest)
      throw new LighterError(
        "invalid",
        `blob ${digest} from ${new URL(this.#origin.baseUrl).host}: its digest is ${digestOf(bytes)}`,
      );
    return bytes;
  }

  // --- Push: to the registry itself, never to a mirror ---

  /** The manifest that a push to the tag will replace, if the registry has and gives it. @throws ConnectionError. */
  async replacedManifest(tag: string): Promise<FetchedManifest | undefined> {
    try {
      return await this.#getManifest(this.#origin, tag);
    } catch (error) {
      if (error instanceof ConnectionError || !(error instanceof LighterError)) throw error;
      return undefined;
    }
  }

  async hasBlob(digest: Digest): Promise<boolean> {
    const path = this.#path(`blobs/${digest}`);
    const request = { method: "HEAD", path, scopes: this.#scopes, accept: [200, 404] } as const;
    return this.#origin.request(request, async (response) => {
      await response.discard();
      return response.status === 200;
    });
  }

  /**
   * Makes another repository's blob in this registry available in this repository, without sending it. False if it must be
   * uploaded; the registry forgets the upload that it has begun.
   */
  async mountBlob(digest: Digest, fromRepository: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, from: fromRepository });
    const path = this.#path(`blobs/uploads/?${query}`);
    const scopes = [...this.#scopes, `repository:${fromRepository}:pull`];
    return this.#origin.request({ method: "POST", path, scopes, accept: [201, 202] }, async (response) => {
      await response.discard();
      return response.status === 201;
    });
  }

  /**
   * Uploads a blob, starting over after a transient failure. `open` is called for each attempt; `onBytes` is told how many bytes
   * of the attempt the connection has taken.
   * @throws RegistryError, ConnectionError; LighterError ("invalid") if `open` gives another number of bytes.
   */
  uploadBlob(
    descriptor: Pick<Descriptor, "digest" | "size">,
    open: () => AsyncIterable<Uint8Array>,
    onBytes: (count: number) => void = () => {},
  ): Promise<void> {
    const path = this.#path("blobs/uploads/");
    return uploadBlob(this.#origin, { path, scopes: this.#scopes, descriptor, open, onBytes }, this.#options);
  }

  /** Stores a manifest under a tag, or under a digest that must be the document's. Resolves with its digest. */
  async putManifest(tagOrDigest: string, mediaType: string, bytes: Uint8Array<ArrayBuffer>): Promise<Digest> {
    const digest = digestOf(bytes);
    const path = this.#path(`manifests/${tagOrDigest}`);
    const request = { method: "PUT", path, headers: { "Content-Type": mediaType }, body: bytes } as const;
    return this.#origin.request({ ...request, scopes: this.#scopes, accept: [200, 201, 202] }, async (response) => {
      await response.discard();
      const stored = response.headers.get("docker-content-digest") ?? digest;
      if (stored === digest) return digest;
      throw new LighterError(
        "invalid",
        `${this.#nameOf(tagOrDigest)}: the registry stored ${stored.slice(0, 80)}, not ${digest}`,
      );
    });
  }

  // --- Listing ---

  /** All tags, in the order of the registry or mirror. */
  listTags(): Promise<string[]> {
    return this.#fromFirst(async (endpoint) => {
      const tags = await this.#listTags(endpoint);
      if (endpoint.isMirror && tags.length === 0)
        throw new LighterError("not-found", `${endpoint.baseUrl} has no tags of ${familiarName(this.#repository)}`);
      return tags;
    });
  }

  async #listTags(endpoint: Endpoint): Promise<string[]> {
    const tags: string[] = [];
    let path: string | undefined = this.#path("tags/list");
    while (path !== undefined) {
      const request: EndpointRequest = { method: "GET", path, scopes: this.#scopes, accept: [200] };
      path = await endpoint.request(request, async (response) => {
        const what = `tags of ${familiarName(this.#repository)}`;
        const page = readDocument(readTagPage, `${await response.readAll(IMAGE_JSON_MAX_BYTES, what)}`, what);
        tags.push(...page.tags);
        if (tags.length > REGISTRY_MAX_TAGS)
          throw new LighterError("invalid", `${what}: more than ${REGISTRY_MAX_TAGS}`);
        return page.tags.length === 0 ? undefined : nextPage(response);
      });
    }
    return tags;
  }
}

interface TagPage {
  tags: string[];
}

const readTagPage = object<TagPage>({ tags: list(string, REGISTRY_MAX_TAGS) }, { defaults: { tags: [] } });

/**
 * The next page in a header like `</v2/NAME/tags/list?n=2&last=b>; rel="next"` (RFC 8288). A page on another server is not
 * followed.
 */
function nextPage({ headers, url }: HttpResponse): string | undefined {
  const target = /^<([^<>]+)>\s*;\s*rel="?next"?/.exec(headers.get("link") ?? "")?.[1];
  if (target === undefined || !URL.canParse(target, url)) return undefined;
  const next = new URL(target, url);
  return next.origin === new URL(url).origin ? next.href : undefined;
}
