/** Clients of BuildKit's API that lie about their files, or go away in the middle: builds end with a clear error, and leave nothing. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../src/base/errors.ts";
import type { Method } from "../../src/grpc/server.ts";
import { PACKET_KINDS, packetType } from "../../src/spec/buildkit.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";
import { BuildkitClient, DIFF_COPY, directoriesOf, FILE_SEND } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rawTar } from "../support/image-tar.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

/** In the command line of a process that no other test has. */
const MARK = 200_000 + process.pid;

let daemon: TestDaemon;
/** A client whose build goes on all the while. */
let other: { client: BuildkitClient; built: Promise<Map<string, string>>; goOn: () => void };

beforeAll(async () => {
  daemon = await TestDaemon.start({ hostNetwork: true });
  if (!canBuild) return;
  await loadTools(daemon);
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const files = { Dockerfile: "FROM tools:1\nCOPY a /\nRUN cat /a\n", a: "A" };
  const serve = directoriesOf({ dockerfile: files, context: files });
  const client = await connect(async function* (requests, call) {
    if (call.metadata.get("dir-name")?.[0] === "context") {
      begun.resolve();
      await gate.promise;
    }
    yield* serve(requests, call);
  });
  const built = client.dockerfile({ exporters: [{ type: "moby", attributes: new Map([["name", "other:1"]]) }] });
  await begun.promise;
  other = { client, built, goOn: gate.resolve };
});

afterAll(async () => {
  await other?.client[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

const connect = (directories: Method, more: Record<string, Method> = {}) =>
  BuildkitClient.connect(daemon.socketPath, { methods: { [DIFF_COPY]: directories, ...more } });

/** The text of the failure. */
const failure = (call: Promise<unknown>) => call.then(() => "", messageOf);

/** What builds have in the file system while they run, and supervisors of their steps. */
function traces(): string[] {
  const listed = (path: string) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []);
  const inside = ["contexts", "build-contexts", "image/steps"].flatMap((name) => listed(join(daemon.dataRoot, name)));
  const mounts = readFileSync("/proc/self/mountinfo", "latin1").split("\n");
  return [
    ...inside.filter((path) => !path.endsWith("/.removed")),
    ...listed(join(daemon.execRoot, "b")),
    ...mounts.filter((line) => line.includes(daemon.dataRoot)),
  ];
}

/** Waits until nothing more is there than the other client's build has. */
async function nothingIsLeft(before: readonly string[]): Promise<void> {
  await until(() => traces().every((each) => before.includes(each)), "nothing is left of the build");
}

type Packet = DraftOf<typeof packetType>;
type Stat = NonNullable<Packet["stat"]>;

const DOCKERFILE = "FROM tools:1\nCOPY . /d/\n";
const serveDockerfile = directoriesOf({ dockerfile: { Dockerfile: DOCKERFILE } });
const stat = (path: string, more: Partial<Stat> = {}): Packet => ({
  stat: { path: Buffer.from(path), mode: 0o644, ...more },
});
const END: Packet = { kind: PACKET_KINDS.stat };
const data = (id: number, text = ""): Packet => ({ kind: PACKET_KINDS.data, id, data: Buffer.from(text) });
const DIRECTORY = { mode: 2 ** 31 + 0o755 };
const link = (target: string): Partial<Stat> => ({ mode: 2 ** 27 + 0o777, linkPath: Buffer.from(target) });

/** Serves the Dockerfile and, as context, what is given. A pause is where the receiver says something. */
function hostile(packets: readonly (Packet | "pause")[]): Method {
  return async function* (requests, call) {
    const isContext = call.metadata.get("dir-name")?.[0] === "context" && !call.metadata.has("followpaths");
    if (!isContext) return yield* serveDockerfile(requests, call);
    const received = requests[Symbol.asyncIterator]();
    for (const packet of packets)
      if (packet === "pause") await received.next();
      else yield packetType.encode(packet);
    await received.next();
  };
}

const CASES: readonly [what: string, packets: readonly (Packet | "pause")[], error: RegExp][] = [
  ["sends more than it said", [stat("a", { size: 1n }), "pause", data(0, "xyz")], /"a" has changed while it was sent/],
  [
    "sends less than it said",
    [stat("a", { size: 9n }), "pause", data(0, "x"), data(0)],
    /"a" has changed while it was sent/,
  ],
  ["has a file of fewer bytes than none", [stat("a", { size: -1n })], /the client sends a file of -1 bytes/],
  [
    "has a file larger than any",
    [stat("a", { size: 2n ** 60n })],
    /the client sends a file of 1152921504606846976 bytes/,
  ],
  ["sends what nobody wants", [stat("a"), data(0, "x")], /a file that was not requested/],
  ["sends what it has not", [data(7, "x")], /a file that was not requested/],
  ["sends a file after the last", [stat("a", { size: 1n }), END, stat("b")], /a file after the last one/],
  [
    "says that it fails",
    [{ kind: PACKET_KINDS.error, data: Buffer.from("disk on fire") }],
    /could not send its files: disk on fire/,
  ],
  ["ends too early", [stat("a", { size: 1n }), { kind: PACKET_KINDS.end }], /has not sent all of its files/],
  ["leaves the directory", [stat("../x")], /invalid path: "\.\.\/x"/],
  ["leaves it on the way", [stat("a", DIRECTORY), stat("a/../../x")], /invalid path: "a\/\.\.\/\.\.\/x"/],
  ["begins at the root", [stat("/etc/x")], /invalid path: "\/etc\/x"/],
  ["names the directory itself", [stat(".")], /invalid path: "\."/],
  ["has a name without letters", [stat("a//b")], /invalid path: "a\/\/b"/],
  ["has a name with a NUL", [stat("a\0b")], /invalid path/],
  ["has a name that is too long", [stat("n".repeat(300)), END], /File name too long|ENAMETOOLONG/],
  ["has a path that is too long", [stat(`${"n/".repeat(4000)}n`)], /invalid path: "n\/n/],
  ["has a file in a file", [stat("a"), stat("a/b"), END], /ENOTDIR|Not a directory/],
  ["has a file below a link that leads out", [stat("l", link("/etc")), stat("l/x"), END], /ENOENT|no such file/i],
  ["has a link to nothing", [stat("l", link("")), END], /ENOENT|no such file/i],
  [
    "has another name of a file outside",
    [stat("h", { linkPath: Buffer.from("../../../../etc/passwd") }), END],
    /ENOENT|no such file/i,
  ],
];

buildTest("files whose sizes, names and kinds are lies end the build with a clear error", async () => {
  const before = traces();
  for (const [what, packets, error] of CASES) {
    await using client = await connect(hostile(packets));
    expect(`${what}: ${await failure(client.dockerfile())}`).toMatch(error);
  }
  await nothingIsLeft(before);
});

buildTest("a client that goes in the middle of its files ends its build, and no other", async () => {
  const before = traces();
  const sent: [string, readonly Packet[]][] = [
    ["before the first packet", []],
    ["in the walk", [stat("a", { size: 5n }), stat("b")]],
    ["in a file", [stat("a", { size: 5n }), END, data(0, "abc")]],
  ];
  for (const [when, packets] of sent)
    for (const loses of ["the session", "the connection"] as const) {
      const begun = Promise.withResolvers<void>();
      await using client = await connect(async function* (requests, call) {
        if (call.metadata.get("dir-name")?.[0] !== "context" || call.metadata.has("followpaths"))
          return yield* serveDockerfile(requests, call);
        for (const packet of packets) yield packetType.encode(packet);
        begun.resolve();
        await new Promise(() => {});
      });
      const building = failure(client.dockerfile());
      await begun.promise;
      if (loses === "the session") client.loseSession();
      else client.grpc[Symbol.dispose]();
      expect(`${when}, ${loses}: ${await building}`).toMatch(
        /: (the client's session has ended|the peer has gone away)$/,
      );
      await nothingIsLeft(before);
    }
});

buildTest("a client that goes while a step runs, or takes no result, ends its build", async () => {
  const before = traces();
  const isRunning = () => spawnSync("pgrep", ["-f", `sleep ${MARK}$`]).status === 0;
  for (const loses of ["session", "connection"] as const) {
    await using client = await connect(
      directoriesOf({ dockerfile: { Dockerfile: `FROM tools:1\nRUN sleep ${MARK}\n` } }),
    );
    const building = failure(client.dockerfile());
    await until(isRunning, "the step runs");
    if (loses === "session") client.loseSession();
    else client.grpc[Symbol.dispose]();
    expect(await building).toMatch(/^(the client's session has ended|the peer has gone away)$/);
    await until(() => !isRunning(), "the step has ended");
    await nothingIsLeft(before);
  }
  const taking = Promise.withResolvers<void>();
  await using client = await connect(directoriesOf({ dockerfile: { Dockerfile: "FROM tools:1\n" } }), {
    [FILE_SEND]: async function* (requests) {
      for await (const _ of requests) break;
      taking.resolve();
      await new Promise(() => {});
      yield new Uint8Array();
    },
  });
  const building = failure(client.dockerfile({ exporters: [{ type: "tar" }] }));
  await taking.promise;
  client.loseSession();
  expect(await building).toMatch(/^(the client's session has ended|the peer has gone away)$/);
  await nothingIsLeft(before);
});

buildTest("a client that goes while an image is pulled for it ends the pull", async () => {
  const before = traces();
  await using registry = await FakeRegistry.start();
  const { layerDigests } = registry.addImage("slow", "1", {
    layers: [rawTar({ name: "a", content: "a".repeat(100_000) })],
  });
  registry.inject({ path: `/v2/slow/blobs/${layerDigests[0]}`, fault: { kind: "stall", at: 1000 } });
  for (const loses of ["session", "connection"] as const) {
    await using client = await connect(directoriesOf({ dockerfile: { Dockerfile: `FROM ${registry.host}/slow:1\n` } }));
    const sentBytes = registry.sentBytes;
    const building = failure(client.dockerfile());
    await until(() => registry.sentBytes - sentBytes > 1000, "the layer is coming");
    const connections = registry.connections;
    if (loses === "session") client.loseSession();
    else client.grpc[Symbol.dispose]();
    expect(await building).toMatch(/^(the client's session has ended|the peer has gone away)$/);
    await until(() => registry.connections < connections, "nobody reads the layer");
    await nothingIsLeft(before);
  }
});

buildTest("the build that went on all the while ends well", async () => {
  other.goOn();
  await other.built;
  expect((await daemon.request("GET", "/images/other:1/json")).json.RootFS.Layers).toHaveLength(2);
  await nothingIsLeft([]);
});
