/** `kill -9` of the daemon in each phase of a build by BuildKit's API. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { dataOf } from "../../src/api/buildkit/pieces.ts";
import { messageOf } from "../../src/base/errors.ts";
import type { Method } from "../../src/grpc/server.ts";
import { BuildkitClient, DIFF_COPY, directoriesOf, FILE_SEND } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rawTar } from "../support/image-tar.ts";
import { readTar } from "../support/read-tar.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

/** In the command line of a process that no other test has. */
const MARK = 300_000 + process.pid;

let daemon: TestDaemon;
let registry: FakeRegistry;

beforeAll(async () => {
  if (!canBuild) return;
  daemon = await TestDaemon.start({ hostNetwork: true });
  await loadTools(daemon);
  registry = await FakeRegistry.start();
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

/** What nobody needs any more: of builds, and of pulls but for the downloads that the next one takes up. */
function leftovers(): string[] {
  const inside = ["contexts", "build-contexts", "image/ingest"].flatMap((name) => {
    const path = join(daemon.dataRoot, name);
    return existsSync(path) ? readdirSync(path).map((each) => join(path, each)) : [];
  });
  const mounts = readFileSync("/proc/self/mountinfo", "latin1").split("\n");
  return [
    ...daemon.leftovers([]),
    ...inside.filter((path) => !/\/\.removed$|\.partial$/.test(path)),
    ...mounts.filter((line) => line.includes(daemon.dataRoot)),
  ];
}

interface Phase {
  /** The Dockerfile of the build that is interrupted. */
  dockerfile: string;
  /** Methods of the session that never end; each says when it has been reached. */
  hanging?: (reached: () => void) => Record<string, Method>;
  /** Tells whether the phase has begun, if no method does. */
  hasBegun?: () => boolean;
}

const COPY = "FROM tools:1\nCOPY a large /\n";
const CONTEXT = { a: "copied\n", large: "x".repeat(2_000_000) };
const serve = (dockerfile: string) => directoriesOf({ dockerfile: { Dockerfile: dockerfile }, context: CONTEXT });
const hang = () => new Promise<never>(() => {});
const isRunning = () => spawnSync("pgrep", ["-f", `sleep ${MARK}$`]).status === 0;

const PHASES: Readonly<Record<string, () => Phase>> = {
  "its context comes": () => ({
    dockerfile: COPY,
    hanging: (reached) => ({
      [DIFF_COPY]: async function* (requests, call) {
        for await (const packet of serve(COPY)(requests, call)) {
          yield packet;
          if (packet.length < 10_000) continue; // not in the middle of the large file
          reached();
          await hang();
        }
      },
    }),
  }),
  "an image is pulled for it": () => {
    const layers = [rawTar({ name: "pulled", content: "p".repeat(200_000) })];
    const [digest] = registry.addImage("pulled", "1", { layers }).layerDigests;
    registry.inject({ path: `/v2/pulled/blobs/${digest}`, times: 1, fault: { kind: "stall", at: 150_000 } });
    const dockerfile = `FROM ${registry.host}/pulled:1\nCOPY a large /\n`;
    return { dockerfile, hasBegun: () => registry.sentBytes > 150_000 };
  },
  "a step runs": () => ({ dockerfile: `${COPY}RUN sleep ${MARK}\n`, hasBegun: isRunning }),
  "its result is sent": () => ({
    dockerfile: `${COPY}RUN echo sent > /sent\n`,
    hanging: (reached) => ({
      [FILE_SEND]: async function* (requests) {
        for await (const _ of requests) break;
        reached();
        yield await hang();
      },
    }),
  }),
};

/** Builds, and resolves with the paths of what the client gets. */
async function build(dockerfile: string): Promise<string[]> {
  const chunks: Uint8Array[] = [];
  const take: Method = async function* (requests) {
    for await (const chunk of dataOf(requests)) chunks.push(new Uint8Array(chunk));
    yield* []; // it has nothing to say
  };
  const methods = { [DIFF_COPY]: serve(dockerfile), [FILE_SEND]: take };
  await using client = await BuildkitClient.connect(daemon.socketPath, { methods });
  await client.dockerfile({ exporters: [{ type: "tar" }] });
  return readTar(Buffer.concat(chunks)).map(({ path }) => String(path));
}

for (const [name, begin] of Object.entries(PHASES))
  buildTest(`a daemon that dies while ${name} leaves nothing, and the next one builds it`, async () => {
    const { dockerfile, hanging, hasBegun } = begin();
    const reached = Promise.withResolvers<void>();
    const methods = { [DIFF_COPY]: serve(dockerfile), ...hanging?.(reached.resolve) };
    await using client = await BuildkitClient.connect(daemon.socketPath, { methods });
    const building = client.dockerfile({ exporters: [{ type: "tar" }] }).then(() => "", messageOf);
    await (hasBegun === undefined ? reached.promise : until(hasBegun, name));
    await daemon.kill();
    expect(await building).toBe("the peer has gone away");

    await daemon.launch();
    await until(() => !isRunning(), "the step has ended");
    await until(() => leftovers().length === 0, "nothing is left");
    const paths = await build(dockerfile.replace(/RUN sleep.*/, "RUN echo slept > /sent"));
    expect(paths).toEqual(expect.arrayContaining(["a", "large"]));
    await until(
      () => leftovers().every((path) => path.includes("/build-contexts/")),
      "nothing but the context is left",
    );
    expect(readdirSync(join(daemon.dataRoot, "image/ingest"))).toEqual([]);
  });
