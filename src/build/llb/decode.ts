/**
 * From a client's definition (LLB) to a graph. What a client says is checked here: limits, numbers of inputs, and what only
 * BuildKit itself can do, which is refused by name. There are no circles: an operation names others by the digests of their bytes.
 */
import { LLB_DEPTH_MAX, LLB_OPS_MAX } from "../../base/limits.ts";
import { type Definition, type LlbOp, opMetadataType, opType } from "../../spec/llb.ts";
import { resultsOf } from "../graph/exec-op.ts";
import { isScratch, isSource, type Op, plainCopy, SCRATCH, setDigest, sha256, type Vertex } from "../graph/llb.ts";
import { type Entitlement, requireEntitlement } from "../graph/plan-run.ts";
import { invalid, notSupported } from "../graph/refuse.ts";
import { decodeExec } from "./decode-exec.ts";
import { decodeFileOp } from "./decode-file.ts";
import { decodeSource } from "./decode-source.ts";

/** Makes vertices, within the limits. */
export type MakeVertex = (op: Op, inputs: readonly Vertex[], name: string) => Vertex;

/** Decodes a definition. One without operations is an empty root file system. @throws LighterError ("invalid", "not-supported") */
export function decodeGraph(definition: Definition, entitlements: ReadonlySet<Entitlement> = new Set()): Vertex {
  const { operations } = definition;
  if (operations.length === 0) return SCRATCH;
  if (operations.length > LLB_OPS_MAX) throw invalid(`the definition has more than ${LLB_OPS_MAX} operations`);
  const last = opType.decode(operations.at(-1)!);
  const [root] = last.inputs;
  if (root === undefined || kindsOf(last).length > 0) throw invalid("the definition's last operation names no result");
  return new Decoder(definition, entitlements).result(root.digest, root.index);
}

class Decoder {
  readonly #ops: ReadonlyMap<string, Uint8Array>;
  readonly #metadata: Definition["metadata"];
  readonly #vertices = new Map<string, Vertex>();
  readonly #depths = new Map<Vertex, number>();
  readonly #copies = new Map<Vertex, Vertex>();
  readonly #entitlements: ReadonlySet<Entitlement>;
  #nesting = 0;

  constructor({ operations, metadata }: Definition, entitlements: ReadonlySet<Entitlement>) {
    this.#entitlements = entitlements;
    this.#ops = new Map(operations.slice(0, -1).map((bytes) => [sha256(bytes), bytes]));
    this.#metadata = metadata;
  }

  /** The same, as a root file system. */
  result(digest: string, output: number): Vertex {
    return this.#rooted(this.vertex(digest, output));
  }

  /** What an operation makes as its result of that number. */
  vertex(digest: string, output: number): Vertex {
    const id = `${digest}:${output}`;
    const known = this.#vertices.get(id);
    if (known !== undefined) return known;
    const bytes = this.#ops.get(digest);
    if (bytes === undefined) throw invalid(`the definition has no operation ${JSON.stringify(digest)}`);
    if (++this.#nesting > LLB_DEPTH_MAX) throw tooDeep();
    const vertex = this.#decode(digest, opType.decode(bytes), output);
    this.#nesting--;
    this.#vertices.set(id, vertex);
    return vertex;
  }

  #decode(digest: string, op: LlbOp, output: number): Vertex {
    const metadata = opMetadataType.decode(this.#metadata.get(digest) ?? new Uint8Array());
    const name = metadata.description.get("llb.customname") ?? "";
    const inputs = op.inputs.map((input) => this.vertex(input.digest, input.index));
    const made = this.#make(op, { inputs, name, output });
    if (isScratch(made)) return made;
    // Another result of the operation is another vertex, and so is a part of it.
    const { ignoreCache, progressGroup } = metadata;
    const said = { ...(ignoreCache ? { ignoresCache: true } : {}), ...(progressGroup && { progressGroup }) };
    const vertex: Vertex = { ...made, ...said };
    this.#depths.set(vertex, this.#depths.get(made)!);
    if (output === 0) setDigest(vertex, digest);
    return vertex;
  }

  #make(op: LlbOp, { inputs, name, output }: { inputs: readonly Vertex[]; name: string; output: number }): Vertex {
    const kinds = kindsOf(op);
    if (kinds.length !== 1)
      throw invalid(`an operation of the definition is ${kinds.length === 0 ? "none" : "several"}`);
    if (op.exec !== undefined) return decodeExec(op.exec, { inputs, name, output, make: this.#add });
    if (op.file !== undefined) return decodeFileOp(op.file.actions, { inputs, name, output, make: this.#add });
    if (op.source !== undefined && (output !== 0 || inputs.length > 0))
      throw invalid(`the source ${JSON.stringify(op.source.identifier)} has inputs, or no result ${output}`);
    if (op.source !== undefined)
      return this.#add(decodeSource(op.source, op.platform), [], name || op.source.identifier);
    if (output !== 0) throw invalid(`an operation of the definition has no result ${output}`);
    const inputOf = (number: number) =>
      number === -1 ? SCRATCH : (inputs[number] ?? refuse(`an operation has the input ${number}`));
    if (op.merge !== undefined)
      return this.#merge(
        op.merge.inputs.map(({ input }) => inputOf(input)),
        name,
      );
    if (op.diff !== undefined)
      return this.#diff(inputOf(op.diff.lower?.input ?? 0), inputOf(op.diff.upper?.input ?? 0), name);
    throw notSupported(`the operation "${kinds[0]}" of LLB`);
  }

  #merge(inputs: readonly Vertex[], name: string): Vertex {
    const present = inputs.filter((input) => !isScratch(input));
    const [only = SCRATCH] = present;
    return present.length < 2 ? only : this.#add({ kind: "merge" }, present, name || "merge");
  }

  #diff(lower: Vertex, upper: Vertex, name: string): Vertex {
    return isScratch(lower) ? upper : this.#add({ kind: "diff" }, [lower, upper], name || "diff");
  }

  /** A source that is no image is copied: steps work on layers. */
  #rooted(vertex: Vertex): Vertex {
    if (!isSource(vertex.op) || vertex.op.kind === "image" || vertex.op.kind === "layout") return vertex;
    const known = this.#copies.get(vertex);
    if (known !== undefined) return known;
    const copy = this.#add(plainCopy("COPY", "/"), [SCRATCH, vertex], vertex.name);
    this.#copies.set(vertex, copy);
    return copy;
  }

  readonly #add: MakeVertex = (op, inputs, name) => {
    if (op.kind === "exec") requireEntitlement(op, this.#entitlements);
    const kept = op.kind === "exec" ? resultsOf(op).flatMap((number) => op.mounts[number ?? -1] ?? []) : [];
    const isRoot = (index: number) =>
      index === 0 ||
      op.kind === "merge" ||
      op.kind === "diff" ||
      kept.some((mount) => mount.type === "bind" && mount.input === index);
    const rooted = inputs.map((input, index) => (isRoot(index) ? this.#rooted(input) : input));
    const vertex: Vertex = { op, inputs: rooted, name };
    const depth = 1 + rooted.reduce((deepest, input) => Math.max(deepest, this.#depths.get(input) ?? 0), 0);
    if (depth > LLB_DEPTH_MAX) throw tooDeep();
    this.#depths.set(vertex, depth);
    if (this.#depths.size > 2 * LLB_OPS_MAX) throw invalid(`the definition has more than ${LLB_OPS_MAX} operations`);
    return vertex;
  };
}

function refuse(why: string): never {
  throw invalid(why);
}

function tooDeep() {
  return invalid(`the definition is deeper than ${LLB_DEPTH_MAX} operations`);
}

const KINDS = ["exec", "source", "file", "build", "merge", "diff"] as const;

function kindsOf(op: LlbOp): (typeof KINDS)[number][] {
  return KINDS.filter((kind) => op[kind] !== undefined);
}
