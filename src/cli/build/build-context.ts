/** The context of a build: a directory, an archive from stdin, a Dockerfile alone, or an address that the daemon fetches. */
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { type IgnoreRules, parseIgnoreFile } from "../../spec/docker-ignore.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { packContent } from "../copy/copy-pack.ts";
import { stdinChunks } from "../copy/input-file.ts";
import { CliError } from "../exit.ts";
import { errnoText } from "../values/env-file.ts";
import type { StreamProvider } from "./build-session.ts";

/** What is sent to the daemon. */
interface BuildContext {
  /** Where the daemon finds the Dockerfile in the context. */
  dockerfile: string;
  /** One of these: a directory, an archive, or what the daemon fetches. */
  directory?: ContextDirectory;
  archive?: AsyncIterable<Uint8Array>;
  remote?: string;
}

export interface ContextDirectory {
  path: string;
  /** Packs it as a tar, in which large files are ranges where they are taken. */
  pack: (takesFiles: (name: string) => boolean) => AsyncGenerator<Uint8Array | FileRange>;
}

/** A name for a Dockerfile that comes from elsewhere; the daemon removes a file of such a name once it has read it. */
function strayName(): string {
  const digits = crypto.randomUUID().replaceAll("-", "");
  return `.dockerfile.${digits.slice(0, 20)}`;
}

/** @throws CliError in the words of Docker's client */
export async function openContext(argument: string, file: string): Promise<BuildContext> {
  if (argument === "-" && file === "-")
    throw new CliError("invalid argument: can't use stdin for both build context and dockerfile");
  if (argument === "-") return await stdinContext(file);
  if (isRemote(argument)) {
    if (file === "-") throw new CliError("a Dockerfile from stdin needs a context in a directory");
    return { dockerfile: file || "Dockerfile", remote: argument };
  }
  return directoryContext(argument, file, file === "-" ? await stdinText() : undefined);
}

/** Whether the daemon is to fetch the context. A directory of that name comes first. */
function isRemote(argument: string): boolean {
  if (/^https?:\/\//.test(argument)) return true;
  return /^(git:\/\/|git@|github\.com\/|ssh:\/\/)/.test(argument) && !isDirectory(argument);
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function directoryContext(path: string, file: string, given: string | undefined): BuildContext {
  if (!isDirectory(path)) throw new CliError(`unable to prepare context: path "${path}" not found`);
  const root = resolve(path);
  const dockerfilePath = given === undefined ? (file === "" ? join(root, "Dockerfile") : resolve(file)) : undefined;
  const inside = dockerfilePath === undefined ? undefined : relative(root, dockerfilePath);
  const isInside = inside !== undefined && !inside.startsWith("../") && inside !== "..";
  const text = given ?? readDockerfile(dockerfilePath!);
  const name = isInside ? inside : strayName();
  const ignoreText = readIgnoreFile(root, dockerfilePath);
  const rules = ignoreText === undefined ? undefined : parseIgnoreFile(ignoreText);
  const extra = new Map(isInside ? [] : [[name, text]]);
  const keeps = rules === undefined ? undefined : keeperOf(rules, new Set([name]));
  const options = { withoutOwners: true, ...(keeps === undefined ? {} : { keeps }) };
  const pack: ContextDirectory["pack"] = (takesFiles) => packContent(root, { ...options, takesFiles }, extra);
  return { dockerfile: name, directory: { path: root, pack } };
}

/** `--build-context NAME=SOURCE`. @throws Error in the words of Docker's client */
export function parseNamedContext(text: string): [name: string, source: string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new Error(`invalid context value: ${text}, expected key=value`);
  return [text.slice(0, at).toLowerCase(), text.slice(at + 1)];
}

/** What the daemon is told of a named context: a directory is served by the session. @throws CliError */
export function namedSource([name, source]: readonly [string, string]): [name: string, source: string] {
  if (/^docker-image:\/\//.test(source) || isRemote(source)) return [name, source];
  if (!isDirectory(source))
    throw new CliError(`failed to get build context ${name}: stat ${source}: no such directory`);
  return [name, `local:${name}`];
}

/** Serves the directories among named contexts. */
export function contextProvider(contexts: readonly (readonly [string, string])[]): StreamProvider {
  const paths = new Map(contexts);
  return async (id, { send, end, fail }) => {
    const path = paths.get(id);
    if (path === undefined) return undefined;
    const root = resolve(path);
    const ignored = readIf(join(root, ".dockerignore"));
    const keeps = ignored === undefined ? undefined : keeperOf(parseIgnoreFile(ignored), new Set());
    const pump = async () => {
      const options = { withoutOwners: true, ...(keeps === undefined ? {} : { keeps }) };
      for await (const chunk of packContent(root, options, new Map())) await send(chunk);
      end();
    };
    pump().catch(fail);
    return { data: () => {}, end: () => {}, close: () => {} };
  };
}

/** What the daemon needs is sent whether it is ignored or not. */
function keeperOf({ excludes, hasExceptions }: IgnoreRules, always: ReadonlySet<string>) {
  const isAbove = (path: string) => [...always].some((each) => each.startsWith(`${path}/`));
  return (name: string, isDirectory: boolean): boolean | "inside" => {
    const path = Buffer.from(name, "latin1").toString();
    if (always.has(path) || !excludes(path)) return true;
    return isDirectory && (hasExceptions || isAbove(path)) ? "inside" : false;
  };
}

/** Reads the rules of what is left out: those named after the Dockerfile come before the context's. */
export function readIgnoreFile(root: string, dockerfilePath: string | undefined): string | undefined {
  const own =
    dockerfilePath === undefined
      ? undefined
      : readIf(join(dirname(dockerfilePath), `${basename(dockerfilePath)}.dockerignore`));
  return own ?? readIf(join(root, ".dockerignore"));
}

export function readDockerfile(path: string): string {
  const text = readIf(path);
  if (text !== undefined) return text;
  throw new CliError(`failed to read dockerfile: open ${path}: no such file or directory`);
}

function readIf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new CliError(`open ${path}: ${errnoText(error)}`);
  }
}

// --- stdin ---

async function stdinText(): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdinChunks()) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks).toString();
}

const TAR_MAGIC = { at: 257, text: "ustar" };
const HEAD_BYTES = 512;
/** How compressed archives begin: gzip, bzip2, xz, zstd. */
const COMPRESSED = ["1f8b08", "425a68", "fd377a585a00", "28b52ffd"];

/** An archive, or else a Dockerfile without a context. */
async function stdinContext(file: string): Promise<BuildContext> {
  const chunks = stdinChunks();
  const head: Uint8Array[] = [];
  let length = 0;
  while (length < HEAD_BYTES) {
    const { done, value } = await chunks.next();
    if (done === true) break;
    head.push(new Uint8Array(value));
    length += value.length;
  }
  const begin = Buffer.concat(head);
  if (isArchive(begin)) return { dockerfile: file || "Dockerfile", archive: joined(begin, chunks) };
  const rest: Uint8Array[] = [begin];
  for await (const chunk of chunks) rest.push(new Uint8Array(chunk));
  const text = Buffer.concat(rest);
  if (text.length === 0) throw new CliError("the Dockerfile (or archive) from stdin is empty");
  const extra = new Map([["Dockerfile", text.toString()]]);
  return { dockerfile: "Dockerfile", archive: packContent(undefined, {}, extra) };
}

function isArchive(begin: Buffer): boolean {
  const hex = begin.toString("hex", 0, 6);
  const magic = begin.toString("latin1", TAR_MAGIC.at, TAR_MAGIC.at + TAR_MAGIC.text.length);
  return magic === TAR_MAGIC.text || COMPRESSED.some((start) => hex.startsWith(start));
}

async function* joined(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}
