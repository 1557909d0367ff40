/** Clients that stop answering in the middle of their builds: whatever ends a build ends it at once, and nobody waits for it. */
import { afterAll, beforeAll, expect } from "bun:test";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../src/base/errors.ts";
import type { Method } from "../../src/grpc/server.ts";
import { PACKET_KINDS, packetType, solveType } from "../../src/spec/buildkit.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";
import { BuildkitClient, DIFF_COPY, directoriesOf, FILE_SEND } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rawTar } from "../support/image-tar.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

let daemon: TestDaemon;
let registry: FakeRegistry;

beforeAll(async () => {
  if (!canBuild) return;
  daemon = await TestDaemon.start({ hostNetwork: true });
  await loadTools(daemon);
  registry = await FakeRegistry.start({ users: { someone: "secret" } });
  registry.addImage("private", "1", { layers: [rawTar({ name: "a", content: "a" })] });
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
});

/** A call that is not answered. `reached`: it has come. */
const silent = (reached: () => void): Method =>
  async function* () {
    reached();
    yield await new Promise<never>(() => {});
  };

/** Serves the Dockerfile, and of the context these packets: the last one when a file is asked for. */
const halfContext =
  (dockerfile: string, packets: readonly DraftOf<typeof packetType>[]) =>
  (reached: () => void): Method =>
    async function* (requests, call) {
      const isContext = call.metadata.get("dir-name")?.[0] === "context" && !call.metadata.has("followpaths");
      if (!isContext) return yield* directoriesOf({ dockerfile: { Dockerfile: dockerfile } })(requests, call);
      const asked = requests[Symbol.asyncIterator]();
      for (const packet of packets) {
        if (packet === packets.at(-1)) await asked.next();
        yield packetType.encode(packet);
      }
      yield* silent(reached)(requests, call);
    };

interface Stall {
  dockerfile: string;
  /** The methods that the client serves, of which one is not answered. */
  methods: (reached: () => void) => Record<string, Method>;
  request?: DraftOf<typeof solveType>;
  /** Whether the build is not in the list of builds yet. */
  isUnknown?: true;
}

const large = { stat: { path: Buffer.from("a"), mode: 0o644, size: 1_000_000n } };
const secret = (options: string) => `FROM tools:1\nRUN --mount=type=${options} cat /run/secrets/s # `;
const cacheTo = (attributes: Record<string, string>) => ({
  cache: { exports: [{ type: "local", attributes: new Map(Object.entries(attributes)) }] },
});

const STALLS: Readonly<Record<string, () => Stall>> = {
  "its Dockerfile": () => ({
    dockerfile: "",
    methods: (reached) => ({ [DIFF_COPY]: silent(reached) }),
    isUnknown: true,
  }),
  "the list of its files": () => {
    const dockerfile = "FROM tools:1\nCOPY . /\n";
    return { dockerfile, methods: (reached) => ({ [DIFF_COPY]: halfContext(dockerfile, [])(reached) }) };
  },
  "the bytes of a file": () => {
    const dockerfile = "FROM tools:1\nCOPY . /\n";
    const packets = [large, { kind: PACKET_KINDS.stat }, { kind: PACKET_KINDS.data, data: Buffer.alloc(30_000) }];
    return { dockerfile, methods: (reached) => ({ [DIFF_COPY]: halfContext(dockerfile, packets)(reached) }) };
  },
  "a context that it has from elsewhere": () => ({
    dockerfile: "",
    methods: (reached) => ({ "/moby.upload.v1.Upload/Pull": silent(reached) }),
    request: { frontendAttributes: new Map([["context", "http://buildkit-session/x"]]) },
  }),
  "a secret": () => ({
    dockerfile: secret("secret,id=s"),
    methods: (reached) => ({ "/moby.buildkit.secrets.v1.Secrets/GetSecret": silent(reached) }),
  }),
  "whether it has an agent": () => ({
    dockerfile: secret("ssh"),
    methods: (reached) => ({ "/moby.sshforward.v1.SSH/CheckAgent": silent(reached) }),
  }),
  "its credentials": () => ({
    dockerfile: `FROM ${registry.host}/private:1\n`,
    methods: (reached) => ({ "/moby.filesync.v1.Auth/Credentials": silent(reached) }),
  }),
  "a token": () => ({
    dockerfile: `FROM ${registry.host}/private:1\n`,
    methods: (reached) => ({
      "/moby.filesync.v1.Auth/GetTokenAuthority": async function* () {
        yield new Uint8Array();
      },
      "/moby.filesync.v1.Auth/FetchToken": silent(reached),
    }),
  }),
  "that it takes an archive": () => ({
    dockerfile: "FROM tools:1\n",
    methods: (reached) => ({ [FILE_SEND]: silent(reached) }),
    request: { exporters: [{ type: "tar" }] },
  }),
  "which files it takes": () => ({
    dockerfile: "FROM tools:1\n",
    methods: (reached) => ({ [FILE_SEND]: silent(reached) }),
    request: { exporters: [{ type: "local" }] },
  }),
  "what it has of a cache": () => ({
    dockerfile: "FROM tools:1\nRUN true # ",
    methods: (reached) => ({ "/containerd.services.content.v1.Content/Info": silent(reached) }),
    request: cacheTo({ dest: "x", store: "x" }),
  }),
};

let count = 0;

/** Begins a build whose client answers until it is asked for that. */
async function begin({ dockerfile, methods, request = {} }: Stall) {
  const reached = Promise.withResolvers<void>();
  const text = `${dockerfile}${dockerfile.endsWith("# ") ? count++ : ""}\n`;
  const directories = directoriesOf({ dockerfile: { Dockerfile: text }, context: {} });
  const client = await BuildkitClient.connect(daemon.socketPath, {
    methods: { [DIFF_COPY]: directories, ...methods(reached.resolve) },
  });
  const attributes = new Map([
    ["filename", "Dockerfile"],
    ["force-network-mode", "none"],
    ...(request.frontendAttributes ?? []),
  ]);
  const cancelled = new AbortController();
  const ref = crypto.randomUUID();
  const solve = solveType.encode({
    ...{ ref, session: client.sessionId, frontend: "dockerfile.v0", ...request },
    frontendAttributes: attributes,
  });
  const ended = client.grpc
    .unary("/moby.buildkit.v1.Control/Solve", solve, { signal: cancelled.signal })
    .then(() => "", messageOf);
  const early = await Promise.race([reached.promise, ended]);
  if (early !== undefined) throw new Error(`the build has ended: ${early}`);
  return { client, ref, ended, cancel: () => cancelled.abort(new Error("Ctrl-C")) };
}

type Begun = Awaited<ReturnType<typeof begin>>;

const ENDS: Readonly<Record<string, { end: (build: Begun) => unknown; says: RegExp; needsList?: true }>> = {
  "Ctrl-C": { end: ({ cancel }) => cancel(), says: /^Ctrl-C$/ },
  "the loss of its session": { end: ({ client }) => client.loseSession(), says: /^the client's session has ended$/ },
  "the loss of its connection": {
    end: ({ client }) => client.grpc[Symbol.dispose](),
    says: /^(the peer has gone away|the connection was given up)$/,
  },
  "whoever cancels it by its id": {
    end: ({ ref }) => daemon.request("POST", `/build/cancel?id=${ref}`),
    says: /^context canceled$/,
    needsList: true,
  },
};

/** The ids of the builds that the daemon has not ended. */
async function running(): Promise<string[]> {
  const { json } = await daemon.request("GET", "/lighter/builds");
  return json.filter(({ EndedMs }: { EndedMs: number }) => EndedMs === 0).map(({ Id }: { Id: string }) => Id);
}

for (const [what, stall] of Object.entries(STALLS))
  buildTest(`a build whose client does not say ${what} ends at once by whatever may end it`, async () => {
    for (const [how, { end, says, needsList = false }] of Object.entries(ENDS)) {
      if (needsList && stall().isUnknown) continue;
      const build = await begin(stall());
      await using _ = build.client;
      await end(build);
      const said = await Promise.race([build.ended, sleep(5000, "nothing for 5 s", { ref: false })]);
      expect(`${how}: ${said}`).toMatch(new RegExp(`^${how}: ${says.source.slice(1)}`));
      await until(async () => !(await running()).includes(build.ref), `${how}: the build has ended`);
    }
  });

buildTest("a build whose client stops in the middle of its tar ends when it is cancelled", async () => {
  for (const version of [1, 2]) {
    const socket = connect(daemon.socketPath);
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    const id = `half-${version}`;
    const head = `POST /build?version=${version}&buildid=${id} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n`;
    const tar = rawTar({ name: "Dockerfile", content: "FROM tools:1\n" });
    socket.write(`${head}Content-Length: ${tar.length}\r\n\r\n`);
    socket.write(tar.subarray(0, tar.length / 2));
    await until(async () => {
      await daemon.request("POST", `/build/cancel?id=${id}`);
      return answer.includes("context canceled");
    }, `version ${version}: the build is cancelled`);
    socket.destroy();
  }
  expect(await running()).toEqual([]);
});
