/** A graph as clients of BuildKit's API get it: LLB's definition, each operation after what it works on. */
import { type DefinitionDraft, opMetadataType, opType } from "../../spec/llb.ts";
import {
  encodeOp,
  isScratch,
  type LayoutSource,
  type LocalSource,
  type Op,
  sha256,
  type Vertex,
} from "../graph/llb.ts";

interface EncodeOptions {
  /** The names of vertices for people. */
  names: ReadonlyMap<Vertex, string>;
  /** What stands for what only this build's session serves. */
  served: (op: LayoutSource | LocalSource) => Op;
  /** What the graph was made of. */
  dockerfile: { filename: string; text: Uint8Array };
}

/** Encodes the graph of `vertex`. That of an empty root file system is empty. */
export function encodeGraph(vertex: Vertex, options: EncodeOptions): DefinitionDraft {
  if (isScratch(vertex)) return { operations: [] };
  const encoder = new Encoder(options);
  return encoder.finish(encoder.add(vertex));
}

interface Location {
  ranges: { start: { line: number }; end: { line: number } }[];
}

class Encoder {
  readonly #options: EncodeOptions;
  readonly #operations: Uint8Array[] = [];
  readonly #metadata = new Map<string, Uint8Array>();
  readonly #locations = new Map<string, { locations: Location[] }>();
  readonly #digests = new Map<Vertex, string>();

  constructor(options: EncodeOptions) {
    this.#options = options;
  }

  /** Adds a vertex with all that it is made of. Returns its digest. */
  add(vertex: Vertex): string {
    const known = this.#digests.get(vertex);
    if (known !== undefined) return known;
    const inputs = vertex.inputs.map((input) => (isScratch(input) ? "" : this.add(input)));
    const { op } = vertex;
    const isServed = op.kind === "local" || op.kind === "layout";
    const bytes = encodeOp(isServed ? this.#options.served(op) : op, inputs);
    const digest = sha256(bytes);
    this.#digests.set(vertex, digest);
    if (!this.#metadata.has(digest)) this.#operations.push(bytes);
    const name = this.#options.names.get(vertex) ?? vertex.name;
    const description = new Map([["llb.customname", name]]);
    this.#metadata.set(
      digest,
      opMetadataType.encode({
        description,
        progressGroup: vertex.progressGroup,
        ...(vertex.ignoresCache && { ignoreCache: true }),
      }),
    );
    if (vertex.range !== undefined) {
      const { start, end } = vertex.range;
      this.#locations.set(digest, { locations: [{ ranges: [{ start: { line: start }, end: { line: end } }] }] });
    }
    return digest;
  }

  finish(root: string): DefinitionDraft {
    const { filename, text } = this.#options.dockerfile;
    const last = opType.encode({ inputs: [{ digest: root }] });
    return {
      operations: [...this.#operations, last],
      metadata: this.#metadata,
      sources: { locations: this.#locations, infos: [{ filename, data: text, language: "Dockerfile" }] },
    };
  }
}
