/** A build's operations, marshalled as BuildKit's LLB. Source: moby/buildkit solver/pb/ops.proto (field numbers). */
import { createHash } from "node:crypto";
import type { SourceRange } from "../dockerfile/types.ts";
import { type ChangeOp, encodeChange } from "./change-op.ts";
import { type ExecOp, encodeExec } from "./exec-op.ts";
import { Message } from "./protobuf.ts";
import type { GitSource, HttpSource } from "./remote-source.ts";

/** The number of each field is LLB's; a digest of the bytes names the operation. */
export type Op =
  | { kind: "image"; reference: string }
  | LocalSource
  | LayoutSource
  | ExecOp
  | HttpSource
  | GitSource
  /** Files that the Dockerfile itself contains. */
  | { kind: "files"; files: readonly { name: string; content: string }[]; mode?: number }
  | CopyOp
  | { kind: "mkdir"; path: string }
  | ChangeOp
  /** Its inputs, one over the other. */
  | { kind: "merge" }
  /** What the second input has beyond the first, which it was made of. */
  | { kind: "diff" };

/** A directory that a client serves. */
export interface LocalSource {
  kind: "local";
  name: string;
  /** The session that serves it; undefined: the build's own. */
  session?: string;
  /** Patterns of what is wanted, of what is left out, and paths that are wanted with what their links lead to; none: everything. */
  include?: readonly string[];
  exclude?: readonly string[];
  followPaths?: readonly string[];
}

/** An image in an OCI layout that a client serves. */
export interface LayoutSource {
  kind: "layout";
  /** What the client calls the layout. */
  store: string;
  /** The manifest's. */
  digest: string;
  /** The session that serves it; undefined: the build's own. */
  session?: string;
}

/** Copies from its inputs after the first, into the first. */
export interface CopyOp {
  kind: "copy";
  instruction: "ADD" | "COPY" | "RUN";
  actions: readonly CopyAction[];
  /** The path, absolute; a slash at its end says that it is a directory. */
  destination: string;
  /** "USER:GROUP", names or numbers; undefined: as in the source. */
  owner: string | undefined;
  /** Octal, or as chmod takes it; undefined: as in the source. */
  mode: string | undefined;
  /** Patterns of what is left out, relative to a directory that is copied. */
  exclude: readonly string[];
  /** True if the copy does not see what is in the first input. */
  isLink: boolean;
  /** The time of all that is copied, in nanoseconds; undefined: as in the source. */
  mtimeNs?: string;
  /** True if the directory must be there that the destination is in. */
  needsParent?: boolean;
}

export interface CopyAction {
  /** The index of the input that it copies from. */
  input: number;
  /** An absolute path. */
  source: string;
  /** True if the source may have wildcards, and is looked for where symlinks lead. */
  isPattern: boolean;
  /** True if archives are unpacked. */
  unpack: boolean;
  /** Patterns, relative to the source, of what is copied with the directories above it; none: everything. */
  include: readonly string[];
  /** A path that must be there, or undefined. */
  required?: string;
  /** True if a directory is copied itself, and not what is in it. */
  keepsDirectory?: boolean;
  /** True if a symlink is copied itself. */
  keepsSymlink?: boolean;
  /** True if it may be that nothing matches. */
  mayBeNothing?: boolean;
}

/** A copy of what is at a path of the first input after the root file system, as it is there. */
export function plainCopy(instruction: CopyOp["instruction"], source: string): CopyOp {
  return {
    kind: "copy",
    instruction,
    actions: [{ input: 1, source, isPattern: false, unpack: false, include: [] }],
    destination: "/",
    owner: undefined,
    mode: undefined,
    exclude: [],
    isLink: false,
  };
}

/** The operations that have no inputs. */
export type SourceOp = Extract<Op, { kind: "image" | "layout" | "local" | "http" | "git" | "files" }>;

export function isSource(op: Op): op is SourceOp {
  return ["image", "layout", "local", "http", "git", "files"].includes(op.kind);
}

interface ProgressGroup {
  id: string;
  name: string;
  /** Whether the group is only for want of another. */
  weak: boolean;
}

/** An operation with the vertices that it works on: the root file system first, then what is copied from. */
export interface Vertex {
  op: Op;
  inputs: readonly Vertex[];
  /** For people. */
  name: string;
  /** Where it is written in the Dockerfile. */
  range?: SourceRange;
  /** True if it is to be done anew. */
  ignoresCache?: boolean;
  /** What progress shows it as a part of. */
  progressGroup?: ProgressGroup;
}

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;
const UNCHANGED = -1n;

/**
 * The marshalled operation. `inputs`: digests of what it works on; "" is an empty root file system. `isKey`: without what makes no
 * difference to the result.
 */
export function encodeOp(op: Op, inputs: readonly string[], isKey = false): Buffer {
  const message = new Message();
  const present = inputs.filter((digest) => digest !== "");
  for (const digest of present) message.message(1, new Message().text(1, digest));
  const input = (index: number): bigint => BigInt(inputs[index] === "" ? -1 : present.indexOf(inputs[index]!));
  if (op.kind === "exec") message.message(2, encodeExec(op, input, isKey));
  else if (isSource(op) && op.kind !== "files") message.message(3, sourceOp(op));
  else if (op.kind === "merge") message.message(6, mergeOp(present.length));
  else if (op.kind === "diff") message.message(7, diffOp(input));
  else message.message(4, fileOp(op, input, present.length));
  return message.encode();
}

function sourceOp(op: Exclude<SourceOp, { kind: "files" }>): Message {
  if (op.kind === "image") return identified(`docker-image://${op.reference}`, {});
  if (op.kind === "local") return localSource(op);
  if (op.kind === "layout")
    return identified(`oci-layout://${op.store}@${op.digest}`, {
      "oci.session": op.session ?? "",
      "oci.store": op.store,
    });
  if (op.kind === "http") return identified(op.url, { "http.checksum": op.checksum, "http.filename": op.fileName });
  const { remote, ref, subdirectory, keepGitDir, checksum, submodules, secrets } = op;
  const place = [ref, subdirectory].join(":").replace(/:$/, "");
  return identified(`git://${remote.replace(/^\w+:\/\//, "")}${place === "" ? "" : `#${place}`}`, {
    "git.fullurl": remote,
    "git.keepgitdir": keepGitDir === true ? "true" : "",
    "git.checksum": checksum,
    "git.skipsubmodules": submodules ? "" : "true",
    "git.authheadersecret": secrets?.header ?? "",
    "git.authtokensecret": secrets?.token ?? "",
  });
}

function localSource({ name, session = "", include, exclude, followPaths }: LocalSource): Message {
  const list = (values: readonly string[] = []) => (values.length === 0 ? "" : JSON.stringify(values));
  return identified(`local://${name}`, {
    "local.excludepatterns": list(exclude),
    "local.followpaths": list(followPaths),
    "local.includepattern": list(include),
    "local.session": session,
  });
}

function identified(identifier: string, attributes: Readonly<Record<string, string>>): Message {
  const message = new Message().text(1, identifier);
  for (const [name, value] of Object.entries(attributes))
    if (value !== "") message.message(2, new Message().text(1, name).text(2, value));
  return message;
}

function mergeOp(count: number): Message {
  const message = new Message();
  for (let index = 0; index < count; index++) message.message(1, new Message().number(1, index));
  return message;
}

function diffOp(input: (index: number) => bigint): Message {
  const [lower, upper] = [new Message().number(1, input(0)), new Message().number(1, input(1))];
  return new Message().message(1, lower).message(2, upper);
}

type FileOp = Extract<Op, { kind: "copy" | "mkdir" | "files" | "change" }>;

/** Each action works on what the one before has made; only the last one's result is the operation's. */
function fileOp(op: FileOp, input: (index: number) => bigint, inputCount: number): Message {
  const parts = filePartsOf(op, input);
  const first = op.kind === "files" ? -1n : input(0);
  const message = new Message();
  for (const [index, { field, message: part, from }] of parts.entries()) {
    const action = new Message().number(1, index === 0 ? first : inputCount + index - 1).number(2, from);
    message.message(2, action.number(3, index === parts.length - 1 ? 0n : UNCHANGED).message(field, part));
  }
  return message;
}

function filePartsOf(
  op: FileOp,
  input: (index: number) => bigint,
): { field: number; message: Message; from: bigint }[] {
  if (op.kind === "mkdir") {
    const message = new Message().text(1, op.path).number(2, DIRECTORY_MODE).number(3, true).number(5, UNCHANGED);
    return [{ field: 6, message, from: UNCHANGED }];
  }
  if (op.kind === "files")
    return op.files.map(({ name, content }) => {
      const message = new Message()
        .text(1, `/${name}`)
        .number(2, op.mode ?? FILE_MODE)
        .text(3, content)
        .number(5, UNCHANGED);
      return { field: 5, message, from: UNCHANGED };
    });
  const changes = op.kind === "copy" ? [op] : op.actions;
  return changes.flatMap((change) =>
    change.kind === "copy"
      ? change.actions.map((action) => ({
          ...{ field: 4, message: copyMessage(change, action, input), from: input(action.input) },
        }))
      : [
          {
            ...encodeChange(change, (owner) => (owner === undefined ? undefined : chown(owner, input(0)))),
            from: UNCHANGED,
          },
        ],
  );
}

function copyMessage(op: CopyOp, action: CopyAction, input: (index: number) => bigint): Message {
  const { destination, owner, mode, exclude, isLink } = op;
  const copy = new Message().text(1, action.source).text(2, destination);
  if (owner !== undefined) copy.message(3, chown(owner, input(0)));
  const octal = mode !== undefined && /^[0-7]+$/.test(mode) ? BigInt(Number.parseInt(mode, 8)) : UNCHANGED;
  copy.number(4, octal).number(5, !action.keepsSymlink).number(6, !action.keepsDirectory).number(7, action.unpack);
  copy
    .number(8, !op.needsParent)
    .number(9, action.isPattern)
    .number(10, action.mayBeNothing === true);
  copy.number(11, BigInt(op.mtimeNs ?? -1));
  copy.texts(12, action.include).texts(13, exclude);
  if (octal === UNCHANGED) copy.text(15, mode ?? "");
  return copy.text(16, action.required ?? "").number(100, isLink);
}

/** "USER:GROUP", names or numbers; names are looked up in an input. */
function chown(owner: string, input: bigint): Message {
  const message = new Message();
  for (const [index, part] of owner.split(":").entries())
    if (part !== "")
      message.message(
        index + 1,
        /^\d+$/.test(part)
          ? new Message().number(2, BigInt(part))
          : new Message().message(1, new Message().text(1, part).number(2, input)),
      );
  return message;
}

/** The digest under which the result is found. `inputs`: their keys. */
export function keyOfOp(op: Op, inputs: readonly string[]): string {
  return sha256(encodeOp(op, inputs, true));
}

/** Whether a copy does not depend on what it is copied into. An owner's name is looked up there. */
export function isApart(op: Op): boolean {
  return op.kind === "copy" && op.isLink && /^(\d+(:\d+)?)?$/.test(op.owner ?? "");
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** An empty root file system, that of `FROM scratch`. */
export const SCRATCH: Vertex = { op: { kind: "image", reference: "scratch" }, inputs: [], name: "FROM scratch" };

export function isScratch({ op }: Vertex): boolean {
  return op.kind === "image" && op.reference === "scratch";
}

/** Yields the vertices that a vertex is made of, each once, and itself at the end. */
export function* verticesOf(vertex: Vertex, seen = new Set<Vertex>()): Generator<Vertex> {
  if (seen.has(vertex)) return;
  seen.add(vertex);
  for (const input of vertex.inputs) yield* verticesOf(input, seen);
  yield vertex;
}

const digests = new WeakMap<Vertex, string>();

/** The digest of a vertex: of its operation over its inputs' digests. */
export function digestOfVertex(vertex: Vertex): string {
  const known = digests.get(vertex);
  if (known !== undefined) return known;
  const digest = sha256(encodeOp(vertex.op, digestsOf(vertex.inputs)));
  digests.set(vertex, digest);
  return digest;
}

/** Those of a vertex's inputs, as `encodeOp` takes them. */
function digestsOf(inputs: readonly Vertex[]): string[] {
  return inputs.map((input) => (isScratch(input) ? "" : digestOfVertex(input)));
}

/** Gives a vertex the digest that a client knows it by. */
export function setDigest(vertex: Vertex, digest: string): void {
  digests.set(vertex, digest);
}
