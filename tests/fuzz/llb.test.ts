/** Definitions (LLB) of all kinds: each is a graph within limits, or an error that a client may see. */
import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { LLB_DEPTH_MAX, LLB_OPS_MAX } from "../../src/base/limits.ts";
import { sha256 } from "../../src/build/graph/llb.ts";
import { decodeGraph, encodeGraph, planBuild, verticesOf } from "../../src/build/mod.ts";
import { type Definition, definitionType, opType } from "../../src/spec/llb.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

const DOCKERFILE = `
FROM a AS base
WORKDIR /w
COPY --chown=u:g --chmod=u+x x* y/ /d/
ADD https://example.com/f.tar https://github.com/o/r.git#main:sub /f/
COPY <<one /heredocs/
1
one
RUN --mount=type=bind,from=a,source=/s,target=/b --mount=type=cache,id=c,target=/c --mount=type=tmpfs,target=/t,size=1m \\
    --mount=type=secret,id=s,env=S --mount=type=secret,id=f,required --mount=type=ssh --network=none true
`;

const OPTIONS = {
  names: new Map(),
  served: <T>(op: T) => op,
  dockerfile: { filename: "Dockerfile", text: Buffer.from(DOCKERFILE) },
};

async function sample(): Promise<Definition> {
  const { stages } = await planBuild(DOCKERFILE, {
    ...{ buildArgs: new Map(), labels: {}, target: "", network: "default", entitlements: new Set() },
    settings: { extraHosts: [{ host: "h", ip: "1.2.3.4" }], ulimits: [], cgroupParent: "/p", shmBytes: 4096 },
    platform: { os: "linux", architecture: "amd64" },
    resolveImage: async () => ({ config: {}, reference: "docker.io/library/a:1" }),
  });
  return definitionType.decode(definitionType.encode(encodeGraph(stages.at(-1)!.vertex!, OPTIONS)));
}

/** Changes one operation, and the digests by which others name it. */
function mutated(random: Random, { operations, ...rest }: Definition): Definition {
  const changed = random.below(operations.length);
  const renamed = new Map<string, string>();
  const result = operations.map((bytes, index) => {
    let text = Buffer.from(bytes).toString("latin1");
    for (const [from, to] of renamed) text = text.replaceAll(from, to);
    const copy = Buffer.from(text, "latin1");
    const count = index === changed ? 1 + random.below(3) : 0;
    for (let each = 0; each < count && copy.length > 0; each++)
      copy[random.below(copy.length)] = random.pick([0, 1, 0x2f, 0x7f, 0x80, 0xff, random.below(256)]);
    renamed.set(sha256(bytes), sha256(copy));
    return new Uint8Array(copy);
  });
  return { ...rest, operations: random.below(10) === 0 ? result.slice(random.below(result.length)) : result };
}

test("any definition is a graph, which can be told, or an error", async () => {
  const definition = await sample();
  const random = Random.fromEnvironment("llb");
  const deadline = performance.now() + BUDGET_MS;
  let good = 0;
  for (let count = 0; count < 50 || performance.now() < deadline; count++) {
    const candidate = mutated(random, definition);
    try {
      const graph = decodeGraph(candidate);
      expect([...verticesOf(graph)].length).toBeLessThan(100);
      decodeGraph(definitionType.decode(definitionType.encode(encodeGraph(graph, OPTIONS))));
      good++;
    } catch (error) {
      if (!(error instanceof LighterError) || !["invalid", "not-supported"].includes(error.code))
        throw new Error(JSON.stringify(candidate.operations.map((bytes) => Buffer.from(bytes).toString("hex"))), {
          cause: error,
        });
    }
  }
  expect(good).toBeGreaterThan(0);
});

/** A chain of directories, one made in the other. */
function chain(length: number): Definition {
  const operations = [opType.encode({ source: { identifier: "docker-image://a" } })];
  for (let index = 0; index < length; index++) {
    const makeDirectory = { path: `/${index}`, mode: 0o755, makesParents: true, timestamp: -1n };
    operations.push(
      opType.encode({
        inputs: [{ digest: sha256(operations.at(-1)!) }],
        file: { actions: [{ secondaryInput: -1, makeDirectory }] },
      }),
    );
  }
  operations.push(opType.encode({ inputs: [{ digest: sha256(operations.at(-1)!) }] }));
  return definitionType.decode(definitionType.encode({ operations }));
}

test("definitions beyond the limits are refused, and those within are taken", () => {
  expect([...verticesOf(decodeGraph(chain(LLB_DEPTH_MAX - 10)))]).toHaveLength(LLB_DEPTH_MAX - 9);
  expect(() => decodeGraph(chain(LLB_DEPTH_MAX))).toThrow(`deeper than ${LLB_DEPTH_MAX}`);
  const tooMany = { operations: Array.from({ length: LLB_OPS_MAX + 1 }, () => new Uint8Array()), metadata: new Map() };
  expect(() => decodeGraph({ ...tooMany, sources: undefined })).toThrow(`more than ${LLB_OPS_MAX} operations`);
  const makeDirectory = { path: "/a", mode: 0o755, makesParents: true, timestamp: -1n };
  const action = { input: -1, secondaryInput: -1, output: -1, makeDirectory };
  const actions = Array.from({ length: LLB_DEPTH_MAX + 1 }, (_, index) => ({ ...action, input: index - 1 }));
  const many = opType.encode({ file: { actions } });
  const last = opType.encode({ inputs: [{ digest: sha256(many) }] });
  expect(() => decodeGraph({ operations: [many, last], metadata: new Map(), sources: undefined })).toThrow(
    `more than ${LLB_DEPTH_MAX} actions`,
  );
});

test.each([
  ["names itself", { input: 0 }, "an action on files has the input 0"],
  ["names a later one", { input: 1 }, "an action on files has the input 1"],
  ["is none", { makeDirectory: undefined }, "none, or several"],
  ["is several", { remove: { path: "/" } }, "none, or several"],
  ["has another result", { output: 3 }, "has no result 0"],
])("an action on files that %s is refused", (_, change, message) => {
  const makeDirectory = { path: "/a", mode: 0o755, makesParents: true, timestamp: -1n };
  const bytes = opType.encode({ file: { actions: [{ input: -1, secondaryInput: -1, makeDirectory, ...change }] } });
  const last = opType.encode({ inputs: [{ digest: sha256(bytes) }] });
  expect(() => decodeGraph({ operations: [bytes, last], metadata: new Map(), sources: undefined })).toThrow(message);
});
