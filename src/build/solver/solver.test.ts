import { expect, test } from "bun:test";
import type { CopyOp, Op, Vertex } from "../graph/llb.ts";
import { Solver, type StepCache, type Workshop } from "./solver.ts";

function memoryCache(): StepCache & { entries: Map<string, string> } {
  const entries = new Map<string, string>();
  return { entries, find: (key) => entries.get(key), add: (key, { id }) => void entries.set(key, id) };
}

const run = (text: string, ...inputs: Vertex[]): Vertex => ({
  op: {
    ...{
      kind: "exec",
      args: [text],
      env: [],
      proxyEnv: [],
      cwd: "/",
      user: "",
      network: "default",
      security: "sandbox",
    },
    ...{ mounts: [], secretEnv: [], settings: { extraHosts: [], ulimits: [], cgroupParent: "", shmBytes: 0 } },
  },
  inputs,
  name: text,
});
const base: Vertex = { op: { kind: "image", reference: "base" }, inputs: [], name: "base" };
const context: Vertex = { op: { kind: "local", name: "context" }, inputs: [], name: "context" };
const copy = (...inputs: Vertex[]): Vertex => ({
  op: {
    kind: "copy",
    instruction: "COPY",
    actions: [{ input: 1, source: "/a", isPattern: true, unpack: false, include: [] }],
    ...{ destination: "/b", owner: undefined, mode: undefined, exclude: [], isLink: false },
  },
  inputs,
  name: "copy",
});

/** Each step adds its name to its base's id. `hashes`: of what is copied. */
function workshop(done: string[], hashes: readonly string[] = ["h"]): Workshop {
  let asked = 0;
  return {
    source: async (op: Op) => (op.kind === "image" ? op.reference : "context"),
    hash: async () => hashes[Math.min(asked++, hashes.length - 1)]!,
    execute: async ({ name }, [first = ""]) => {
      done.push(name);
      return [`${first}/${name}`];
    },
    merge: async (lower, upper) => `${lower}+${upper}`,
    keep: () => {},
    find: async () => undefined,
    listener: () => ({ onNote: () => {}, onOutput: () => {} }),
  };
}

const signal = new AbortController().signal;

test("a step is done once, and found by a later build", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  const target = run("two", run("one", base));
  for (const isCached of [false, true])
    expect(await solver.begin({ workshop: workshop(done), noCache: false, signal })(target)).toMatchObject({
      id: "base/one/two",
      isCached,
    });
  expect(done).toEqual(["one", "two"]);
});

test("a build without cache does every step anew", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  for (const noCache of [false, true])
    await solver.begin({ workshop: workshop(done), noCache, signal })(run("one", base));
  expect(done).toEqual(["one", "one"]);
});

test("two builds that want a step at once share it", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  const answers = await Promise.all(
    [1, 2].map(() => solver.begin({ workshop: workshop(done), noCache: false, signal })(run("one", base))),
  );
  expect(answers.map(({ id }) => id)).toEqual(["base/one", "base/one"]);
  expect(done).toEqual(["one"]);
});

test("who waits for another build's step does it when that build is given up", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  const stopped = Promise.withResolvers<string[]>();
  const failing = { ...workshop([]), execute: () => stopped.promise };
  const first = solver.begin({ workshop: failing, noCache: false, signal })(run("one", base));
  const second = solver.begin({ workshop: workshop(done), noCache: false, signal })(run("one", base));
  stopped.reject(new Error("given up"));
  expect(await first.catch((error: Error) => error.message)).toBe("given up");
  expect(await second).toMatchObject({ id: "base/one", isCached: false });
  expect(done).toEqual(["one"]);
});

test("a copy is found by what it copies, whatever else has changed", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  for (const hash of ["h", "h", "other"])
    await solver.begin({ workshop: workshop(done, [hash]), noCache: false, signal })(copy(base, context));
  expect(done).toEqual(["copy", "copy"]);
});

test("a build that is given up does not end a step that another one wants; the last one does", async () => {
  const solver = new Solver(memoryCache());
  const heard: string[][] = [[], []];
  const result = Promise.withResolvers<string[]>();
  let stepSignal: AbortSignal | undefined;
  const begun = Promise.withResolvers<void>();
  const builds = [0, 1].map((index) => {
    const aborter = new AbortController();
    const own: Workshop = {
      ...workshop([]),
      listener: () => ({ onNote: (text) => void heard[index]!.push(text), onOutput: () => {} }),
      execute: async (_vertex, _inputs, listener, signal) => {
        stepSignal = signal;
        listener.onNote("begun");
        signal.addEventListener("abort", () => result.reject(signal.reason));
        begun.resolve();
        return await result.promise;
      },
    };
    const solve = solver.begin({ workshop: own, noCache: false, signal: aborter.signal });
    return { aborter, solve, solved: solve(run("one", base)).catch((error: unknown) => error) };
  });
  await begun.promise;
  await Bun.sleep(0); // the second build's turn
  const [first, second] = builds as [(typeof builds)[number], (typeof builds)[number]];
  first.aborter.abort(new Error("the first has gone"));
  expect(await first.solved).toEqual(new Error("the first has gone"));
  await first.solve.ended();
  expect(stepSignal!.aborted).toBe(false);
  expect(heard).toEqual([["begun"], ["begun"]]);
  second.aborter.abort(new Error("the second has gone"));
  expect(await second.solved).toEqual(new Error("the second has gone"));
  expect(stepSignal!.aborted).toBe(true);
});

test("what is mounted is known by its content, a whole root file system by its key", async () => {
  const solver = new Solver(memoryCache());
  const done: string[] = [];
  const mount = (source: string) => ({ type: "bind", target: "/m", input: 1, source, readOnly: true }) as const;
  const using = (source: string, ...inputs: Vertex[]): Vertex => {
    const plain = run("use", base, ...inputs);
    return { ...plain, op: { ...(plain.op as Extract<Op, { kind: "exec" }>), mounts: [mount(source)] } };
  };
  for (const vertex of [using("/a", run("x", base)), using("/a", run("y", base)), using("/", run("y", base))])
    await solver.begin({ workshop: workshop(done), noCache: false, signal })(vertex);
  expect(done).toEqual(["x", "use", "y", "use"]);
});

test("COPY --link is found whatever it is put over, unless an owner's name is looked up there", async () => {
  const solver = new Solver(memoryCache());
  const linked = (base: Vertex, owner?: string): Vertex => {
    const plain = copy(base, context);
    return { ...plain, op: { ...(plain.op as CopyOp), isLink: true, owner } };
  };
  const done: string[] = [];
  const solve = (vertex: Vertex) => solver.begin({ workshop: workshop(done), noCache: false, signal })(vertex);
  const two = linked(linked(run("one", base)), "7:8");
  expect(await solve(two)).toMatchObject({ id: "base/one+/copy+/copy", isCached: false });
  expect(done).toEqual(["one", "copy", "copy"]);
  const over = await solve(linked(linked(run("other", base)), "7:8"));
  expect([over, done.slice(3)]).toEqual([{ ...over, id: "base/other+/copy+/copy", isCached: true }, ["other"]]);
  expect(await solve(run("then", two))).toMatchObject({ id: "base/one+/copy+/copy/then", isCached: false });
  done.length = 0;
  for (const name of ["x", "y"]) await solve(linked(run(name, base), "web"));
  expect(done).toEqual(["x", "copy", "y", "copy"]);
});
