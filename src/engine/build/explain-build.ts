/** Says which steps of a build would come from the cache, and why the others would not. */
import { LighterError } from "../../base/errors.ts";
import { formatRfc3339, NS_PER_MS } from "../../base/time.ts";
import { type BuildPlan, isSource, type Solve, stepNames, type Vertex, type Workshop } from "../../build/mod.ts";
import type { BuildCache } from "./build-cache.ts";

/** A step that would have to be executed. */
class NotCached extends LighterError {
  constructor(readonly vertex: Vertex) {
    super("unavailable", `"${vertex.name}" is only explained`);
  }
}

/** The same workshop, which executes nothing. */
export function withoutExecution(workshop: Workshop): Workshop {
  return {
    ...workshop,
    onlyLooks: true,
    execute: async (vertex) => {
      throw new NotCached(vertex);
    },
    merge: async (_lower, _upper, vertex) => {
      throw new NotCached(vertex);
    },
  };
}

interface ExplainOptions {
  plan: Pick<BuildPlan, "stages">;
  /** Solves with a workshop that executes nothing. */
  solve: Solve;
  cache: BuildCache;
  noCache: boolean;
}

/** Explains the steps in the order in which progress would number them, a line each, with what they are made of. */
export async function explainPlan(options: ExplainOptions): Promise<string> {
  const names = stepNames(options.plan);
  const numbers = new Map([...names.keys()].map((vertex, index) => [vertex, index + 1]));
  const lines: string[] = [];
  for (const [vertex, name] of names) {
    const inputs = vertex.inputs.flatMap((input) => numbers.get(input) ?? []).map((number) => `#${number}`);
    const of = inputs.length === 0 ? "" : `   (of ${inputs.join(", ")})`;
    lines.push(`#${numbers.get(vertex)} ${name}${of}\n   ${await explain(vertex, numbers, options)}\n`);
  }
  return lines.join("");
}

async function explain(
  vertex: Vertex,
  numbers: ReadonlyMap<Vertex, number>,
  { solve, cache, noCache }: ExplainOptions,
): Promise<string> {
  try {
    const { key } = await solve(vertex);
    if (isSource(vertex.op)) return "here";
    const { usageCount, lastUsedMs } = cache.usesOf(key);
    return `cached: used ${usageCount === 1 ? "once" : `${usageCount} times`}, last at ${timeOf(lastUsedMs)}`;
  } catch (error) {
    if (!(error instanceof NotCached)) throw error;
    if (error.vertex !== vertex) return `runs: it needs #${numbers.get(error.vertex)}, which runs`;
    return `runs: ${noCache ? "the cache is not to be used" : await reasonOf(vertex, solve, cache)}`;
  }
}

/** Compares with the last step that was written in the same way. */
async function reasonOf(vertex: Vertex, solve: Solve, cache: BuildCache): Promise<string> {
  const last = cache.lastWritten(vertex.name);
  if (last === undefined) return "no step in the cache is written like this";
  const below = (await solve(vertex.inputs[0]!)).id;
  const when = `the one of ${timeOf(last.createdMs)}`;
  if (last.base !== below) return `what is below it is not what was below ${when}`;
  return vertex.op.kind === "copy"
    ? `what it copies is not what was copied by ${when}`
    : `its variables, mounts or settings are not those of ${when}`;
}

function timeOf(ms: number): string {
  return formatRfc3339(BigInt(ms) * NS_PER_MS);
}
