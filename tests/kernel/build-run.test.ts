/** Commands of builds as the kernel runs them: their mounts, and what their layers hold. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { KeptTraces } from "../../src/api/tracing/kept-traces.ts";
import { Tracer } from "../../src/api/tracing/tracer.ts";
import { collectSpans, inSpan } from "../../src/base/spans.ts";
import { type BuildInputs, type OpenedEngine, openEngine } from "../../src/engine/mod.ts";
import { FakeHostNetwork } from "../support/fake-network.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const BUSYBOX = "/bin/busybox";
const isStatic = existsSync(BUSYBOX) && spawnSync("ldd", [BUSYBOX]).status !== 0;
const real = testIf(isRoot && isStatic, isRoot ? "no static busybox here" : "needs root");

let directory: string;
let opened: OpenedEngine;

const PROGRAMS = [
  "sh",
  "cat",
  "ls",
  "stat",
  "touch",
  "id",
  "mount",
  "grep",
  "test",
  "rm",
  "ln",
  "mkdir",
  "nc",
  "mknod",
];

beforeAll(async () => {
  if (!isRoot || !isStatic) return;
  directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-build-run-"));
  const [dataRoot, execRoot] = [join(directory, "data"), join(directory, "run")];
  opened = await openEngine({ dataRoot, execRoot, hostNetwork: new FakeHostNetwork() });
  for (const trash of opened.trashes) trash.begin();
  const layer = rawTar(
    { name: "bin/busybox", mode: 0o755, content: readFileSync(BUSYBOX) },
    ...PROGRAMS.map((name) => ({ name: `bin/${name}`, type: "2", linkName: "busybox" })),
    { name: "run/", type: "5", mode: 0o755 },
    { name: "var/", type: "5", mode: 0o755 },
    { name: "var/run", type: "2", linkName: "/run" },
  );
  const archive = join(directory, "tools.tar");
  await Bun.write(archive, dockerArchive({ layers: [layer], tags: ["tools:1"], config: { Env: ["PATH=/bin"] } }));
  await opened.images.load({ path: archive });
});

afterAll(async () => {
  await opened?.engine[Symbol.asyncDispose]();
  await opened?.images[Symbol.asyncDispose]();
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
});

interface Options {
  files?: Record<string, string>;
  inputs?: Partial<BuildInputs>;
  entitlements?: readonly "security.insecure"[];
  noCache?: boolean;
}

/** Builds, and returns what was said and how many layers the image has. */
async function build(lines: readonly string[], options: Options = {}): Promise<{ said: string; layerCount: number }> {
  const dockerfile = ["FROM tools:1", ...lines].join("\n");
  const files = Object.entries({ Dockerfile: dockerfile, ...options.files });
  let said = "";
  const { id } = await opened.builder.build({
    ...{ buildArgs: new Map(), labels: {}, target: "", network: "none", tags: [], dockerfile: "Dockerfile" },
    entitlements: new Set(options.entitlements),
    remote: undefined,
    hasStepImages: false,
    context: (async function* () {
      yield rawTar(...files.map(([name, content]) => ({ name, content })));
    })(),
    hostConfig: { NetworkMode: "none" },
    inputs: { secret: async () => undefined, ssh: async () => undefined, ...options.inputs },
    noCache: options.noCache ?? false,
    fetchImage: async (name) => opened.images.get(name).id,
    signal: new AbortController().signal,
    cancel: () => {},
    say: (text) => (said += text),
    onStatus: () => {},
    wantsWarnings: false,
    onFailure: () => {},
  });
  return { said, layerCount: opened.images.get(id).document.rootfs.diff_ids.length };
}

const secretOf = (secrets: Record<string, string>) => ({
  secret: async (id: string) => (Object.hasOwn(secrets, id) ? Buffer.from(secrets[id]!) : undefined),
});

real("a secret is a file that only the command sees, and no layer, key or disk has it", async () => {
  const run =
    "RUN --mount=type=secret,id=a,mode=0440,uid=3,gid=4 stat -c '%a %u %g' /run/secrets/a; cat /run/secrets/a";
  const inputs = secretOf({ a: "the-secret-itself" });
  const { said, layerCount } = await build([run], { inputs });
  expect(said).toContain("440 3 4\nthe-secret-itself");
  expect(layerCount).toBe(1); // and so the mount point is in no layer
  expect((await build([run], { inputs: secretOf({ a: "another" }) })).said).toContain("Using cache");
  expect(spawnSync("grep", ["-r", "the-secret-itself", directory], { encoding: "utf8" }).stdout).toBe("");
});

real("a secret may be a variable, or missing unless it is required", async () => {
  const env = "RUN --mount=type=secret,id=a,env=TOKEN echo token=$TOKEN";
  expect((await build([env], { inputs: secretOf({ a: "t" }) })).said).toContain("token=t\n");
  const optional = "RUN --mount=type=secret,id=none test ! -e /run/secrets/none";
  expect((await build([optional])).said).toContain("Successfully built");
  await expect(build(["RUN --mount=type=secret,id=none,required cat /run/secrets/none"])).rejects.toThrow(
    "secret none: not found",
  );
});

real(
  "while a build is traced, its steps are spans, and a command finds its place; the cache knows nothing of that",
  async () => {
    const [keeper, traceId] = [new KeptTraces(), "0af7651916cd43dd8448eb211c80319c"];
    collectSpans(new Tracer({ keeper }));
    const caller = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: "a=1", isKept: true };
    const run = 'RUN echo "trace=$TRACEPARENT $TRACESTATE."';
    const { said } = await inSpan("request", () => build([run]), caller);
    collectSpans(undefined);
    const spans = keeper.take(traceId) ?? [];
    const step = spans.find(({ name }) => name.includes("RUN echo"));
    expect(spans.map(({ name }) => name)).toEqual(expect.arrayContaining(["build", "program", "container: execve"]));
    const [, parent] = /trace=00-0af7651916cd43dd8448eb211c80319c-([0-9a-f]{16})-\d\d a=1\./.exec(said) ?? [];
    expect(parent).toBe(step?.id);
    expect((await build([run])).said).toContain("Using cache");
    expect((await build(['RUN echo "trace=$TRACEPARENT$TRACESTATE."', "RUN true"])).said).toContain("trace=.\n");
  },
);

real("an agent is a socket, if the client has one", async () => {
  const ssh = async (id: string) => (id === "default" ? new PassThrough() : undefined);
  const run = "RUN --mount=type=ssh,mode=0666 stat -c '%F %a' $SSH_AUTH_SOCK; echo $SSH_AUTH_SOCK";
  const { said, layerCount } = await build([run], { inputs: { ssh } });
  expect(said).toContain("socket 666\n/run/buildkit/ssh_agent.0\n");
  expect(layerCount).toBe(1);
  expect((await build(["RUN --mount=type=ssh echo agent=$SSH_AUTH_SOCK."])).said).toContain("agent=.\n");
  await expect(build(["RUN --mount=type=ssh,id=other,required true"], { inputs: { ssh } })).rejects.toThrow("other");
});

real("a cache lasts from one build to the next, and is in no layer", async () => {
  const run = (word: string, more = "") =>
    `RUN --mount=type=cache,target=/c,id=lasting${more} echo ${word} >> /c/words; cat /c/words`;
  expect((await build([run("one")])).layerCount).toBe(1);
  expect((await build([run("two")])).said).toContain("one\ntwo\n");
  expect((await build([run("three", ",sharing=locked")])).said).toContain("one\ntwo\nthree\n");
  const { said } = await build([
    "RUN --mount=type=cache,target=/d,mode=0700,uid=5,gid=6 stat -c '%a %u %g' /d",
    "RUN --mount=type=cache,target=/d,ro touch /d/x || echo refused",
  ]);
  expect(said).toContain("700 5 6\n");
  expect(said).toContain("refused\n");
});

real("stages that want a locked cache at once have it one after the other", async () => {
  const words = "for i in 1 2 3; do echo $0 >> /c/words; done";
  const stages = ["a", "b"].flatMap((name) => [
    `FROM tools:1 AS ${name}`,
    `RUN --mount=type=cache,target=/c,sharing=locked ["/bin/sh", "-c", "${words}", "${name}"]`,
    `RUN touch /${name}`,
  ]);
  await build([...stages, "FROM tools:1", "COPY --from=a /a /", "COPY --from=b /b /"]);
  const { said } = await build(["RUN --mount=type=cache,target=/c cat /c/words"]);
  expect(said).toMatch(/\n(a\na\na\nb\nb\nb|b\nb\nb\na\na\na)\n/);
});

real("a bind shows what it is of, as it is, and what is written into one is gone", async () => {
  const files = { "dir/file": "of the context\n" };
  const lines = [
    "RUN mkdir /made && echo made > /made/it",
    "FROM tools:1",
    "RUN --mount=target=/ctx,source=dir --mount=from=0,source=made/it,target=/it cat /ctx/file /it; touch /ctx/x 2>/dev/null || echo refused",
    "RUN --mount=target=/ctx,rw echo new > /ctx/dir/file; cat /ctx/dir/file",
    "RUN --mount=target=/ctx cat /ctx/dir/file",
  ];
  const { said, layerCount } = await build(lines, { files });
  expect(said).toContain("of the context\nmade\nrefused\n");
  expect(said).toContain("new\n");
  expect(said).toMatch(/RUN --mount=target=\/ctx cat .*\n.*\nof the context\n/);
  expect(layerCount).toBe(1);
  const again = await build(lines, { files: { ...files, other: "not bound by the first" } });
  expect(again.said.match(/Using cache/g)).toHaveLength(2);
  await expect(build(["RUN --mount=source=none,target=/x true"])).rejects.toThrow("none");
});

real("links of a context lead nowhere outside of it", async () => {
  const { said } = await build([
    "COPY <<EOF /etc/hostname",
    "of the image",
    "EOF",
    "RUN --mount=from=tools:1,source=var/run,target=/x ls /x; echo listed",
  ]);
  expect(said).toContain("listed\n");
});

real("a tmpfs is empty, as large as asked for, and gone afterwards", async () => {
  const { said, layerCount } = await build([
    "RUN --mount=type=tmpfs,target=/t,size=4m mount | grep ' /t '; touch /t/x",
  ]);
  expect(said).toContain("size=4096k");
  expect(layerCount).toBe(1);
});

real(
  "mount points that were not there are not in the layer, wherever links lead; what the command made is",
  async () => {
    const { layerCount } = await build(["RUN --mount=type=tmpfs,target=/var/run/deep/er true"]);
    expect(layerCount).toBe(1);
    const made = await build([
      "RUN --mount=type=tmpfs,target=/run/a/b --mount=type=tmpfs,target=/new/t echo kept > /run/a/kept; rm -r /var/run; mkdir /var/run",
      "RUN ls /run/a; ls -d /new /run/a/b 2>&1 || true",
    ]);
    expect(made.said).toContain("\nkept\n");
    expect(made.said).toContain("/new: No such file");
    expect(made.said).toContain("/run/a/b: No such file");
    expect(made.layerCount).toBe(2);
  },
);

real("security=insecure may do what a privileged container may, if the build allows it", async () => {
  const run = "mkdir /m && mount -t tmpfs t /m && echo mounted";
  const lines = [`RUN --security=insecure ${run}`, `RUN ${run}2 || echo refused`];
  const { said } = await build(lines, { entitlements: ["security.insecure"] });
  expect(said).toContain("mounted\n");
  expect(said).toContain("refused\n");
});

real("heredocs are scripts of the shell, or programs", async () => {
  const { said, layerCount } = await build([
    "RUN <<EOF",
    "for i in 1 2; do",
    "  echo line $i",
    "done",
    "EOF",
    "RUN <<'run-it'",
    "#!/bin/cat",
    "this file",
    "run-it",
    "RUN cat <<A - <<B",
    "left to the shell",
    "A",
    "ignored",
    "B",
  ]);
  expect(said).toContain("line 1\nline 2\n");
  expect(said).toContain("#!/bin/cat\nthis file\n");
  expect(said).toContain("ignored\n");
  expect(layerCount).toBe(1);
});

real("nothing is left of steps but the layers", () => {
  for (const path of ["data/image/steps", "run/b", "run/v", "data/containers"])
    expect(readdirSync(join(directory, path)).filter((name) => name !== ".removed")).toEqual([]);
  const { stdout } = spawnSync("sh", ["-c", "cat /proc/*/mountinfo 2>/dev/null"], { encoding: "utf8" });
  expect(stdout.split("\n").filter((line) => line.includes(directory))).toEqual([]);
});
