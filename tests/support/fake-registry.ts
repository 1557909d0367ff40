/**
 * A registry in memory that can be told to misbehave: to stall, cut, lie, answer HTML, fail k times, redirect, corrupt. It writes
 * its responses itself, byte by byte, on bare sockets: no HTTP library would send such responses.
 *
 *   await using registry = await FakeRegistry.start();
 *   const image = registry.addImage("team/app", "1", { layers: [layer] });
 *   registry.inject({ path: /\/blobs\/sha256:/, times: 2, fault: { kind: "cut", at: 1000 } });
 */
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { imageDocument, sha256 } from "./image-archive.ts";

export interface RecordedRequest {
  readonly method: string;
  /** The path with the query. */
  readonly path: string;
  /** The headers, by their names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export type Fault =
  /** Sends this answer instead. */
  | { kind: "answer"; status: number; headers?: Record<string, string>; body?: string }
  /** Sends these bytes instead, then ends the connection. */
  | { kind: "raw"; bytes: string | Uint8Array }
  /** Sends nothing after `at` bytes of the body, and keeps the connection open. `at` < 0: not even a head. */
  | { kind: "stall"; at: number }
  /** Ends the connection after `at` bytes of the body. `at` < 0: before any byte. */
  | { kind: "cut"; at: number }
  /** Sends a Content-Length that differs from the body's by this much; the body is complete. */
  | { kind: "lie"; bytes: number }
  /** Changes the byte at this offset of the whole blob or manifest. */
  | { kind: "corrupt"; at: number }
  /** Answers 307 with this location. */
  | { kind: "redirect"; location: string }
  /** Sends the whole body with 200, whatever range was requested. */
  | { kind: "ignoreRange" }
  /** Answers 206 with a Content-Range that begins this much later than requested. */
  | { kind: "shiftRange"; bytes: number }
  /** Sends at most so many bytes of the requested range, and says so. */
  | { kind: "shortRange"; bytes: number }
  /** Sends Transfer-Encoding: chunked, and no length. */
  | { kind: "chunked" };

export interface Injection {
  /** The request's method; GET if absent. */
  readonly method?: string;
  readonly path: RegExp | string;
  /** The number of times; without limit if absent. */
  readonly times?: number;
  readonly fault: Fault;
}

export interface FakeRegistryOptions {
  /** PEM files; without them plain HTTP. With `clientCa`, clients must show a certificate of that authority. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string };
  /**
   * Names and passwords. Bearer tokens come from the registry's own /token, each valid for its scopes only. With `anonymousPull`
   * a pull needs no user, but still a token.
   */
  readonly users?: Readonly<Record<string, string>>;
  readonly anonymousPull?: boolean;
  /** The port; a free one if absent. */
  readonly port?: number;
  /** The lifetime of a token, as it is and as it is announced. */
  readonly tokenSeconds?: number;
}

/** A blob that repeats its pattern: large, and never in memory. */
export interface PatternBlob {
  readonly sizeBytes: number;
  readonly pattern: Buffer;
}

interface Manifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface AddedImage {
  /** The manifest's digest. */
  readonly digest: string;
  readonly configDigest: string;
  readonly layerDigests: readonly string[];
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer | PatternBlob;
  /** The offset at which the sent part of the body starts. */
  start: number;
  end: number;
}

interface Token {
  /** The granted scopes: "repository:NAME:pull,push". */
  scopes: string[];
  expiresAtMs: number;
}

const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";
const GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";

export class FakeRegistry implements AsyncDisposable {
  /** Every request so far, in order. */
  readonly requests: RecordedRequest[] = [];
  /** Blobs by digest. Every repository has them all. */
  readonly blobs = new Map<string, Buffer | PatternBlob>();
  /** Manifests by repository, then by tag and by digest. */
  readonly manifests = new Map<string, Map<string, Manifest>>();
  /** The number of bytes of bodies that sockets have accepted. */
  sentBytes = 0;
  /** The refresh tokens that POST /token accepts, with their users. */
  readonly refreshTokens = new Map<string, string>();
  readonly #options: FakeRegistryOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #injections: { injection: Injection; left: number }[] = [];
  readonly #uploads = new Map<string, Buffer[]>();
  readonly #tokens = new Map<string, Token>();
  #nextId = 1;
  #host = "";

  private constructor(options: FakeRegistryOptions) {
    this.#options = options;
    const listener = (socket: Socket): void => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy()); // clients that go away are normal
      void this.#serve(socket).catch(() => socket.destroy());
    };
    const { clientCa, ...tls } = options.tls ?? {};
    const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
    this.#server =
      options.tls === undefined ? createServer(listener) : createTlsServer({ ...tls, ...clients }, listener);
  }

  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = new FakeRegistry(options);
    await new Promise<void>((resolve) => registry.#server.listen(options.port ?? 0, "127.0.0.1", resolve));
    registry.#host = `127.0.0.1:${(registry.#server.address() as { port: number }).port}`;
    return registry;
  }

  /** "127.0.0.1:PORT", as in image references. */
  get host(): string {
    return this.#host;
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://${this.#host}`;
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Ends all open connections, in the middle of whatever they carry. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Injects a fault. Later injections take precedence. */
  inject(injection: Injection): void {
    this.#injections.unshift({ injection, left: injection.times ?? Number.POSITIVE_INFINITY });
  }

  addBlob(bytes: Buffer): string {
    const digest = `sha256:${sha256(bytes)}`;
    this.blobs.set(digest, bytes);
    return digest;
  }

  /** Adds a blob under a digest that is not its own: hashing gigabytes would take too long in a test of memory. */
  addPatternBlob(sizeBytes: number, pattern = Buffer.alloc(1024 * 1024, "pattern")): string {
    const digest = `sha256:${sha256(`pattern of ${sizeBytes}`)}`;
    this.blobs.set(digest, { sizeBytes, pattern });
    return digest;
  }

  /** Adds a manifest; returns its digest. */
  addManifest(repository: string, tag: string | undefined, mediaType: string, bytes: Buffer): string {
    const digest = `sha256:${sha256(bytes)}`;
    const manifests = this.manifests.get(repository) ?? new Map<string, Manifest>();
    this.manifests.set(repository, manifests);
    manifests.set(digest, { mediaType, bytes });
    if (tag !== undefined) manifests.set(tag, { mediaType, bytes });
    return digest;
  }

  /** Adds an image of uncompressed layers, which `gzip` stores compressed. */
  addImage(
    repository: string,
    tag: string,
    image: { layers: Buffer[]; config?: object; gzip?: boolean; mediaType?: string },
  ): AddedImage {
    const stored = image.layers.map((layer) =>
      image.gzip === true ? Buffer.from(Bun.gzipSync(new Uint8Array(layer))) : layer,
    );
    const document = Buffer.from(JSON.stringify(imageDocument(image.layers, image.config)));
    const descriptor = (mediaType: string, bytes: Buffer): { mediaType: string; digest: string; size: number } => ({
      mediaType,
      digest: this.addBlob(bytes),
      size: bytes.length,
    });
    const mediaType = image.mediaType ?? MANIFEST_TYPE;
    const config = descriptor(CONFIG_TYPE, document);
    const layers = stored.map((bytes) => descriptor(image.gzip === true ? GZIP_TYPE : LAYER_TYPE, bytes));
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
    const digest = this.addManifest(repository, tag, mediaType, manifest);
    return { digest, configDigest: config.digest, layerDigests: layers.map((layer) => layer.digest) };
  }

  // --- One connection: requests one after another, each answered before the next is read. ---

  async #serve(socket: Socket): Promise<void> {
    const input = new SocketReader(socket);
    if (await input.startsWithTls()) {
      socket.end("HTTP/1.0 400 Bad Request\r\n\r\n"); // as Go's server answers a handshake that it did not expect
      return;
    }
    for (let request = await readRequest(input); request !== undefined; request = await readRequest(input)) {
      this.requests.push(request);
      const fault = this.#takeFault(request);
      if (!(await this.#respond(socket, request, fault))) return;
    }
    socket.end();
  }

  #takeFault({ method, path }: RecordedRequest): Fault | undefined {
    const found = this.#injections.find(
      ({ injection, left }) =>
        left > 0 &&
        method === (injection.method ?? "GET") &&
        (typeof injection.path === "string" ? path === injection.path : injection.path.test(path)),
    );
    if (found === undefined) return undefined;
    found.left--;
    return found.injection.fault;
  }

  /** Answers a request. Resolves with whether the connection goes on. */
  async #respond(socket: Socket, request: RecordedRequest, fault: Fault | undefined): Promise<boolean> {
    if (fault?.kind === "raw") {
      await write(socket, Buffer.from(fault.bytes));
      socket.end();
      return false;
    }
    if ((fault?.kind === "cut" || fault?.kind === "stall") && fault.at < 0) {
      if (fault.kind === "cut") socket.destroy();
      return false;
    }
    const answer = this.#answer(request, fault);
    const length = answer.end - answer.start;
    const headers: Record<string, string> = { "Docker-Distribution-Api-Version": "registry/2.0", ...answer.headers };
    if (fault?.kind === "chunked") headers["Transfer-Encoding"] = "chunked";
    else headers["Content-Length"] = `${length + (fault?.kind === "lie" ? fault.bytes : 0)}`;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    await write(socket, Buffer.from(`HTTP/1.1 ${answer.status} Whatever\r\n${lines.join("")}\r\n`));
    if (request.method === "HEAD") return true;
    const end =
      fault?.kind === "cut" || fault?.kind === "stall" ? Math.min(answer.end, answer.start + fault.at) : answer.end;
    for (let at = answer.start; at < end; ) {
      const piece = pieceOf(answer.body, at, end, fault?.kind === "corrupt" ? fault.at : undefined);
      if (fault?.kind === "chunked") await write(socket, Buffer.from(`${piece.length.toString(16)};x=1\r\n`));
      await write(socket, piece);
      if (fault?.kind === "chunked") await write(socket, Buffer.from("\r\n"));
      this.sentBytes += piece.length;
      at += piece.length;
    }
    if (fault?.kind === "chunked") await write(socket, Buffer.from("0\r\nTrailer: x\r\n\r\n"));
    if (fault?.kind === "stall") return false;
    if (fault?.kind === "cut" || fault?.kind === "lie") {
      socket.end();
      return false;
    }
    return true;
  }

  #answer(request: RecordedRequest, fault: Fault | undefined): Answer {
    if (fault?.kind === "answer") return plain(fault.status, fault.headers ?? {}, Buffer.from(fault.body ?? ""));
    if (fault?.kind === "redirect") return plain(307, { Location: fault.location });
    const url = new URL(request.path, "http://fake");
    if (url.pathname === "/token") return this.#giveToken(request, url);
    const refused = this.#refuse(request, url);
    if (refused !== undefined) return refused;
    if (url.pathname === "/v2/") return plain(200, {}, Buffer.from("{}"));
    const route = /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.+)$/.exec(url.pathname);
    if (route === null) return failure(404, "NOT_FOUND", "no such route");
    const [, repository = "", kind, rest = ""] = route;
    if (kind === "tags") return this.#listTags(repository, url);
    if (kind === "manifests") return this.#manifest(request, repository, rest);
    if (rest.startsWith("uploads/")) return this.#upload(request, url, repository, rest.slice("uploads/".length));
    return this.#blob(request, rest, fault);
  }

  // --- Authorization ---

  #refuse(request: RecordedRequest, url: URL): Answer | undefined {
    if (this.#options.users === undefined) return undefined;
    const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags)\//.exec(url.pathname)?.[1];
    const action = request.method === "GET" || request.method === "HEAD" ? "pull" : "push";
    const bearer = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
    const token = this.#tokens.get(bearer);
    const valid = token !== undefined && token.expiresAtMs > Date.now();
    const allowed = repository === undefined || (token?.scopes ?? []).includes(`${repository}:${action}`);
    if (valid && allowed) return undefined;
    const scope =
      repository === undefined ? "" : `,scope="repository:${repository}:${action === "push" ? "pull,push" : "pull"}"`;
    const denied = failure(401, "UNAUTHORIZED", "authentication required");
    denied.headers["Www-Authenticate"] = `Bearer realm="${this.url}/token",service="fake"${scope}`;
    return denied;
  }

  #giveToken(request: RecordedRequest, url: URL): Answer {
    const form = new URLSearchParams(request.method === "POST" ? request.body.toString() : url.search);
    const basic = /^Basic (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    let user: string | undefined;
    if (basic !== undefined) {
      const [name = "", ...password] = Buffer.from(basic, "base64").toString().split(":");
      if (this.#options.users?.[name] !== password.join(":"))
        return failure(401, "UNAUTHORIZED", "incorrect username or password");
      user = name;
    }
    if (request.method === "POST") {
      user = this.refreshTokens.get(form.get("refresh_token") ?? "");
      if (form.get("grant_type") === "password") {
        const name = form.get("username") ?? "";
        if (this.#options.users?.[name] === form.get("password")) user = name;
      }
      if (user === undefined) return failure(401, "UNAUTHORIZED", "invalid token");
    }
    const scopes = form
      .getAll("scope")
      .flatMap((text) => text.split(" "))
      .flatMap((scope) => {
        const [, name = "", actions = ""] = /^repository:(.+):([a-z,*]+)$/.exec(scope) ?? [];
        return actions.split(",").map((action) => ({ name, action }));
      })
      .filter(({ action }) => user !== undefined || (action === "pull" && this.#options.anonymousPull === true))
      .map(({ name, action }) => `${name}:${action}`);
    const token = `token-${this.#nextId++}`;
    const seconds = this.#options.tokenSeconds ?? 300;
    this.#tokens.set(token, { scopes, expiresAtMs: Date.now() + seconds * 1000 });
    const refresh =
      form.get("offline_token") === "true" && user !== undefined ? `refresh-${this.#nextId++}` : undefined;
    if (refresh !== undefined && user !== undefined) this.refreshTokens.set(refresh, user);
    const body = {
      token,
      access_token: token,
      expires_in: seconds,
      ...(refresh === undefined ? {} : { refresh_token: refresh }),
    };
    return plain(200, { "Content-Type": "application/json" }, Buffer.from(JSON.stringify(body)));
  }

  /** Makes all tokens given so far invalid. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  // --- Content ---

  #listTags(repository: string, url: URL): Answer {
    const manifests = this.manifests.get(repository);
    if (manifests === undefined) return failure(404, "NAME_UNKNOWN", "repository name not known to registry");
    const all = [...manifests.keys()].filter((key) => !key.includes(":")).sort();
    const count = Number(url.searchParams.get("n") ?? all.length);
    const start = all.findIndex((tag) => tag > (url.searchParams.get("last") ?? ""));
    const tags = start < 0 ? [] : all.slice(start, start + count);
    const isLast = tags.length === 0 || tags.at(-1) === all.at(-1);
    const link = `</v2/${repository}/tags/list?n=${count}&last=${tags.at(-1)}>; rel="next"`;
    return plain(200, isLast ? {} : { Link: link }, Buffer.from(JSON.stringify({ name: repository, tags })));
  }

  #manifest(request: RecordedRequest, repository: string, reference: string): Answer {
    if (request.method === "PUT") {
      const mediaType = request.headers.get("content-type") ?? "";
      const isDigest = reference.includes(":");
      const digest = this.addManifest(repository, isDigest ? undefined : reference, mediaType, request.body);
      if (isDigest && digest !== reference) return failure(400, "DIGEST_INVALID", "provided digest did not match");
      return plain(201, { Location: `/v2/${repository}/manifests/${digest}`, "Docker-Content-Digest": digest });
    }
    const found = this.manifests.get(repository)?.get(reference);
    if (found === undefined)
      return this.manifests.has(repository)
        ? failure(404, "MANIFEST_UNKNOWN", "manifest unknown")
        : failure(404, "NAME_UNKNOWN", "repository name not known to registry");
    const headers = { "Content-Type": found.mediaType, "Docker-Content-Digest": `sha256:${sha256(found.bytes)}` };
    return plain(200, headers, found.bytes);
  }

  #blob(request: RecordedRequest, digest: string, fault: Fault | undefined): Answer {
    const blob = this.blobs.get(digest);
    if (blob === undefined) return failure(404, "BLOB_UNKNOWN", "blob unknown to registry");
    const size = sizeOf(blob);
    const headers: Record<string, string> = {
      "Content-Type": "application/octet-stream",
      "Docker-Content-Digest": digest,
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
    if (range === null || fault?.kind === "ignoreRange")
      return { status: 200, headers, body: blob, start: 0, end: size };
    const start = Number(range[1]) + (fault?.kind === "shiftRange" ? fault.bytes : 0);
    if (start >= size) return plain(416, { "Content-Range": `bytes */${size}` });
    const asked = range[2] === "" ? size : Math.min(size, Number(range[2]) + 1);
    const end = fault?.kind === "shortRange" ? Math.min(asked, start + fault.bytes) : asked;
    headers["Content-Range"] = `bytes ${start}-${end - 1}/${size}`;
    return { status: 206, headers, body: blob, start, end };
  }

  #upload(request: RecordedRequest, url: URL, repository: string, id: string): Answer {
    const mount = url.searchParams.get("mount");
    if (request.method === "POST" && mount !== null && this.blobs.has(mount))
      return plain(201, { Location: `/v2/${repository}/blobs/${mount}`, "Docker-Content-Digest": mount });
    if (request.method === "POST") {
      const fresh = `${this.#nextId++}`;
      this.#uploads.set(fresh, []);
      return plain(202, { Location: `/v2/${repository}/blobs/uploads/${fresh}?state=a%2Fb`, Range: "0-0" });
    }
    const parts = this.#uploads.get(id);
    if (parts === undefined) return failure(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    parts.push(request.body);
    const whole = Buffer.concat(parts);
    if (request.method === "PATCH") {
      const headers = {
        Location: `${this.url}/v2/${repository}/blobs/uploads/${id}?state=c`,
        Range: `0-${whole.length - 1}`,
      };
      return plain(202, headers);
    }
    if (request.method !== "PUT") return failure(405, "UNSUPPORTED", "the operation is unsupported");
    this.#uploads.delete(id);
    const digest = `sha256:${sha256(whole)}`;
    if (url.searchParams.get("digest") !== digest)
      return failure(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    this.blobs.set(digest, whole);
    return plain(201, { Location: `/v2/${repository}/blobs/${digest}`, "Docker-Content-Digest": digest });
  }
}

function plain(status: number, headers: Record<string, string>, body: Buffer = Buffer.alloc(0)): Answer {
  return { status, headers, body, start: 0, end: body.length };
}

function failure(status: number, code: string, message: string): Answer {
  const body = JSON.stringify({ errors: [{ code, message, detail: null }] });
  return plain(status, { "Content-Type": "application/json; charset=utf-8" }, Buffer.from(body));
}

function sizeOf(blob: Buffer | PatternBlob): number {
  return Buffer.isBuffer(blob) ? blob.length : blob.sizeBytes;
}

const PIECE_BYTES = 256 * 1024;

function pieceOf(body: Buffer | PatternBlob, at: number, end: number, corruptAt: number | undefined): Buffer {
  let piece: Buffer;
  if (Buffer.isBuffer(body)) piece = body.subarray(at, Math.min(end, at + PIECE_BYTES));
  else {
    const offset = at % body.pattern.length;
    piece = body.pattern.subarray(offset, Math.min(body.pattern.length, offset + PIECE_BYTES, offset + end - at));
  }
  if (corruptAt === undefined || corruptAt < at || corruptAt >= at + piece.length) return piece;
  const bad = Buffer.from(piece);
  bad[corruptAt - at]! ^= 0xff;
  return bad;
}

/** Writes bytes; settles when the socket accepts more. */
function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  if (socket.destroyed) return Promise.reject(new Error("the client is gone"));
  if (socket.write(bytes)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => () => {
      socket.off("drain", drained);
      socket.off("close", closed);
      settle();
    };
    const drained = done(resolve);
    const closed = done(() => reject(new Error("the client is gone")));
    socket.on("drain", drained);
    socket.on("close", closed);
  });
}

/** Reads a socket's bytes on demand. */
class SocketReader {
  readonly #iterator: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#iterator = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async #more(): Promise<boolean> {
    const next = await this.#iterator.next();
    if (next.done === true) return false;
    this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
    return true;
  }

  async startsWithTls(): Promise<boolean> {
    if (this.#rest.length === 0) await this.#more();
    return this.#rest[0] === 0x16;
  }

  /** Reads up to and including `mark`; undefined at the end of the stream. */
  async until(mark: string): Promise<string | undefined> {
    let at = this.#rest.indexOf(mark);
    while (at < 0) {
      if (!(await this.#more())) return undefined;
      at = this.#rest.indexOf(mark);
    }
    const found = this.#rest.subarray(0, at + mark.length).toString("latin1");
    this.#rest = this.#rest.subarray(at + mark.length);
    return found;
  }

  async take(count: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new Error("the request was cut");
      const piece = this.#rest.subarray(0, left);
      pieces.push(piece);
      left -= piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return Buffer.concat(pieces);
  }
}

async function readRequest(input: SocketReader): Promise<RecordedRequest | undefined> {
  const head = await input.until("\r\n\r\n");
  if (head === undefined) return undefined;
  const [requestLine = "", ...lines] = head.trimEnd().split("\r\n");
  const [method = "", path = ""] = requestLine.split(" ");
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const pieces: Buffer[] = [];
  if (headers.get("transfer-encoding") === "chunked")
    for (let size = -1; size !== 0; ) {
      size = Number.parseInt((await input.until("\r\n")) ?? "", 16);
      if (Number.isNaN(size)) throw new Error("bad chunk");
      pieces.push(await input.take(size));
      await input.take(2);
    }
  else pieces.push(await input.take(Number(headers.get("content-length") ?? 0)));
  return { method, path, headers, body: Buffer.concat(pieces) };
}
