/** The stock `docker buildx`, and clients of BuildKit's API that misbehave, against our daemon with real containers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { dataOf, piecesOf } from "../../src/api/buildkit/pieces.ts";
import { messageOf } from "../../src/base/errors.ts";
import { sendTree } from "../../src/engine/build/send-tree.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { type Method, type Methods, serveGrpc, unary } from "../../src/grpc/server.ts";
import { openTunnel } from "../../src/grpc/tunnel.ts";
import {
  buildStatusType,
  emptyType,
  historyEventType,
  historyRequestType,
  historyUpdateType,
  listWorkersAnswerType,
  secretRequestType,
  secretType,
  solveType,
  statusRequestType,
} from "../../src/spec/buildkit.ts";
import { upgrade as upgradeAt } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { until } from "../support/eventually.ts";
import { loadFrontend } from "../support/frontend-image.ts";
import { rawTar } from "../support/image-tar.ts";
import { missing } from "../support/missing.ts";
import { readTar } from "../support/read-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { loadTools } from "../support/tools-image.ts";

const hasBuildx = spawnSync("docker", ["buildx", "version"]).status === 0;
const whyNot = isRoot
  ? (missing("docker", "busybox") ?? (hasBuildx ? undefined : "needs docker-buildx"))
  : "needs root";
const stock = testIf(whyNot === undefined, whyNot ?? "");

const CONTROL = "/moby.buildkit.v1.Control";

let daemon: TestDaemon;
let directory: string;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  directory = mkdtempSync(join(tmpdir(), "lighter-buildkit-"));
  if (whyNot !== undefined) return;
  await loadTools(daemon);
});

afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  await daemon[Symbol.asyncDispose]();
});

/** Makes a context of its own. */
function contextOf(files: Record<string, string>): string {
  const context = mkdtempSync(join(directory, "context-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(context, name)), { recursive: true });
    writeFileSync(join(context, name), content);
  }
  return context;
}

function spawnBuildx(args: readonly string[], stdin?: Uint8Array) {
  const env = {
    ...(args.some((arg) => arg.startsWith("--print")) ? { BUILDX_EXPERIMENTAL: "1" } : {}),
    ...process.env,
    DOCKER_HOST: `unix://${daemon.socketPath}`,
    DOCKER_CONFIG: join(directory, "config"),
  };
  return Bun.spawn(["docker", "buildx", ...args], { env, stdin: stdin ?? "ignore", stdout: "pipe", stderr: "pipe" });
}

async function buildx(args: readonly string[], stdin?: Uint8Array) {
  const child = spawnBuildx(args, stdin);
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

const build = (context: string, ...args: string[]) => buildx(["build", "--progress=plain", ...args, context]);

async function outputOf(image: string, ...command: string[]): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}` };
  const child = Bun.spawn(["docker", "run", "--rm", image, ...command], { env, stdout: "pipe", stderr: "inherit" });
  return await new Response(child.stdout).text();
}

stock("buildx lists this daemon as a builder, with its platform", async () => {
  expect((await buildx(["ls"])).stdout).toMatch(/default\s+running\s+v0\.\d+\.\d+\s+linux\/\w+/);
  expect((await buildx(["inspect"])).stdout).toMatch(/^Status:\s+running$/m);
});

stock("a build sends its context without what is ignored, shows each step, and tags the image", async () => {
  const dockerfile = "FROM tools:1\nARG WHO=nobody\nCOPY . /d/\nRUN ls -a /d && echo $WHO > /who\n";
  const files = {
    Dockerfile: dockerfile,
    ".dockerignore": "ignored\nsub/*\n!sub/kept\n",
    ignored: "",
    "sub/kept": "k",
    "sub/lost": "l",
  }; // prettier-ignore
  const context = contextOf({ ...files, "ä b": "ä\n", large: "x".repeat(300_000) });
  symlinkSync("sub/kept", join(context, "link"));
  const args = ["-t", "bk:1", "-t", "bk:2", "--build-arg", "WHO=me", "--label", "a=b"];
  const built = await build(context, ...args);
  expect(built).toMatchObject({ code: 0 });
  expect(built.stderr).toContain("[internal] load build definition from Dockerfile");
  expect(built.stderr).toContain("[internal] load metadata for docker.io/library/tools:1");
  expect(built.stderr).toContain("[1/3] FROM docker.io/library/tools:1");
  expect(built.stderr).toMatch(/#\d+ \[2\/3\] COPY \. \/d\/\n#\d+ DONE/);
  expect(built.stderr).toMatch(/#\d+ \d+\.\d+ large\n/);
  expect(built.stderr).not.toContain("ignored\n");
  expect(built.stderr).toContain("naming to docker.io/library/bk:2 done");
  expect(await outputOf("bk:1", "cat", "/d/link", "/d/ä b", "/who")).toBe("kä\nme\n");
  expect(await outputOf("bk:2", "ls", "/d/sub")).toBe("kept\n");
  const { json } = await daemon.request("GET", "/images/bk:1/json");
  expect(json.Config.Labels).toEqual({ a: "b" });

  const again = await build(context, ...args);
  expect(again.stderr).toMatch(/#\d+ \[3\/3\] RUN ls[^\n]*\n#\d+ CACHED/);
});

stock("a Dockerfile, or a whole context, comes from standard input", async () => {
  const dockerfile = Buffer.from("FROM tools:1\nCOPY a /a\n");
  const context = contextOf({ a: "from the directory\n" });
  expect(await buildx(["build", "-t", "stdin:1", "-f", "-", context], dockerfile)).toMatchObject({ code: 0 });
  expect(await outputOf("stdin:1", "cat", "/a")).toBe("from the directory\n");
  const tar = gzipSync(rawTar({ name: "Dockerfile", content: dockerfile }, { name: "a", content: "from a tar\n" }));
  expect(await buildx(["build", "-t", "stdin:2", "-"], tar)).toMatchObject({ code: 0 });
  expect(await outputOf("stdin:2", "cat", "/a")).toBe("from a tar\n");
});

stock("only what steps copy is asked for", async () => {
  const files = { a: "small", large: "x".repeat(3_000_000) };
  const none = await build(contextOf({ ...files, Dockerfile: "FROM tools:1\nRUN echo nothing copied\n" }));
  expect(none).toMatchObject({ code: 0 });
  expect(none.stderr).not.toContain("load build context");
  const one = await build(contextOf({ ...files, Dockerfile: "FROM tools:1\nCOPY a /\n" }));
  expect(one).toMatchObject({ code: 0 });
  expect(one.stderr).toMatch(/transferring context: [\d.]+kB/);
  const all = await build(contextOf({ ...files, Dockerfile: "FROM tools:1\nCOPY . /d/\n" }));
  expect(all.stderr).toMatch(/transferring context: 3\.\d+MB/);
});

stock("failures have the Dockerfile's lines, and the client's exit code", async () => {
  const broken = await build(contextOf({ Dockerfile: "FROM tools:1\nRUNN true\n" }));
  expect(broken.code).toBe(1);
  expect(broken.stderr).toContain("Dockerfile:2\n");
  expect(broken.stderr).toContain(
    "ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
  );
  const failed = await build(contextOf({ Dockerfile: "FROM tools:1\nRUN echo why >&2; exit 3\n" }));
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain(">>> RUN echo why >&2; exit 3\n");
  expect(failed.stderr).toContain(
    'ERROR: failed to solve: process "/bin/sh -c echo why >&2; exit 3" did not complete successfully: exit code: 3',
  );
  const absent = await build(contextOf({}));
  expect(absent.stderr).toContain("failed to read dockerfile: open Dockerfile: no such file or directory");
  const refused = await build(contextOf({ Dockerfile: "FROM tools:1\n" }), "--platform", "plan9/s390x");
  expect(refused.stderr).toContain("building for plan9/s390x is not supported yet");
});

stock("a command gets the client's secrets, which are in no layer", async () => {
  const context = contextOf({
    Dockerfile:
      "FROM tools:1\nRUN --mount=type=secret,id=s,required --mount=type=secret,id=none cat /run/secrets/s; ls /run/secrets\n",
  });
  writeFileSync(join(directory, "secret"), "do not tell\n");
  const refused = await build(context);
  expect(refused.stderr).toContain("ERROR: failed to solve: secret s: not found");
  const built = await build(context, "-t", "secret:1", "--secret", `id=s,src=${join(directory, "secret")}`);
  expect(built.stderr).toMatch(/#\d+ [\d.]+ do not tell\n#\d+ [\d.]+ s\n/);
  expect(await outputOf("secret:1", "ls", "/")).not.toContain("run");
});

const noAgent = whyNot ?? missing("ssh-agent", "ssh-add", "ssh-keygen");
testIf(noAgent === undefined, noAgent ?? "")(
  "a command talks to the client's ssh agent, and more than once",
  async () => {
    const context = contextOf({
      Dockerfile: "FROM tools:1\nCOPY root /\nRUN --mount=type=ssh /ssh-add -l && /ssh-add -L && ls /run/buildkit\n",
    });
    const program = Bun.which("ssh-add")!;
    const libraries = spawnSync("ldd", [program]).stdout.toString().match(/\/\S+/g) ?? [];
    for (const [from, to] of [[program, "/ssh-add"], ...libraries.map((path) => [path, path])] as [string, string][]) {
      mkdirSync(dirname(join(context, "root", to)), { recursive: true });
      copyFileSync(from, join(context, "root", to));
    }
    const key = join(directory, "key");
    spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
    const socket = join(directory, "agent");
    const agent = Bun.spawn(["ssh-agent", "-D", "-a", socket], { stdout: "ignore" });
    try {
      await until(() => existsSync(socket), "the agent listens");
      spawnSync("ssh-add", ["-q", key], { env: { ...process.env, SSH_AUTH_SOCK: socket } });
      const built = await build(context, "--no-cache", "--ssh", `default=${socket}`);
      expect(built).toMatchObject({ code: 0 });
      expect(built.stderr).toContain(readFileSync(`${key}.pub`, "latin1").split(" ")[1]!);
      expect(built.stderr).toContain("ssh_agent.0");
    } finally {
      agent.kill();
      await agent.exited;
    }
  },
);

stock("what is built goes to the client, as a directory or a tar, and no image is made", async () => {
  const dockerfile = "FROM scratch\nCOPY . /d/\nCOPY --chmod=4750 a /set\n";
  const context = contextOf({
    Dockerfile: dockerfile,
    ".dockerignore": "Dockerfile",
    a: "A\n",
    "x/large": "x".repeat(200_000),
    "x-y": "",
  }); // prettier-ignore
  symlinkSync("x/large", join(context, "link"));
  const before = (await daemon.request("GET", "/images/json?all=1")).json.length;
  const out = join(directory, "out");
  const built = await build(context, "--output", `type=local,dest=${out}`);
  expect(built).toMatchObject({ code: 0 });
  expect(built.stderr).toContain("exporting to client directory");
  expect(readdirSync(out, { recursive: true }).sort()).toEqual([
    "d",
    "d/.dockerignore",
    "d/a",
    "d/link",
    "d/x",
    "d/x-y",
    "d/x/large",
    "set",
  ]);
  expect(readFileSync(join(out, "d/link"), "latin1")).toBe("x".repeat(200_000));
  expect(statSync(join(out, "set")).mode & 0o7777).toBe(0o4750);

  expect(await build(context, "--output", `type=tar,dest=${out}.tar`)).toMatchObject({ code: 0 });
  expect(readTar(readFileSync(`${out}.tar`)).map(({ path }) => String(path))).toContain("d/x/large");
  expect((await daemon.request("GET", "/images/json?all=1")).json.length).toBe(before);

  const refused = await build(context, "--output", "type=local,dest=/proc/none");
  expect(refused.stderr).toContain("ERROR: failed to solve: failed to create synctarget dest dir /proc/none");
});

const HOST = process.arch === "x64" ? "amd64" : process.arch;
const FOREIGN = HOST === "amd64" ? "arm64" : "amd64";
const BOTH = `linux/${HOST},linux/${FOREIGN}`;
/** Built here, for another platform. */
const CROSS =
  "FROM --platform=$BUILDPLATFORM tools:1 AS build\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\nFROM scratch\nCOPY --from=build /arch /arch\n";

stock("a build for several platforms: a directory for each, an index, and the host's image in the store", async () => {
  const context = contextOf({ Dockerfile: CROSS });
  const out = join(directory, "platforms");
  const local = await build(context, "--platform", BOTH, "--output", `type=local,dest=${out}`);
  expect(local).toMatchObject({ code: 0 });
  expect(local.stderr).toContain(`[linux/${HOST} build 2/2] RUN echo $TARGETARCH > /arch`);
  expect(local.stderr).toContain(`[linux/${FOREIGN} stage-1 1/1] COPY --from=build /arch /arch`);
  for (const name of [HOST, FOREIGN])
    expect(readFileSync(join(out, `linux_${name}`, "arch"), "latin1")).toBe(`${name}\n`);

  expect(await build(context, "--platform", BOTH, "-o", `type=tar,dest=${out}.tar`)).toMatchObject({ code: 0 });
  const paths = readTar(readFileSync(`${out}.tar`)).map(({ path }) => String(path));
  expect(paths).toEqual(["linux_amd64/", "linux_amd64/arch", "linux_arm64/", "linux_arm64/arch"]);

  const before = (await daemon.request("GET", "/images/json?all=1")).json.length;
  const files = { oci: `${out}.oci`, metadata: `${out}.json` };
  const archive = ["-o", `type=oci,dest=${files.oci},name=multi:1`, "--metadata-file", files.metadata];
  expect(await build(context, "--platform", BOTH, ...archive)).toMatchObject({ code: 0 });
  const blobs = new Map(readTar(readFileSync(files.oci)).map(({ path, content }) => [String(path), content]));
  const json = (path: string) => JSON.parse(Buffer.from(blobs.get(path)!).toString());
  const { manifests } = json("index.json");
  expect(manifests).toHaveLength(1);
  expect(manifests[0].annotations["io.containerd.image.name"]).toBe("docker.io/library/multi:1");
  expect(JSON.parse(readFileSync(files.metadata, "latin1"))["containerimage.digest"]).toBe(manifests[0].digest);
  const index = json(`blobs/${manifests[0].digest.replace(":", "/")}`);
  expect(index.manifests.map(({ platform }: { platform: object }) => platform)).toEqual([
    { architecture: HOST, os: "linux" },
    { architecture: FOREIGN, os: "linux" },
    ...[0, 1].map(() => ({ architecture: "unknown", os: "unknown" })), // how each was made
  ]);
  expect((await daemon.request("GET", "/images/json?all=1")).json.length).toBe(before);
  const refused = await build(context, "--platform", BOTH, "-o", `type=docker,dest=${out}.docker`);
  expect(refused.stderr).toMatch(/docker exporter does not (currently )?support exporting manifest lists/);

  const stored = await build(context, "--platform", BOTH, "-t", "multi:1");
  expect(stored).toMatchObject({ code: 0 });
  expect((await daemon.request("GET", "/images/multi:1/json")).json.Architecture).toBe(HOST);
  await daemon.request("DELETE", "/images/multi:1"); // and the forms for other platforms with it
  expect((await daemon.request("GET", "/images/json?all=1")).json.length).toBe(before);
});

stock("a build for a foreign platform: its image, and a clear error for what does not run here", async () => {
  const cross = await build(contextOf({ Dockerfile: CROSS }), "--platform", `linux/${FOREIGN}`, "-t", "foreign:1");
  expect(cross).toMatchObject({ code: 0 });
  expect((await daemon.request("GET", "/images/foreign:1/json")).json).toMatchObject({
    Architecture: FOREIGN,
    Os: "linux",
  });
  // An ELF header for a machine that nobody has: e_machine 0xffff.
  const program = Buffer.alloc(64);
  program.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  program.set([2, 0, 0xff, 0xff], 16);
  const context = contextOf({ Dockerfile: 'FROM foreign:1\nCOPY --chmod=755 sh /bin/sh\nRUN ["/bin/sh"]\n' });
  writeFileSync(join(context, "sh"), program);
  const failed = await build(context, "--platform", `linux/${FOREIGN}`);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain("exec format error");
});

stock("--metadata-file and --iidfile tell what was made", async () => {
  const files = { metadata: join(directory, "metadata"), id: join(directory, "id") };
  const context = contextOf({ Dockerfile: "FROM tools:1\nLABEL meta=data\n" });
  const built = await buildx([
    "build",
    "-q",
    "-t",
    "meta:1",
    "--metadata-file",
    files.metadata,
    "--iidfile",
    files.id,
    context,
  ]); // prettier-ignore
  const { json } = await daemon.request("GET", "/images/meta:1/json");
  expect(built).toMatchObject({ code: 0, stdout: `${json.Id}\n` });
  expect(readFileSync(files.id, "latin1")).toBe(json.Id);
  expect(JSON.parse(readFileSync(files.metadata, "latin1"))).toMatchObject({
    "containerimage.digest": json.Id,
    "image.name": "docker.io/library/meta:1",
  });
});

stock("contexts by name: directories and images, in place of stages and images of that name", async () => {
  const other = contextOf({ o: "other\n", ignored: "", ".dockerignore": "ignored\n" });
  const dockerfile =
    "FROM base AS kept\nFROM kept AS replaced\nCOPY --from=dir / /d/\nCOPY --from=dir o /o\nRUN ls -A /d\n";
  const args = ["--build-context", `dir=${other}`, "--build-context", "base=docker-image://tools:1"];
  const built = await build(contextOf({ Dockerfile: dockerfile }), "-t", "named:1", ...args);
  expect(built).toMatchObject({ code: 0 });
  expect(built.stderr).toMatch(/#\d+ [\d.]+ \.dockerignore\n#\d+ [\d.]+ o\n/);
  expect(await outputOf("named:1", "cat", "/o")).toBe("other\n");

  const root = contextOf({ "bin/x": "x" });
  const directory = await build(
    contextOf({ Dockerfile: "FROM root\nCOPY --from=tools:1 /bin/ls /bin/ls\n" }),
    "-t",
    "named:2",
    "--build-context",
    `root=${root}`,
  ); // prettier-ignore
  expect(directory).toMatchObject({ code: 0 });
  const absent = await build(
    contextOf({ Dockerfile: "FROM tools:1\nCOPY --from=dir /none /x\n" }),
    "--build-context",
    `dir=${other}`,
  ); // prettier-ignore
  expect(absent.stderr).toContain("/none");
  expect(absent.code).toBe(1);
});

stock("bake: a target is the context of others, with its files, its config and its cache", async () => {
  const inline = (...lines: string[]) => ({ "dockerfile-inline": lines.join("\n") });
  const target = {
    base: inline("FROM tools:1", "WORKDIR /w", "COPY a b /w/", "ENV WHO=base", "RUN echo ran > /ran"),
    files: inline("FROM scratch", "COPY b /"),
    app: {
      ...inline("FROM base", "COPY --from=files / /files/", "RUN cat a > /app && echo $WHO >> /app"),
      contexts: { base: "target:base", files: "target:files" },
      tags: ["baked:1"],
    },
  };
  const context = contextOf({ "bake.json": JSON.stringify({ target }), a: "A\n", b: "B\n", c: "x".repeat(100_000) });
  const bake = () => {
    const file = join(context, "bake.json");
    return buildx(["bake", "--progress=plain", "--file", file, "--set", `*.context=${context}`, "app"]);
  };
  const baked = await bake();
  expect(baked).toMatchObject({ code: 0 });
  expect(await outputOf("baked:1", "cat", "/app", "/files/b", "/ran")).toBe("A\nbase\nB\nran\n");
  const { json } = await daemon.request("GET", "/images/baked:1/json");
  expect(json.Config).toMatchObject({ WorkingDir: "/w" });
  const { json: history } = await daemon.request("GET", "/images/baked:1/history");
  expect(history.map(({ CreatedBy }: { CreatedBy: string }) => CreatedBy).join("\n")).toContain("echo ran > /ran");
  expect(await bake()).toMatchObject({ code: 0 });
  expect((await daemon.request("GET", "/images/baked:1/json")).json.Id).toBe(json.Id);
  writeFileSync(join(context, "a"), "changed\n");
  expect(await bake()).toMatchObject({ code: 0 });
  expect(await outputOf("baked:1", "cat", "/app")).toBe("changed\nbase\n");
});

const ASKED = `# a comment
ARG BASE=tools:1
# VERSION of what is built
ARG VERSION=1.0
# build makes it
FROM $BASE AS build
ARG VERSION
ARG UNUSED
RUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/cache echo $VERSION
FROM scratch AS other
# release is it
FROM scratch AS release
ARG NAME=x$VERSION
LABEL name=$NAME
COPY --from=build /etc /etc
`;

stock("--print=outline|targets answer questions about a Dockerfile, as lighter build --call does", async () => {
  const context = contextOf({ Dockerfile: ASKED });
  const lighter = (...args: string[]) => {
    const env = { ...process.env, LIGHTER_HOST: `unix://${daemon.socketPath}` };
    return spawnSync(resolve("dist/lighter"), ["build", ...args, context], { env, encoding: "utf8" });
  };
  const outline = await build(context, "--print=outline", "--build-arg", "VERSION=2.0");
  expect(outline).toMatchObject({ code: 0 });
  expect(outline.stdout.split("\n").map((line) => line.replace(/ +/g, " ").trim())).toEqual([
    "TARGET: release",
    "DESCRIPTION: is it",
    "",
    "BUILD ARG VALUE DESCRIPTION",
    "BASE tools:1",
    "VERSION 2.0 of what is built",
    "NAME x",
    "",
    "SECRET REQUIRED",
    "token true",
    "",
    "SSH REQUIRED",
    "default",
    "",
    "",
  ]);
  expect(lighter("--call=outline", "--build-arg", "VERSION=2.0").stdout).toBe(outline.stdout);
  expect((await build(context, "--print=outline", "--target", "other")).stdout).toStartWith("TARGET: other\n");
  const targets = await build(context, "--print=targets");
  expect(targets.stdout).toBe(lighter("--call=targets").stdout);
  expect(targets.stdout).toMatch(/^TARGET +DESCRIPTION\nbuild +makes it\nother *\nrelease \(default\) is it\n$/);
  const listed = await build(context, "--print=subrequests.describe");
  expect(listed.stdout).toMatch(/^outline +1\.0\.0 +List all parameters/m);
  // The names that they show for the Dockerfile differ.
  const checked = (text: string) => text.replaceAll(join(context, "Dockerfile"), "Dockerfile");
  expect((await build(context, "--print=lint")).stdout).toBe(checked(lighter("--check").stdout));
  expect((await build(context, "--print=nothing")).stderr).toContain("unsupported request frontend.nothing");
  const broken = await build(contextOf({ Dockerfile: "FROM scratch\nRUNN x\n" }), "--print=outline");
  expect(broken.stderr).toContain("failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN");
});

stock("Docker's front ends are the built-in one, and those that are not there are told", async () => {
  const withSyntax = (image: string) => build(contextOf({ Dockerfile: `# syntax=${image}\nFROM tools:1\n` }));
  expect(await withSyntax("docker/dockerfile:1.9")).toMatchObject({ code: 0 });
  const absent = await withSyntax("localhost:9/f:1");
  expect(absent.code).toBe(1);
  expect(absent.stderr).toContain("resolve image config for localhost:9/f:1");
});

const noFrontend = whyNot ?? missing("ldd");
testIf(noFrontend === undefined, noFrontend ?? "")(
  "a front end of another image has the client's files, options and inputs, and what it returns is exported",
  async () => {
    const mark = crypto.randomUUID();
    await loadFrontend(daemon, mark);
    const syntax = "# syntax=frontend:1 and more\n";
    const shown = contextOf({ Dockerfile: `${syntax}show what it sees\n` });
    expect(await build(shown, "-t", "shown:1", "--build-arg", "A=b")).toMatchObject({ code: 0 });
    const seen = JSON.parse(await outputOf("shown:1", "cat", "/seen"));
    expect(seen).toMatchObject({
      text: "what it sees",
      cmdline: "frontend:1 and more",
      argument: "b",
      platform: "linux",
    });
    expect(seen.links).toContain("eth0");

    const nested = contextOf({
      Dockerfile: `${syntax}# dockerfile\nFROM tools:1\nCOPY a /a\nLABEL made=nested\n`,
      a: "A\n",
    });
    expect(await build(nested, "-t", "nested:1")).toMatchObject({ code: 0 });
    expect(await outputOf("nested:1", "cat", "/a")).toBe("A\n");
    const { json } = await daemon.request("GET", "/images/nested:1/json");
    expect(json.Config.Labels).toEqual({ made: "nested" });

    const refused = await build(contextOf({ Dockerfile: `${syntax}refuse not like this\n` }));
    expect(refused.stderr).toContain("ERROR: failed to solve: not like this");
    const failed = await build(contextOf({ Dockerfile: `${syntax}fail because of this\n` }));
    expect(failed.stderr).toContain("because of this");
    expect(failed.stderr).toMatch(
      /ERROR: failed to solve: process "\/bun .*" did not complete successfully: exit code: 7/,
    );
    const silent = await build(contextOf({ Dockerfile: `${syntax}nothing\n` }));
    expect(silent.stderr).toContain("ERROR: failed to solve: the front end frontend:1 has returned nothing");

    const child = spawnBuildx(["build", contextOf({ Dockerfile: `${syntax}hang\n` })]);
    const isRunning = () => spawnSync("pgrep", ["-f", `^/bun /frontend.js ${mark}`]).status === 0;
    await until(isRunning, "the front end runs");
    child.kill("SIGKILL");
    await until(() => !isRunning(), "the front end has ended");
  },
);

const noRegistry = whyNot ?? (hasDockerRegistry ? undefined : "needs docker-registry");
testIf(noRegistry === undefined, noRegistry ?? "")("a base image is pulled with the client's credentials", async () => {
  const inside = (...argv: string[]) => daemon.network.inside(...argv);
  await using registry = await DockerRegistry.start({ users: { me: "secret" }, inside });
  const image = `${registry.host}/tools:1`;
  const credentials = { username: "me", password: "secret" };
  const headers = { "X-Registry-Auth": Buffer.from(JSON.stringify(credentials)).toString("base64url") };
  await daemon.request("POST", `/images/tools:1/tag?repo=${registry.host}/tools&tag=1`);
  expect(
    (await daemon.request("POST", `/images/${registry.host}/tools/push?tag=1`, undefined, headers)).text,
  ).toContain("digest: sha256:");
  await daemon.request("DELETE", `/images/${image}`);
  const context = contextOf({ Dockerfile: `FROM ${image}\nRUN echo private > /p\n` });
  const configPath = join(directory, "config", "config.json");
  rmSync(configPath, { force: true });
  const refused = await build(context);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toContain("no basic auth credentials");
  mkdirSync(dirname(configPath), { recursive: true });
  const auth = Buffer.from("me:secret").toString("base64");
  writeFileSync(configPath, JSON.stringify({ auths: { [registry.host]: { auth } } }));
  expect(await build(context)).toMatchObject({ code: 0 });
});

testIf(noRegistry === undefined, noRegistry ?? "")("--push of several platforms pushes an index", async () => {
  const inside = (...argv: string[]) => daemon.network.inside(...argv);
  await using registry = await DockerRegistry.start({ inside });
  const image = `${registry.host}/multi:1`;
  const context = contextOf({ Dockerfile: CROSS });
  expect(await build(context, "--platform", BOTH, "--push", "-t", image)).toMatchObject({ code: 0 });
  await daemon.kill();
  await daemon.launch();
  // What is pushed, tagged and pulled by that name later has all of it, too.
  await daemon.request("POST", `/images/${image}/tag?repo=${registry.host}/multi&tag=2`);
  expect((await daemon.request("POST", `/images/${registry.host}/multi/push?tag=2`)).text).toContain("digest: sha256:");
  for (const tag of [1, 2]) {
    const { json } = await daemon.request("GET", `/distribution/${registry.host}/multi:${tag}/json`);
    expect([tag, ...json.Platforms.map(({ architecture }: { architecture: string }) => architecture)]).toEqual([
      tag,
      HOST,
      FOREIGN,
    ]);
  }
  for (const each of await daemon.request("GET", "/images/json").then(({ json }) => json))
    if (each.RepoTags.some((tag: string) => tag.startsWith(registry.host)))
      await daemon.request("DELETE", `/images/${each.Id}?force=1`);
  // For a foreign platform its form is pulled, and the name stays that of the image for this host.
  await daemon.request("POST", `/images/create?fromImage=${registry.host}/multi&tag=1`);
  const from = contextOf({ Dockerfile: `FROM ${image}\nCOPY Dockerfile /\n` });
  expect(await build(from, "--platform", BOTH, "-o", `type=local,dest=${directory}/from`)).toMatchObject({ code: 0 });
  expect(readFileSync(join(directory, "from", `linux_${FOREIGN}`, "arch"), "latin1")).toBe(`${FOREIGN}\n`);
  expect((await daemon.request("GET", `/images/${image}/json`)).json.Architecture).toBe(HOST);
});

stock("the cache is listed and pruned by filters", async () => {
  await build(contextOf({ Dockerfile: "FROM tools:1\nRUN echo to be pruned > /x\n" }));
  const listed = async (...args: string[]) => (await buildx(["du", "--verbose", ...args])).stdout;
  expect(await listed("--filter", "type=regular")).toContain("Description:\tRUN echo to be pruned > /x\n");
  expect(await listed("--filter", "type=source.local")).not.toContain("Description:\tRUN");
  const pruned = await buildx(["prune", "--all", "--force", "--filter", "description=RUN echo to be pruned > /x"]);
  expect(pruned).toMatchObject({ code: 0 });
  expect(pruned.stdout).toMatch(/^Total:\t\d+B$/m);
  expect(await listed()).not.toContain("to be pruned");
});

stock("ls, inspect, du and prune: each of their flags does what it says", async () => {
  const known = ["--all", "--bootstrap", "--builder", "--filter", "--force", "--format", "--keep-storage", "--verbose"];
  const used = new Set(["ls", "inspect", "du", "prune"].flatMap((command) => flagsOf(command)));
  expect([...used].sort()).toEqual(known);
  expect((await buildx(["ls", "--format", "{{.Name}} {{.DriverEndpoint}}"])).stdout).toStartWith("default docker\n");
  expect((await buildx(["inspect", "--bootstrap", "--builder", "default"])).stdout).toMatch(/^Status:\s+running$/m);
  await build(contextOf({ Dockerfile: "FROM tools:1\nRUN echo kept by rules > /x\n" }));
  const isListed = async (...filters: string[]) => {
    const args = filters.flatMap((filter) => ["--filter", filter]);
    const { code, stdout } = await buildx(["du", "--verbose", "--builder", "default", ...args]);
    expect(code).toBe(0);
    return stdout.includes("kept by rules");
  };
  for (const rule of [
    ["--keep-storage", "100gb"],
    ["--filter", "until=24h"],
    ["--filter", "nothing=1"],
  ]) {
    expect(await buildx(["prune", "--force", "--verbose", ...rule])).toMatchObject({ code: 0 });
    expect(await isListed()).toBe(true);
  }
  expect(await isListed("type=regular")).toBe(true);
  expect(await isListed("nothing=1")).toBe(false);
  const { stderr } = await buildx(["du", "--filter", "id~=a"]);
  expect(stderr).toContain('unsupported operator "~=="');
  await buildx(["prune", "--force", "--all", "--builder", "default"]);
  expect(await isListed()).toBe(false);
});

stock("a step that prints more than clients can show is clipped, and the build ends well", async () => {
  const dockerfile = `FROM tools:1\nRUN /bin/busybox yes ${"printed ".repeat(20)}| /bin/busybox head -c 3000000\n`;
  const { code, stderr } = await build(contextOf({ Dockerfile: dockerfile }), "--network=none");
  expect({ code, isClipped: stderr.length < 2_500_000 }).toEqual({ code: 0, isClipped: true });
  expect(stderr).toContain("[output clipped, log limit 200KiB/s reached]");
});

stock("of a context only what has changed is sent, until it is pruned", async () => {
  const context = contextOf({
    Dockerfile: "FROM tools:1\nCOPY d /d\n",
    "d/large": "l".repeat(3e6),
    "d/a": "a",
    "d/gone": "",
  });
  symlinkSync("a", join(context, "d/link"));
  const dest = join(directory, "changed");
  const sentBytes = async () => {
    const built = await build(context, "-o", `type=local,dest=${dest}`);
    expect(built).toMatchObject({ code: 0 });
    const shown = [...built.stderr.matchAll(/transferring context:(?: ([\d.]+)([kM]?)B)?/g)].at(-1);
    expect(shown).toBeDefined();
    return Number(shown![1] ?? 0) * { "": 1, k: 1e3, M: 1e6 }[(shown![2] ?? "") as ""];
  };
  expect(await sentBytes()).toBeGreaterThan(2e6);
  expect(await sentBytes()).toBe(0);
  writeFileSync(join(context, "d/a"), "another");
  rmSync(join(context, "d/gone"));
  rmSync(dest, { recursive: true });
  expect(await sentBytes()).toBeLessThan(1e5);
  expect(readdirSync(join(dest, "d")).sort()).toEqual(["a", "large", "link"]);
  expect(readFileSync(join(dest, "d/a"), "latin1")).toBe("another");
  expect(statSync(join(dest, "d/large")).size).toBe(3e6);
  const listed = async () => (await buildx(["du", "--verbose", "--filter", "type=source.local"])).stdout;
  expect(await listed()).toContain("Description:\tlocal source for context\n");
  expect(await buildx(["prune", "--force", "--filter", "type=source.local"])).toMatchObject({ code: 0 });
  expect(await listed()).not.toContain("Description:");
  await until(() => readdirSync(join(daemon.dataRoot, "build-contexts")).length === 0, "the contexts are gone");
  expect(await sentBytes()).toBeGreaterThan(2e6);
});

stock("a client that is killed ends its build, and what it started", async () => {
  const child = spawnBuildx(["build", contextOf({ Dockerfile: "FROM tools:1\nRUN sleep 1001\n" })]);
  const isRunning = () => spawnSync("pgrep", ["-f", "sleep 1001$"]).status === 0;
  await until(isRunning, "the step runs");
  child.kill("SIGKILL");
  await until(() => !isRunning(), "the step has ended");
});

/** What builds have in the file system while they run. */
function traces(): string[] {
  const listed = (path: string) => (existsSync(path) ? readdirSync(path) : []);
  const contexts = listed(join(daemon.dataRoot, "contexts")).filter((name) => name !== ".removed");
  return [...contexts, ...listed(join(daemon.dataRoot, "image/steps"))];
}

/** Waits until nothing is left of builds. */
async function nothingIsLeft(): Promise<void> {
  await until(() => traces().length === 0, `nothing is left of builds: ${traces()}`);
  const mounts = readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .filter((line) => line.includes(daemon.dataRoot));
  expect(mounts).toEqual([]);
}

stock("a build that ends in any phase leaves nothing, and what was finished is used", async () => {
  const dockerfile = `FROM tools:1\nRUN echo finished ${Date.now()}\nRUN sleep 1002\n`;
  const isRunning = () => spawnSync("pgrep", ["-f", "sleep 1002$"]).status === 0;
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    const child = spawnBuildx(["build", contextOf({ Dockerfile: dockerfile })]);
    await until(isRunning, "the step runs");
    child.kill(signal);
    await until(() => !isRunning(), "the step has ended");
    await child.exited;
    await nothingIsLeft();
  }
  const again = await build(contextOf({ Dockerfile: dockerfile.replace(/RUN sleep.*/, "") }));
  expect(again.stderr).toMatch(/RUN echo finished \d+\n#\d+ CACHED/);

  // A session that is lost in the middle of the context; and one in the middle of an output.
  const files = { Dockerfile: "FROM scratch\nCOPY a /\n", a: "a" };
  for (const [hangs, query] of [
    ["/moby.filesync.v1.FileSync/DiffCopy", ""],
    ["/moby.filesync.v1.FileSend/DiffCopy", `&outputs=${encodeURIComponent('[{"Type":"tar"}]')}`],
  ] as const) {
    const begun = Promise.withResolvers<void>();
    const id = `lost${hangs.length}${query.length}`;
    const session = await serveSession(id, { files }, [hangs, () => hang(begun.resolve)]);
    const built = buildVersion2(`remote=client-session&session=${id}${query}`);
    await begun.promise;
    session[Symbol.dispose]();
    expect((await built).error).toMatch(/^(the client's session has ended|the peer has gone away)$/);
    await nothingIsLeft();
  }
});

/** Answers nothing, ever. */
async function* hang(begun: () => void): AsyncGenerator<Uint8Array> {
  begun();
  await new Promise(() => {});
}

/** Opens a connection of a client that leaves HTTP/1.1. */
const upgrade = (path: string, headers?: Record<string, string>) => upgradeAt(daemon.socketPath, path, headers);

/** What a client's session serves: files under every name, and secrets. */
function sessionMethods({
  files = {},
  secrets = {},
}: Partial<Record<"files" | "secrets", Record<string, string>>>): Methods {
  return new Map([
    ["/moby.filesync.v1.FileSync/DiffCopy", (requests) => sendTree(chunksOf(files), requests[Symbol.asyncIterator]())],
    [
      "/moby.buildkit.secrets.v1.Secrets/GetSecret",
      unary({ request: secretRequestType, answer: secretType }, ({ id: name }) => ({
        data: Buffer.from(secrets[name] ?? ""),
      })),
    ],
  ]);
}

async function serveSession(id: string, content: Parameters<typeof sessionMethods>[0], ...more: [string, Method][]) {
  const methods = new Map([...sessionMethods(content), ...more]);
  const { stream } = await upgrade("/session", {
    "X-Docker-Expose-Session-Uuid": id,
    "X-Docker-Expose-Session-Grpc-Method": [...methods.keys()].join(","),
  });
  void serveGrpc(stream, methods);
  return { [Symbol.dispose]: () => void stream.destroy() };
}

/** The same session inside of a call of BuildKit's API. */
async function tunnelSession(id: string, content: Parameters<typeof sessionMethods>[0]) {
  const methods = sessionMethods(content);
  const { socket } = await upgrade("/grpc");
  const client = new GrpcClient(socket);
  const begun = Promise.withResolvers<void>();
  const metadata = { "x-docker-expose-session-uuid": id, "x-docker-expose-session-grpc-method": [...methods.keys()] };
  const connection = openTunnel(async function* (outgoing) {
    const answers = client.call("/moby.buildkit.v1.Control/Session", piecesOf(outgoing), { metadata });
    for await (const data of dataOf(answers)) {
      begun.resolve(); // the daemon knows the session
      yield data;
    }
  });
  void serveGrpc(connection, methods);
  await begun.promise;
  return { [Symbol.dispose]: () => client[Symbol.dispose]() };
}

async function* chunksOf(files: Record<string, string>) {
  yield rawTar(...Object.entries(files).map(([name, content]) => ({ name, content })));
}

/** Builds as SDKs and older clients do. */
async function buildVersion2(query: string, body?: Uint8Array) {
  const headers = { "Content-Type": "application/x-tar" };
  const { text } = await daemon.request("POST", `/build?version=2&${query}`, body ?? new Uint8Array(), headers);
  const messages = text
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line));
  const traces = messages.filter(({ id }) => id === "moby.buildkit.trace");
  const statuses = traces.map(({ aux }) => buildStatusType.decode(Buffer.from(aux, "base64")));
  const image: string | undefined = messages.find(({ id }) => id === "moby.image.id")?.aux.ID;
  const error: string | undefined = messages.map(({ error, message }) => error ?? message).find(Boolean);
  return {
    ...{ image, error },
    names: statuses.flatMap(({ vertexes }) => vertexes.map(({ name }) => name)),
    said: statuses.flatMap(({ logs }) => logs.map((log) => `${Buffer.from(log.message)}`)).join(""),
  };
}

stock("POST /build with version=2: a tar, or a session's files; progress is BuildKit's", async () => {
  const dockerfile = "FROM tools:1\nCOPY a /a\nRUN --mount=type=tmpfs,target=/t cat /a\n";
  const body = rawTar({ name: "Dockerfile", content: dockerfile }, { name: "a", content: "from a tar\n" });
  const built = await buildVersion2("t=version:2", body);
  expect(built.error).toBeUndefined();
  expect(built.names).toContain("[3/3] RUN --mount=type=tmpfs,target=/t cat /a");
  expect(built.said).toContain("from a tar\n");
  expect((await daemon.request("GET", "/images/version:2/json")).json.Id).toBe(built.image);
  const failing = rawTar({ name: "Dockerfile", content: "FROM tools:1\nRUN exit 3\n" });
  expect((await buildVersion2("", failing)).error).toBe(
    'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3',
  );
  expect((await buildVersion2("remote=client-session&session=none")).error ?? "").toContain(
    "no active session for none",
  );

  const files = {
    Dockerfile: "FROM tools:1\nCOPY b /b\nRUN --mount=type=secret,id=s cat /b /run/secrets/s\n",
    b: "B\n",
  };
  using _session = await serveSession("of-files", { files, secrets: { s: "a secret\n" } });
  const served = await buildVersion2("remote=client-session&session=of-files");
  expect(served.error).toBeUndefined();
  expect(served.said).toContain("B\na secret\n");
  using _tunnel = await tunnelSession("of-a-call", {
    files: { ...files, b: "in a call\n" },
    secrets: { s: "another\n" },
  });
  expect((await buildVersion2("remote=client-session&session=of-a-call")).said).toContain("in a call\nanother\n");
});

stock("the history: what runs, what has ended, with its log; records are pinned and removed", async () => {
  const { socket } = await upgrade("/grpc");
  using client = new GrpcClient(socket);
  const listen = (request: Parameters<typeof historyRequestType.encode>[0], signal?: AbortSignal) =>
    client.call(`${CONTROL}/ListenBuildHistory`, [historyRequestType.encode(request)], { ...(signal && { signal }) });
  const list = async (ref: string) =>
    (await Array.fromAsync(listen({ ref, earlyExit: true }))).map((event) => historyEventType.decode(event));
  const aborter = new AbortController();
  const heard: ReturnType<typeof historyEventType.decode>[] = [];
  const listening = (async () => {
    for await (const event of listen({ activeOnly: true }, aborter.signal)) heard.push(historyEventType.decode(event));
  })();
  const text = `FROM tools:1\nRUN echo history ${Date.now()}\n`;
  await until(async () => {
    // Whether the call is heard already nobody can tell: one of the builds is.
    expect(await build(contextOf({ Dockerfile: text }), "-t", "history:1")).toMatchObject({ code: 0 });
    return heard.length >= 2;
  }, "a build is told of");
  expect(heard[0]).toMatchObject({ type: 0, record: { frontend: "dockerfile.v0" } });
  expect(heard[1]).toMatchObject({ type: 1, record: { ref: heard[0]!.record!.ref, steps: 1, isPinned: false } });
  const { ref } = heard[1]!.record!;
  const said = await Array.fromAsync(client.call(`${CONTROL}/Status`, [statusRequestType.encode({ ref })]));
  const names = said.flatMap((each) => buildStatusType.decode(each).vertexes.map(({ name }) => name));
  expect(names).toContain(`[2/2] ${text.split("\n")[1]}`);

  const update = (change: object) =>
    client.unary(`${CONTROL}/UpdateBuildHistory`, historyUpdateType.encode({ ref, ...change }));
  await update({ pinned: true });
  expect(await list(ref)).toMatchObject([{ type: 1, record: { ref, isPinned: true } }]);
  await update({ isRemoved: true });
  expect(await list(ref)).toEqual([]);
  expect(await failure(update({ isRemoved: true }))).toContain("No such build");
  await until(() => heard.some((event) => event.type === 2 && event.record?.ref === ref), "the removal is told");
  aborter.abort(new Error("enough"));
  expect(await failure(listening)).toBe("enough");
});

/** The flags that a command's help names. */
function flagsOf(...command: string[]): string[] {
  const help = spawnSync("docker", ["buildx", ...command, "--help"], { encoding: "utf8" }).stdout;
  return [...help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag!);
}

const FLAGS_DOCKERFILE = `FROM tools:1 AS one
ARG WHO
RUN cat /etc/hosts && /bin/busybox df -k /dev/shm && echo files $(ulimit -n) who $WHO && ls /sys/class/net && cat /proc/self/cgroup
FROM one AS two
RUN echo second $WHO
FROM two AS three
RUN echo not built
`;

/** What flags do, by the flags: what a build prints or leaves has to match. */
const FLAGS: Readonly<Record<string, { args: readonly string[]; matches?: RegExp; lacks?: RegExp }>> = {
  "--add-host": { args: ["--add-host", "flag.example:192.0.2.7"], matches: /192\.0\.2\.7\s+flag\.example/ },
  "--build-arg": { args: ["--build-arg", "WHO=flagged"], matches: /second flagged/ },
  "--builder": { args: ["--builder", "default"], matches: /building with "default" instance/ },
  "--cgroup-parent": { args: ["--cgroup-parent", "/lighter-flags"], matches: /:\/lighter-flags\/|0::\/$/m },
  "--file": { args: ["--file", "{context}/Other"], matches: /load build definition from Other/ },
  "--label": { args: ["--label", "flag=yes"] },
  "--load": { args: ["--load"], matches: /naming to docker\.io\/library\/flags:1/ },
  "--network": { args: ["--network", "none"], matches: /^#\d+ [\d.]+ lo$/m, lacks: /^#\d+ [\d.]+ eth0$/m },
  "--no-cache": { args: ["--no-cache"], lacks: /^#\d+ CACHED$/m },
  "--progress": { args: ["--progress", "plain"], matches: /^#\d+ \[one 2\/2\] RUN/m },
  "--provenance": { args: ["--provenance", "false"] },
  "--sbom": { args: ["--sbom", "false"] },
  "--shm-size": { args: ["--shm-size", "32m"], matches: /\s32768\s/ },
  "--tag": { args: ["--tag", "flags:1"] },
  "--target": { args: ["--target", "two"], lacks: /not built/ },
  "--ulimit": { args: ["--ulimit", "nofile=1234:2345"], matches: /files 1234/ },
};
/** The flags of which other tests here, or the next one, see the effect. */
const SEEN_ELSEWHERE = [
  ...[
    "--build-context",
    "--iidfile",
    "--metadata-file",
    "--output",
    "--platform",
    "--push",
    "--quiet",
    "--secret",
    "--ssh",
  ],
  ...["--allow", "--annotation", "--attest", "--cache-from", "--cache-to", "--no-cache-filter", "--print", "--pull"],
];

stock("each flag of docker build is known, and does what it says", async () => {
  expect([...Object.keys(FLAGS), ...SEEN_ELSEWHERE]).toEqual(expect.arrayContaining(flagsOf("build")));
  const context = contextOf({ Other: FLAGS_DOCKERFILE });
  const args = Object.values(FLAGS).flatMap((flag) => flag.args.map((arg) => arg.replace("{context}", context)));
  try {
    const { code, stderr } = await buildx(["build", ...args, context]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const [flag, { matches = /^/, lacks = /^$(?!)/ }] of Object.entries(FLAGS)) {
      expect(`${flag}\n${stderr}`).toMatch(matches);
      expect(`${flag}\n${stderr}`).not.toMatch(lacks);
    }
  } finally {
    removeCgroups("lighter-flags");
  }
  const { json } = await daemon.request("GET", "/images/flags:1/json");
  expect(json.Config.Labels).toEqual({ flag: "yes" });
});

stock("commands know the host by an address and by name, and themselves by the usual name or another", async () => {
  const context = contextOf({ Dockerfile: "FROM tools:1\nARG AGAIN\nRUN cat /etc/hosts && /bin/busybox hostname\n" });
  const usual = await build(context, "--no-cache", "--add-host", "gate.example:host-gateway");
  expect(usual).toMatchObject({ code: 0 });
  expect(usual.stderr).toMatch(/#\d+ [\d.]+ \d+\.\d+\.\d+\.1\s+gate\.example\n/);
  expect(usual.stderr).toMatch(/#\d+ [\d.]+ buildkitsandbox\n/);
  const other = await build(context, "--no-cache", "--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=other.example");
  expect(other.stderr).toMatch(/#\d+ [\d.]+ other\.example\n/);
});

/** Removes the parents of steps' cgroups, which are left to whoever has named them. */
function removeCgroups(name: string): void {
  for (const directory of ["", ...readdirSync("/sys/fs/cgroup")])
    try {
      rmdirSync(join("/sys/fs/cgroup", directory, name));
    } catch {} // it has none there
}

stock("--allow, --no-cache-filter, --pull and the flags of bake", async () => {
  const privileged = contextOf({ Dockerfile: "FROM tools:1\nRUN --security=insecure cat /proc/self/status\n" });
  expect((await build(privileged)).stderr).toContain("security.insecure is not allowed");
  const allowed = await build(privileged, "--allow", "security.insecure");
  expect(allowed.stderr).toMatch(/CapEff:\s+[0-9a-f]*[1-9a-f][0-9a-f]{9}/);

  const stages = contextOf({ Dockerfile: "FROM tools:1 AS a\nRUN echo stage a\nFROM a AS b\nRUN echo stage b\n" });
  await build(stages);
  const filtered = await build(stages, "--no-cache-filter", "b");
  expect(filtered.stderr).toMatch(/\[a 2\/2\] RUN echo stage a\n#\d+ CACHED/);
  expect(filtered.stderr).not.toMatch(/\[b 1\/1\] RUN echo stage b\n#\d+ CACHED/);
  expect((await build(stages, "--pull")).stderr).toMatch(/load metadata for \S+tools:1\n#\d+ ERROR/); // it is on no registry

  expect(["--print", "--set", ...Object.keys(FLAGS), ...SEEN_ELSEWHERE]).toEqual(
    expect.arrayContaining(flagsOf("bake")),
  );
  const group = { context: ".", dockerfile: "Dockerfile", tags: ["baked:1"], args: { WHO: "nobody" } };
  const baking = contextOf({
    Dockerfile: "FROM tools:1\nARG WHO\nRUN echo baked $WHO\n",
    "other.json": JSON.stringify({ target: { default: group } }),
  });
  const metadata = join(baking, "metadata");
  const where = ["--file", join(baking, "other.json"), "--set", `*.context=${baking}`];
  const args = [...where, "--set", "*.args.WHO=set", "--no-cache", "--load", "--provenance=false"];
  const baked = await buildx(["bake", ...args, "--metadata-file", metadata, "--progress=plain"]);
  expect(baked).toMatchObject({ code: 0 });
  expect(baked.stderr).toContain("baked set");
  expect(JSON.parse(readFileSync(metadata, "latin1")).default).toMatchObject({
    "image.name": "docker.io/library/baked:1",
  });
});

test("connections that want something else than HTTP/2 are refused", async () => {
  for (const path of ["/grpc", "/v1.45/session"]) {
    expect(await daemon.request("POST", path)).toMatchObject({
      status: 400,
      json: { message: "no upgrade proto in request" },
    });
    const { head, socket } = await upgrade(path, { Upgrade: "tcp" });
    expect(head).toContain("400 Bad Request");
    expect(head).toContain('{"message":"protocol tcp not supported"}');
    socket.destroy();
    const alone = await daemon.request("POST", path, undefined, { Upgrade: "foo" }); // without "Connection: Upgrade"
    expect(alone).toMatchObject({ status: 400, json: { message: "protocol foo not supported" } });
  }
});

test("a session needs an id of its own, and ends with its connection", async () => {
  const uuid = "X-Docker-Expose-Session-Uuid";
  expect((await upgrade("/session")).head).toContain("the session has no id");
  const { head, socket } = await upgrade("/session", { [uuid]: "one" });
  expect(head).toStartWith("HTTP/1.1 101 Switching Protocols\r\n");
  const second = await upgrade("/session", { [uuid]: "one" });
  expect(second.head).toContain('{"message":"session one already exists"}');
  socket.destroy();
  await until(async () => (await upgrade("/session", { [uuid]: "one" })).head.includes(" 101 "), "the id is free");
});

/** The text of the failure. Bun's `rejects` would wait for it in a loop that never serves the connection. */
const failure = (call: Promise<unknown>) => call.then(() => "", messageOf);

test("builds that nobody can finish: no session, no Solve, a client that goes away", async () => {
  const { socket } = await upgrade("/grpc");
  using client = new GrpcClient(socket);
  const call = (method: string, request: Uint8Array) => client.unary(`/moby.buildkit.v1.Control/${method}`, request);
  const { workers } = listWorkersAnswerType.decode(await call("ListWorkers", emptyType.encode({})));
  expect(workers).toHaveLength(1);
  expect(await failure(call("Solve", solveType.encode({ ref: "" })))).toContain("the call names no build");
  expect(await failure(call("Solve", solveType.encode({ ref: "a", frontend: "x" })))).toContain("not supported yet");

  const aborter = new AbortController();
  const status = client.call("/moby.buildkit.v1.Control/Status", [statusRequestType.encode({ ref: "b" })]);
  const ended = Array.fromAsync(status);
  const solving = client.unary("/moby.buildkit.v1.Control/Solve", solveType.encode({ ref: "b", session: "none" }), {
    signal: aborter.signal,
  });
  aborter.abort(new Error("gone"));
  expect(await failure(solving)).toBe("gone");
  expect(await ended).toEqual([]);
});
