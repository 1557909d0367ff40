/**
 * COPY and ADD as operations on the root file system, and on what they copy from.
 * Sources: Dockerfile reference, "ADD" and "COPY"; moby/buildkit dockerfile2llb (which source is what, and the errors).
 */
import { posix } from "node:path";
import { parseModeChange } from "../../spec/file-mode.ts";
import type { Add, Copy } from "../dockerfile/types.ts";
import type { CopyAction, CopyOp, Vertex } from "./llb.ts";
import { invalid } from "./refuse.ts";
import { parseGitSource, parseHttpSource } from "./remote-source.ts";

interface Surroundings {
  /** The working directory. */
  directory: string;
  /** The context, or what --from names. */
  source: Vertex;
}

/** Returns the operation, and its inputs after the first. */
export function planCopy(transfer: Copy | Add, { directory, source }: Surroundings): { op: CopyOp; sources: Vertex[] } {
  const { kind, chown, chmod, exclude, link, heredocs } = transfer;
  if (chmod !== undefined) parseModeChange(chmod);
  const sources: Vertex[] = [];
  const actions: CopyAction[] = [];
  const add = (vertex: Vertex, ...each: Omit<CopyAction, "input">[]): void => {
    const at = sources.indexOf(vertex);
    const input = at < 0 ? sources.push(vertex) : at + 1;
    actions.push(...each.map((action) => ({ ...action, input })));
  };
  for (const written of transfer.sources) {
    const remote = remoteOf(transfer, written);
    if (remote === undefined) add(source, localAction(transfer, written));
    else add({ op: remote, inputs: [], name: written }, remoteAction(transfer, remote));
  }
  requireChecksum(transfer, sources);
  if (heredocs.length > 0) {
    const files = heredocs.map(({ name, content }) => ({ name, content }));
    const bad = files.find(({ name }) => name.includes("\0") || posix.join("/", name).endsWith("/"));
    if (bad !== undefined) throw invalid(`a file cannot have the name ${JSON.stringify(bad.name)}`);
    const vertex: Vertex = { op: { kind: "files", files }, inputs: [], name: "preparing inline document" };
    add(vertex, ...files.map(({ name }) => ({ ...EXACT, source: posix.join("/", name) })));
  }
  const op: CopyOp = {
    kind: "copy",
    instruction: kind === "add" ? "ADD" : "COPY",
    actions,
    destination: absolute(transfer.destination, directory),
    owner: chown,
    mode: chmod,
    exclude,
    isLink: link,
  };
  return { op, sources };
}

const EXACT = { isPattern: false, unpack: false, include: [] };

function remoteOf(transfer: Copy | Add, source: string) {
  const git = parseGitSource(source);
  const remote = git ?? parseHttpSource(source);
  if (remote === undefined) return undefined;
  if (transfer.kind === "copy") throw invalid(`source can't be a ${git === undefined ? "URL" : "git ref"} for COPY`);
  const { checksum = "", keepGitDir } = transfer;
  if (remote.kind === "http") return { ...remote, checksum: requireDigest(checksum) };
  if (keepGitDir !== undefined && remote.keepGitDir !== undefined && keepGitDir !== remote.keepGitDir)
    throw invalid("inconsistent keep-git-dir configuration");
  if (checksum !== "" && remote.checksum !== "" && checksum !== remote.checksum)
    throw invalid(`checksum mismatch ${JSON.stringify(checksum)} != ${JSON.stringify(remote.checksum)}`);
  return { ...remote, keepGitDir: remote.keepGitDir ?? keepGitDir, checksum: remote.checksum || checksum };
}

function requireDigest(checksum: string): string {
  if (checksum === "" || /^sha256:[0-9a-f]{64}$/.test(checksum)) return checksum;
  throw invalid(
    /^[a-z0-9]+:/.test(checksum) && !checksum.startsWith("sha256:")
      ? "unsupported digest algorithm"
      : "invalid checksum digest format",
  );
}

function requireChecksum(transfer: Copy | Add, sources: readonly Vertex[]): void {
  if (transfer.kind === "copy" || transfer.checksum === undefined) return;
  if (transfer.sources.length !== 1) throw invalid("checksum can't be specified for multiple sources");
  if (!["http", "git"].includes(sources[0]!.op.kind)) throw invalid("checksum requires HTTP(S) or Git sources");
}

function remoteAction(
  transfer: Copy | Add,
  remote: NonNullable<ReturnType<typeof remoteOf>>,
): Omit<CopyAction, "input"> {
  if (remote.kind === "git") return { ...EXACT, source: "/" };
  // What comes from a URL is not unpacked unless that is asked for.
  const unpack = transfer.kind === "add" && transfer.unpack === true;
  return { ...EXACT, source: posix.join("/", remote.fileName), unpack };
}

function localAction(transfer: Copy | Add, written: string): Omit<CopyAction, "input"> {
  const unpack = transfer.kind === "add" && (transfer.unpack ?? true);
  const whole = { isPattern: true, unpack, include: [] };
  if (transfer.kind === "add" || !transfer.parents) return { ...whole, source: absolute(written, "/") };
  // With --parents the part of the path after "/./", or all of it, is kept.
  const pivot = written.indexOf("/./");
  const [top, pattern] = pivot < 0 ? ["/", written] : [written.slice(0, pivot), written.slice(pivot + 3)];
  const source = absolute(top, "/");
  const include = posix.join("/", pattern).slice(1);
  const isExact = ![top, pattern].some((part) => /[*?[]/.test(part.replace(/\\./gs, "")));
  const required = isExact ? { required: posix.join(source, include) } : {};
  return { ...whole, source, include: include === "" ? [] : [include], ...required };
}

/** Clean, with the slash at its end that says "into". */
function absolute(path: string, directory: string): string {
  const clean = posix.resolve("/", directory, path);
  return /(^|\/)\.?$/.test(path) && clean !== "/" ? `${clean}/` : clean;
}
