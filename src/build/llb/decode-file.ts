/** LLB's FileOp as operations. Source: moby/buildkit solver/llbsolver/ops/file.go, file/backend.go. */
import { posix } from "node:path";
import { LLB_DEPTH_MAX } from "../../base/limits.ts";
import type { LlbCopy, LlbFileAction, LlbOwner } from "../../spec/llb.ts";
import type { ChangeAction } from "../graph/change-op.ts";
import { type CopyAction, type CopyOp, isScratch, type Op, SCRATCH, type Vertex } from "../graph/llb.ts";
import { invalid, notSupported } from "../graph/refuse.ts";
import type { MakeVertex } from "./decode.ts";

interface DecodeOptions {
  inputs: readonly Vertex[];
  name: string;
  /** Which of the operation's results is wanted. */
  output: number;
  make: MakeVertex;
}

/** Each action works on an input, or on what an action before it has made. Those in a row are one operation. */
export function decodeFileOp(actions: readonly LlbFileAction[], options: DecodeOptions): Vertex {
  const { inputs, output } = options;
  if (actions.length > LLB_DEPTH_MAX) throw invalid(`an operation on files has more than ${LLB_DEPTH_MAX} actions`);
  const wanted = actions.findIndex((action) => action.output === output);
  if (wanted < 0 || output < 0) throw invalid(`an operation on files has no result ${output}`);
  const parts = new Map<number, Part>();
  const partOf = (number: number, before: number): Part => {
    if (number === -1) return { inputs: [SCRATCH], actions: [] };
    if (number >= 0 && number < inputs.length) return { inputs: [inputs[number]!], actions: [] };
    const index = number - inputs.length;
    if (index < 0 || index >= before) throw invalid(`an action on files has the input ${number}`);
    return parts.get(index)!;
  };
  for (const [index, action] of actions.slice(0, wanted + 1).entries())
    parts.set(index, add(partOf(action.input, index), action, { ...options, partOf: (at) => partOf(at, index) }));
  return finish(parts.get(wanted)!, options);
}

/** How many actions name an operation that has no name. */
const SHOWN_ACTIONS = 3;

/** Actions on the first input, which copy from the others. */
interface Part {
  inputs: readonly Vertex[];
  actions: readonly ChangeAction[];
}

interface ActionOptions extends DecodeOptions {
  partOf: (input: number) => Part;
}

function finish({ inputs, actions }: Part, { name, make }: Pick<DecodeOptions, "name" | "make">): Vertex {
  const [base = SCRATCH] = inputs;
  if (actions.length === 0) return base;
  const op = filesOf(base, actions) ?? copyOf(actions) ?? directoryOf(actions) ?? { kind: "change", actions };
  return make(op, op.kind === "files" ? [] : inputs, name || actions.slice(0, SHOWN_ACTIONS).map(nameOf).join(", "));
}

/** Texts on an empty root file system, which need no layer. */
function filesOf(base: Vertex, actions: readonly ChangeAction[]): Extract<Op, { kind: "files" }> | undefined {
  const [first] = actions;
  if (!isScratch(base) || first?.kind !== "make-file") return undefined;
  const files: { name: string; content: string }[] = [];
  for (const action of actions) {
    if (action.kind !== "make-file" || action.owner !== undefined || action.mtimeNs !== undefined) return undefined;
    const bytes = Buffer.from(action.content, "base64");
    const [name, content] = [posix.normalize(action.path).slice(1), bytes.toString("utf8")];
    const isOther = action.mode !== first.mode || files.some((file) => file.name === name || name.includes("/"));
    if (isOther || name === "" || !Buffer.from(content).equals(bytes)) return undefined;
    files.push({ name, content });
  }
  return { kind: "files", files, mode: first.mode };
}

/** Copies that differ only in what they copy, into one directory. */
function copyOf(actions: readonly ChangeAction[]): CopyOp | undefined {
  const copies = actions.flatMap((action) => (action.kind === "copy" ? [action] : []));
  const [first] = copies;
  const rest = ({ actions: _, ...op }: CopyOp) => JSON.stringify(op);
  if (first === undefined || copies.length < actions.length) return undefined;
  if (copies.length > 1 && !first.destination.endsWith("/")) return undefined;
  if (copies.some((copy) => rest(copy) !== rest(first))) return undefined;
  return { ...first, actions: copies.flatMap((copy) => copy.actions) };
}

/** A directory as WORKDIR makes one. */
function directoryOf(actions: readonly ChangeAction[]): Op | undefined {
  const [action] = actions;
  if (actions.length > 1 || action?.kind !== "make-directory" || action.mode !== 0o755) return undefined;
  if (!action.makesParents || action.owner !== undefined || action.mtimeNs !== undefined) return undefined;
  return { kind: "mkdir", path: action.path };
}

function add(base: Part, action: LlbFileAction, options: ActionOptions): Part {
  const { copy, makeFile, makeDirectory, remove, makeSymlink } = action;
  const count = [copy, makeFile, makeDirectory, remove, makeSymlink].filter((each) => each !== undefined).length;
  if (count !== 1) throw invalid("an action on files is none, or several");
  if (copy === undefined) return { ...base, actions: [...base.actions, changeOf(action, options.inputs)] };
  const source = finish(options.partOf(action.secondaryInput), options);
  const at = base.inputs.indexOf(source, 1);
  return {
    inputs: at < 0 ? [...base.inputs, source] : base.inputs,
    actions: [...base.actions, copyActionOf(copy, at < 0 ? base.inputs.length : at, options.inputs)],
  };
}

function changeOf(action: LlbFileAction, inputs: readonly Vertex[]): ChangeAction {
  const { makeFile, makeDirectory, remove, makeSymlink } = action;
  const ownership = ({ owner, timestamp }: { owner: LlbOwner | undefined; timestamp: bigint }) => ({
    owner: ownerOf(owner, inputs),
    mtimeNs: timeOf(timestamp),
  });
  if (makeFile !== undefined) {
    const { path, mode, data } = makeFile;
    const content = Buffer.from(data).toString("base64");
    return { kind: "make-file", path: absolute(path), mode: mode & 0o7777, content, ...ownership(makeFile) };
  }
  if (makeDirectory !== undefined) {
    const { path, mode, makesParents } = makeDirectory;
    const own = { path: absolute(path), mode: mode & 0o7777, makesParents };
    return { kind: "make-directory", ...own, ...ownership(makeDirectory) };
  }
  if (remove !== undefined) {
    const { path, allowNotFound, allowWildcard } = remove;
    if (absolute(path) === "/") throw invalid('"/" cannot be removed');
    return { kind: "remove", path: absolute(path), allowNotFound, allowWildcard };
  }
  const { path, target } = makeSymlink!;
  if (target === "" || target.includes("\0")) throw invalid("a symlink has no target");
  return { kind: "make-symlink", path: absolute(path), target, ...ownership(makeSymlink!) };
}

function copyActionOf(copy: LlbCopy, input: number, inputs: readonly Vertex[]): CopyOp {
  const { include, required, unpack } = copy;
  if (copy.replacesExisting) throw notSupported("a copy of LLB that replaces what is no directory");
  if (required.length > 1) throw notSupported("a copy of LLB with several required paths");
  const action: CopyAction = {
    ...{ input, source: posix.join("/", copy.source), isPattern: copy.allowWildcard, unpack, include },
    ...(required.length === 0 ? {} : { required: absolute(required[0]!) }),
    ...(copy.copiesContents ? {} : { keepsDirectory: true }),
    ...(copy.followSymlink ? {} : { keepsSymlink: true }),
    ...(copy.allowEmptyWildcard ? { mayBeNothing: true } : {}),
  };
  const mtimeNs = timeOf(copy.timestamp);
  return {
    ...{ kind: "copy", instruction: "COPY", actions: [action], exclude: copy.exclude, isLink: copy.isLink },
    destination: copy.destination.startsWith("/") ? copy.destination : `/${copy.destination}`,
    owner: ownerOf(copy.owner, inputs),
    mode: copy.modeText || (copy.mode < 0 ? undefined : (copy.mode & 0o7777).toString(8)),
    ...(mtimeNs === undefined ? {} : { mtimeNs }),
    ...(copy.createDestination ? {} : { needsParent: true }),
  };
}

function timeOf(timestamp: bigint): string | undefined {
  return timestamp === -1n ? undefined : `${timestamp}`;
}

function absolute(path: string): string {
  if (path.includes("\0")) throw invalid(`${JSON.stringify(path)} is no path`);
  return posix.resolve("/", path);
}

/** "USER:GROUP", names or numbers. */
function ownerOf(owner: LlbOwner | undefined, inputs: readonly Vertex[]): string | undefined {
  if (owner === undefined) return undefined;
  const part = (user: LlbOwner["user"]): string => {
    if (user === undefined) return "";
    if (user.byName === undefined) return `${user.byId}`;
    const { name, input } = user.byName;
    if (/^\d*$|[:/\0]/.test(name)) throw invalid(`${JSON.stringify(name)} is no name of a user`);
    if (input !== -1 && (input < 0 || input >= inputs.length)) throw invalid(`an owner has the input ${input}`);
    return name;
  };
  return [part(owner.user), part(owner.group)].join(":").replace(/:$/, "");
}

function nameOf(action: ChangeAction): string {
  if (action.kind === "copy")
    return `copy ${action.actions.map(({ source }) => source).join(" ")} ${action.destination}`;
  const verbs = { "make-directory": "mkdir", "make-file": "mkfile", "make-symlink": "symlink", remove: "rm" };
  return `${verbs[action.kind]} ${action.path}`;
}
