/** LLB's FileOp as operations, one for each action. Source: moby/buildkit solver/llbsolver/ops/file.go, file/backend.go. */
import { posix } from "node:path";
import type { LlbCopy, LlbFileAction, LlbOwner } from "../../spec/llb.ts";
import { type CopyOp, isScratch, type Op, SCRATCH, type Vertex } from "../graph/llb.ts";
import { invalid, notSupported } from "../graph/refuse.ts";
import type { MakeVertex } from "./decode.ts";

interface DecodeOptions {
  inputs: readonly Vertex[];
  name: string;
  /** Which of the operation's results is wanted. */
  output: number;
  make: MakeVertex;
}

/** Each action works on an input, or on what an action before it has made. */
export function decodeFileOp(actions: readonly LlbFileAction[], options: DecodeOptions): Vertex {
  const { inputs, output } = options;
  const wanted = actions.findIndex((action) => action.output === output);
  if (wanted < 0 || output < 0) throw invalid(`an operation on files has no result ${output}`);
  const parts = new Map<number, Part>();
  const partOf = (number: number, before: number): Part => {
    if (number === -1) return { vertex: SCRATCH };
    if (number >= 0 && number < inputs.length) return { vertex: inputs[number]! };
    const index = number - inputs.length;
    if (index < 0 || index >= before) throw invalid(`an action on files has the input ${number}`);
    return parts.get(index)!;
  };
  for (const [index, action] of actions.slice(0, wanted + 1).entries())
    parts.set(index, add(partOf(action.input, index), action, { ...options, partOf: (at) => partOf(at, index) }));
  return finish(parts.get(wanted)!, options);
}

/** What an action has made: a vertex, or the beginning of an operation of ours that takes several actions. */
type Part = { vertex: Vertex } | { op: CopyOp; inputs: readonly Vertex[] } | { op: Files; inputs: readonly [] };
type Files = Extract<Op, { kind: "files" }>;

interface ActionOptions extends DecodeOptions {
  partOf: (input: number) => Part;
}

function finish(part: Part, { name, make }: Pick<DecodeOptions, "name" | "make">): Vertex {
  return "vertex" in part ? part.vertex : make(part.op, part.inputs, name || nameOf(part.op));
}

function add(base: Part, action: LlbFileAction, options: ActionOptions): Part {
  const { copy, makeFile, makeDirectory, remove, makeSymlink } = action;
  const kinds = Object.entries({ copy, makeFile, makeDirectory, remove, makeSymlink });
  const [kind, ...more] = kinds.flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (kind === undefined || more.length > 0) throw invalid("an action on files is none, or several");
  if (copy !== undefined) {
    const source = finish(options.partOf(action.secondaryInput), options);
    return addCopy(base, copy, { ...options, source });
  }
  if (makeFile !== undefined) {
    const content = Buffer.from(makeFile.data).toString("utf8");
    const isText = Buffer.from(content).equals(makeFile.data);
    const name = posix.join("/", makeFile.path).slice(1);
    const isPlain =
      isText && makeFile.owner === undefined && makeFile.timestamp === -1n && !makeFile.path.endsWith("/");
    const mode = makeFile.mode & 0o7777;
    if (isPlain && name !== "" && "vertex" in base && isScratch(base.vertex))
      return { op: { kind: "files", files: [{ name, content }], mode }, inputs: [] };
    if (isPlain && name !== "" && !("vertex" in base) && base.op.kind === "files" && base.op.mode === mode)
      return { op: { ...base.op, files: [...base.op.files, { name, content }] }, inputs: [] };
  }
  if (makeDirectory !== undefined) {
    const { path, mode, makesParents, owner, timestamp } = makeDirectory;
    if (mode === 0o755 && makesParents && owner === undefined && timestamp === -1n) {
      const op = { kind: "mkdir", path: posix.join("/", path) } as const;
      return { vertex: options.make(op, [finish(base, options)], options.name || nameOf(op)) };
    }
  }
  throw notSupported(`the action "${kind}" of LLB, with its options,`);
}

function addCopy(base: Part, copy: LlbCopy, options: ActionOptions & { source: Vertex }): Part {
  const op = copyOf(copy, options);
  if ("op" in base && base.op.kind === "copy" && isOneOperation(base.op, op)) {
    const at = (base.inputs as readonly Vertex[]).indexOf(options.source, 1);
    const inputs = at < 0 ? [...base.inputs, options.source] : base.inputs;
    const [action] = op.actions;
    return {
      op: { ...base.op, actions: [...base.op.actions, { ...action!, input: at < 0 ? base.inputs.length : at }] },
      inputs,
    };
  }
  return { op, inputs: [finish(base, options), options.source] };
}

/** Whether a copy may be done with the one before: into one directory, and of one kind. */
function isOneOperation(a: CopyOp, b: CopyOp): boolean {
  const rest = ({ actions: _, ...op }: CopyOp) => JSON.stringify(op);
  return a.destination.endsWith("/") && rest(a) === rest(b);
}

function copyOf(copy: LlbCopy, { inputs }: ActionOptions): CopyOp {
  const { followSymlink, copiesContents, createDestination, timestamp, replacesExisting, required } = copy;
  if (!followSymlink || !copiesContents || !createDestination || timestamp !== -1n || replacesExisting)
    throw notSupported("a copy of LLB with such options");
  const mode = copy.modeText || (copy.mode === -1 ? undefined : copy.mode.toString(8));
  return {
    kind: "copy",
    instruction: "COPY",
    actions: [
      {
        input: 1,
        source: posix.join("/", copy.source),
        isPattern: copy.allowWildcard,
        unpack: copy.unpack,
        include: copy.include,
        ...(required.length === 0 ? {} : { required: posix.join("/", required[0]!) }),
      },
    ],
    destination: copy.destination.startsWith("/") ? copy.destination : `/${copy.destination}`,
    owner: ownerOf(copy.owner, inputs),
    mode,
    exclude: copy.exclude,
    isLink: copy.isLink,
  };
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

function nameOf(op: Op): string {
  if (op.kind === "copy") return `copy ${op.actions.map(({ source }) => source).join(" ")} ${op.destination}`;
  if (op.kind === "files") return `mkfile ${op.files.map(({ name }) => `/${name}`).join(" ")}`;
  return op.kind === "mkdir" ? `mkdir ${op.path}` : op.kind;
}
