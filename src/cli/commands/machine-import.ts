/** `machine import`: makes an image for machines from one of Incus or LXC, or from a root file system. */
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { decompressStream } from "../../image/tar/compression.ts";
import { parseReference } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { fileChunks, stdinChunks } from "../copy/input-file.ts";
import { CliError } from "../exit.ts";
import { listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { packDirectory } from "../images/bootstrap.ts";
import { Children } from "../images/children.ts";
import { importImage } from "../images/import-image.ts";
import { inspectArchive, type MachineFacts, readLxcConfig, readMetadata } from "../images/machine-image.ts";
import { repackRoot } from "../images/repack.ts";
import { printError } from "../output.ts";
import { errnoText } from "../values/env-file.ts";

const flags = {
  change: listFlag("Dockerfile instruction for the image's configuration", { short: "c" }),
  message: stringFlag("Comment in the image's history", { short: "m" }),
  platform: stringFlag("Platform of the image (os/arch); the metadata's by default"),
  rootfs: stringFlag("Root file system of a split image: a tar archive or squashfs", { type: "file" }),
};

export const command = defineCommand({
  name: "machine import",
  usage: "[OPTIONS] FILE|DIRECTORY|- [NAME[:TAG]]",
  summary: "Create an image for machines from one of Incus or LXC, or from a root file system",
  details: `FILE is a unified image, a backup of Incus, the metadata of a split image (with --rootfs), or a tar archive or
squashfs of a root file system. DIRECTORY is a root file system, or has one in rootfs/, as in /var/lib/lxc/NAME.`,
  flags,
  args: { min: 1, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [from = "", name = ""] = args;
  if (name !== "") parseReference(name);
  await using children = new Children("import");
  const path = from === "-" ? await keep(stdinChunks(), join(children.folder, "archive")) : from;
  const { facts, ...source } = await findSource(children, path, values.rootfs);
  const repacking = { rootPath: source.rootPath, hasInit: false };
  await importImage(client, {
    source: repackRoot(openArchive(children, source.path), repacking),
    name,
    changes: [...facts.changes, ...values.change],
    message: values.message,
    platform: values.platform || facts.platform,
  });
  if (!repacking.hasInit) await printError("WARNING: the image has no /sbin/init: a machine of it needs a command");
  return 0;
}

interface Source {
  readonly facts: MachineFacts;
  /** A directory, or an archive that has the root at `rootPath`. */
  readonly path: string;
  readonly rootPath: string;
}

const NO_FACTS = readLxcConfig("");

async function findSource(children: Children, path: string, rootfs: string): Promise<Source> {
  if (isDirectory(path)) {
    const root = rootfs || (existsSync(join(path, "rootfs")) ? join(path, "rootfs") : path);
    return { facts: factsOfDirectory(path), path: root, rootPath: "" };
  }
  const content = kindOf(path) === "squashfs" ? PLAIN : await inspectArchive(openArchive(children, path));
  const facts = content.metadata === undefined ? NO_FACTS : readMetadata(content.metadata);
  if (rootfs !== "") return { facts, path: rootfs, rootPath: "" };
  if (content.rootPath === undefined)
    throw new CliError(`import ${path}: it has no root file system: name it by --rootfs FILE`);
  return { facts, path, rootPath: content.rootPath };
}

const PLAIN = { metadata: undefined, rootPath: "" };

function factsOfDirectory(path: string): MachineFacts {
  const read = (name: string) => readFileSync(join(path, name), "utf8");
  if (existsSync(join(path, "metadata.yaml"))) return readMetadata(read("metadata.yaml"));
  return existsSync(join(path, "rootfs")) && existsSync(join(path, "config"))
    ? readLxcConfig(read("config"))
    : NO_FACTS;
}

/** Yields a tar archive without compression, of a directory, squashfs or archive. */
function openArchive(children: Children, path: string): AsyncIterable<Uint8Array> {
  if (isDirectory(path)) return children.runAll([packDirectory(path)]);
  const kind = kindOf(path);
  if (kind === "squashfs") return children.runAll(unpackSquashfs(path, children.folder));
  if (kind !== "archive") return children.runAll([[kind, "-dc", "--", path]]);
  return decompressStream(fileChunks(path));
}

/**
 * Returns the programs that make a tar of a squashfs. The kernel is not asked: it trusts what it mounts.
 * @throws CliError with what to install
 */
function unpackSquashfs(path: string, folder: string): string[][] {
  if (Bun.which("sqfs2tar") !== null) return [["sqfs2tar", path]]; // writes no files
  if (Bun.which("unsquashfs") === null)
    throw new CliError(
      `import ${path}: a squashfs is read by sqfs2tar or unsquashfs, and neither is installed. On Debian or Ubuntu: apt-get install squashfs-tools-ng`,
    );
  const root = join(folder, "root");
  return [["unsquashfs", "-quiet", "-no-progress", "-dest", root, path], packDirectory(root)];
}

/** What has to read a file: a program by its name, or we ourselves. */
type Kind = "archive" | "squashfs" | "xz" | "bzip2";

const MAGICS: readonly [Kind, string][] = [
  ["squashfs", "hsqs"],
  ["xz", "\xfd7zXZ\0"],
  ["bzip2", "BZh"],
];

function kindOf(path: string): Kind {
  const head = new Uint8Array(8);
  try {
    const fd = openSync(path, "r");
    try {
      readSync(fd, head);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new CliError(`open ${path}: ${errnoText(cause)}`);
  }
  const text = Buffer.from(head).toString("latin1");
  return MAGICS.find(([, magic]) => text.startsWith(magic))?.[0] ?? "archive";
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Keeps a stream as a file, since an archive is read twice. Resolves with its path. */
async function keep(chunks: AsyncIterable<Uint8Array>, path: string): Promise<string> {
  const fd = openSync(path, "wx", 0o600);
  try {
    for await (const chunk of chunks) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
  } finally {
    closeSync(fd);
  }
  return path;
}
