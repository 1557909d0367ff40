/** Makes definitions (LLB) by hand. */
import { createHash } from "node:crypto";
import { type Definition, definitionType, opType } from "../../src/spec/llb.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";

type Op = DraftOf<typeof opType>;

/** Operations in the order in which they are added; each is named by its digest. */
export class Graph {
  readonly #operations: Uint8Array[] = [];

  add(op: Op, ...inputs: string[]): string {
    const bytes = opType.encode({ ...op, inputs: inputs.map((input) => inputOf(input)) });
    this.#operations.push(bytes);
    return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  }

  source(identifier: string, attributes: Record<string, string> = {}): string {
    return this.add({ source: { identifier, attributes: new Map(Object.entries(attributes)) } });
  }

  /** The definition of a result: "DIGEST", or "DIGEST#NUMBER" of one beside the first. */
  of(result: string): Definition {
    const last = opType.encode({ inputs: [inputOf(result)] });
    return definitionType.decode(definitionType.encode({ operations: [...this.#operations, last] }));
  }
}

function inputOf(result: string): { digest: string; index: number } {
  const [digest = "", index = "0"] = result.split("#");
  return { digest, index: Number(index) };
}
