/** Images that are built: the stock `docker build` without BuildKit, and POST /build, against our daemon with real containers. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const BUSYBOX = "/bin/busybox";
const isStatic = existsSync(BUSYBOX) && spawnSync("ldd", [BUSYBOX]).status !== 0;
const real = testIf(isRoot && isStatic, isRoot ? "no static busybox here" : "needs root");

const hasDocker = spawnSync("docker", ["--version"]).status === 0;
const stock = testIf(
  isRoot && isStatic && hasDocker,
  isRoot ? "no docker command, or no static busybox here" : "needs root",
);

let daemon: TestDaemon;

beforeAll(async () => {
  if (!isRoot || !isStatic) return;
  daemon = await TestDaemon.start();
  const programs = ["sh", "cat", "ls", "stat", "sleep", "touch"].map((name) => ({
    name: `bin/${name}`,
    type: "2",
    linkName: "busybox",
  }));
  const passwd = { name: "etc/passwd", content: "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n" };
  const group = { name: "etc/group", content: "root:x:0:\nuser:x:1000:\n" };
  const layer = rawTar(
    { name: "bin/busybox", mode: 0o755, content: readFileSync(BUSYBOX) },
    ...programs,
    passwd,
    group,
  );
  const archive = dockerArchive({
    layers: [layer],
    tags: ["tools:1"],
    config: { Cmd: ["/bin/sh"], Env: ["PATH=/bin"] },
  });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
});

afterAll(() => daemon?.[Symbol.asyncDispose]());

type Files = Record<string, string | Buffer>;

const contextOf = (dockerfile: string, files: Files = {}) =>
  rawTar(...Object.entries({ Dockerfile: dockerfile, ...files }).map(([name, content]) => ({ name, content })));

interface Built {
  status: number;
  /** All that is said, the ids of what runs and is made taken out. */
  said: string;
  error: string | undefined;
  id: string;
}

async function build(context: Buffer, query = ""): Promise<Built> {
  const { status, text } = await daemon.request("POST", `/build?${query}`, context, {
    "Content-Type": "application/x-tar",
  });
  const lines = text
    .split("\r\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  return {
    status,
    said: lines
      .map(({ stream = "" }) => stream)
      .join("")
      .replace(/\b[0-9a-f]{12}\b/g, "ID"),
    error: lines.find(({ error }) => error !== undefined)?.error,
    id: lines.find(({ aux }) => aux !== undefined)?.aux.ID,
  };
}

/** What a container of the image prints. */
async function output(image: string, ...command: string[]): Promise<string> {
  const id = await daemon.create({ Image: image, Entrypoint: [], Cmd: command, HostConfig: { NetworkMode: "none" } });
  await daemon.request("POST", `/containers/${id}/start`);
  await daemon.request("POST", `/containers/${id}/wait`);
  const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
  await daemon.request("DELETE", `/containers/${id}`);
  return text.replace(/[\u0001\u0002]\0\0\0.{4}/gs, "");
}

real("a Dockerfile is built in steps, and found in the cache afterwards", async () => {
  const dockerfile = [
    "ARG BASE=tools:1",
    "FROM $BASE AS first",
    "ARG WORD=none",
    "RUN echo made $WORD > /made",
    "FROM tools:1",
    "ENV A=b",
    "WORKDIR /app/$A",
    "COPY --chown=user file dir/ ./",
    "COPY --from=first /made /",
    'RUN echo said; cat /made; echo "$A"',
    "LABEL word=$A",
    'CMD ["cat", "file"]',
  ].join("\n");
  const context = contextOf(dockerfile, { file: "of the context\n", "dir/inner": "inner" });
  const query = `t=built:1&buildargs=${encodeURIComponent(JSON.stringify({ WORD: "here" }))}`;
  const { said, id, error } = await build(gzipSync(context), query);
  expect(error).toBeUndefined();
  expect(said).toContain(
    "Step 1/12 : ARG BASE=tools:1\nStep 2/12 : FROM $BASE AS first\n ---> ID\nStep 3/12 : ARG WORD=none\n ---> ID\n",
  );
  expect(said).toContain(
    " ---> Running in ID\nsaid\nmade here\nb\n ---> Removed intermediate container ID\n ---> ID\n",
  );
  expect(said).toEndWith("Successfully built ID\nSuccessfully tagged built:1\n");
  const { json } = await daemon.request("GET", "/images/built:1/json");
  expect(json.Id).toBe(id);
  expect(json.Config).toMatchObject({
    ...{ Cmd: ["cat", "file"], Env: ["PATH=/bin", "A=b"], Labels: { word: "b" }, WorkingDir: "/app/b" },
  });
  expect(json.RootFS.Layers).toHaveLength(4);
  expect(await output("built:1", "stat", "-c", "%n %U %G", "file", "inner", "/made")).toBe(
    "file user user\ninner user user\n/made root root\n",
  );
  const { json: history } = await daemon.request("GET", "/images/built:1/history");
  expect(history.map(({ CreatedBy }: { CreatedBy: string }) => CreatedBy).slice(0, 3)).toEqual([
    '/bin/sh -c #(nop)  CMD ["cat" "file"]',
    "/bin/sh -c #(nop)  LABEL word=b",
    '/bin/sh -c echo said; cat /made; echo "$A"',
  ]);
  const again = await build(context, query);
  expect(again.said.match(/Using cache/g)).toHaveLength(5);
  expect(again.said).not.toContain("Running in");
});

real("what is copied and has not changed is found, whatever else has", async () => {
  const dockerfile = "FROM tools:1\nCOPY a /a\nRUN cat /a";
  expect((await build(contextOf(dockerfile, { a: "1", b: "1" }))).error).toBeUndefined();
  expect((await build(contextOf(dockerfile, { a: "1", b: "2" }))).said.match(/Using cache/g)).toHaveLength(2);
  expect((await build(contextOf(dockerfile, { a: "2", b: "2" }))).said).not.toContain("Using cache");
});

real("a command that fails ends the build with its code, and nothing is left of it", async () => {
  const { error, status } = await build(contextOf("FROM tools:1\nRUN echo out; exit 3"), "t=never");
  expect({ error, status }).toEqual({
    error: "The command '/bin/sh -c echo out; exit 3' returned a non-zero code: 3",
    status: 200,
  });
  expect((await daemon.request("GET", "/images/never/json")).status).toBe(404);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});

real("stages that the target does not need are not run", async () => {
  const dockerfile = "FROM tools:1 AS broken\nRUN exit 1\nFROM tools:1 AS good\nRUN echo fine\nFROM broken";
  const { said, error } = await build(contextOf(dockerfile), "target=good");
  expect(error).toBeUndefined();
  expect(said).toContain("fine\n");
});

real("ADD unpacks archives, and links in the context lead nowhere outside of it", async () => {
  const inner = gzipSync(rawTar({ name: "unpacked/x", content: "x" }));
  const context = rawTar(
    { name: "Dockerfile", content: "FROM tools:1\nADD a.tar.gz plain /to/\nCOPY link /link" },
    { name: "a.tar.gz", content: inner },
    { name: "plain", content: "plain" },
    { name: "etc/hostname", content: "of the context" },
    { name: "link", type: "2", linkName: "/etc/hostname" },
  );
  expect((await build(context, "t=added")).error).toBeUndefined();
  expect(await output("added", "cat", "/to/unpacked/x", "/to/plain", "/link")).toBe("xplainof the context");
});

real("what cannot be built is refused by name", async () => {
  const messages = async (dockerfile: string, query = "") => {
    const { text } = await daemon.request("POST", `/build?${query}`, contextOf(dockerfile), {
      "Content-Type": "application/x-tar",
    });
    return JSON.parse(text.split("\r\n")[0]!).message;
  };
  expect(await messages("FROM tools:1\nRUN --mount=type=cache,target=/x true")).toContain("--mount");
  expect(await messages("FROM tools:1\nNOPE x")).toBe(
    "dockerfile parse error on line 2: unknown instruction: NOPE (did you mean COPY?)",
  );
  expect(await messages("FROM tools:1\n", "version=2")).toContain("BuildKit");
  expect(await messages("FROM tools:1\n", "platform=plan9/mips")).toBe("building for plan9/mips is not supported yet");
  expect(await messages("FROM tools:1\n", "dockerfile=Other")).toBe("Cannot locate specified Dockerfile: Other");
});

real("the cache is counted, and pruned", async () => {
  await build(contextOf("FROM tools:1\nRUN echo for the cache > /x"));
  const { json: usage } = await daemon.request("GET", "/system/df");
  expect(usage.BuildCache.map(({ Description }: { Description: string }) => Description)).toContain(
    "RUN echo for the cache > /x",
  );
  const { json } = await daemon.request("POST", "/build/prune");
  expect(json.CachesDeleted).not.toBeNull();
  expect((await daemon.request("GET", "/system/df")).json.BuildCache).toEqual([]);
  expect((await build(contextOf("FROM tools:1\nRUN echo for the cache > /x"))).said).not.toContain("Using cache");
});

/** The ids of the steps that run, or are about to. */
const stepIds = (): string[] =>
  readdirSync(join(daemon.execRoot, "b")).map(
    (name) => JSON.parse(readFileSync(join(daemon.execRoot, "b", name, "guest.json"), "utf8")).id,
  );

/** Tells whether a process with this command line exists. */
function isThere(...words: string[]): boolean {
  const wanted = `${words.join("\0")}\0`;
  return readdirSync("/proc").some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1") === wanted;
    } catch {
      return false; // it has ended
    }
  });
}

real("a build whose client goes is given up, and nothing is left of it", async () => {
  const aborter = new AbortController();
  const gone = fetch("http://d/build", {
    method: "POST",
    unix: daemon.socketPath,
    body: Uint8Array.from(contextOf("FROM tools:1\nRUN echo for the next > /x\nRUN sleep 100123")),
    headers: { "Content-Type": "application/x-tar" },
    signal: aborter.signal,
  })
    .then((answer) => answer.text())
    .catch(() => undefined);
  await until(() => isThere("sleep", "100123"), "the step runs");
  const ids = stepIds();
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
  aborter.abort();
  await gone;
  await until(() => !isThere("sleep", "100123") && daemon.leftovers(ids).length === 0, "nothing is left of the step");
  expect((await build(contextOf("FROM tools:1\nRUN echo for the next > /x"))).said).toContain("Using cache");
});

stock(
  "the stock docker build without BuildKit shows the steps, tags the image and tells a failed command's code",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-build-"));
    try {
      writeFileSync(join(directory, "a"), "from the context\n");
      writeFileSync(join(directory, ".dockerignore"), "ignored\n");
      writeFileSync(join(directory, "ignored"), "");
      const docker = async (dockerfile: string, ...args: string[]) => {
        writeFileSync(join(directory, "Dockerfile"), dockerfile);
        const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_BUILDKIT: "0" };
        const child = Bun.spawn(["docker", "build", ...args, directory], { env, stdout: "pipe", stderr: "pipe" });
        const [code, stdout, stderr] = await Promise.all([
          child.exited,
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
        ]);
        return { code, stdout, stderr };
      };
      const built = await docker("FROM tools:1\nCOPY . /d/\nRUN ls /d", "-t", "stock:1", "--label", "x=y");
      expect(built).toMatchObject({ code: 0 });
      expect(built.stdout).toContain("Step 2/4 : COPY . /d/\n");
      expect(built.stdout).toContain("Dockerfile\na\n");
      expect(built.stdout).toEndWith("Successfully tagged stock:1\n");
      const { json } = await daemon.request("GET", "/images/stock:1/json");
      expect(json.Config.Labels).toEqual({ x: "y" });
      const quiet = await docker("FROM tools:1\nCOPY a /a", "-q");
      expect(quiet.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
      const failed = await docker("FROM tools:1\nRUN exit 7");
      expect(failed.code).toBe(7);
      expect(failed.stderr).toContain("The command '/bin/sh -c exit 7' returned a non-zero code: 7");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

real("a daemon that is killed in the middle of a step leaves nothing but its cache", async () => {
  const dockerfile = "FROM tools:1\nRUN echo kept > /kept\nRUN echo unfinished > /x; sleep 100124";
  const building = build(contextOf(dockerfile)).catch(() => undefined);
  await until(() => isThere("sleep", "100124"), "the step runs");
  const ids = stepIds();
  await daemon.kill();
  await building;
  await daemon.launch();
  expect(isThere("sleep", "100124")).toBe(false);
  expect(daemon.leftovers(ids)).toEqual([]);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
  const { said } = await build(contextOf("FROM tools:1\nRUN echo kept > /kept\nRUN cat /kept"));
  expect(said).toContain("Using cache");
});

real("a cache that is damaged is begun anew", async () => {
  await daemon.kill();
  for (const end of ["-wal", "-shm"]) rmSync(join(daemon.dataRoot, `build.db${end}`), { force: true });
  writeFileSync(join(daemon.dataRoot, "build.db"), "no database at all ".repeat(1000));
  await daemon.launch();
  expect((await daemon.request("GET", "/system/df")).json.BuildCache).toEqual([]);
  expect((await build(contextOf("FROM tools:1\nRUN touch /x"))).error).toBeUndefined();
});
