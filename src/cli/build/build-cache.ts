/** `--cache-from` and `--cache-to`: caches of builds in registries, in images, and in directories of this machine. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { OUTPUT_DIRECTORY } from "../../spec/build-session.ts";
import { type Descriptor, MEDIA_TYPE, parseIndex, REF_NAME_ANNOTATION } from "../../spec/oci-image.ts";
import { CliError } from "../exit.ts";
import { stderr } from "../output.ts";
import { errnoText } from "../values/env-file.ts";
import { type BuildOutput, isLayout } from "./build-outputs.ts";
import type { StreamProvider } from "./build-session.ts";

/** A cache, in the spelling of BuildKit's API. */
export interface CacheOption {
  readonly Type: string;
  readonly Attrs: Readonly<Record<string, string>>;
}

/** Texts without "=" are references. @throws Error in the words of Docker's client */
export function parseCacheOption(text: string): CacheOption[] {
  const fields = parseCsvLine(text);
  if (!text.includes("=")) return fields.map((ref) => ({ Type: "registry", Attrs: { ref } }));
  const attrs: Record<string, string> = {};
  for (const field of fields) {
    const at = field.indexOf("=");
    if (at < 0) throw new Error(`invalid value ${field}`);
    attrs[field.slice(0, at).toLowerCase()] = field.slice(at + 1);
  }
  const { type = "", ...Attrs } = attrs;
  if (type === "") throw new Error(`type required form> "${text}"`);
  return [{ Type: type, Attrs }];
}

const INDEX_NAME = "index.json";
const READ_BYTES = 1024 * 1024;

/** Names the manifest of each directory; one that has none is left out, with a warning. */
export async function namedImports(imports: readonly CacheOption[]): Promise<CacheOption[]> {
  const named: CacheOption[] = [];
  for (const option of imports) {
    const { Type, Attrs } = option;
    if (Type !== "local" || Attrs.digest !== undefined) named.push(option);
    else {
      if (Attrs.src === undefined) throw new CliError("local cache importer requires src");
      const digest = readIndex(Attrs.src).find((each) => tagOf(each) === (Attrs.tag ?? "latest"))?.digest;
      if (digest !== undefined) named.push({ Type, Attrs: { ...Attrs, digest } });
      else await stderr.text(`WARNING: local cache import at ${Attrs.src} not found\n`);
    }
  }
  return named;
}

function tagOf({ annotations = {} }: Descriptor): string | undefined {
  return annotations[REF_NAME_ANNOTATION];
}

function readIndex(directory: string): Descriptor[] {
  try {
    return parseIndex(readFileSync(join(directory, INDEX_NAME), "utf8"), INDEX_NAME).manifests;
  } catch {
    return []; // there is none, or it is broken
  }
}

/** A directory that receives an OCI layout, and what its index calls the newest of what is in there. */
interface Layout {
  dest: string;
  tag: string;
}

/** The directories that receive caches. */
export function cacheLayouts(exports: readonly CacheOption[]): Layout[] {
  const own = exports.filter(({ Type }) => Type === "local");
  return own.map(({ Attrs: { dest = "", tag = "latest" } }) => ({ dest, tag }));
}

/** Notes in directories which manifest is the newest. */
export function nameNewest(layouts: readonly Layout[], manifest: Descriptor): void {
  for (const { dest, tag } of layouts) {
    const named = { ...manifest, annotations: { ...manifest.annotations, [REF_NAME_ANNOTATION]: tag } };
    const manifests = [...readIndex(dest).filter((each) => tagOf(each) !== tag), named];
    const index = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
    explained(dest, () => {
      writeFileSync(join(dest, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
      const temporaryPath = join(dest, `.${INDEX_NAME}.${crypto.randomUUID()}`);
      writeFileSync(temporaryPath, JSON.stringify(index));
      renameSync(temporaryPath, join(dest, INDEX_NAME));
    });
  }
}

function explained<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new CliError(`write ${path}: ${errnoText(cause)}`);
  }
}

/** The path of a blob in one of the directories, by "DIGEST DIRECTORY"; undefined for others. */
function pathOf(id: string, directories: ReadonlyMap<string, string>): string | undefined {
  const [, hex, name] = /^sha256:([0-9a-f]{64}) (.+)$/s.exec(id) ?? [];
  const directory = directories.get(name ?? "");
  return directory === undefined ? undefined : join(directory, "blobs", "sha256", hex!);
}

/** By the names that the daemon knows. */
function directoriesOf(options: readonly CacheOption[], key: "src" | "dest"): Map<string, string> {
  const paths = options.filter(({ Type }) => Type === "local").map(({ Attrs }) => Attrs[key] ?? "");
  return new Map(paths.map((path) => [path, path]));
}

/** Gives the daemon the blobs of caches. */
export function blobReader(imports: readonly CacheOption[]): StreamProvider {
  const directories = directoriesOf(imports, "src");
  return async (id, { send, end, fail }) => {
    const path = pathOf(id, directories);
    const fd = path === undefined ? undefined : openBlob(path);
    if (fd === undefined) return undefined;
    const sendAll = async () => {
      const buffer = new Uint8Array(READ_BYTES);
      try {
        for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
          await send(buffer.subarray(0, count));
        end();
      } finally {
        closeSync(fd);
      }
    };
    void sendAll().catch(fail);
    return { data: () => {}, end: () => {}, close: () => {} };
  };
}

function openBlob(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Takes blobs of caches, and of outputs that are directories, but for those that are there. */
export function blobWriter(exports: readonly CacheOption[], outputs: readonly BuildOutput[]): StreamProvider {
  const directories = directoriesOf(exports, "dest");
  for (const [index, output] of outputs.entries())
    if (isLayout(output)) directories.set(`${OUTPUT_DIRECTORY}${index}`, output.dest);
  return async (id, { end }) => {
    const path = pathOf(id, directories);
    if (path === undefined || existsSync(path)) return undefined;
    const temporaryPath = `${path}.${crypto.randomUUID()}`;
    explained(path, () => mkdirSync(join(path, ".."), { recursive: true }));
    let fd: number | undefined = explained(path, () => openSync(temporaryPath, "wx", 0o644));
    const close = () => {
      if (fd === undefined) return;
      closeSync(fd);
      fd = undefined;
      rmSync(temporaryPath, { force: true });
    };
    return {
      data: (bytes) => {
        for (let done = 0; done < bytes.length; ) done += explained(path, () => writeSync(fd!, bytes, done));
      },
      end: () => {
        explained(path, () => renameSync(temporaryPath, path));
        close();
        end();
      },
      close,
    };
  };
}
