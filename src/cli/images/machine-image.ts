/**
 * Images of Incus and LXC: where the root file system is in their archives, and what their metadata says. Reads no files.
 *
 *   unified   metadata.yaml, rootfs/…, templates/…      incus image export, distrobuilder
 *   split     metadata.yaml alone; the root is a tar archive or squashfs of its own
 *   backup    backup/container/{metadata.yaml,rootfs/…} incus export
 *   plain     the root file system
 */
import { LighterError } from "../../base/errors.ts";
import { type TarEntry, TarReader } from "../../image/tar/tar-reader.ts";
import { formatPlatform, parsePlatform } from "../../spec/platform.ts";
import { MACHINE_INIT } from "./bootstrap.ts";

/** What an archive holds of a machine's image. */
interface ArchiveContent {
  /** The text of metadata.yaml, if there is one. */
  readonly metadata: string | undefined;
  /** The directory of the root file system with a slash at its end, "" for the archive's own top; undefined: it has none. */
  readonly rootPath: string | undefined;
}

const METADATA = "metadata.yaml";
/** What stands before the names of a unified archive, by kind. */
const PREFIXES = ["", "backup/container/"];
const METADATA_MAX_BYTES = 1024 * 1024;

/** Removes what makes no difference at the beginning of an archive's names: "./rootfs/x" → "rootfs/x". */
export function relativeName(path: string): string {
  return path.replace(/^(?:\.?\/)+/, "").replace(/^\.$/, "");
}

/**
 * Finds out what an uncompressed archive holds. It reads no further than needed.
 * @throws LighterError ("invalid") for what is no tar archive, or has too much metadata
 */
export async function inspectArchive(chunks: AsyncIterable<Uint8Array>): Promise<ArchiveContent> {
  const finder = new Finder();
  const reader = new TarReader(finder);
  for await (const chunk of chunks) {
    reader.push(chunk);
    if (finder.isSettled) return finder.content;
  }
  reader.end();
  return finder.content;
}

class Finder {
  #metadata: string | undefined;
  #rootPath: string | undefined;
  #isPlain = false;
  /** The pieces of metadata.yaml while it is read. */
  #pieces: Uint8Array[] | undefined;

  get isSettled(): boolean {
    return this.#isPlain || (this.#metadata !== undefined && this.#rootPath !== undefined);
  }

  get content(): ArchiveContent {
    return this.#isPlain
      ? { metadata: undefined, rootPath: "" }
      : { metadata: this.#metadata, rootPath: this.#rootPath };
  }

  entry({ type, path, size }: TarEntry): void {
    if (this.isSettled) return;
    const name = relativeName(path);
    const prefix = PREFIXES.find((each) => name === `${each}${METADATA}` || name.startsWith(`${each}rootfs/`));
    if (prefix === undefined) {
      const isKnown =
        name === "" || /^(?:rootfs|templates|backup|config|create-message|expiry)(?:\/|$)|^excludes-user$/.test(name);
      this.#isPlain = !isKnown && this.#metadata === undefined && this.#rootPath === undefined;
      return;
    }
    if (name.startsWith(`${prefix}rootfs/`)) this.#rootPath ??= `${prefix}rootfs/`;
    else if (type === "file") {
      if (size > METADATA_MAX_BYTES)
        throw new LighterError("invalid", `${METADATA} has ${size} bytes, above the limit of ${METADATA_MAX_BYTES}`);
      this.#pieces = [];
    }
  }

  data(bytes: Uint8Array): void {
    this.#pieces?.push(new Uint8Array(bytes));
  }

  endEntry(): void {
    if (this.#pieces === undefined) return;
    this.#metadata = Buffer.concat(this.#pieces).toString();
    this.#pieces = undefined;
  }
}

/** What an image's metadata says to `import`. */
export interface MachineFacts {
  /** "linux/ARCHITECTURE[/VARIANT]", "" if it says nothing. */
  readonly platform: string;
  /** Instructions for the image's configuration. */
  readonly changes: string[];
}

/** Names that `uname -m` and LXC have for architectures, where images' names are others and `parsePlatform` knows none. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  linux32: "386",
  linux64: "amd64",
  x86: "386",
  i586: "386",
  i686: "386",
  armv6l: "arm/v6",
  armv7: "arm/v7",
  armv7l: "arm/v7",
  armv8l: "arm/v8",
  ppc64el: "ppc64le",
  loongarch64: "loong64",
};

const PROPERTIES_MAX = 64;
const LABEL_MAX_CHARS = 1024;

/**
 * Reads metadata.yaml: the architecture, and properties, which become labels.
 * @throws LighterError ("invalid") for what is no metadata
 */
export function readMetadata(text: string): MachineFacts {
  const { architecture, creation_date: created, properties } = parseYaml(text);
  const named = Object.entries(isRecord(properties) ? properties : {}).slice(0, PROPERTIES_MAX);
  const labels: [string, unknown][] = named.map(([name, value]) => [`io.lighter.machine.image.${name}`, value]);
  if (isRecord(properties)) labels.push(["org.opencontainers.image.description", properties.description]);
  if (typeof created === "number" && Math.abs(created) < 1e11 && created > 0)
    labels.push(["org.opencontainers.image.created", new Date(created * 1000).toISOString().replace(".000", "")]);
  return {
    platform: platformOf(typeof architecture === "string" ? architecture : ""),
    changes: [commandChange, ...labels.flatMap(([name, value]) => labelChange(name, value))],
  };
}

/** Reads the configuration of an LXC container or image, which tells an architecture. */
export function readLxcConfig(text: string): MachineFacts {
  const architecture = /^\s*lxc\.arch\s*=\s*(\S+)\s*$/m.exec(text.slice(0, METADATA_MAX_BYTES))?.[1] ?? "";
  return { platform: platformOf(architecture), changes: [commandChange] };
}

const commandChange = `CMD ${JSON.stringify([MACHINE_INIT])}`;

function parseYaml(text: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = Bun.YAML.parse(text);
  } catch (cause) {
    throw new LighterError("invalid", `${METADATA} is not YAML`, { cause });
  }
  if (!isRecord(document)) throw new LighterError("invalid", `${METADATA} is no map of names and values`);
  return document;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function platformOf(architecture: string): string {
  if (!/^[a-z0-9_]{1,32}$/.test(architecture)) return "";
  return formatPlatform(parsePlatform(`linux/${ARCHITECTURES[architecture] ?? architecture}`));
}

/** Returns an instruction that sets a label, in which nothing is expanded; none for what cannot be one. */
function labelChange(name: string, value: unknown): string[] {
  const text = typeof value === "number" || typeof value === "boolean" ? `${value}` : value;
  if (typeof text !== "string" || text === "" || text.length > LABEL_MAX_CHARS || /[\x00-\x1f\x7f]/.test(text))
    return [];
  if (!/^[a-z0-9][a-z0-9._-]{0,127}$/.test(name)) return [];
  return [`LABEL ${name}="${text.replace(/["\\$]/g, "\\$&")}"`];
}
