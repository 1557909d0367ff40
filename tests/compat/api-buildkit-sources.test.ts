/** Where builds of the stock `docker buildx` come from: git repositories, OCI layouts, registries that want to know who asks. */
import { afterAll, beforeAll, expect } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { imageConfigType, resolveImageType, resolveSourceType, sourceMetaType } from "../../src/spec/buildkit.ts";
import { BuildkitClient } from "../support/buildkit-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rawTar } from "../support/image-tar.ts";
import { Graph } from "../support/llb-graph.ts";
import { missing } from "../support/missing.ts";
import { readTar } from "../support/read-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { loadTools } from "../support/tools-image.ts";

const hasBuildx = spawnSync("docker", ["buildx", "version"]).status === 0;
const whyNot = isRoot
  ? (missing("docker", "busybox", "git") ?? (hasBuildx ? undefined : "needs docker-buildx"))
  : "needs root";
const stock = testIf(whyNot === undefined, whyNot ?? "");

let daemon: TestDaemon;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lighter-buildkit-sources-"));
  if (whyNot !== undefined) return;
  daemon = await TestDaemon.start({ hostNetwork: true });
  await loadTools(daemon);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const configPath = () => join(directory, "config", "config.json");

/** Runs buildx. Nothing that it builds has a network. */
async function buildx(
  args: readonly string[],
  { stdin, env = {} }: { stdin?: string; env?: Record<string, string> } = {},
) {
  const own = { DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: dirname(configPath()) };
  const child = Bun.spawn(["docker", "buildx", ...args], {
    env: { ...process.env, ...own, ...env },
    stdin: stdin === undefined ? "ignore" : Buffer.from(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, stdout, stderr };
}

/** Builds to a tar. Resolves with its files. */
async function files(args: readonly string[], options?: Parameters<typeof buildx>[1]): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await buildx(
    ["build", "--progress=plain", "--network=none", "-o", "type=tar,dest=-", ...args],
    options,
  );
  if (code !== 0) throw new Error(stderr);
  const entries = readTar(Buffer.from(stdout, "latin1")).filter(({ type }) => type === "file");
  return Object.fromEntries(entries.map(({ path, content }) => [String(path), String(content)]));
}

function write(root: string, content: Record<string, string>): string {
  for (const [name, text] of Object.entries(content)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const contextOf = (content: Record<string, string>) => write(mkdtempSync(join(directory, "context-")), content);

function git(cwd: string, ...args: string[]): string {
  const identity = ["-c", "user.name=me", "-c", "user.email=me@here", "-c", "init.defaultBranch=trunk"];
  const env = { PATH: process.env.PATH, HOME: directory, GIT_CONFIG_NOSYSTEM: "1" };
  const { status, stdout, stderr } = spawnSync("git", [...identity, ...args], { cwd, env, encoding: "utf8" });
  if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** Serves the repositories below a directory by git's own protocol, and its files by http. */
async function serveGit(root: string): Promise<AsyncDisposable & { url: string; web: string }> {
  for (let attempt = 0; ; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const options = ["--reuseaddr", "--export-all", `--base-path=${root}`, "--listen=127.0.0.1", `--port=${port}`];
    const child: ChildProcess = spawn("git", ["daemon", ...options, root], { stdio: "ignore", detached: true });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const listens = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => resolve(socket.destroy() !== undefined));
        socket.on("error", () => resolve(false));
      });
    const isUp = await Promise.race([until(listens, "git daemon listens").then(() => true), ended.then(() => false)]);
    if (!isUp && attempt < 3) continue;
    const web = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url, headers }) => {
        const { pathname } = new URL(url);
        const isAllowed = !pathname.startsWith("/private") || headers.get("authorization") === AUTHORIZATION;
        return isAllowed ? new Response(Bun.file(join(root, pathname))) : new Response("who?", { status: 401 });
      },
    });
    return {
      url: `git://127.0.0.1:${port}`,
      web: `http://127.0.0.1:${web.port}`,
      [Symbol.asyncDispose]: async () => {
        process.kill(-child.pid!, "SIGKILL");
        await ended;
        await web.stop(true);
      },
    };
  }
}
const AUTHORIZATION = `basic ${Buffer.from("x-access-token:a token").toString("base64")}`;

stock(
  "git repositories are contexts: branches and directories of them, with a Dockerfile of the client's, and for bake",
  async () => {
    const root = mkdtempSync(join(directory, "git-"));
    const work = join(root, "work");
    mkdirSync(work);
    git(work, "init", "-q");
    write(work, {
      Dockerfile: "FROM scratch\nCOPY f /\n",
      f: "trunk\n",
      "sub/Dockerfile": "FROM scratch\nCOPY g /\n",
      "sub/g": "below\n",
      "bake.json": JSON.stringify({ target: { default: { context: ".", output: ["type=tar,dest=-"] } } }),
    });
    git(work, "add", ".");
    git(work, "commit", "-qm", "one");
    const commit = git(work, "rev-parse", "HEAD");
    git(work, "checkout", "-qb", "side");
    write(work, { f: "side\n" });
    git(work, "commit", "-qam", "two");
    git(root, "clone", "-q", "--bare", "work", "repo.git");
    git(join(root, "repo.git"), "update-server-info");
    await using served = await serveGit(root);
    for (const repository of [`${served.url}/repo.git`, `${served.web}/repo.git`]) {
      expect(await files([`${repository}#trunk`])).toEqual({ f: "trunk\n" });
      expect(await files([`${repository}#side`])).toEqual({ f: "side\n" });
      expect(await files([`${repository}#${commit}`])).toEqual({ f: "trunk\n" });
      expect(await files([`${repository}#trunk:sub`])).toEqual({ g: "below\n" });
    }
    const repository = `${served.url}/repo.git#trunk`;
    const other = contextOf({ o: "other\n" });
    const dockerfile =
      "FROM scratch\nCOPY f /f\nCOPY --from=other o /o\nCOPY --from=repo sub/g /g\nCOPY --from=page f /p\n";
    const named = [`other=${other}`, `repo=${repository}`, `page=${served.web}/work/f`];
    const args = named.flatMap((each) => ["--build-context", each]);
    expect(await files(["-f", "-", ...args, repository], { stdin: dockerfile })).toEqual({
      ...{ f: "trunk\n", o: "other\n", g: "below\n", p: "side\n" },
    });
    expect((await buildx(["build", `${repository.replace("trunk", "none")}`])).stderr).toContain(
      "repository does not contain ref none",
    );

    cpSync(join(root, "repo.git"), join(root, "private.git"), { recursive: true });
    const mine = `${served.web}/private.git#side`;
    expect(await files([mine]).catch(String)).toMatch(/git fetch|ls-remote/);
    const token = { GIT_AUTH_TOKEN: "a token" };
    expect(await files(["--secret", "id=GIT_AUTH_TOKEN", mine], { env: token })).toEqual({ f: "side\n" });
    expect(await files(["--secret", "id=GIT_AUTH_HEADER", mine], { env: { GIT_AUTH_HEADER: AUTHORIZATION } })).toEqual({
      f: "side\n",
    });

    const baked = await buildx(["bake", "--progress=plain", repository, "-f", "bake.json"]);
    expect(baked.stderr).not.toContain("ERROR");
    expect(baked.stdout).toContain("trunk\n");
  },
);

stock("an OCI layout of the client's is a context, for a stage and to copy from, and leaves no image", async () => {
  const base = contextOf({ Dockerfile: "FROM tools:1\nCOPY a /a\nENV WHO=base\n", a: "A\n" });
  const layout = join(directory, "layout");
  const made = await buildx(["build", "--provenance=false", "-o", `type=oci,tar=false,dest=${layout}`, base]);
  expect(made).toMatchObject({ code: 0 });
  const before = (await daemon.request("GET", "/images/json?all=1")).json.length;
  // Its layers are to come from the client.
  await daemon.request("POST", "/build/prune?all=1");
  const from = contextOf({
    Dockerfile:
      "FROM base AS one\nRUN echo $WHO $(cat /a) > /said\nFROM scratch\nCOPY --from=one /said /\nCOPY --from=base /a /copied\n",
  });
  const context = ["--build-context", `base=oci-layout://${layout}`];
  expect(await files([...context, from])).toEqual({ said: "base A\n", copied: "A\n" });
  const again = await buildx(["build", "--progress=plain", "--network=none", ...context, from]);
  expect(again.stderr).toMatch(/RUN echo[^\n]*\n#\d+ CACHED/);
  expect((await daemon.request("GET", "/images/json?all=1")).json.length).toBe(before + 1);
  const image = contextOf({ Dockerfile: "FROM base\nLABEL a=b\n" });
  expect(await buildx(["build", "-t", "of-layout:1", ...context, image])).toMatchObject({ code: 0 });
  const { json } = await daemon.request("GET", "/images/of-layout:1/json");
  expect(json.Config.Env).toContain("WHO=base");
  expect(json.RootFS.Layers).toHaveLength(2);
  const absent = await buildx([
    "build",
    "--build-context",
    `base=oci-layout://${layout}@sha256:${"0".repeat(64)}`,
    image,
  ]);
  expect(absent.stderr).toMatch(/sha256:0+[^\n]*not found/);

  // The same in a target that another one is made of.
  const target = {
    first: { context: image, contexts: { base: `oci-layout://${layout}` } },
    second: {
      "dockerfile-inline": "FROM first\nCOPY --from=first /a /again\n",
      contexts: { first: "target:first" },
      tags: ["second:1"],
    },
  };
  const bake = contextOf({ "bake.json": JSON.stringify({ target }) });
  const baked = await buildx(["bake", "-f", join(bake, "bake.json"), "--set", `second.context=${bake}`, "second"]);
  expect(baked).toMatchObject({ code: 0 });
  expect((await daemon.request("GET", "/images/second:1/json")).json.RootFS.Layers).toHaveLength(3);
});

const HOST = process.arch === "x64" ? "amd64" : process.arch;

const login = (host: string, user: string, password: string) => {
  mkdirSync(dirname(configPath()), { recursive: true });
  const auth = Buffer.from(`${user}:${password}`).toString("base64");
  writeFileSync(configPath(), JSON.stringify({ auths: { [host]: { auth } } }));
};

stock(
  "the client gets tokens for registries itself, and its password stays with it; or gives that if it does not",
  async () => {
    await using registry = await FakeRegistry.start({ users: { me: "secret" } });
    const add = (name: string) =>
      registry.addImage(name, "1", { layers: [rawTar({ name: "a", content: `${name}\n` })] });
    const build = (name: string, env: Record<string, string> = {}) =>
      files([contextOf({ Dockerfile: `FROM ${registry.host}/${name}:1\n` })], { env });
    const agents = () =>
      registry.requests
        .splice(0)
        .flatMap(({ path, headers }) => (path.startsWith("/token") ? [headers.get("user-agent") ?? ""] : []));
    add("mine");
    rmSync(configPath(), { force: true });
    expect(await build("mine").catch(String)).toMatch(/denied|unauthorized|401/i);
    login(registry.host, "me", "wrong");
    expect(await build("mine").catch(String)).toMatch(/the client gets no token from \S+\/token: .*401/);
    login(registry.host, "me", "secret");
    agents();
    expect(await build("mine")).toEqual({ a: "mine\n" });
    const own = agents();
    expect(own.length).toBeGreaterThan(0);
    expect(own.join()).not.toMatch(/lighter/i);
    add("yours");
    expect(await build("yours", { BUILDKIT_NO_CLIENT_TOKEN: "1" })).toEqual({ a: "yours\n" });
    expect(agents().join()).toMatch(/lighter/i);
  },
);

stock("what an image says is told with the digest that its registry has, by a name or by that digest", async () => {
  await using registry = await FakeRegistry.start();
  const layers = [rawTar({ name: "a", content: "told\n" })];
  const { digest } = registry.addImage("told", "1", { layers, config: { Labels: { a: "b" } } });
  await using client = await BuildkitClient.connect(daemon.socketPath);
  const name = `${registry.host}/told`;
  await client.build({}, async (build) => {
    for (const ref of [`${name}:1`, `${name}@${digest}`, `${name}:1@${digest}`]) {
      const answer = imageConfigType.decode(await build.call("ResolveImageConfig", resolveImageType.encode({ ref })));
      expect([ref, answer.digest, answer.ref]).toEqual([ref, digest, ref]);
      expect(JSON.parse(`${Buffer.from(answer.config)}`).config.Labels).toEqual({ a: "b" });
      const source = { identifier: `docker-image://${ref}` };
      const asked = resolveSourceType.encode({ source, platform: { os: "linux", architecture: HOST } });
      const { image } = sourceMetaType.decode(await build.call("ResolveSourceMeta", asked));
      expect(image?.digest).toBe(digest);
    }
    const local = await build.call("ResolveImageConfig", resolveImageType.encode({ ref: "tools:1" }));
    expect(imageConfigType.decode(local).digest).toBe(""); // it is on no registry
    const graph = new Graph();
    const image = graph.source(`docker-image://${name}:1@${digest}`);
    expect(await build.read(await build.ref(graph.of(image)), "/a")).toBe("told\n");
    return {};
  });
});

const noRegistry = whyNot ?? (hasDockerRegistry ? undefined : "needs docker-registry");
testIf(noRegistry === undefined, noRegistry ?? "")("--push, and a base image, with the client's password", async () => {
  await using registry = await DockerRegistry.start({ users: { me: "secret" } });
  const image = `${registry.host}/pushed:1`;
  const context = contextOf({ Dockerfile: "FROM scratch\nCOPY a /\n", a: "pushed\n" });
  const push = () => buildx(["build", "--push", "-t", image, context]);
  rmSync(configPath(), { force: true });
  expect((await push()).stderr).toContain("no basic auth credentials");
  login(registry.host, "me", "secret");
  expect(await push()).toMatchObject({ code: 0 });
  await daemon.request("DELETE", `/images/${image}`);
  expect(await files([contextOf({ Dockerfile: `FROM ${image}\n` })])).toEqual({ a: "pushed\n" });
});
