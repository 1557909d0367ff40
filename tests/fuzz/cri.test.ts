/** Kubernetes' runtime interface is sent requests of all kinds: each is done or refused, and afterwards all can be listed and removed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { LighterError } from "../../src/base/errors.ts";
import { methodsOf } from "../../src/cri/methods.ts";
import type { PodNetwork } from "../../src/cri/network.ts";
import { SpdyConnection } from "../../src/cri/streaming/spdy.ts";
import { SpdyHeaderWriter } from "../../src/cri/streaming/spdy-headers.ts";
import { WebSocketConnection } from "../../src/cri/streaming/websocket.ts";
import { type Container, type OpenedEngine, openEngine } from "../../src/engine/mod.ts";
import type { Methods } from "../../src/grpc/server.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import * as containers from "../../src/spec/cri/containers.ts";
import * as images from "../../src/spec/cri/images.ts";
import * as runtime from "../../src/spec/cri/runtime.ts";
import * as sandboxes from "../../src/spec/cri/sandboxes.ts";
import * as stats from "../../src/spec/cri/stats.ts";
import * as streams from "../../src/spec/cri/streams.ts";
import type { MessageType } from "../../src/spec/protobuf.ts";
import { FakeHostNetwork } from "../support/fake-network.ts";
import { FakeRuntime } from "../support/fake-runtime.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);
const TYPES = { ...containers, ...images, ...runtime, ...sandboxes, ...stats, ...streams } as unknown as Record<
  string,
  MessageType<never>
>;
/** A pull asks a registry. */
const LEFT_OUT = ["/runtime.v1.ImageService/PullImage"];

const NETWORK: PodNetwork = {
  readiness: () => Promise.resolve({ isReady: true }),
  attach: () => Promise.resolve(["10.0.0.2"]),
  detach: () => Promise.resolve(),
};

let directory: string;
let opened: OpenedEngine;
let fake: FakeRuntime;
let methods: Methods;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lighter-cri-"));
  fake = new FakeRuntime();
  fake.create = () => Promise.reject(new LighterError("not-supported", "there are no real mounts here"));
  opened = await openEngine({
    dataRoot: join(directory, "data"),
    execRoot: join(directory, "exec"),
    runtime: fake,
    hostNetwork: new FakeHostNetwork(),
  });
  methods = methodsOf({
    ...opened,
    network: NETWORK,
    streaming: { urlFor: () => Promise.resolve("http://127.0.0.1:1/") },
    registries: () => opened.registries,
    downloadAttempts: () => 1,
    cgroupDriver: "cgroupfs",
  });
});

afterAll(async () => {
  await opened?.engine[Symbol.asyncDispose]();
  await opened?.images[Symbol.asyncDispose]();
  fake?.close();
  rmSync(directory, { recursive: true, force: true });
});

type Draft = Record<string, unknown>;

const isPod = ({ record }: Container) => record.pod?.sandboxId === undefined;

/** The id of something that is there, mostly. */
function oneOf(random: Random, isWanted: (container: Container) => boolean): string {
  const all = opened.engine.list().filter(isWanted);
  return all.length === 0 ? text(random) : odd(random, random.pick(all).id);
}

const ids = () => opened.engine.list().map(({ id }) => id);

function text(random: Random): string {
  return random.pick([
    ...["", "a", "web", "..", "/", "/etc", "/proc/self", "\0", "a\nb", "ä", "-1", "hello", "sha256:", "x".repeat(5000)],
    ...["ALL", "NET_ADMIN", "kubepods", "/lighter/pod", "1-2", "runtime/default", "localhost/x"],
    ...ids(),
  ]);
}

/** Mostly what is usual, so that not everything is refused. */
const odd = (random: Random, usual: string) => (random.below(40) === 0 ? text(random) : usual);
const oddNumber = (random: Random, usual: number) => (random.below(40) === 0 ? random.pick(NUMBERS) : usual);
const some = <T>(random: Random, list: readonly T[]): T[] => (random.below(20) === 0 ? [...list] : []);

const NUMBERS = [0, 1, 2, 3, 4, 35, 66, -1, 1000, 65_536, 2 ** 31, -(2 ** 31), 2 ** 40, Number.MAX_SAFE_INTEGER];

const labels = (random: Random) => new Map(Array.from({ length: random.below(3) }, () => [text(random), text(random)]));

function namespaceOptions(random: Random): Draft {
  const id = { hostId: 2 ** 30, containerId: oddNumber(random, 0), length: oddNumber(random, 65_536) };
  return {
    network: random.pick([0, 2, oddNumber(random, 0)]),
    pid: random.pick([0, 1, 2, oddNumber(random, 3)]),
    ipc: oddNumber(random, 2), // the memory of a pod would be a real mount
    targetId: text(random),
    ...(random.below(10) === 0 ? { usernsOptions: { mode: random.below(3), uids: [id], gids: [id] } } : {}),
  };
}

function resources(random: Random): Draft {
  return {
    ...{ cpuPeriod: oddNumber(random, 100_000), cpuQuota: oddNumber(random, 50_000), cpuShares: oddNumber(random, 2) },
    ...{ memoryLimitInBytes: oddNumber(random, 2 ** 26), oomScoreAdj: oddNumber(random, 0) },
    ...{ memorySwapLimitInBytes: oddNumber(random, 0), cpusetCpus: odd(random, "0") },
    unified: labels(random),
    hugepageLimits: some(random, [{ pageSize: text(random), limit: random.pick(NUMBERS) }]),
  };
}

function podConfig(random: Random): Draft {
  const metadata = { name: odd(random, "web"), namespace: odd(random, "default"), uid: `${random.u32()}` };
  return {
    metadata: { ...metadata, attempt: oddNumber(random, 0) },
    ...{
      hostname: odd(random, "web"),
      logDirectory: join(directory, odd(random, "logs").replace(/\.\./g, "")),
      labels: labels(random),
    },
    annotations: labels(random),
    portMappings: [{ protocol: random.below(5), containerPort: random.pick(NUMBERS), hostPort: random.pick(NUMBERS) }],
    dnsConfig: {
      servers: [odd(random, "10.0.0.1")],
      searches: [odd(random, "svc")],
      options: [odd(random, "ndots:5")],
    },
    linux: {
      cgroupParent: odd(random, "/lighter/pod"),
      sysctls: new Map(some(random, [[text(random), text(random)]])),
      securityContext: { namespaceOptions: namespaceOptions(random) },
    },
  };
}

function securityContext(random: Random): Draft {
  const profile = () => ({ profileType: random.pick([0, 1, oddNumber(random, 0)]), localhostRef: text(random) });
  return {
    capabilities: { addCapabilities: some(random, [text(random)]), dropCapabilities: [odd(random, "ALL")] },
    ...{ privileged: random.below(4) === 0, noNewPrivs: random.below(2) === 0 },
    namespaceOptions: namespaceOptions(random),
    ...(random.below(2) === 0 ? { runAsUser: { value: oddNumber(random, 0) } } : { runAsUsername: odd(random, "0") }),
    ...(random.below(3) === 0 ? { runAsGroup: { value: oddNumber(random, 0) } } : {}),
    ...{ supplementalGroups: [oddNumber(random, 5)], supplementalGroupsPolicy: random.below(3) },
    ...{ maskedPaths: [odd(random, "/proc/kcore")], readonlyPaths: [odd(random, "/proc/sys")] },
    seccomp: profile(),
    ...(random.below(20) === 0 ? { apparmor: profile(), seccompProfilePath: text(random) } : {}),
  };
}

function containerConfig(random: Random): Draft {
  const mount = () => ({
    ...{ hostPath: odd(random, directory), containerPath: odd(random, `/${random.u32()}`) },
    ...{ readonly: random.below(2) === 0, propagation: oddNumber(random, 0) },
    recursiveReadOnly: random.below(10) === 0,
  });
  return {
    metadata: { name: odd(random, "main"), attempt: random.u32() },
    image: { image: odd(random, "hello") },
    command: [odd(random, "/hello")],
    ...{ args: [text(random)], workingDir: odd(random, "/"), logPath: odd(random, "main.log") },
    ...{
      envs: [{ key: odd(random, "KEY"), value: text(random) }],
      labels: labels(random),
      annotations: labels(random),
    },
    mounts: Array.from({ length: random.below(3) }, mount),
    devices: some(random, [{ hostPath: odd(random, "/dev/null"), containerPath: text(random), permissions: "rwm" }]),
    cdiDevices: some(random, [{ name: text(random) }]),
    ...{ stdin: random.below(2) === 0, tty: random.below(2) === 0, stopSignal: oddNumber(random, 0) },
    linux: { resources: resources(random), securityContext: securityContext(random) },
  };
}

/** A request that may have the fields of any. */
function request(random: Random): Draft {
  const filter = {
    id: text(random),
    labelSelector: labels(random),
    podSandboxId: text(random),
    state: { state: random.below(3) },
  };
  return {
    ...{
      podSandboxId: oneOf(random, isPod),
      containerId: oneOf(random, (each) => !isPod(each)),
      cmd: [text(random)],
      timeout: random.pick([0, -1]),
    },
    ...{ verbose: random.below(2) === 0, runtimeHandler: random.pick(["", "lighter", text(random)]) },
    ...{
      image: { image: text(random) },
      linux: resources(random),
      resources: resources(random),
      location: text(random),
    },
    ...{ filter: random.below(2) === 0 ? filter : undefined },
  };
}

/** The request's bytes, now and then damaged. */
function encode(random: Random, path: string): Uint8Array {
  const name = path
    .split("/")
    .at(-1)!
    .replace(/^(Get)Container(Events)$/, "$1$2")
    .replace("StreamPodSandboxes", "ListPodSandbox") // the lists in pieces are asked for as the others
    .replace(/^Stream/, "List");
  const draft = request(random);
  if (name === "RunPodSandbox") draft.config = podConfig(random);
  if (name === "CreateContainer") draft.config = containerConfig(random);
  const type = TYPES[`${name[0]!.toLowerCase()}${name.slice(1)}RequestType`]!;
  const bytes = new Uint8Array(type.encode(draft as never));
  for (let count = random.below(8) === 0 ? random.below(4) : 0; count > 0 && bytes.length > 0; count--)
    bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

async function call(path: string, bytes: Uint8Array): Promise<void> {
  const abort = new AbortController();
  // What waits for a process or for events does so until its client goes.
  const waits = /ExecSync|GetContainerEvents/.test(path);
  if (waits) setTimeout(() => abort.abort(), 5);
  const requests = (async function* () {
    yield bytes;
  })();
  await Array.fromAsync(
    methods.get(path)!(requests, { metadata: new Map(), answerMetadata: {}, signal: abort.signal }),
  );
}

/** Errors that a kubelet may see are the only ones. */
const EXPECTED = ["invalid", "not-found", "conflict", "not-supported", "timed-out", "unauthorized", "unavailable"];

async function survives(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await call(path, bytes);
    done.set(path, (done.get(path) ?? 0) + 1);
  } catch (error) {
    if (error instanceof GrpcError) return;
    // A start asks for nothing: what its image lacks, such as a user, is no mistake of the request.
    if (path.endsWith("/StartContainer") && error instanceof LighterError && error.code === "internal") return;
    if (!(error instanceof LighterError) || !EXPECTED.includes(error.code)) throw error;
  }
}

const done = new Map<string, number>();
const EMPTY = new Uint8Array();

test("any request is done or refused, and what is left can be listed and removed", async () => {
  const random = Random.fromEnvironment("cri");
  const paths = [...methods.keys()].filter((path) => !LEFT_OUT.includes(path));
  const deadline = performance.now() + BUDGET_MS;
  for (let count = 0; count < 200 || performance.now() < deadline; count++) {
    const path = random.below(4) === 0 ? random.pick(paths) : `/runtime.v1.RuntimeService/${random.pick(MAKERS)}`;
    await survives(path, encode(random, path));
    if (count % 50 === 0) for (const list of LISTS) await call(`/runtime.v1.RuntimeService/${list}`, EMPTY);
  }
  for (const id of ids())
    await call(
      "/runtime.v1.RuntimeService/RemovePodSandbox",
      TYPES.removePodSandboxRequestType!.encode({ podSandboxId: id } as never),
    );
  expect(ids()).toEqual([]);
  if (process.env.SHOW) console.log(done);
}, 120_000);

/** What makes and starts things, so that there are some. */
const MAKERS = ["RunPodSandbox", "CreateContainer", "StartContainer"];
const LISTS = [
  "ListPodSandbox",
  "ListContainers",
  "ListContainerStats",
  "ListPodSandboxStats",
  "ListPodSandboxMetrics",
];

/** A connection on which these bytes arrive, in pieces; what is sent is taken and forgotten. */
function wireOf(random: Random, bytes: Uint8Array): Duplex {
  const wire = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  wire.on("error", () => {}); // whoever reads gets it
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(random.pick([3, 20, 5000]));
    wire.push(new Uint8Array(bytes.subarray(at, end)));
    at = end;
  }
  wire.push(null);
  return wire;
}

/** Frames of a client that opens streams and sends data, some of them damaged. */
async function spdyBytes(random: Random): Promise<Buffer> {
  const headers = new SpdyHeaderWriter();
  const frames: Buffer[] = [];
  const frame = (word: number, flags: number, payload: Uint8Array) => {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(word >>> 0, 0);
    header[4] = flags;
    header.writeUIntBE(random.below(30) === 0 ? random.below(2 ** 24) : payload.length, 5, 3);
    frames.push(header, Buffer.from(payload));
  };
  for (let count = random.below(8); count > 0; count--) {
    const id = 1 + random.below(4) * 2;
    const block = await headers.write(new Map([["streamtype", random.pick(["stdin", "error", "data", "x"])]]));
    const fields = Buffer.alloc(10);
    fields.writeUInt32BE(id, 0);
    frame(0x8003_0001, random.below(2), Buffer.concat([fields, block]));
    frame(id, random.below(2), Buffer.alloc(random.below(random.pick([2, 5000])), 1));
    if (random.below(3) === 0)
      frame(0x8003_0000 + random.below(12), random.below(256), Buffer.alloc(random.below(20), 7));
  }
  headers.close();
  const bytes = Buffer.concat(frames);
  for (let count = random.below(4); count > 0 && bytes.length > 0; count--)
    bytes[random.below(bytes.length)] = random.below(256);
  return bytes;
}

async function ends(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
  }
}

test("SPDY: any bytes are streams or an error, and the connection ends with them", async () => {
  const random = Random.fromEnvironment("spdy");
  const deadline = performance.now() + BUDGET_MS;
  for (let count = 0; count < 50 || performance.now() < deadline; count++) {
    const connection = new SpdyConnection(wireOf(random, await spdyBytes(random)), (stream) => {
      if (random.below(3) > 0) stream.resume();
      else stream.end("answer");
      if (random.below(3) === 0) stream.destroy();
      setTimeout(() => stream.destroy(), 5); // nobody waits for ever
    });
    await ends(connection.serve());
  }
}, 120_000);

test("WebSockets: any bytes are messages or an error, and the connection ends with them", async () => {
  const random = Random.fromEnvironment("websocket");
  const deadline = performance.now() + BUDGET_MS;
  for (let count = 0; count < 50 || performance.now() < deadline; count++) {
    const frames = Array.from({ length: random.below(6) }, () => {
      const payload = Buffer.alloc(random.below(126), 5);
      return Buffer.concat([
        Buffer.from([random.pick([0x82, 0x02, 0x80, 0x88, 0x89, 0x8a, random.below(256)])]),
        Buffer.from([0x80 | payload.length, 1, 2, 3, 4]),
        payload,
      ]);
    });
    const bytes = Buffer.concat(frames);
    for (let damaged = random.below(3); damaged > 0 && bytes.length > 0; damaged--)
      bytes[random.below(bytes.length)] = random.below(256);
    await ends(Array.fromAsync(new WebSocketConnection(wireOf(random, bytes)).messages(new Uint8Array())));
  }
}, 120_000);
