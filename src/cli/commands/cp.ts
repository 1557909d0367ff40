/**
 * `cp`: copies files between this machine and a container, as tar archives, with the stock client's rules about names.
 */
import { lstatSync, readlinkSync, statSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import type { FileRange } from "../../spec/file-range.ts";
import { type Context, defineCommand } from "../command.ts";
import {
  baseName,
  type CopyEnd,
  type CopyPlan,
  cleanPath,
  keepEnding,
  planCopy,
  rebase,
  renameEntry,
  splitContainerPath,
  splitPath,
} from "../copy/container-path.ts";
import { CopyProgress } from "../copy/copy-progress.ts";
import { evalSymlinks } from "../copy/eval-symlinks.ts";
import { stdinChunks } from "../copy/input-file.ts";
import { decodePathStat, type PathStat } from "../copy/path-stat.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags } from "../flags.ts";
import { type Client, encodeName, encodeQuery } from "../http/client.ts";
import type { FileOffer } from "../http/file-offer.ts";
import { DescriptorLost, type Response } from "../http/http.ts";
import { copyPlain } from "../streams/stream.ts";
import { errnoText } from "../values/env-file.ts";

const flags = {
  archive: boolFlag("Keep owners (when copying to a container)", { short: "a" }),
  "follow-link": boolFlag("Copy what a link leads to", { short: "L" }),
  quiet: boolFlag("Do not show progress. It is shown on a terminal only", { short: "q" }),
};

export const command = defineCommand({
  name: "cp",
  usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tlighter cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  summary: "Copy files/folders between a container and the local filesystem",
  details: `As SRC_PATH, "-" is a tar archive from stdin, which is unpacked into a directory of
the container. As DEST_PATH, "-" is a tar archive on stdout.`,
  flags,
  args: { min: 2, max: 2 },
  run,
});

interface Copy {
  readonly client: Client;
  readonly container: string;
  readonly source: string;
  readonly destination: string;
  readonly followLink: boolean;
  readonly archive: boolean;
  readonly quiet: boolean;
  /** Whether progress is shown on stderr. */
  readonly live: boolean;
}

async function run(
  { client, becomeBun }: Context,
  { values, given, args }: ParsedFlags<typeof flags>,
): Promise<number> {
  const [from = "", to = ""] = args;
  if (from === "") throw new CliError("source can not be empty");
  if (to === "") throw new CliError("destination can not be empty");
  const source = splitContainerPath(from);
  const destination = splitContainerPath(to);
  if (source.container !== "" && destination.container !== "")
    throw new CliError("copying between containers is not supported");
  if (source.container === "" && destination.container === "")
    throw new CliError("must specify at least one container source");
  const { isTerminal } = await import("../../linux/sys/tty.ts");
  const copy = {
    client,
    container: source.container || destination.container,
    source: source.path,
    destination: destination.path,
    followLink: values["follow-link"],
    archive: values.archive,
    quiet: given.has("quiet") ? values.quiet : !isTerminal(1),
    live: isTerminal(2),
  };
  if (becomeBun !== undefined && (await hasManyFiles(copy, source.container === ""))) return becomeBun();
  await (source.container === "" ? copyToContainer(copy) : copyFromContainer(copy));
  return 0;
}

/** Whether it is a directory that is packed or unpacked here, by a daemon of this machine. */
async function hasManyFiles(copy: Copy, isSourceHere: boolean): Promise<boolean> {
  const { client, source, destination } = copy;
  if (source === "-" || destination === "-" || !("unix" in client.host.address)) return false;
  try {
    return isSourceHere ? statSync(source).isDirectory() : (await statInContainer(copy, source)).isDirectory;
  } catch {
    return false; // the copy itself reports it
  }
}

async function copyFromContainer(copy: Copy): Promise<void> {
  const destination = copy.destination === "-" ? "-" : absolute(copy.destination);
  checkOutputPath(destination);
  const { path, rebaseName } = copy.followLink ? await followLink(copy) : { path: copy.source, rebaseName: "" };
  const query = encodeQuery({ path });
  const request = archivePath(copy.container, query);
  if (destination === "-") return copyPlain(await copy.client.request({ method: "GET", path: request }));
  let plan: CopyPlan | undefined;
  await readArchive(copy.client, request, async (answer, pieces) => {
    const source = { path, exists: true, isDirectory: decodePathStat(answer).isDirectory, rebaseName };
    plan ??= planWithLinkName(source, findDestination(destination));
    const progress = new CopyProgress("Copying from container - ", copy.live && !copy.quiet);
    await unpack(pieces, plan, progress).finally(() => progress.stop());
    if (!copy.quiet) await progress.finish(destination);
  });
}

type Pieces = AsyncIterable<Uint8Array | FileRange> | Iterable<Uint8Array | FileRange>;

/** Reads an archive: with descriptors of large files if the daemon has some to give and they arrive, otherwise in the usual way. */
async function readArchive(
  client: Client,
  path: string,
  use: (answer: Pick<Response, "head">, pieces: Pieces) => Promise<void>,
): Promise<void> {
  using direct = await client.download(path);
  try {
    if (direct !== undefined) return await use(direct, direct.pieces());
  } catch (error) {
    if (!(error instanceof DescriptorLost)) throw error;
  }
  const response = await client.request({ method: "GET", path });
  try {
    await use(response, response.pieces());
  } catch (error) {
    response.connection.close();
    throw error;
  }
}

async function unpack(pieces: Pieces, plan: CopyPlan, progress: CopyProgress): Promise<void> {
  const { Unpacker } = await import("../copy/copy-unpack.ts");
  const unpacker = new Unpacker(plan);
  try {
    for await (const piece of pieces) {
      if ("fd" in piece) unpacker.pushFile(piece);
      else unpacker.push(piece);
      await progress.count(piece.length);
    }
    unpacker.end();
  } finally {
    unpacker.close();
  }
}

/**
 * Plans a copy of a link's target. The archive names its entries after the target, while a plan speaks of the link's
 * own name: the returned plan renames from the former to the name that the link's copy would have.
 */
function planWithLinkName(source: CopyEnd, destination: CopyEnd): CopyPlan {
  const plan = planCopy(source, destination);
  if (source.rebaseName === "") return plan;
  const { base } = splitPath(source.path);
  const named = source.rebaseName;
  const to = plan.rename === undefined ? named : renameEntry(named, plan.rename);
  return { ...plan, rename: { from: base, to } };
}

/** Returns `copy.source`, or the target if it is a symlink in the container. */
async function followLink(copy: Copy): Promise<{ path: string; rebaseName: string }> {
  const stat = await statInContainer(copy, copy.source).catch(() => undefined); // the request that reads it reports errors
  if (stat === undefined || !stat.isSymlink) return { path: copy.source, rebaseName: "" };
  return rebase(copy.source, linkTarget(copy.source, stat.linkTarget));
}

function linkTarget(path: string, target: string): string {
  return target.startsWith("/") ? target : cleanPath(`${splitPath(path).directory}/${target}`);
}

async function copyToContainer(copy: Copy): Promise<void> {
  const source = copy.source === "-" ? "-" : absolute(copy.source);
  const destination = await findInContainer(copy);
  const { directory, chunks, offer } = await openSource(copy, source, destination);
  const query = encodeQuery({
    copyUIDGID: copy.archive ? "true" : undefined,
    noOverwriteDirNonDir: "true",
    path: directory,
  });
  const progress = new CopyProgress("Copying to container - ", copy.live && !copy.quiet && source !== "-");
  const request = {
    method: "PUT" as const,
    path: archivePath(copy.container, query),
    ...(offer && { headers: offer.headers }),
    stream: { contentType: "application/x-tar", chunks: progress.counted(chunks), ...(offer && { offer }) },
  };
  await (await copy.client.request(request).finally(() => progress.stop())).text();
  if (!copy.quiet) await progress.finish(`${copy.container}:${destination.path}`);
}

/** Returns where the archive is to be unpacked, and its bytes. */
async function openSource(
  copy: Copy,
  source: string,
  destination: CopyEnd,
): Promise<{ directory: string; chunks: AsyncIterable<Uint8Array | FileRange>; offer?: FileOffer }> {
  if (source === "-") {
    if (!destination.isDirectory)
      throw new CliError(`destination "${copy.container}:${copy.destination}" must be a directory`);
    return { directory: destination.path, chunks: stdinChunks() };
  }
  const end = findSource(source, copy.followLink);
  const { packTree } = await import("../copy/copy-pack.ts");
  const { directory, rename } = planCopy(end, destination);
  // The archive's first name is that of the source, which a plan renames.
  const name = end.rebaseName || splitPath(end.path).base;
  const renamed = { ...end, rebaseName: rename === undefined ? name : renameEntry(name, rename) };
  if (!("unix" in copy.client.host.address)) return { directory, chunks: packTree(renamed) };
  const offer = new (await import("../http/file-offer.ts")).FileOffer();
  return { directory, chunks: packTree(renamed, () => offer.isTaken), offer };
}

async function findInContainer(copy: Copy): Promise<CopyEnd> {
  let path = copy.destination;
  let stat: PathStat | undefined;
  try {
    stat = await statInContainer(copy, path);
    if (stat.isSymlink) {
      path = linkTarget(path, stat.linkTarget);
      stat = undefined;
      stat = await statInContainer(copy, path);
    }
  } catch {
    // The destination may be missing. Whether its parent and the container exist, the copy itself will show.
  }
  if (stat?.isDevice === true)
    throw new CliError(
      `destination "${copy.container}:${copy.destination}" must be a directory or a regular file: got a device`,
    );
  return { path, exists: stat !== undefined, isDirectory: stat?.isDirectory === true, rebaseName: "" };
}

async function statInContainer({ client, container }: Copy, path: string): Promise<PathStat> {
  const response = await client.request({ method: "HEAD", path: archivePath(container, encodeQuery({ path })) });
  await response.text();
  return decodePathStat(response);
}

function archivePath(container: string, query: string): string {
  return `/containers/${encodeName(container)}/archive${query}`;
}

function absolute(path: string): string {
  return keepEnding(cleanPath(path.startsWith("/") ? path : `${process.cwd()}/${path}`), path);
}

/**
 * Checks that something can be put at `path`.
 * @throws CliError
 */
function checkOutputPath(path: string): void {
  if (path === "-") return;
  const folder = cleanPath(`${cleanPath(path)}/..`);
  if (statSync(folder, { throwIfNoEntry: false }) === undefined)
    throw new CliError(`invalid output path: directory ${goQuote(folder)} does not exist`);
  const status = inWords("stat", path, () => statSync(path, { throwIfNoEntry: false }));
  if (status === undefined || status.isDirectory() || status.isFile()) return;
  if (status.isCharacterDevice() || status.isBlockDevice())
    throw new CliError(`invalid output path: ${goQuote(path)} must be a directory or a regular file: got a device`);
}

function findSource(path: string, followLink: boolean): CopyEnd {
  const found = followLink ? rebase(path, evalSymlinks(path)) : resolveParent(path);
  const status = inWords("lstat", found.path, () => lstatSync(found.path));
  return { ...found, exists: true, isDirectory: status.isDirectory() };
}

/** Resolves a path whose last name is not followed if it is a symlink; those before it are. */
function resolveParent(path: string): { path: string; rebaseName: string } {
  const slash = path.lastIndexOf("/");
  const parent = evalSymlinks(path.slice(0, slash + 1));
  const resolved = `${parent}/${path.slice(slash + 1)}`;
  const rebaseName = path.endsWith("/") && baseName(path) !== baseName(resolved) ? baseName(path) : "";
  return { path: resolved, rebaseName };
}

/** Number of symlinks that are followed from the destination. */
const SYMLINKS_MAX = 10;

/**
 * Finds where the destination is on this machine.
 * @throws CliError if neither it nor its parent directory exists
 */
function findDestination(original: string): CopyEnd {
  let path = original;
  for (let count = 0; ; count++) {
    const status = lstatOrNone(path);
    if (status === undefined) break;
    if (!status.isSymbolicLink()) return { path, exists: true, isDirectory: status.isDirectory(), rebaseName: "" };
    if (count > SYMLINKS_MAX) throw new CliError(`too many symlinks in "${original}"`);
    path = linkTarget(path, readlinkSync(path));
  }
  const { directory } = splitPath(path);
  const parent = inWords("stat", directory, () => statSync(directory));
  if (!parent.isDirectory()) throw new CliError("not a directory");
  return { path, exists: false, isDirectory: false, rebaseName: "" };
}

function lstatOrNone(path: string) {
  try {
    return lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new CliError(`lstat ${path}: ${errnoText(error)}`);
  }
}

function inWords<T>(call: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new CliError(`${call} ${path}: ${errnoText(error)}`);
  }
}
