/** The files that a client's session serves to a build. */
import { LighterError } from "../../base/errors.ts";
import { BUILD_DOCKERFILE_MAX_CHARS } from "../../base/limits.ts";
import {
  type BuildRequest,
  type CachePlace,
  type ContextMemory,
  type ForeignFrontEnd,
  foreignFrontEnd,
  type LayoutSource,
  type LocalSource,
  type ServedTree,
} from "../../engine/mod.ts";
import { IGNORE_FILE, parseIgnoreFile } from "../../spec/docker-ignore.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { openLayout } from "./session-content.ts";
import { readFiles, servedTree, treeOf, uploadOf } from "./session-files.ts";
import type { Session } from "./sessions.ts";

/** The context of a build whose files come otherwise. */
const NOTHING: AsyncIterable<Uint8Array> = (async function* () {})();

interface FilesOptions {
  daemon: Daemon;
  session: Session;
  sessionId: string;
  filename: string;
  /** Whether the client serves the Dockerfile of a context that it does not serve. */
  isApart: boolean;
  /** The front end that goes before the one that the Dockerfile names. */
  syntax: string | undefined;
  signal: AbortSignal;
}

function patternsOf(ignoreFile: Buffer | undefined): readonly string[] {
  return ignoreFile === undefined ? [] : parseIgnoreFile(ignoreFile.toString()).patterns;
}

type FileSources = Pick<BuildRequest, "context" | "remote" | "served" | "namedContext" | "openLayout">;

/** The files of a build, which come one after another as they are needed. */
export class BuildFiles {
  readonly #options: FilesOptions;
  readonly #session: Session;
  readonly #signal: AbortSignal;
  #ignoreFile: Buffer | undefined;
  #reading: Promise<Buffer> | undefined;
  /** What was asked for of each directory. */
  readonly #asked = new Map<string, LocalSource>();
  dockerfile: Buffer = Buffer.alloc(0);

  constructor(options: FilesOptions) {
    this.#options = options;
    this.#session = options.session;
    this.#signal = options.signal;
  }

  /** What the graph was made of: where another build finds the directories of this one. */
  get origin() {
    const { filename, sessionId: session } = this.#options;
    return {
      dockerfile: { filename, text: this.dockerfile },
      served: (op: LayoutSource | LocalSource) =>
        (op.kind === "local" ? this.#asked.get(op.name) : undefined) ?? { session, ...op },
    };
  }

  /** The context, how to read the Dockerfile if it is not in there, and what else the session serves. */
  sources(context: string): FileSources {
    const [, path] = /^http:\/\/buildkit-session(\/.+)$/.exec(context) ?? [];
    const client = {
      namedContext: this.#namedContext.bind(this),
      openLayout: this.#openLayout.bind(this),
    };
    if (path !== undefined)
      return { ...client, context: uploadOf(this.#session, path, this.#signal), remote: undefined };
    const readDockerfile = () => this.#readDockerfile();
    if (context === "")
      return {
        ...client,
        context: NOTHING,
        remote: undefined,
        served: { readDockerfile, context: this.#context.bind(this) },
      };
    return {
      ...client,
      context: NOTHING,
      remote: context,
      ...(this.#options.isApart ? { served: { readDockerfile } } : {}),
    };
  }

  async #openLayout(source: LayoutSource): Promise<CachePlace> {
    const { session: id } = source;
    const session =
      id === undefined ? this.#session : await this.#options.daemon.buildkit.sessions.find(id, this.#signal);
    return await openLayout(session, source, this.#signal);
  }

  /** The texts of the Dockerfile and .dockerignore, for what is no build. */
  async readTexts(context: string): Promise<{ dockerfile: string; dockerignore?: string }> {
    if (context !== "" && !this.#options.isApart)
      throw new LighterError("not-supported", `a question about a Dockerfile in ${context} is not supported yet`);
    const dockerfile = `${await this.#readDockerfile()}`;
    const ignoreFile = context === "" ? await this.#readIgnoreFile() : undefined;
    return { dockerfile, ...(ignoreFile === undefined ? {} : { dockerignore: `${ignoreFile}` }) };
  }

  async #readIgnoreFile(): Promise<Buffer | undefined> {
    return this.#ignoreFile ?? (await this.#read("context", [IGNORE_FILE])).get(IGNORE_FILE);
  }

  /** The front end that the Dockerfile wants, if it is not in the context and the front end is not this one. */
  async foreignFrontEnd(context: string): Promise<ForeignFrontEnd | undefined> {
    if (context !== "" && !this.#options.isApart) return undefined;
    return foreignFrontEnd((await this.#readDockerfile()).toString(), this.#options.syntax);
  }

  #readDockerfile(): Promise<Buffer> {
    this.#reading ??= this.#receiveDockerfile();
    return this.#reading;
  }

  async #receiveDockerfile(): Promise<Buffer> {
    const { filename } = this.#options;
    const ignoreName = `${filename}.dockerignore`;
    const files = await this.#read("dockerfile", [filename, ignoreName]);
    const dockerfile = files.get(filename);
    if (dockerfile === undefined)
      throw new LighterError("not-found", `failed to read dockerfile: open ${filename}: no such file or directory`);
    this.#ignoreFile = files.get(ignoreName);
    this.dockerfile = dockerfile;
    return dockerfile;
  }

  #context(paths: readonly string[] | undefined): ServedTree {
    const source = { kind: "local" as const, name: "context", followPaths: paths ?? [] };
    return this.#tree(source, () => this.#readIgnoreFile());
  }

  async #namedContext(source: LocalSource): Promise<ServedTree> {
    const { name, session } = source;
    const signal = this.#signal;
    if (session !== undefined) {
      const other = await this.#options.daemon.buildkit.sessions.find(session, signal);
      return servedTree(other, name, (memory) => treeOf(other, name, { ...source, memory, signal }));
    }
    return this.#tree(source, async () => (await this.#read(name, [IGNORE_FILE])).get(IGNORE_FILE));
  }

  #tree(source: LocalSource, readIgnoreFile: () => Promise<Buffer | undefined>): ServedTree {
    const [session, signal] = [this.#session, this.#signal];
    const send = async function* (this: BuildFiles, memory: ContextMemory | undefined) {
      const asked = { ...source, exclude: patternsOf(await readIgnoreFile()) };
      this.#asked.set(source.name, { ...asked, session: this.#options.sessionId });
      yield* treeOf(session, source.name, { ...asked, memory, signal });
    };
    return servedTree(session, source.name, send.bind(this));
  }

  #read(directory: string, followPaths: readonly string[]): Promise<Map<string, Buffer>> {
    const limits = { maxBytes: BUILD_DOCKERFILE_MAX_CHARS, signal: this.#signal };
    return readFiles(this.#session, directory, { ...limits, followPaths });
  }
}
