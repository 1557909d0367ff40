/** What a build copies from: its context, what is fetched, files of the Dockerfile, and images, each by an id. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { BUILD_DOCKERFILE_MAX_BYTES } from "../../base/limits.ts";
import {
  type GitSource,
  type HttpSource,
  type LayoutSource,
  type LocalSource,
  parseGitSource,
  type SourceOp,
} from "../../build/mod.ts";
import { type RawBody, type RunOptions, runWithInput, type Trash } from "../../files/mod.ts";
import {
  type ContextMemory,
  looksLikeArchive,
  peek,
  spoolDigest,
  TAR_BLOCK_BYTES,
  ToldWriter,
} from "../../image/mod.ts";
import { bytePath } from "../../linux/sys/fs.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { CachePlace } from "../cache/cache-request.ts";
import { checkOut } from "../sources/git-source.ts";
import { type Downloads, download, get, visit } from "../sources/http-source.ts";
import type { KeptContexts, KeptLease } from "../sources/kept-contexts.ts";
import { type LayoutImage, readLayoutImage } from "../sources/layout-image.ts";
import {
  fillSpoolJob,
  readDockerfileJob,
  type SpoolArgument,
  type Spooled,
  type SpoolNote,
  type SpoolReply,
  spoolContextJob,
  type TreePlace,
  writeContextJob,
} from "./build-jobs.ts";
import type { BuildInputs } from "./build-request.ts";
import type { KnownFiles } from "./known-files.ts";
import type { StepRoots } from "./step-roots.ts";

/** Where a build's context comes from. */
export interface ContextRequest {
  /** A tar, compressed or not. */
  context: AsyncIterable<Uint8Array> | SentContext;
  /** The URL of a tar, of a Dockerfile or of a git repository, in place of the tar. */
  remote: string | undefined;
}

/** A tar that the client sends in a request of its own, which may be there already, or come later. */
export interface SentContext {
  /** Calls `use` with it, once. */
  handTo(use: (body: AsyncIterable<Uint8Array> | RawBody) => Promise<void>): Promise<void>;
}

/** Files that a client serves to its build. */
export interface ServedFiles {
  readDockerfile(): Promise<Buffer>;
  /** The context. `paths`: all that is needed of it; undefined for everything. Without it, the context comes otherwise. */
  context?(paths: readonly string[] | undefined): ServedTree;
}

/** A directory that a client serves, of which only what has changed need be sent. */
export interface ServedTree {
  /** Stands for the directory in all builds; undefined: it has no name that lasts. */
  key: string | undefined;
  /** Yields the tar of what is not known. */
  send(memory: ContextMemory | undefined): AsyncIterable<Uint8Array>;
}

/** Asks a client for a directory that it serves, as a tar or as what has changed. */
export type NamedContext = (source: LocalSource) => AsyncIterable<Uint8Array> | Promise<ServedTree>;

/** Opens the image, or index, of that digest in a layout that a client serves. */
export type OpenLayout = (source: LayoutSource) => Promise<CachePlace>;

/** Gives the bytes of a file of the context that was sent, by its path, in bytes, if they were not needed then. */
export type ContextFile = (path: string) => AsyncIterable<Uint8Array>;

interface ClientSources {
  namedContext: NamedContext | undefined;
  openLayout: OpenLayout | undefined;
  contextFile: ContextFile | undefined;
  secret: BuildInputs["secret"] | undefined;
  knownFiles: KnownFiles;
}

interface ReceivedContext extends Pick<ContextRequest, "remote"> {
  context: AsyncIterable<Uint8Array> | RawBody | ServedTree;
}

export class BuildSources implements Disposable {
  readonly contextId = "context";
  readonly #roots: StepRoots;
  readonly #trash: Trash;
  readonly #signal: AbortSignal;
  readonly #downloads: Downloads;
  readonly #kept: KeptContexts;
  /** The kept contexts that this build uses, or will leave. */
  readonly #leases: KeptLease[] = [];
  /** What fetches the sources of which only a digest is known, by id. */
  readonly #unfetched = new Map<string, () => Promise<void>>();
  /** A directory for all that is not kept. */
  readonly #path: string;
  /** Where the sources are that are no images, by id. */
  readonly #places = new Map<string, TreePlace>();
  /** What was computed of sources that are kept for other builds, by their ids. */
  readonly #digests = new Map<string, Map<string, string>>();
  /** The directories of spooled contexts that were needed as such, by their paths. */
  readonly #written = new Map<string, Promise<string>>();
  readonly #namedContexts = new Map<string, Promise<string>>();
  /** The images in layouts, for a platform each. */
  readonly #layouts = new Map<string, Promise<LayoutImage>>();
  /** Their snapshots. */
  readonly #holds = new DisposableStack();
  readonly #client: ClientSources;
  /** What the URL of the context led to, if that was no archive; the context is empty then. */
  #remoteDockerfile: string | undefined;
  #count = 0;

  constructor(
    roots: StepRoots,
    trash: Trash,
    {
      signal,
      downloads,
      kept,
      client,
    }: { signal: AbortSignal; downloads: Downloads; kept: KeptContexts; client: ClientSources },
  ) {
    this.#kept = kept;
    this.#roots = roots;
    this.#client = client;
    this.#downloads = downloads;
    this.#trash = trash;
    this.#signal = signal;
    this.#path = join(trash.path, randomId());
    mkdirSync(this.#path, { mode: 0o700 });
    this.#places.set(this.contextId, { layers: [this.#newDirectory()] });
  }

  [Symbol.dispose](): void {
    for (const lease of this.#leases) lease[Symbol.dispose]();
    this.#holds.dispose();
    void this.#trash.discard(this.#path);
  }

  /** Reads the Dockerfile at a path in the context, which afterwards has only what may be copied. */
  async readDockerfile(dockerfile: string): Promise<string> {
    if (this.#remoteDockerfile !== undefined) return this.#remoteDockerfile;
    const textPath = join(this.#path, "Dockerfile");
    await this.#workers.run(readDockerfileJob, { tree: this.treeOf(this.contextId), dockerfile, textPath });
    return readFileSync(textPath, "utf8");
  }

  get #workers() {
    return this.#roots.engine.workers;
  }

  /** Receives the context. @throws LighterError for what is no tar, or a hostile one, and for what cannot be fetched */
  async receive({ context, remote }: ReceivedContext, onBytes: (byteCount: number) => void): Promise<void> {
    if (remote === undefined) return await this.#spool(this.contextId, context, onBytes);
    const git = parseGitSource(onGitHub(remote));
    if (git !== undefined) {
      this.#places.set(this.contextId, { layers: [(await this.#checkOut(git)).path] });
      return;
    }
    if (!/^https?:\/\//.test(remote))
      throw new LighterError("invalid", `remoteURL (${remote}) could not be recognized as URL`);
    await this.#fetchContext(remote);
  }

  /** Fetches a tar, or a Dockerfile alone. */
  async #fetchContext(url: string): Promise<void> {
    const { head, whole } = await peek(
      (await get(url, { signal: this.#signal, maxBytes: this.#downloads.maxBytes })).pieces(),
      TAR_BLOCK_BYTES,
    );
    if (head.length === 0)
      throw new LighterError("invalid", `error detecting content type for remote ${url}: empty response`);
    if (looksLikeArchive(head)) await this.#spool(this.contextId, whole);
    else this.#remoteDockerfile = (await readUpTo(whole, BUILD_DOCKERFILE_MAX_BYTES)).toString();
  }

  async #spool(
    id: string,
    tar: ReceivedContext["context"],
    onBytes: (byteCount: number) => void = () => {},
  ): Promise<void> {
    if ("send" in tar) return await this.#spoolServed(id, tar, onBytes);
    const path = this.#newDirectory();
    const { byteCount, absent } = await this.#receive(path, tar, this.#hear(onBytes));
    onBytes(byteCount);
    this.#places.set(id, { spoolPath: path });
    if (absent.length > 0)
      this.#unfetched.set(
        id,
        once(() => this.#fill(path, absent)),
      );
  }

  /** What a worker's notes are told to. */
  #hear(onBytes: (byteCount: number) => void): RunOptions["onNote"] & object {
    const { knownFiles } = this.#client;
    return (value, reply) => {
      const note = value as SpoolNote;
      if ("byteCount" in note) onBytes(note.byteCount);
      else if ("learn" in note) knownFiles.learn(...note.learn);
      else reply({ digest: knownFiles.find(note.find) ?? null } satisfies SpoolReply, []);
    };
  }

  async #receive(
    path: string,
    tar: AsyncIterable<Uint8Array> | RawBody,
    onNote: RunOptions["onNote"] & object,
  ): Promise<Spooled> {
    if ("fd" in tar) {
      const argument = { path, form: tar.form, recalls: this.#client.contextFile !== undefined };
      const options = { fds: [tar.fd, tar.firstFd], signal: this.#signal, onNote };
      return await this.#workers.run(spoolContextJob, argument, options);
    }
    const argument: SpoolArgument = { path, form: "plain", recalls: false };
    return await runWithInput(this.#workers, spoolContextJob, argument, { onNote, signal: this.#signal }, tar);
  }

  /** Asks the client for files whose digests were enough so far. */
  async #fill(spoolPath: string, absent: Spooled["absent"]): Promise<void> {
    const options = { signal: this.#signal };
    for (const { number, path } of absent) {
      const argument = { spoolPath, number };
      await runWithInput(this.#workers, fillSpoolJob, argument, options, this.#client.contextFile!(path));
    }
  }

  /** Spools a directory that the client serves, of which it sends what is not known from an earlier build. */
  async #spoolServed(id: string, { key, send }: ServedTree, onBytes: (byteCount: number) => void): Promise<void> {
    const lease = key === undefined ? undefined : this.#kept.lease(key);
    if (lease === undefined) return await this.#spool(id, send(undefined), onBytes);
    this.#leases.push(lease);
    const { known } = lease;
    const path = this.#newDirectory();
    using told = new ToldWriter(path);
    const { head, whole } = await peek(send({ known, told }), TAR_BLOCK_BYTES);
    if (known?.isWhole && head.every((byte) => byte === 0)) {
      await whole.return(undefined);
      this.#digests.set(id, lease.digests);
      this.#places.set(id, { spoolPath: known.path });
      return;
    }
    const argument: SpoolArgument = { path, form: "plain", recalls: false, basePath: known?.tree?.path };
    const changes = async function* () {
      yield* whole;
      known?.tree?.writeSeen(path); // before the end, at which the worker reads it
    };
    const options = { onNote: this.#hear(onBytes), signal: this.#signal };
    const { byteCount } = await runWithInput(this.#workers, spoolContextJob, argument, options, changes());
    onBytes(byteCount);
    told.flush();
    this.#places.set(id, { spoolPath: path });
    const digests = new Map<string, string>();
    this.#digests.set(id, digests);
    lease.keep(path, digests);
  }

  /** Asks the client for a directory, once. */
  #named(source: LocalSource): Promise<string> {
    const id = `context:${JSON.stringify(source)}`;
    const known = this.#namedContexts.get(id) ?? this.#receiveNamed(source, id);
    this.#namedContexts.set(id, known);
    return known;
  }

  async #receiveNamed(source: LocalSource, id: string): Promise<string> {
    const { namedContext } = this.#client;
    if (namedContext === undefined) throw new LighterError("invalid", `this client serves no context "${source.name}"`);
    await this.#spool(id, await namedContext(source));
    return id;
  }

  /** Finds what a layout of the client's has for a platform. */
  layout(source: LayoutSource, platform: Platform = this.#roots.images.platform): Promise<LayoutImage> {
    const id = JSON.stringify([source, formatPlatform(platform)]);
    const known = this.#layouts.get(id) ?? this.#readLayout(source, platform);
    this.#layouts.set(id, known);
    return known;
  }

  async #readLayout(source: LayoutSource, platform: Platform): Promise<LayoutImage> {
    const { openLayout } = this.#client;
    if (openLayout === undefined) throw new LighterError("invalid", `this client serves no layout "${source.store}"`);
    return await readLayoutImage(await openLayout(source), source.digest, platform);
  }

  async #rootOfLayout(source: LayoutSource): Promise<string> {
    const { root, layers } = await this.layout(source);
    if (root !== "") this.#holds.use(await this.#roots.images.fetchSnapshot(root, layers, this.#signal));
    return root;
  }

  /** Where a root file system, or another source, is. */
  treeOf(id: string): TreePlace {
    if (id === "") return { layers: [] };
    return this.#places.get(id) ?? { layers: this.#roots.images.layersOf(id).lowerDirs };
  }

  /** Where digests of a source are found, and kept: undefined for one that no other build has. */
  digestsOf(id: string): Map<string, string> | undefined {
    return this.#digests.get(id);
  }

  /** Makes sure that the bytes of a source are there, which its digest does without. */
  async fetch(id: string): Promise<void> {
    const fetch = this.#unfetched.get(id);
    if (fetch !== undefined) await fetch();
  }

  /** The directories of a root file system, topmost first. The files of a spooled context are written for it. */
  async directoriesOf(id: string): Promise<readonly string[]> {
    await this.fetch(id);
    const place = this.treeOf(id);
    if ("layers" in place) return place.layers;
    const { spoolPath } = place;
    const written = this.#written.get(spoolPath) ?? this.#writeOut(spoolPath);
    this.#written.set(spoolPath, written);
    return [await written];
  }

  async #writeOut(spoolPath: string): Promise<string> {
    const path = this.#newDirectory();
    await this.#workers.run(writeContextJob, { spoolPath, path });
    return path;
  }

  async open(op: SourceOp): Promise<string> {
    switch (op.kind) {
      case "local":
        return op.session === undefined && op.name === this.contextId ? this.contextId : await this.#named(op);
      case "image":
        return op.reference === "scratch" ? "" : this.#roots.of(this.#roots.images.get(op.reference));
      case "layout":
        return await this.#rootOfLayout(op);
      case "files":
        return this.#files(op.files, op.mode);
      case "http":
        return await this.#http(op);
      case "git": {
        const { commit, path } = await this.#checkOut(op);
        return this.#known(`git:${commit}:${op.subdirectory}:${op.keepGitDir}:${op.submodules}`, path);
      }
    }
  }

  async #http(source: HttpSource): Promise<string> {
    const options = { ...this.#downloads, workers: this.#workers, signal: this.#signal };
    const { digest, directory } = await visit(source, () => this.#newDirectory(), options);
    const id = `http:${digest}:${source.fileName}`;
    if (directory !== undefined) return this.#known(id, directory);
    if (this.#places.has(id)) return id;
    const spoolPath = this.#newDirectory();
    spoolDigest(spoolPath, bytePath(source.fileName), digest);
    this.#places.set(id, { spoolPath });
    const fetch = async () => {
      const path = this.#newDirectory();
      await download(source, digest, path, options);
      this.#places.set(id, { layers: [path] });
    };
    this.#unfetched.set(id, once(fetch));
    return id;
  }

  async #checkOut(source: GitSource): Promise<{ commit: string; path: string }> {
    const secret = async (id: string) => await this.#client.secret?.(id);
    return await checkOut(source, { directory: this.#newDirectory(), signal: this.#signal, secret });
  }

  #newDirectory(): string {
    const path = join(this.#path, `${this.#count++}`);
    mkdirSync(path);
    chmodSync(path, 0o755);
    return path;
  }

  #known(id: string, directory: string): string {
    if (!this.#places.has(id)) this.#places.set(id, { layers: [directory] });
    return id;
  }

  #files(files: readonly { name: string; content: string }[], mode = 0o644): string {
    const directory = this.#newDirectory();
    for (const { name, content } of files) {
      const path = join(directory, posix.join("/", name)); // nothing else is in there, so no name leads out
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      chmodSync(path, mode);
    }
    const digest = createHash("sha256")
      .update(JSON.stringify([files, mode]))
      .digest("hex");
    return this.#known(`files:${digest}`, directory);
  }
}

/** Makes a function whose work is done once, however often it is called. */
function once(work: () => Promise<void>): () => Promise<void> {
  let working: Promise<void> | undefined;
  return () => (working ??= work());
}

/** "github.com/OWNER/NAME", which people write for contexts, as the URL of a repository. */
function onGitHub(remote: string): string {
  const [, path, rest] = /^(github\.com\/[^#?]*)(.*)$/s.exec(remote) ?? [];
  return path === undefined ? remote : `https://${path.replace(/(\.git)?$/, ".git")}${rest}`;
}

async function readUpTo(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    parts.push(new Uint8Array(chunk));
    length += chunk.length;
    if (length > maxBytes) break;
  }
  return Buffer.concat(parts);
}
