/** Definitions (LLB) of clients of BuildKit's API, against our daemon with real containers. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { messageOf } from "../../src/base/errors.ts";
import { Outbox } from "../../src/grpc/outbox.ts";
import {
  buildStatusType,
  directoryType,
  execMessageType,
  fileStatType,
  newContainerType,
  readDirectoryType,
  releaseContainerType,
  statFileType,
  statusRequestType,
} from "../../src/spec/buildkit.ts";
import { type Definition, opMetadataType } from "../../src/spec/llb.ts";
import type { DraftOf } from "../../src/spec/protobuf.ts";
import { type Build, BuildkitClient } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { Graph } from "../support/llb-graph.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

/** In the command line of a process that no other test has. */
const MARK = 100_000 + process.pid;

let daemon: TestDaemon;
let client: BuildkitClient;

const DIRECTORIES = { src: { "a.txt": "A", "b.txt": "B", "dir/c": "C" } };

beforeAll(async () => {
  daemon = await TestDaemon.start();
  client = await BuildkitClient.connect(daemon.socketPath, { directories: DIRECTORIES, secrets: { s: "secret" } });
  if (canBuild) await loadTools(daemon);
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

/** The text of the failure. Bun's `rejects` would wait for it in a loop that never serves the connection. */
const failure = (call: Promise<unknown>) => call.then(() => "", messageOf);

const EPOCH = { timestamp: 1_000_000_000n };
const PLAIN = { timestamp: -1n };
const MERGED = { followSymlink: true, copiesContents: true, createDestination: true, mode: -1, timestamp: -1n };
const meta = (...args: string[]) => ({ args, cwd: "/", env: ["PATH=/bin"] });
const sh = (script: string) => meta("/bin/sh", "-c", script);

/** Solves a graph, and reads what `use` wants of it. */
async function solved<T>(graph: Graph, result: string, use: (read: (path: string) => Promise<string>) => Promise<T>) {
  let value: T | undefined;
  await client.build({}, async (build) => {
    const ref = await build.ref(graph.of(result));
    value = await use((path) => build.read(ref, path));
    return {};
  });
  return value!;
}

buildTest("files are made, copied, linked and removed, in one layer", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://docker.io/library/tools:1");
  const local = graph.source("local://src");
  const owner = { user: { byName: { name: "user", input: 0 } }, group: { byId: 5 } };
  const actions = [
    { makeDirectory: { path: "/new/deep", mode: 0o750, makesParents: true, owner, ...EPOCH } },
    { makeFile: { path: "/new/file", mode: 0o640, data: Buffer.from("content"), owner, ...EPOCH } },
    { makeFile: { path: "/etc/group", mode: 0o600, data: Buffer.from("replaced"), ...PLAIN } },
    { makeSymlink: { target: "file", path: "/new/link", ...PLAIN } },
    { remove: { path: "/etc/passwd" } },
    { remove: { path: "/bin/l*", allowWildcard: true } },
    { remove: { path: "/none", allowNotFound: true } },
    { secondary: 1, copy: { ...MERGED, source: "/dir", destination: "/contents/" } },
    { secondary: 1, copy: { ...MERGED, copiesContents: false, source: "/dir", destination: "/new" } },
    {
      secondary: 1,
      copy: { ...MERGED, ...EPOCH, source: "/*.txt", destination: "/texts/", allowWildcard: true, mode: 0o600 },
    },
    {
      secondary: 1,
      copy: { ...MERGED, source: "/none*", destination: "/texts/", allowWildcard: true, allowEmptyWildcard: true },
    },
    { secondary: 1, copy: { ...MERGED, source: "/", destination: "/some/", include: ["*.txt"], exclude: ["b*"] } },
  ].map(({ secondary = -1, ...action }: { secondary?: number }, index, all) => ({
    ...action,
    input: index === 0 ? 0 : 1 + index,
    secondaryInput: secondary,
    output: index === all.length - 1 ? 0 : -1,
  }));
  const changed = graph.add({ file: { actions } }, image, local);
  const script =
    "cd /; stat -c '%n %a %u:%g %Y' new/deep new/file etc/group texts/a.txt; readlink new/link; ls contents new texts some; ls bin etc";
  const seen = graph.add({ exec: { meta: sh(`(${script}) > /seen`), mounts: [{ target: "/" }] } }, changed);
  const text = await solved(graph, seen, (read) => read("/seen"));
  expect(text).toContain("new/deep 750 1000:5 1\nnew/file 640 1000:5 1\netc/group 600 0:0 ");
  expect(text).toContain("texts/a.txt 600 0:0 1\nfile\n");
  expect(text).toContain("contents:\nc\n\nnew:\ndeep\ndir\nfile\nlink\n\nsome:\na.txt\n\ntexts:\na.txt\nb.txt\n");
  expect(text).not.toMatch(/^(passwd|ls|ln)$/m);
  expect(text).toMatch(/^mkdir$/m);
});

buildTest("commands: mounts of all kinds, the second result of one, a root file system that is only read", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const local = graph.source("local://src");
  const mounts = [
    { input: 0, target: "/", output: 0 },
    { input: 1, target: "/part", selector: "/dir", readOnly: true, output: -1 },
    { input: -1, target: "/out", output: 1 },
    { input: -1, target: "/tmpfs", output: -1, type: 4, tmpfs: { sizeBytes: 1 << 20 } },
    { input: -1, target: "/cache", output: -1, type: 3, cache: { id: "c", sharing: 2 } },
    { input: -1, target: "/run/s", output: -1, type: 1, secret: { id: "s", mode: 0o400 } },
    { input: -1, target: "/run/none", output: -1, type: 1, secret: { id: "none", optional: true } },
  ];
  const script = "cat /part/c /run/s > /out/o; stat -c %a /out >> /out/o; touch /cache/x; ls /run > /root-changed";
  const hosts = [{ name: "far", value: "192.0.2.7" }];
  const ulimits = [{ name: "nofile", soft: 100, hard: 200 }];
  const more = { extraHosts: hosts, ulimits, user: "root" };
  const exec = { meta: { ...sh(script), ...more }, mounts, network: 2, secretEnv: [{ id: "s", name: "S" }] };
  const both = graph.add({ exec }, image, local);
  const readOnly = graph.add(
    {
      exec: {
        meta: sh("touch /x 2>/dev/null || echo no > /out/o; ulimit -n >> /out/o"),
        mounts: [
          { input: 0, target: "/", readOnly: true, output: -1 },
          { input: -1, target: "/out", output: 0 },
        ],
      },
    },
    image,
  );
  expect(await solved(graph, `${both}#1`, (read) => read("/o"))).toBe("Csecret755\n");
  expect(await solved(graph, both, (read) => read("/root-changed"))).toBe("s\n");
  expect(await solved(graph, readOnly, (read) => read("/o"))).toStartWith("no\n");
});

buildTest("a command with several results is run once, even if no cache is used", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const script = "cat /proc/sys/kernel/random/uuid > /root-id; cp /root-id /one/id; cp /root-id /two/id";
  const mounts = [
    { input: 0, target: "/", output: 0 },
    { input: -1, target: "/one", output: 1 },
    { input: -1, target: "/two", output: 2 },
  ];
  const both = graph.add({ exec: { meta: sh(script.replaceAll("cp", "/bin/busybox cp")), mounts } }, image);
  const copy = (destination: string, input: number) => ({
    copy: { ...MERGED, source: "/id", destination },
    input: input === 1 ? 0 : 1 + input,
    secondaryInput: input,
    output: input === 2 ? 0 : -1,
  });
  const all = graph.add(
    { file: { actions: [copy("/one-id", 1), copy("/two-id", 2)] } },
    both,
    `${both}#1`,
    `${both}#2`,
  );
  const ids = (definition: Definition) =>
    client.build({}, async (build) => {
      const ref = await build.ref(definition);
      const read = await Promise.all(["/root-id", "/one-id", "/two-id"].map((path) => build.read(ref, path)));
      expect(new Set(read).size).toBe(1);
      found.push(read[0]!);
      return {};
    });
  const found: string[] = [];
  const definition = graph.of(all);
  const metadata = new Map([[both, opMetadataType.encode({ ignoreCache: true })]]);
  for (const each of [definition, definition, { ...definition, metadata }]) await ids(each);
  expect(found[1]).toBe(found[0]!);
  expect(found[2]).not.toBe(found[0]!);
});

buildTest("merge puts results over each other, diff takes what one has beyond another", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const made = (path: string, text: string, base?: string) =>
    graph.add(
      {
        file: {
          actions: [
            {
              input: base === undefined ? -1 : 0,
              secondaryInput: -1,
              makeFile: { path, data: Buffer.from(text), mode: 0o644, ...PLAIN },
            },
          ],
        },
      },
      ...(base === undefined ? [] : [base]),
    );
  const [one, two] = [made("/one", "1", image), made("/two", "2", image)];
  const removed = graph.add({ file: { actions: [{ secondaryInput: -1, remove: { path: "/etc/group" } }] } }, two);
  const merged = graph.add(
    { merge: { inputs: [{ input: 0 }, { input: 1 }, { input: 2 }] } },
    one,
    removed,
    made("/one", "over"),
  );
  const list = graph.add(
    {
      exec: {
        meta: sh("cat /one /two > /seen; ls /etc/passwd /etc/group >> /seen 2>/dev/null; true"),
        mounts: [{ target: "/" }],
      },
    },
    merged,
  );
  expect(await solved(graph, list, (read) => read("/seen"))).toBe("over2/etc/passwd\n");
  const difference = graph.add({ diff: { lower: { input: 0 }, upper: { input: 1 } } }, image, two);
  await client.build({}, async (build) => {
    const ref = await build.ref(graph.of(difference));
    const answer = await build.call("ReadDir", readDirectoryType.encode({ ref, path: "/" }));
    expect(directoryType.decode(answer).entries.map(({ path }) => Buffer.from(path).toString())).toEqual(["two"]);
    const { stat } = fileStatType.decode(await build.call("StatFile", statFileType.encode({ ref, path: "/two" })));
    expect(stat).toMatchObject({ mode: 0o644, size: 1n });
    expect(await failure(build.read(ref, "/none"))).toBe("open /none: no such file or directory");
    expect(await failure(build.read(ref, "/../../etc/hostname"))).toContain("no such file");
    return {};
  });
  const other = graph.add({ diff: { lower: { input: 0 }, upper: { input: 1 } } }, one, two);
  expect(await failure(solved(graph, other, async () => ""))).toContain(
    "a difference of what was not made one of the other",
  );
});

buildTest(
  "a definition is exported as an image, with the config that its client gives, and without the gateway",
  async () => {
    const graph = new Graph();
    const image = graph.source("docker-image://tools:1");
    const ran = graph.add({ exec: { meta: sh("echo made > /made"), mounts: [{ target: "/" }] } }, image);
    const exporters = (name: string) => [{ type: "moby", attributes: new Map([["name", name]]) }];
    const config = {
      architecture: "amd64",
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: ["cat", "/made"], Labels: { a: "b" } },
    };
    const answer = await client.build({ exporters: exporters("llb:1") }, async (build) => {
      const id = await build.ref(graph.of(ran));
      const metadata = new Map([["containerimage.config", Buffer.from(JSON.stringify(config))]]);
      return { ref: { id }, metadata };
    });
    const { json } = await daemon.request("GET", "/images/llb:1/json");
    expect(answer.get("containerimage.config.digest")).toBe(json.Id);
    expect(json.Config).toMatchObject({ Cmd: ["cat", "/made"], Labels: { a: "b" } });
    expect(json.RootFS.Layers).toHaveLength(2);

    const direct = await client.solve({ definition: graph.of(ran), exporters: exporters("llb:2") });
    expect(direct.get("image.name")).toBe("docker.io/library/llb:2");
    expect((await daemon.request("GET", "/images/llb:2/json")).json.RootFS).toEqual(json.RootFS);
    expect(await client.solve({ definition: graph.of(ran) })).toEqual(new Map());
  },
);

buildTest("what older clients say, what belongs together, and what is not heeded", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const script = "/bin/busybox hostname > /name";
  const ran = graph.add({ exec: { meta: { ...sh(script), hostname: "named" }, mounts: [{ target: "/" }] } }, image);
  const progressGroup = { id: "g", name: "together", weak: true };
  const definition = { ...graph.of(ran), metadata: new Map([[ran, opMetadataType.encode({ progressGroup })]]) };
  const ref = `older-${MARK}`;
  const statuses = Array.fromAsync(
    client.grpc.call("/moby.buildkit.v1.Control/Status", [statusRequestType.encode({ ref })]),
    (bytes) => buildStatusType.decode(bytes),
  );
  const exporterAttributesDeprecated = new Map([["name", "older:1"]]);
  await client.solve({ ref, definition, exporterDeprecated: "moby", exporterAttributesDeprecated });
  expect((await daemon.request("GET", "/images/older:1/json")).status).toBe(200);
  const groups = (await statuses).flatMap(({ vertexes }) => vertexes.map((vertex) => vertex.progressGroup));
  expect(groups).toContainEqual(progressGroup);
  expect(await solved(graph, ran, (read) => read("/name"))).toBe("named\n");
  const sourcePolicy = new Uint8Array([8, 1]);
  expect(await failure(client.solve({ definition, sourcePolicy }))).toContain("a policy for the sources of a build");
});

buildTest("what a definition cannot have is refused by name, and its steps' failures are told", async () => {
  const graph = new Graph();
  const image = graph.source("docker-image://tools:1");
  const refusal = async (result: string) => await failure(solved(graph, result, async () => ""));
  const exec = (more: object) => graph.add({ exec: { meta: sh("exit 3"), mounts: [{ target: "/" }], ...more } }, image);
  expect(await refusal(exec({}))).toBe('process "/bin/sh -c exit 3" did not complete successfully: exit code: 3');
  expect(await refusal(exec({ security: 1 }))).toBe("security.insecure is not allowed");
  expect(await refusal(exec({ network: 7 }))).toContain("the network 7");
  expect(await refusal(exec({ cdiDevices: [new Uint8Array(1)] }))).toContain("a device (CDI)");
  expect(await refusal(graph.source("oci-layout://x/y@sha256:0"))).toContain(
    "the source oci-layout://x/y@sha256:0 has no digest",
  );
  expect(await refusal(graph.source("docker-image+blob://x"))).toContain(
    "the source docker-image+blob:// is not supported yet",
  );
  expect(await refusal(graph.source("local://nobody-serves-this"))).toBe("");
  expect(await refusal(graph.add({ build: {} }, image))).toContain('the operation "build" of LLB');
  expect(await refusal("sha256:0")).toContain("the definition has no operation");
});

/** The process's part of a stream of processes: what it prints, until it is done. */
async function conversation(
  build: Build,
  init: { containerId: string; script: string; hasTerminal?: boolean },
  say: (send: (message: DraftOf<typeof execMessageType>) => void, printed: () => string) => Promise<void> | void,
) {
  const requests = new Outbox();
  const send = (message: DraftOf<typeof execMessageType>) =>
    requests.send(execMessageType.encode({ processId: "p", ...message }));
  const { containerId, script, hasTerminal = false } = init;
  send({ init: { containerId, meta: sh(script), fds: hasTerminal ? [0, 1] : [0, 1, 2], hasTerminal } });
  const printed = ["", "", ""];
  let [code, order] = [-1, ""];
  const stream = build.stream("ExecProcess", requests);
  for await (const bytes of stream) {
    const { started, file, exit, done } = execMessageType.decode(bytes);
    if (started !== undefined) {
      order += "s";
      void say(send, () => printed.join(""));
    }
    if (file !== undefined) printed[file.fd] += Buffer.from(file.data).toString();
    if (exit !== undefined) [code, order] = [exit.code, `${order}e`];
    if (done === undefined) continue;
    order += "d";
    requests.close();
  }
  return { code, order, printed };
}

buildTest(
  "containers: processes with streams, a terminal, signals; one beside another, and all end with the build",
  async () => {
    const graph = new Graph();
    const image = graph.source("docker-image://tools:1");
    const file = { makeFile: { path: "/f", mode: 0o644, data: Buffer.from("F"), ...PLAIN } };
    const part = graph.add({ file: { actions: [{ input: -1, secondaryInput: -1, ...file }] } });
    const isRunning = () => spawnSync("pgrep", ["-f", `sleep ${MARK}$`]).status === 0;
    let left: Promise<unknown> | undefined;
    await client.build({}, async (build) => {
      const [root, mounted] = [await build.ref(graph.of(image)), await build.ref(graph.of(part))];
      const mounts = [
        { result: root, target: "/" },
        { result: mounted, target: "/part", readOnly: true },
      ];
      const open = (containerId: string) =>
        build.call("NewContainer", newContainerType.encode({ containerId, mounts }));
      await open("one");
      const echoed = await conversation(
        build,
        { containerId: "one", script: "cat /part/f; cat; echo e >&2; exit 3" },
        (send) => {
          send({ file: { fd: 0, data: Buffer.from("typed") } });
          send({ file: { fd: 0, isEnd: true } });
        },
      );
      expect(echoed).toEqual({ code: 3, order: "sed", printed: ["", "Ftyped", "e\n"] });
      const over = await conversation(build, { containerId: "one", script: "true" }, () => {});
      expect(over).toMatchObject({ code: 255, order: "ed" });

      await open("two");
      const script = `echo $$; trap 'echo got it; exit 5' TERM; while :; do sleep 0.1; done`;
      const init = conversation(build, { containerId: "two", script }, async (send, printed) => {
        await until(() => printed() !== "", "it has begun");
        const beside = await conversation(
          build,
          { containerId: "two", script: "stty size; tty; exit 4", hasTerminal: true },
          (sized) => sized({ resize: { rows: 10, columns: 20 } }),
        );
        expect(beside).toMatchObject({ code: 4, order: "sed" });
        expect(beside.printed[1]).toContain("/dev/pts/");
        send({ signal: { name: "SIGTERM" } });
      });
      expect(await init).toEqual({ code: 5, order: "sed", printed: ["", "1\ngot it\n", ""] });

      await open("three");
      const running = Promise.withResolvers<void>();
      left = conversation(build, { containerId: "three", script: `sleep ${MARK}` }, () => running.resolve()).catch(
        messageOf,
      );
      await running.promise;
      await until(isRunning, "it runs");
      expect(await failure(open("three"))).toContain("exists already");
      expect(await failure(build.call("ReleaseContainer", releaseContainerType.encode({ containerId: "x" })))).toBe(
        "no such container: x",
      );
      return {};
    });
    await left;
    await until(() => !isRunning(), "it has ended with the build");
  },
);
