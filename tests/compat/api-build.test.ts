/** Images that are built: the stock `docker build` without BuildKit, and POST /build, against our daemon with real containers. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { startFileServer } from "../support/file-server.ts";
import { rawTar } from "../support/image-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

const hasDocker = spawnSync("docker", ["--version"]).status === 0;
const stock = testIf(canBuild && hasDocker, isRoot ? "no docker command, or no static busybox here" : "needs root");

let daemon: TestDaemon;

beforeAll(async () => {
  if (!canBuild) return;
  daemon = await TestDaemon.start();
  await loadTools(daemon);
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
    error: lines.find(({ error, message }) => (error ?? message) !== undefined)?.[status === 200 ? "error" : "message"],
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

buildTest("a Dockerfile is built in steps, and found in the cache afterwards", async () => {
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
  expect(again.said.match(/Using cache/g)).toHaveLength(9);
  expect(again.id).toBe(id);
  expect(again.said).not.toContain("Running in");
});

buildTest("what is copied and has not changed is found, whatever else has", async () => {
  const dockerfile = "FROM tools:1\nCOPY a /a\nRUN cat /a";
  expect((await build(contextOf(dockerfile, { a: "1", b: "1" }))).error).toBeUndefined();
  expect((await build(contextOf(dockerfile, { a: "1", b: "2" }))).said.match(/Using cache/g)).toHaveLength(2);
  expect((await build(contextOf(dockerfile, { a: "2", b: "2" }))).said).not.toContain("Using cache");
});

buildTest("a command that fails ends the build with its code, and nothing is left of it", async () => {
  const { error, status } = await build(contextOf("FROM tools:1\nRUN echo out; exit 3"), "t=never");
  expect({ error, status }).toEqual({
    error: "The command '/bin/sh -c echo out; exit 3' returned a non-zero code: 3",
    status: 200,
  });
  expect((await daemon.request("GET", "/images/never/json")).status).toBe(404);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});

buildTest("stages that the target does not need are not run", async () => {
  const dockerfile = "FROM tools:1 AS broken\nRUN exit 1\nFROM tools:1 AS good\nRUN echo fine\nFROM broken";
  const { said, error } = await build(contextOf(dockerfile), "target=good");
  expect(error).toBeUndefined();
  expect(said).toContain("fine\n");
});

buildTest("ADD unpacks archives, and links in the context lead nowhere outside of it", async () => {
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

const LIST = [
  ...["sh", "-c", "cd $0 && for f in $(find . | sort); do echo $(stat -c '%n %a %u:%g' $f) $(readlink $f); done"],
];

/** What is in a directory of an image: names, modes, owners, and where symlinks lead. */
const listed = async (image: string, directory: string) =>
  (await output(image, ...LIST, directory)).trimEnd().replace(/^\.\//gm, "").split("\n").slice(1);

/** Builds an image in which each line after FROM copies into a directory of its own; gives what is in them. */
async function copied(files: Parameters<typeof rawTar>, ...lines: string[]): Promise<string[][]> {
  const dockerfile = ["FROM tools:1", ...lines].join("\n");
  const { error } = await build(rawTar({ name: "Dockerfile", content: dockerfile }, ...files), "t=copied");
  expect(error).toBeUndefined();
  return await Promise.all(lines.map((line) => listed("copied", /(\S+?)\/?$/m.exec(line.split("\n")[0]!)![1]!)));
}

buildTest("COPY has the rules of BuildKit for modes, owners, patterns and what is a directory", async () => {
  const files = [
    { name: "a.txt", mode: 0o640, content: "a", uid: 7 },
    { name: "b.md", mode: 0o750, content: "b" },
    { name: "d/", type: "5", mode: 0o700 },
    { name: "d/in/", type: "5", mode: 0o711 },
    { name: "d/in/deep.txt", mode: 0o600, content: "deep" },
    { name: "d/x.md", content: "x", mode: 0o644 },
    { name: "d/to", type: "2", linkName: "../a.txt" },
  ];
  const made = await copied(
    files,
    "COPY a.txt /to-file/",
    "COPY d /to-dir",
    "COPY --chown=user --chmod=u=rwX,go=rX a.txt d /chowned/",
    "COPY --chmod=0751 b.md /octal/",
    "COPY --exclude=*.md --exclude=in/deep* d /excluded/",
    "COPY --parents d/in/deep.txt ./d/./x.md /parents/",
    "COPY --parents **/*.txt /any-depth/",
    "COPY [ab]* /matched/",
    "COPY d/to /followed/",
    "COPY --link --chown=1000:7 b.md /linked/sub/",
  );
  expect(made).toEqual([
    ["a.txt 640 0:0"],
    ["in 711 0:0", "in/deep.txt 600 0:0", "to 777 0:0 ../a.txt", "x.md 644 0:0"],
    [
      ...["a.txt 644 1000:1000", "in 755 1000:1000", "in/deep.txt 644 1000:1000"],
      ...["to 777 1000:1000 ../a.txt", "x.md 644 1000:1000"],
    ],
    ["b.md 751 0:0"],
    ["in 711 0:0", "to 777 0:0 ../a.txt"],
    ["d 700 0:0", "d/in 711 0:0", "d/in/deep.txt 600 0:0", "x.md 644 0:0"],
    ["a.txt 640 0:0", "d 700 0:0", "d/in 711 0:0", "d/in/deep.txt 600 0:0"],
    ["a.txt 640 0:0", "b.md 750 0:0"],
    ["to 640 0:0"],
    ["b.md 750 1000:7"],
  ]);
});

buildTest("heredocs become files, with variables where their word has no quotes", async () => {
  const lines = [
    "ENV WHO=me",
    "COPY <<EOF <<-'RAW' /h/",
    "hello $WHO",
    "EOF",
    "\t\t$WHO",
    "RAW",
    "COPY <<EOF /h/name",
    "x",
    "EOF",
  ];
  const { error } = await build(contextOf(["FROM tools:1", ...lines].join("\n")), "t=heredoc");
  expect(error).toBeUndefined();
  expect(await output("heredoc", "cat", "/h/EOF", "/h/RAW", "/h/name")).toBe("hello me\n$WHO\nx\n");
  expect(await listed("heredoc", "/h")).toEqual(["EOF 644 0:0", "RAW 644 0:0", "name 644 0:0"]);
  const { error: refused } = await build(
    contextOf("FROM tools:1\nCOPY <<../../../tmp/evil /h/\nx\n../../../tmp/evil"),
    "t=evil",
  );
  expect(refused).toBeUndefined();
  expect(existsSync("/tmp/evil")).toBe(false);
});

buildTest("triggers of images and of earlier stages run before a stage's own steps, and are no steps", async () => {
  const parent = "FROM tools:1\nONBUILD ARG A=1\nONBUILD RUN echo triggered $A > /by";
  expect((await build(contextOf(parent), "t=parent:1")).error).toBeUndefined();
  const child = await build(contextOf("FROM parent:1\nRUN cat /by"), "t=child:1&nocache=1");
  expect(child.said).toMatch(
    /^Step 1\/2 : FROM parent:1\n# Executing 2 build triggers\n ---> Running in ID\n.*\n ---> ID\nStep 2\/2 : RUN cat/s,
  );
  expect(child.said).toContain("\ntriggered 1\n");
  const { json } = await daemon.request("GET", "/images/child:1/json");
  expect(json.Config.OnBuild).toBeNull();
  const staged = await build(
    contextOf(`${parent.replace("tools:1", "tools:1 AS one")}\nFROM one\nRUN cat /by`),
    "nocache=1",
  );
  expect([staged.error, staged.said]).toEqual([undefined, expect.stringContaining("\ntriggered 1\n")]);
  const single = await build(contextOf("FROM tools:1 AS one\nONBUILD RUN true\nFROM one"), "nocache=1");
  expect(single.said).toContain("# Executing 1 build trigger\n ---> Running in ID\n");
});

buildTest("arguments that nothing declares are told, with or without a value", async () => {
  const context = contextOf("ARG G\nFROM tools:1\nARG USED\nRUN true");
  const args = { USED: "1", G: "2", Z: "3", EMPTY: null, HTTP_PROXY: "4" };
  const { said } = await build(context, `buildargs=${encodeURIComponent(JSON.stringify(args))}`);
  expect(said).toContain("\n[Warning] One or more build-args [EMPTY Z] were not consumed\nSuccessfully built ID\n");
  expect((await build(context)).said).not.toContain("Warning");
});

buildTest.each([
  ["FROM scratch", "", "No image was generated. Is your Dockerfile empty?"],
  ["FROM tools:1", "target=none", 'target stage "none" could not be found'],
  ["FROM tools:1\nCOPY --from=0 / /", "", "invalid from flag value 0: refers to current build stage"],
])("what makes no image says why: %j %s", async (dockerfile, query, text) => {
  expect((await build(contextOf(dockerfile), query)).error).toBe(text);
});

buildTest("an unknown image to copy from is named with the flag", async () => {
  const { error } = await build(contextOf("FROM tools:1\nCOPY --from=127.0.0.1:1/none / /"));
  expect(error).toStartWith("invalid from flag value 127.0.0.1:1/none: ");
});

buildTest("a name that a build gives is an event", async () => {
  const since = Date.now() / 1000;
  const { id } = await build(contextOf("FROM tools:1\nLABEL of=event"), "t=named-by-build:1");
  const filters = encodeURIComponent(JSON.stringify({ event: ["tag"], label: ["of=event"] }));
  const { text } = await daemon.request(
    "GET",
    `/events?since=${since}&until=${Date.now() / 1000 + 1}&filters=${filters}`,
  );
  const events = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.map(({ Actor }) => [Actor.ID, Actor.Attributes.name])).toEqual([[id, "named-by-build:1"]]);
});

buildTest("an image's names are in the order of the full ones", async () => {
  const names = ["first:latest", "in/x:1", "127.0.0.1:5000/x:2"];
  await build(contextOf("FROM tools:1\nLABEL has=names"), names.map((name) => `t=${name}`).join("&"));
  const { json } = await daemon.request("GET", "/images/first/json");
  expect(json.RepoTags).toEqual(["127.0.0.1:5000/x:2", "in/x:1", "first:latest"]);
});

buildTest("containers of an image that was made from another are found by that one", async () => {
  await build(contextOf("FROM tools:1\nLABEL a=1"), "t=ancestor:1");
  await build(contextOf("FROM ancestor:1\nLABEL b=1"), "t=descendant:1");
  const id = await daemon.create({ Image: "descendant:1", Cmd: ["true"] });
  for (const [image, isFound] of [
    ["ancestor:1", true],
    ["tools:1", true],
    ["descendant:1", true],
    ["none", false],
  ]) {
    const filters = encodeURIComponent(JSON.stringify({ ancestor: [image], id: [id] }));
    const { json } = await daemon.request("GET", `/containers/json?all=1&filters=${filters}`);
    expect([image, json.length === 1]).toEqual([image, isFound]);
  }
  await daemon.request("DELETE", `/containers/${id}`);
});

buildTest("a small file that is copied from a stage has one name, as cron asks of its tables", async () => {
  const dockerfile = [
    "FROM tools:1 AS base",
    "RUN echo x > /small",
    "FROM tools:1",
    "COPY --from=base /small /copied",
    "RUN stat -c 'links %h' /copied",
  ].join("\n");
  expect((await build(contextOf(dockerfile), "nocache=1")).said).toContain("\nlinks 1\n");
});

buildTest("COPY --from keeps owners and hard links, and nothing of a container's own files comes along", async () => {
  const dockerfile = [
    "FROM tools:1 AS base",
    'RUN ["sh", "-c", "mkdir -p /out/in; echo 1 > /out/one; ln /out/one /out/in/two; chown 5:6 /out/one"]',
    "FROM scratch AS bare",
    "COPY --from=base /out/one /x",
    "FROM tools:1",
    "COPY --from=base /out /kept",
    "COPY --from=base --chown=user:7 /out /given",
    "COPY --from=bare / /all",
    "RUN [ /kept/one -ef /kept/in/two ] && [ /given/one -ef /given/in/two ] && echo linked",
  ].join("\n");
  const { said, error } = await build(contextOf(dockerfile), "t=from&nocache=1");
  expect(error).toBeUndefined();
  expect(said).toContain("\nlinked\n");
  expect(await listed("from", "/kept")).toEqual(["in 755 0:0", "in/two 644 5:6", "one 644 5:6"]);
  expect(await listed("from", "/given")).toEqual(["in 755 1000:7", "in/two 644 1000:7", "one 644 1000:7"]);
  expect(await listed("from", "/all")).toEqual(["x 644 5:6"]);
});

buildTest(
  "ADD replaces what is in its way, follows links only where an archive does not say otherwise, and keeps owners",
  async () => {
    const archive = rawTar(
      { name: "./", type: "5", mode: 0o711 },
      { name: "lib/new", content: "new", mode: 0o600, uid: 3, gid: 4 },
      { name: "file", content: "a file now", mode: 0o644 },
      { name: "dir/", type: "5", mode: 0o750 },
      { name: "dir/x", content: "x", mode: 0o644 },
      { name: "abs", type: "2", linkName: "/elsewhere" },
    );
    const lines = [
      "RUN mkdir -p /r/usr/lib /r/file/full && ln -s usr/lib /r/lib && echo old > /r/usr/lib/old && echo f > /r/dir",
      "ADD --chown=9:9 --chmod=777 a.tgz /r/",
      "ADD --unpack=false a.tgz /packed/",
      "COPY --from=tools:1 /bin/busybox /r/abs",
    ];
    const context = rawTar(
      { name: "Dockerfile", content: ["FROM tools:1", ...lines].join("\n") },
      { name: "a.tgz", content: gzipSync(archive), mode: 0o640 },
    );
    const { error } = await build(context, "t=added");
    expect(error).toBeUndefined();
    expect((await listed("added", "/r")).filter((line) => !line.startsWith("abs"))).toEqual([
      ...["dir 750 0:0", "dir/x 644 0:0", "file 644 0:0", "lib 777 0:0 usr/lib", "usr 755 0:0"],
      ...["usr/lib 755 0:0", "usr/lib/new 600 3:4", "usr/lib/old 644 0:0"],
    ]);
    expect(await output("added", "stat", "-c", "%a %F", "/r", "/r/abs", "/elsewhere")).toBe(
      "711 directory\n777 symbolic link\n755 regular file\n",
    );
    expect(await listed("added", "/packed")).toEqual(["a.tgz 640 0:0"]);
  },
);

buildTest("names that are not UTF-8 are matched and copied, and a copy that cannot be is refused by name", async () => {
  const odd = Buffer.from([0x61, 0xff, 0x62]).toString("latin1");
  const context = (dockerfile: string) => {
    const tar = rawTar(
      { name: "Dockerfile", content: dockerfile },
      { name: "aXb", content: "odd" },
      { name: "d/f", content: "" },
    );
    return renamed(tar, "aXb", odd);
  };
  expect((await build(context("FROM tools:1\nCOPY a?b d /odd/"), "t=odd")).error).toBeUndefined();
  expect(await output("odd", "sh", "-c", "cat /odd/a*b; ls /odd | wc -l")).toBe("odd2\n");
  const failure = async (line: string) => (await build(context(`FROM tools:1\nRUN mkdir /dir\n${line}`))).error;
  expect(await failure("COPY nope /")).toBe(
    "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
  );
  expect(await failure("COPY --from=tools:1 nope /")).toBe("COPY failed: stat nope: file does not exist");
  expect(await failure("ADD nope* /")).toBe("ADD failed: no source files were specified");
  expect(await failure("COPY a?b /dir/x/\nCOPY d/f /dir/x")).toBeUndefined();
  expect(await failure("COPY d /etc/passwd")).toBe("cannot copy to non-directory: /etc/passwd");
  expect(await failure("COPY d/f /bin/busybox/x")).toBe("mkdir /bin/busybox: not a directory");
  expect(await failure("COPY d/f a?b /new")).toContain("more than one source file");
  expect(await failure("COPY --chmod=9 d/f /new")).toContain("invalid chmod parameter: '9'");
  expect(await failure("COPY --chown=nobody-here d/f /new")).toContain("unable to find user nobody-here");
});

/** The tar with a name of the same length in place of another one. */
function renamed(tar: Buffer, from: string, to: string): Buffer {
  const at = tar.indexOf(`${from}\0`, 0, "latin1");
  tar.write(to, at, "latin1");
  tar.fill(" ", at + 148, at + 156);
  const sum = tar.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1");
  return tar;
}

buildTest("FROM --platform and the arguments for platforms: what builds, what is built for", async () => {
  const host = process.arch === "x64" ? "amd64" : process.arch;
  const other = host === "amd64" ? "arm64" : "amd64";
  const lines = [
    "FROM --platform=$BUILDPLATFORM tools:1",
    ...["TARGETPLATFORM", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "TARGETOS"].map((name) => `ARG ${name}`),
    "RUN echo $TARGETPLATFORM $TARGETARCH [$TARGETVARIANT] $BUILDPLATFORM $TARGETOS",
  ];
  const dockerfile = lines.join("\n");
  const own = await build(contextOf(dockerfile), "t=own");
  expect(own.said).toContain(`\nlinux/${host} ${host} [] linux/${host} linux\n`);
  const cross = await build(contextOf(dockerfile), `t=cross&platform=linux/${other}/v8`);
  expect(cross.said).toContain(`\nlinux/${other}/v8 ${other} [v8] linux/${host} linux\n`);
  const { json } = await daemon.request("GET", "/images/cross/json");
  expect([json.Architecture, json.Variant, json.Os]).toEqual([other, "v8", "linux"]);
  expect((await build(contextOf("FROM --platform=a/b/c/d tools:1"))).error).toContain(
    "cannot parse platform specifier",
  );
  // The image that is there is for another platform than is wanted, and nobody has another one.
  expect((await build(contextOf(`FROM --platform=linux/${other} tools:1\nRUN true`))).error).toBeDefined();
  expect((await build(contextOf(`FROM --platform=linux/${other} cross\nCOPY Dockerfile /x`))).error).toBeUndefined();
});

/** Runs `use` with a directory, and the URL at which the daemon finds it. */
async function withServedFiles(use: (directory: string, url: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "lighter-served-"));
  try {
    await using server = await startFileServer(daemon.network, directory);
    await use(directory, server.url);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

buildTest("ADD fetches URLs: names, times, modes, digests, redirects; a failure is told with its status", async () => {
  await withServedFiles(async (directory, url) => {
    writeFileSync(join(directory, "name.txt"), "from afar");
    utimesSync(join(directory, "name.txt"), 1_709_251_200, 1_709_251_200);
    writeFileSync(join(directory, "pack.tgz"), gzipSync(rawTar({ name: "inner", content: "unpacked" })));
    const lines = [
      `ADD ${url}/name.txt?x=1 /plain/`,
      `ADD --chmod=644 --chown=user ${url}/to/name.txt /redirected/as`,
      `ADD ${url}/pack.tgz /packed/`,
      `ADD --unpack=true ${url}/pack.tgz /unpacked/`,
    ];
    const { error } = await build(contextOf(["FROM tools:1", ...lines].join("\n")), "t=fetched");
    expect(error).toBeUndefined();
    const names = ["/plain/name.txt", "/redirected/as", "/packed/pack.tgz", "/unpacked/inner"];
    expect((await output("fetched", "stat", "-c", "%n %a %u %Y", ...names)).split("\n")).toEqual([
      "/plain/name.txt 600 0 1709251200",
      "/redirected/as 644 1000 1709251200",
      expect.stringMatching(/^\/packed\/pack.tgz 600 0 /),
      "/unpacked/inner 644 0 1600000000",
      "",
    ]);
    const digest = `sha256:${createHash("sha256").update("from afar").digest("hex")}`;
    const built = (line: string) => build(contextOf(`FROM tools:1\n${line}`));
    expect((await built(`ADD --checksum=${digest} ${url}/name.txt /x`)).error).toBeUndefined();
    expect((await built(`ADD --checksum=${digest} ${url}/name.txt /x`)).said).toContain("Using cache");
    writeFileSync(join(directory, "name.txt"), "changed");
    expect((await built(`ADD --checksum=${digest} ${url}/name.txt /x`)).error).toStartWith("digest mismatch sha256:");
    expect((await built(`ADD --checksum=md5:0 ${url}/name.txt /x`)).error).toBe("unsupported digest algorithm");
    expect((await built(`ADD --checksum=${digest} Dockerfile /x`)).error).toContain("requires HTTP(S) or Git");
    expect((await built(`ADD ${url}/status/410 /x`)).error).toBe(
      `failed to GET ${url}/status/410 with status 410 Gone: this is 410`,
    );
    expect((await built(`COPY ${url}/name.txt /x`)).error).toBe("source can't be a URL for COPY");
    expect((await built("ADD http://127.0.0.1:1/x /x")).error).toContain("127.0.0.1:1");
  });
});

buildTest(
  "a file of a URL is fetched again only if its server says that it has changed, or its bytes are needed",
  async () => {
    await withServedFiles(async (directory, url) => {
      const count = async () => {
        const { stdout } = Bun.spawnSync(daemon.network.inside("busybox", "wget", "-q", "-O", "-", `${url}/count`));
        return JSON.parse(stdout.toString()) as unknown;
      };
      const add = async (to: string) => {
        const { error, said } = await build(contextOf(`FROM tools:1\nADD --chmod=644 ${url}/kept.txt ${to}`), "t=kept");
        expect(error).toBeUndefined();
        return said.includes("Using cache");
      };
      writeFileSync(join(directory, "kept.txt"), "first");
      expect([await add("/kept"), await count()]).toEqual([false, { sent: 1, unchanged: 0 }]);
      expect([await add("/kept"), await count()]).toEqual([true, { sent: 1, unchanged: 1 }]);
      expect([await add("/elsewhere"), await count()]).toEqual([false, { sent: 2, unchanged: 2 }]);
      expect(await output("kept", "cat", "/elsewhere")).toBe("first");
      writeFileSync(join(directory, "kept.txt"), "second");
      expect([await add("/kept"), await count()]).toEqual([false, { sent: 3, unchanged: 2 }]);
      expect(await output("kept", "cat", "/kept")).toBe("second");
    });
  },
);

buildTest("the context is a tar at a URL, compressed in any way, or a Dockerfile alone", async () => {
  await withServedFiles(async (directory, url) => {
    const tar = contextOf("FROM tools:1\nCOPY x /x\nRUN cat x", { x: "found\n" });
    const remote = (name: string, query = "") => build(Buffer.alloc(0), `remote=${url}/${name}&nocache=1&${query}`);
    writeFileSync(join(directory, "plain.tar"), tar);
    writeFileSync(join(directory, "zipped"), gzipSync(tar));
    writeFileSync(join(directory, "alone"), "FROM tools:1\nRUN echo alone; ls /x || true\nLABEL a=b");
    for (const name of ["plain.tar", "zipped", "to/zipped"]) expect((await remote(name)).said).toContain("found\n");
    for (const name of ["Dockerfile", "other"])
      expect((await remote("alone", `dockerfile=${name}`)).said).toContain("alone\n");
    expect((await remote("nothing")).error).toBe(`failed to GET ${url}/nothing with status 404 Not Found: nothing`);
    expect((await build(Buffer.alloc(0), "remote=ftp://x/y")).error).toBe(
      "remoteURL (ftp://x/y) could not be recognized as URL",
    );
  });
});

const compressors = ["bzip2", "xz"].filter((name) => spawnSync(name, ["--version"], { input: "" }).status === 0);
testIf(canBuild && compressors.length === 2, "needs root, a static busybox, bzip2 and xz")(
  "contexts and archives are unpacked from bzip2 and xz; what is broken is told",
  async () => {
    for (const name of compressors) {
      const packed = (bytes: Buffer) => spawnSync(name, ["-c"], { input: bytes }).stdout;
      const inner = packed(rawTar({ name: "in", content: `inside ${name}\n` }));
      const dockerfile = "FROM tools:1\nADD a b /to/\nRUN cat /to/in; ls /to";
      const context = contextOf(dockerfile, { a: inner, b: packed(Buffer.from("no tar")) });
      const { said, error } = await build(packed(context), "nocache=1");
      expect(error).toBeUndefined();
      expect(said).toContain(`inside ${name}\nb\nin\n`);
      expect((await build(packed(context).subarray(0, 300))).error).toStartWith(`${name}: `);
    }
  },
);

const hasGit = spawnSync("git", ["--version"]).status === 0;
testIf(canBuild && hasGit, "needs root, a static busybox and git")(
  "git repositories are contexts, and sources of ADD: branches, tags, commits, subdirectories; nothing leads out of them",
  async () => {
    await withServedFiles(async (directory, url) => {
      const git = (...args: string[]) => {
        const identity = ["-c", "user.name=me", "-c", "user.email=me@here", "-c", "init.defaultBranch=trunk"];
        const env = { PATH: process.env.PATH, HOME: directory, GIT_CONFIG_NOSYSTEM: "1" };
        const { status, stdout, stderr } = spawnSync("git", [...identity, ...args], {
          cwd: directory,
          env,
          encoding: "utf8",
        });
        if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`);
        return stdout.trim();
      };
      const work = (...args: string[]) => git("-C", "work", ...args);
      const commit = (name: string, content: string) => {
        writeFileSync(join(directory, "work", name), content);
        work("add", ".");
        work("commit", "-qm", name);
        return work("rev-parse", "HEAD");
      };
      git("init", "-q", "work");
      mkdirSync(join(directory, "work/sub"));
      symlinkSync("/etc", join(directory, "work/out"));
      commit("sub/Dockerfile", "FROM tools:1\nCOPY . /s/\nRUN ls /s");
      const first = commit("Dockerfile", "FROM tools:1\nCOPY . /g/\nRUN ls -a /g");
      work("tag", "-am", "v1", "v1");
      work("checkout", "-qb", "side");
      commit("of-side", "side\n");
      work("checkout", "-q", "trunk");
      commit("later", "later\n");
      git("clone", "-q", "--bare", "work", "repo.git");
      git("-C", "repo.git", "update-server-info");
      const remote = `${url}/repo.git`;
      const of = (query: string) => build(Buffer.alloc(0), `nocache=1&remote=${encodeURIComponent(remote + query)}`);
      const listing = "Dockerfile\nlater\nout\nsub\n";
      expect((await of("")).said).toContain(`..\n${listing}`);
      expect((await of("#v1")).said).toContain("..\nDockerfile\nout\nsub\n");
      expect((await of(`#${first}`)).said).toContain("..\nDockerfile\nout\nsub\n");
      expect((await of("#side:sub")).said).toContain("Dockerfile\n");
      expect((await of("#nope")).error).toBe("repository does not contain ref nope");
      expect((await of("#trunk:out")).error).toBe("the repository has no directory out");
      expect((await of("#trunk:../../../etc")).error).toBe("the repository has no directory etc");
      const add = async (line: string) => {
        const dockerfile = `FROM tools:1\nADD ${line} /a/\nRUN ls -a /a`;
        const { said, error } = await build(contextOf(dockerfile), "nocache=1");
        return error ?? /\.\.\n(.*?) ---> /s.exec(said)?.[1];
      };
      expect(await add(remote)).toBe(listing);
      expect(await add(`${remote}#side`)).toBe("Dockerfile\nof-side\nout\nsub\n");
      expect(await add(`--keep-git-dir=true ${remote}#v1:`)).toBe(".git\nDockerfile\nout\nsub\n");
      expect(await add(`--checksum=${first} ${remote}#v1`)).toBe("Dockerfile\nout\nsub\n");
      expect(await add(`--checksum=${"0".repeat(40)} ${remote}#v1`)).toContain("expected checksum to match");
      expect(await add(`${url}/none.git`)).toMatch(/^git fetch: fatal: repository .* not found/);

      // Repositories in it: one by its URL, one by where it is beside it, and in that a file of this machine's.
      const part = (...args: string[]) => git("-C", "part", ...args);
      git("init", "-q", "part");
      writeFileSync(join(directory, "part/of-part"), "");
      part("add", ".");
      part("commit", "-qm", "part");
      git("clone", "-q", "--bare", "part", "part.git");
      git("-C", "part.git", "update-server-info");
      const addPart = (name: string, address: string) => {
        work("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", `${directory}/part.git`, name);
        work("config", "-f", ".gitmodules", `submodule.${name}.url`, address);
      };
      addPart("absolute", `${url}/part.git`);
      addPart("relative", "../part.git");
      commit("with-parts", "");
      const publish = () => {
        git("-C", "repo.git", "fetch", "-q", "../work", "+refs/heads/*:refs/heads/*");
        git("-C", "repo.git", "update-server-info");
      };
      publish();
      const parts = async (query: string) => {
        const from = `${remote}${query}`;
        const dockerfile = `FROM tools:1\nADD ${from} /a/\nRUN cd /a; ls -d absolute/* relative/*`;
        const { said, error } = await build(contextOf(dockerfile), "nocache=1");
        return error ?? /^((absolute|relative)\/.*?)\n ---> /ms.exec(said)?.[1];
      };
      const both = "absolute/of-part\nrelative/of-part";
      expect(await parts("")).toBe(both);
      expect(await parts("?submodules=false")).toContain("returned a non-zero code");
      work("config", "-f", ".gitmodules", "submodule.relative.url", `${directory}/part.git`);
      commit("with-local", "");
      publish();
      expect(await parts("")).toMatch(/transport 'file' not allowed/);
    });
  },
);

buildTest("a hostile context stays where it is, and a Dockerfile that is too long is told what to do", async () => {
  const links = await build(
    rawTar(
      { name: "Dockerfile", content: "FROM tools:1\nCOPY up /up/\nCOPY evil/passwd /p" },
      { name: "up/", type: "5" },
      { name: "etc/", type: "5" },
      { name: "evil", type: "2", linkName: "/etc" },
      { name: "evil/passwd", content: "of the context" },
      { name: "up/dev", type: "3", devMajor: 1, devMinor: 3 },
      { name: "up/same", type: "1", linkName: "evil/passwd" },
    ),
    "t=hostile",
  );
  expect(links.error).toBeUndefined();
  expect(await output("hostile", "sh", "-c", "cat /p /up/same; stat -c '%F' /up/dev")).toBe(
    "of the contextof the contextcharacter special file\n",
  );
  const outside = { name: "../../out", content: "inside after all\n" };
  const inside = await build(rawTar({ name: "Dockerfile", content: "FROM tools:1\nCOPY out /\nRUN cat out" }, outside));
  expect([inside.error, inside.said]).toEqual([undefined, expect.stringContaining("inside after all\n")]);
  expect((await build(rawTar({ name: "a", type: "1", linkName: "../../etc/passwd" }))).error).toBeDefined();
  const long = `FROM tools:1\n${"# comment\n".repeat(1_000_000)}`;
  expect((await build(contextOf(long))).error).toMatch(
    /^the Dockerfile has 10000013 bytes, above the limit of \d+: put /,
  );
  const lower = await build(rawTar({ name: "dockerfile", content: "FROM tools:1\nRUN echo small letters" }));
  expect(lower.said).toContain("small letters\n");
});

buildTest("what .dockerignore leaves out of the Dockerfile's own files is not there to be copied", async () => {
  const dockerfile = "FROM tools:1\nCOPY . /c/\nRUN ls -a /c";
  const files = { ".dockerignore": "Dockerfile\n.dockerignore\nother", other: "is sent all the same" };
  expect((await build(contextOf(dockerfile, files))).said).toContain("..\nother\n ---> ");
});

buildTest("what cannot be built is refused by name", async () => {
  const messages = async (dockerfile: string, query = "") => {
    const { text } = await daemon.request("POST", `/build?${query}`, contextOf(dockerfile), {
      "Content-Type": "application/x-tar",
    });
    return JSON.parse(text.split("\r\n")[0]!).message;
  };
  expect(await messages("FROM tools:1\nRUN --device=vendor.com/a=b true")).toContain("--device");
  expect(await messages("FROM tools:1\nRUN --security=insecure true")).toBe("security.insecure is not allowed");
  expect(await messages("FROM tools:1\nNOPE x")).toBe(
    "dockerfile parse error on line 2: unknown instruction: NOPE (did you mean COPY?)",
  );
  expect(await messages("FROM tools:1\n", "platform=plan9/mips")).toBe("building for plan9/mips is not supported yet");
  expect(await messages("FROM tools:1\n", "dockerfile=Other")).toBe("Cannot locate specified Dockerfile: Other");
});

buildTest("the cache is counted, and pruned by Docker's rules", async () => {
  const dockerfile = "FROM tools:1\nRUN echo for the cache > /x\nRUN echo more > /y";
  const { id } = await build(contextOf(dockerfile));
  const records = async () => (await daemon.request("GET", "/system/df")).json.BuildCache;
  const find = async (text: string) =>
    (await records()).find(({ Description }: { Description: string }) => Description === text);
  const first = await find("RUN echo for the cache > /x");
  const second = await find("RUN echo more > /y");
  expect(first).toMatchObject({ Type: "regular", InUse: false, Shared: true, UsageCount: 1 });
  expect(first.Size).toBeGreaterThan(0);
  expect(second.Parents).toEqual([first.ID]);
  const prune = async (query: string) => (await daemon.request("POST", `/build/prune?${query}`)).json;
  const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;
  // An image has the same files.
  expect((await prune(filters({ id: [first.ID] }))).CachesDeleted).toBeNull();
  await daemon.request("DELETE", `/images/${id}`);
  expect(await find("RUN echo for the cache > /x")).toMatchObject({ Shared: false });
  // The second step was made of the first.
  expect((await prune(filters({ id: [first.ID] }))).CachesDeleted).toBeNull();
  expect((await prune(filters({ until: ["1h"] }))).CachesDeleted).toBeNull();
  expect((await prune(`keep-storage=${2 ** 40}`)).CachesDeleted).toBeNull();
  expect(await prune(filters({ id: [second.ID] }))).toEqual({
    CachesDeleted: [second.ID],
    SpaceReclaimed: second.Size,
  });
  expect((await prune(filters({ until: ["yesterday"] }))).message).toContain("expects a duration");
  expect((await prune("all=1")).CachesDeleted).toContain(first.ID);
  expect(await records()).toEqual([]);
  expect((await build(contextOf(dockerfile))).said).not.toContain("Using cache");
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

buildTest("a build whose client goes is given up, and nothing is left of it", async () => {
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

/** A command that says that it runs, and waits until it is let go on; and what to do about that. */
function gate(name: string) {
  const path = () => {
    const caches = join(daemon.dataRoot, "build-caches");
    return readdirSync(caches)
      .map((directory) => join(caches, directory))
      .find((directory) => existsSync(join(directory, `runs-${name}`)));
  };
  return {
    command: `RUN --mount=type=cache,target=/g echo run >> /g/runs-${name}; while ! test -e /g/go-${name}; do sleep 0.1; done; echo gone on`,
    reached: () => until(() => path() !== undefined, `the step ${name} runs`),
    open: () => writeFileSync(join(path()!, `go-${name}`), ""),
    /** How often the command has been begun. */
    count: () => readFileSync(join(path()!, `runs-${name}`), "utf8").split("\n").length - 1,
  };
}

/** Begins a build that can be cancelled. */
function beginBuild(dockerfile: string) {
  const aborter = new AbortController();
  let said = "";
  const read = async () => {
    const response = await fetch("http://d/build", {
      method: "POST",
      unix: daemon.socketPath,
      body: Uint8Array.from(contextOf(dockerfile)),
      headers: { "Content-Type": "application/x-tar" },
      signal: aborter.signal,
    });
    for await (const chunk of response.body!) said += Buffer.from(chunk).toString();
  };
  const answer = read().then(
    () => said,
    () => said, // it was cancelled
  );
  const running = () => until(() => said.includes("Running in"), "the build waits for the step");
  return { answer, running, cancel: () => aborter.abort() };
}

buildTest("builds that want a step at once share it, and it ends with the last of them", async () => {
  const { command, reached, open, count } = gate("shared");
  const dockerfile = `FROM tools:1\n${command}\nRUN echo after`;
  const [first, second, third] = [0, 1, 2].map(() => beginBuild(dockerfile)) as ReturnType<typeof beginBuild>[];
  await reached();
  for (const each of [first!, second!, third!]) await each.running();
  first!.cancel();
  await first!.answer;
  open();
  for (const { answer } of [second!, third!]) expect(await answer).toContain("gone on");
  expect(count()).toBe(1);
  const abandoned = gate("abandoned");
  const both = [0, 1].map(() => beginBuild(`FROM tools:1\n${abandoned.command}`));
  await abandoned.reached();
  for (const each of both) await each.running();
  const ids = stepIds();
  for (const each of both) each.cancel();
  await until(() => daemon.leftovers(ids).length === 0, "nothing is left of the step");
  expect(abandoned.count()).toBe(1);
});

buildTest("a base image may be removed while it is built upon", async () => {
  await build(contextOf("FROM tools:1\nRUN echo of the base > /base"), "t=base:removed");
  const { command, reached, open } = gate("base");
  const building = beginBuild(`FROM base:removed\n${command}\nRUN cat /base`);
  await reached();
  expect((await daemon.request("DELETE", "/images/base:removed?force=1")).status).toBe(200);
  open();
  expect(await building.answer).toContain("of the base");
  expect((await daemon.request("GET", "/images/base:removed/json")).status).toBe(404);
});

buildTest("commands are in the network that they ask for, or that the build asks for", async () => {
  await daemon.request("POST", "/networks/create", { Name: "own", Driver: "bridge" });
  const links = "cat /proc/net/dev /etc/resolv.conf";
  const lines = (said: string) =>
    said.split("\n").filter((line) => /^ *(lo|eth\d+|lighter\w+):|^nameserver/.test(line));
  const inOwn = lines((await build(contextOf(`FROM tools:1\nRUN ${links}`), "networkmode=own&nocache=1")).said);
  expect(inOwn).toEqual([expect.stringContaining("lo:"), expect.stringContaining("eth0:"), "nameserver 127.0.0.11"]);
  const { said } = await build(contextOf(`FROM tools:1\nRUN ${links}\nRUN --network=none ${links}`), "nocache=1");
  expect(lines(said).filter((line) => line.includes(":"))).toEqual([
    ...[expect.stringContaining("lo:"), expect.stringContaining("eth0:")],
    expect.stringContaining("lo:"),
  ]);
  const { command, reached, open } = gate("network");
  const building = fetch("http://d/build?networkmode=own", {
    ...{ method: "POST", unix: daemon.socketPath, headers: { "Content-Type": "application/x-tar" } },
    body: Uint8Array.from(contextOf(`FROM tools:1\n${command}`)),
  }).then((answer) => answer.text());
  await reached();
  expect((await daemon.request("DELETE", "/networks/own")).json.message).toContain("has active endpoints");
  open();
  expect(await building).toContain("Successfully built");
  expect((await daemon.request("DELETE", "/networks/own")).status).toBe(204);
});

buildTest(
  "the stream has the id before the words for people, and errors in red; cachefrom without its images finds nothing",
  async () => {
    const context = contextOf("FROM tools:1\nRUN echo out; echo err >&2");
    const raw = async (query: string) =>
      (await daemon.request("POST", `/build?${query}`, context, { "Content-Type": "application/x-tar" })).text
        .split("\r\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    const lines = await raw("t=stream:1");
    const at = (isIt: (line: { stream?: string; aux?: object }) => boolean) => lines.findIndex(isIt);
    expect(lines).toContainEqual({ stream: "out\n" });
    expect(lines).toContainEqual({ stream: "\x1b[91merr\n\x1b[0m" });
    const built = at(({ stream = "" }) => stream.startsWith("Successfully built"));
    expect(at(({ aux }) => aux !== undefined)).toBe(built - 1);
    expect(lines.at(-1)).toEqual({ stream: "Successfully tagged stream:1\n" });
    const said = async (sources: string[]) =>
      (await raw(`cachefrom=${encodeURIComponent(JSON.stringify(sources))}`)).map(({ stream = "" }) => stream).join("");
    expect(await said(["nosuch:1", "stream:1"])).toContain("Using cache");
    expect(await said(["nosuch:1"])).not.toContain("Using cache");
    expect(await raw("q=1")).toEqual([{ stream: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/) }]);
  },
);

stock(
  "the stock docker build without BuildKit shows the steps, tags the image and tells a failed command's code",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-build-"));
    try {
      writeFileSync(join(directory, "a"), "from the context\n");
      writeFileSync(join(directory, ".dockerignore"), "ignored\n");
      writeFileSync(join(directory, "ignored"), "");
      const docker = async (dockerfile: string, ...args: string[]) => {
        if (!args.includes("-")) writeFileSync(join(directory, "Dockerfile"), dockerfile);
        const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_BUILDKIT: "0" };
        const pipes = { stdin: Buffer.from(dockerfile), stdout: "pipe", stderr: "pipe" } as const;
        const child = Bun.spawn(["docker", "build", ...args, directory], { env, ...pipes });
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
      for (const name of [".dockerignore", "ignored"]) rmSync(join(directory, name));
      const fromStdin = await docker("FROM tools:1\nCOPY . /d/\nRUN ls -A /d", "-f", "-");
      expect(fromStdin.stdout).toMatch(/ ---> Running in \w+\nDockerfile\na\n ---> Removed/);
      const limits = ["cpu.max", "cpu/cpu.cfs_quota_us", "cpuset.cpus", "cpuset/cpuset.cpus"];
      const look = `FROM tools:1\nRUN cd /sys/fs/cgroup; for f in ${limits.join(" ")}; do cat $f; done 2> /dev/null || true`;
      const limited = await docker(
        look,
        ...[
          "--compress",
          "--cpu-period=50000",
          "--cpu-quota=20000",
          "--cpuset-cpus=0",
          "--cpuset-mems=0",
          "--cpu-shares=512",
        ],
        ...["--memory=64m", "--memory-swap=128m", "--force-rm", "--rm=false", "--isolation=default", "--no-cache"],
      );
      expect(limited).toMatchObject({ code: 0 });
      expect(limited.stdout).toMatch(/Running in \w+\n20000( 50000)?\n0\n/);
      const isolated = await docker(look, "--isolation=hyperv");
      expect(isolated.stderr).toContain('unsupported isolation: "hyperv"');
      expect((await docker(look, "--squash")).stderr).toContain('"--squash" is only supported');
      const failed = await docker("FROM tools:1\nRUN exit 7");
      expect(failed.code).toBe(7);
      expect(failed.stderr).toContain("The command '/bin/sh -c exit 7' returned a non-zero code: 7");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

buildTest("each step has an image, which goes with the image that was made of it", async () => {
  const { id, said } = await build(contextOf("FROM tools:1\nENV CHAIN=b\nRUN echo > /one\nCMD true"), "t=chain:1");
  const parents: string[] = [];
  const { json: base } = await daemon.request("GET", "/images/tools:1/json");
  for (let at = id; at !== ""; at = (await daemon.request("GET", `/images/${at}/json`)).json.Parent) parents.push(at);
  expect(parents).toHaveLength(4);
  expect(parents[3]).toBe(base.Id);
  const { json: history } = await daemon.request("GET", "/images/chain:1/history");
  expect(history.map(({ Id }: { Id: string }) => Id).slice(0, 4)).toEqual(parents);
  expect(said.match(/^ ---> ID$/gm)).toHaveLength(4);
  expect(await output(parents[1]!, "ls", "/one")).toBe("/one\n");
  const ids = async (query: string) =>
    (await daemon.request("GET", `/images/json?${query}`)).json.map(({ Id }: { Id: string }) => Id);
  expect(await ids("")).not.toContain(parents[1]);
  expect(await ids("all=1")).toContain(parents[1]);
  const { json: removed } = await daemon.request("DELETE", "/images/chain:1");
  expect(removed.filter(({ Deleted = "" }) => parents.includes(Deleted))).toEqual(
    parents.slice(0, 3).map((Deleted) => ({ Deleted })),
  );
  expect((await build(contextOf("FROM tools:1\nENV CHAIN=b\nRUN echo > /one\nCMD true"), "t=chain:1")).id).toBe(id);
  await daemon.request("DELETE", "/images/chain:1");
});

buildTest("what was there before a step that failed may be run", async () => {
  const context = contextOf("FROM tools:1\nRUN echo kept > /kept\nRUN false");
  const { text } = await daemon.request("POST", "/build", context, { "Content-Type": "application/x-tar" });
  const [last] = [...text.matchAll(/ ---> ([0-9a-f]{12})\\n/g)].slice(-1);
  expect(await output(last![1]!, "cat", "/kept")).toBe("kept\n");
  const { json } = await daemon.request("DELETE", `/images/${last![1]}`);
  expect(json).toContainEqual({ Deleted: expect.stringContaining(last![1]!) });
});

buildTest("a daemon that is killed in the middle of a step leaves nothing but its cache", async () => {
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

buildTest("a cache that is damaged is begun anew", async () => {
  await daemon.kill();
  for (const end of ["-wal", "-shm"]) rmSync(join(daemon.dataRoot, `build.db${end}`), { force: true });
  writeFileSync(join(daemon.dataRoot, "build.db"), "no database at all ".repeat(1000));
  await daemon.launch();
  expect((await daemon.request("GET", "/system/df")).json.BuildCache).toEqual([]);
  expect((await build(contextOf("FROM tools:1\nRUN touch /x"))).error).toBeUndefined();
});
