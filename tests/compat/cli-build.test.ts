/** `lighter build` against our daemon, with real steps. */
import { afterAll, beforeAll, expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { readTar } from "../support/read-tar.ts";
import { TerminalSession } from "../support/terminal.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";
import { lighterCommand, type Outcome, type RunOptions, runProgram } from "./cli-support.ts";

let daemon: TestDaemon;
const folder = mkdtempSync(join(tmpdir(), "lighter-cli-build-"));

beforeAll(async () => {
  if (!canBuild) return;
  daemon = await TestDaemon.start();
  await loadTools(daemon);
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await daemon?.[Symbol.asyncDispose]();
});

let count = 0;

/** Writes a directory; the content of a file is text, or "-> TARGET" for a symlink. */
function directory(files: Record<string, string>): string {
  const path = join(folder, `context${++count}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, dirname(name)), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice(3), join(path, name));
    else writeFileSync(join(path, name), content);
  }
  return path;
}

const lighter = (argv: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  runProgram([...lighterCommand, "-H", `unix://${daemon.socketPath}`, ...argv], options);

/** Times and ids taken out. */
const steady = (text: string) =>
  text
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/ \d+\.\d+s done$/gm, " done")
    .replace(/\b\d+\.\d+s/g, "TIME")
    .replace(/^(#\d+) [\d.]{5} /gm, "$1 TIME ")
    .replace(/^[\d.]{5} /gm, "TIME ")
    .replace(/ \d+(\.\d+)?k?B\b/g, " SIZE");

buildTest("a build shows its steps, each with a number, and then those that it has found in the cache", async () => {
  const context = directory({
    Dockerfile: "FROM tools:1\nWORKDIR /app\nCOPY a .\nRUN echo first; cat a\nENV A=b\n",
    a: "of a\n",
  });
  const built = await lighter(["build", "--progress=plain", "-t", "steps:1", "--label", "x=y", context]);
  expect(built.code, built.stderr).toBe(0);
  expect(built.stdout).toBe("");
  expect(steady(built.stderr)).toBe(`#1 [internal] load build context
#1 transferring context: SIZE done
#1 DONE TIME

#2 [internal] load build definition from Dockerfile
#2 transferring dockerfile: SIZE done
#2 DONE TIME

#3 [internal] load metadata for docker.io/library/tools:1
#3 DONE TIME

#4 [1/4] FROM docker.io/library/tools:1
#4 DONE TIME

#5 [2/4] WORKDIR /app
#5 DONE TIME

#6 [3/4] COPY a .
#6 DONE TIME

#7 [4/4] RUN echo first; cat a
#7 TIME first
#7 TIME of a
#7 DONE TIME

#8 exporting to image
#8 exporting layers done
#8 writing image sha256:ID done
#8 naming to docker.io/library/steps:1 done
#8 DONE TIME
`);
  const { json } = await daemon.request("GET", "/images/steps:1/json");
  expect(json.Config).toMatchObject({ Env: ["PATH=/bin", "A=b"], Labels: { x: "y" }, WorkingDir: "/app" });
  const again = await lighter(["build", "-t", "steps:1", context]);
  expect(again.stderr.match(/^#\d+ CACHED$/gm)).toHaveLength(3);
  const anew = await lighter(["build", "--no-cache", context]);
  expect(anew.stderr).not.toContain("CACHED");
});

buildTest("a step that fails is shown with its last lines and where it is written, and no image is made", async () => {
  const context = directory({
    Dockerfile: "FROM tools:1 AS base\n\nFROM base\nRUN echo said; exit 3\nRUN echo never\n",
  });
  const { code, stderr } = await lighter(["build", "-t", "never:1", context]);
  expect(code).toBe(1);
  expect(steady(stderr)).toEndWith(`#5 [stage-1 1/2] RUN echo said; exit 3
#5 TIME said
#5 ERROR: process "/bin/sh -c echo said; exit 3" did not complete successfully: exit code: 3
------
 > [stage-1 1/2] RUN echo said; exit 3:
TIME said
------
Dockerfile:4
--------------------
   2 |     
   3 |     FROM base
   4 | >>> RUN echo said; exit 3
   5 |     RUN echo never
   6 |     
--------------------
ERROR: failed to solve: process "/bin/sh -c echo said; exit 3" did not complete successfully: exit code: 3
`);
  expect((await daemon.request("GET", "/images/never:1/json")).status).toBe(404);
});

buildTest("a Dockerfile that cannot be parsed is shown with its lines", async () => {
  const context = directory({ Dockerfile: "FROM tools:1\nFOO bar\n" });
  const { code, stderr } = await lighter(["build", context]);
  expect({ code, end: stderr.slice(stderr.indexOf("Dockerfile:")) }).toEqual({
    code: 1,
    end: `Dockerfile:2
--------------------
   1 |     FROM tools:1
   2 | >>> FOO bar
   3 |     
--------------------
ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)
`,
  });
});

/** The files that `COPY . /all` finds, from a container of the image. */
async function filesOf(image: string): Promise<string[]> {
  const command = ["run", "--rm", "--network=none", image, "find", "/all", "!", "-type", "d"];
  const { stdout } = await lighter(command);
  return stdout.split("\n").filter(Boolean).sort();
}

buildTest(
  "what .dockerignore names is not sent, and a Dockerfile from elsewhere is no part of the context",
  async () => {
    const files = {
      ".dockerignore": "secret\nout\n!out/kept\n",
      secret: "s",
      "out/a": "a",
      "out/kept": "k",
      b: "-> out/kept",
    };
    const context = directory(files);
    const elsewhere = directory({ "Some.Dockerfile": "FROM tools:1\nCOPY . /all\n" });
    const built = await lighter(["build", "-t", "all:1", "-f", join(elsewhere, "Some.Dockerfile"), context]);
    expect(built.code, built.stderr).toBe(0);
    expect(await filesOf("all:1")).toEqual(["/all/.dockerignore", "/all/b", "/all/out/kept"]);
    const fromStdin = await lighter(["build", "-t", "all:2", "-f", "-", context], {
      stdin: "FROM tools:1\nCOPY b /all/\n",
    });
    expect(fromStdin.code, fromStdin.stderr).toBe(0);
    expect(await filesOf("all:2")).toEqual(["/all/b"]);
    writeFileSync(join(elsewhere, "Some.Dockerfile.dockerignore"), "*\n!b");
    await lighter(["build", "-t", "all:3", "-f", join(elsewhere, "Some.Dockerfile"), context]);
    expect(await filesOf("all:3")).toEqual(["/all/b"]);
  },
);

buildTest(
  "large files of a context arrive as they are, and what cannot be read here is said by the client",
  async () => {
    const text = (length: number) => randomBytes(length / 2).toString("hex");
    const files = { small: text(1000), middle: text(300_000), large: text(20_000_000), "deep/large": text(1_000_000) };
    const context = directory({ Dockerfile: "FROM scratch\nCOPY . /\n", ".dockerignore": "Dockerfile\n.d*", ...files });
    const output = join(folder, "large-files");
    const built = await lighter(["build", "-o", output, context]);
    expect([built.code, built.stderr]).toEqual([0, expect.stringMatching(/transferring context: 2[12]\.\d+MB/)]);
    for (const [name, content] of Object.entries(files))
      expect(readFileSync(join(output, name), "utf8") === content, name).toBe(true);
    // Files of sysfs say that they are longer than what can be read.
    const unreadable = await lighter(["build", "-f", join(context, "Dockerfile"), "/sys/module/kernel/parameters"]);
    expect(unreadable.code).toBe(1);
    expect(unreadable.stderr).toMatch(/^read \/sys\/\S+: it became shorter meanwhile$/m);
  },
);

buildTest("a large file whose content is known is not read, and is asked for when a step needs it", async () => {
  const directoryOfBun = dirname(process.execPath); // larger than what is always read, and older than a minute
  const name = basename(process.execPath);
  const Dockerfile = join(directory({ Dockerfile: `FROM tools:1\nCOPY ${name} /bun\n` }), "Dockerfile");
  const layers = async (...flags: string[]) => {
    const built = await lighter(["build", "-t", "large:1", "-f", Dockerfile, ...flags, directoryOfBun]);
    expect(built.code, built.stderr).toBe(0);
    return (await daemon.request("GET", "/images/large:1/json")).json.RootFS.Layers;
  };
  const first = await layers();
  expect(await layers()).toEqual(first); // from the cache
  expect(await layers("--no-cache")).toEqual(first);
});

buildTest("a context that is sent for itself needs its session, comes once, and ends with its client", async () => {
  const send = (session: string) =>
    daemon.request(
      "POST",
      `/lighter/builds/context?session=${session}`,
      rawTar({ name: "Dockerfile", content: "FROM scratch" }),
      {
        "Content-Type": "application/x-tar",
      },
    );
  const build = (session: string) =>
    daemon.request("POST", `/build?contextsent=1&session=${session}`, undefined, {
      Accept: "application/vnd.lighter.solve-status+json",
    });
  expect((await send("none")).text).toContain("no active session for none");
  const open = async (id: string) => {
    const socket = connect(daemon.socketPath);
    socket.write(
      `POST /lighter/builds/session?id=${id} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    await once(socket, "data");
    return socket;
  };
  const early = await open("early");
  const sent = send("early"); // before the build asks for it
  expect((await build("early")).text).toContain("lighter.build-result");
  expect((await sent).status).toBe(200);
  expect((await send("early")).text).toContain("the session has a context already");
  early.destroy();
  const gone = await open("gone");
  const waiting = build("gone");
  const unread = await open("unread");
  const neverRead = send("unread");
  gone.destroy();
  unread.destroy();
  for (const answer of await Promise.all([waiting, neverRead]))
    expect(answer.text).toMatch(/the client of the build has gone|no active session/); // whichever comes first
});

buildTest("a Dockerfile or an archive comes from stdin, and the image's ID goes to stdout and files", async () => {
  const [idPath, metadataPath] = [join(folder, "id"), join(folder, "metadata.json")];
  const flags = ["--iidfile", idPath, "--metadata-file", metadataPath, "-t", "stdin:1"];
  const alone = await lighter(["build", "-q", ...flags, "-"], { stdin: "FROM tools:1\nENV A=1\n" });
  expect({ code: alone.code, stderr: alone.stderr }).toEqual({ code: 0, stderr: "" });
  const id = readFileSync(idPath, "utf8");
  expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(alone.stdout).toBe(`${id}\n`);
  expect(JSON.parse(readFileSync(metadataPath, "utf8"))).toMatchObject({
    "containerimage.config.digest": id,
    "image.name": "docker.io/library/stdin:1",
  });
  const archive = rawTar({ name: "Other", content: "FROM tools:1\nCOPY a /all/\n" }, { name: "a", content: "a" });
  const packed = await lighter(["build", "-t", "stdin:2", "-f", "Other", "-"], { stdin: archive });
  expect(packed.code, packed.stderr).toBe(0);
  expect(await filesOf("stdin:2")).toEqual(["/all/a"]);
});

buildTest("progress in JSON has BuildKit's form, and errors name what is wrong with the command", async () => {
  const context = directory({ Dockerfile: "FROM tools:1\nRUN echo hello\n" });
  const { stderr } = await lighter(["build", "--progress=rawjson", "--no-cache", context]);
  const statuses = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const vertexes = statuses.flatMap((status) => status.vertexes ?? []);
  const step = vertexes.findLast(({ name }) => name === "[2/2] RUN echo hello");
  expect(step).toMatchObject({ digest: expect.stringMatching(/^sha256:/), completed: expect.any(String) });
  expect(step.inputs).toHaveLength(1);
  const [log] = statuses.flatMap((status) => status.logs ?? []);
  expect({ ...log, data: Buffer.from(log.data, "base64").toString() }).toMatchObject({
    ...{ vertex: step.digest, stream: 1, data: "hello\n" },
  });
  const wrong = [["--progress=x", context], [join(folder, "nothing")], ["-f", "-", "-"]];
  const said = await Promise.all(wrong.map(async (argv) => (await lighter(["build", ...argv])).stderr.split("\n")[0]));
  expect(said).toEqual([
    'invalid argument "x" for "--progress" flag: invalid progress mode x',
    `unable to prepare context: path "${join(folder, "nothing")}" not found`,
    "invalid argument: can't use stdin for both build context and dockerfile",
  ]);
});

buildTest(
  "on a terminal the steps are drawn as they proceed, and Ctrl-C cancels the build and leaves nothing",
  async () => {
    const done = directory({ Dockerfile: "FROM tools:1\nRUN echo one\nCMD true\n" });
    const argv = [...lighterCommand, "-H", `unix://${daemon.socketPath}`, "build"];
    const session = new TerminalSession([...argv, done], { rows: 20, columns: 60 });
    expect(await session.ended()).toBe(0);
    await session.shows("- JSONArgsRecommended");
    session.close();
    expect(session.output).toStartWith("\x1b[?25l");
    expect(session.output).toContain("(6/6) FINISHED");
    expect(session.output).toContain("\x1b[34m => [2/2] RUN echo one");
    expect(session.output).toContain("- JSONArgsRecommended: JSON arguments recommended for CMD");
    expect(session.output).toContain("\x1b[?25h");
    const endless = directory({ Dockerfile: "FROM tools:1\nRUN echo in-$((1 + 1)); sleep 100000\n" });
    const cancelled = new TerminalSession([...argv, endless], { env: { NO_COLOR: "1" } });
    await cancelled.shows(" => => # in-2");
    cancelled.type("\x03");
    expect(await cancelled.ended()).toBe(130);
    await cancelled.shows("\x1b[?25h");
    cancelled.close();
    expect(cancelled.output).toEndWith("\x1b[?25h");
    expect(cancelled.output).not.toContain("\x1b[34m");
    const containers = async () => (await daemon.request("GET", "/containers/json?all=1")).json;
    await until(async () => (await containers()).length === 0, "the step's container is gone");
  },
);

buildTest("warnings are errors where the Dockerfile says so", async () => {
  const context = directory({ Dockerfile: "# check=error=true\nFROM tools:1\nCMD true\n" });
  const { code, stderr } = await lighter(["build", context]);
  expect(code).toBe(1);
  expect(stderr).toEndWith("ERROR: failed to solve: lint violation found for rules: JSONArgsRecommended\n");
});

buildTest("the cache and the last builds are listed, and the cache is pruned", async () => {
  const good = directory({ Dockerfile: "FROM tools:1\nRUN echo in-the-history > /x; cat /x\n" });
  const bad = directory({ Dockerfile: "FROM tools:1\nRUN echo last words; exit 9\n" });
  await lighter(["build", "-t", "history:1", good]);
  await lighter(["build", bad]);
  const { stdout: table } = await lighter(["builder", "history"]);
  const [heading, ...rows] = table.trim().split("\n");
  expect(heading).toMatch(/^BUILD ID +NAME +STATUS +STEPS +CREATED +DURATION +IMAGE$/);
  expect(rows[0]).toMatch(/^\w{12} +Dockerfile +Error +1 \(0 cached\) +\S.* ago +\d+\.\ds/);
  expect(rows[1]).toMatch(/^\w{12} +history:1 +Completed +1 \(0 cached\) /);
  const [badId, goodId] = (await lighter(["builder", "history", "-q"])).stdout.split("\n");
  expect(steady((await lighter(["builder", "history", badId!])).stdout)).toEndWith(
    `Dockerfile:2\n--------------------\n   1 |     FROM tools:1\n   2 | >>> RUN echo last words; exit 9\n   3 |     \n--------------------
ERROR: failed to solve: process "/bin/sh -c echo last words; exit 9" did not complete successfully: exit code: 9\n`,
  );
  const said = (await lighter(["builder", "history", goodId!])).stdout;
  expect(said).toMatch(/^#\d+ [\d.]{5} in-the-history$/m);
  expect(said.match(/^#\d+ \[.*$/gm)).toEqual([
    "#1 [internal] load build context",
    "#2 [internal] load build definition from Dockerfile",
    "#3 [internal] load metadata for docker.io/library/tools:1",
    "#4 [1/2] FROM docker.io/library/tools:1",
    "#5 [2/2] RUN echo in-the-history > /x; cat /x",
  ]);
  expect((await lighter(["builder", "history", "none"])).stderr).toContain("No such build: none");

  const description = "description=RUN echo in-the-history > /x; cat /x";
  const details = await lighter(["builder", "du", "-v", "--filter", description]);
  const [, id = ""] = /^ID: +(\w+)$/m.exec(details.stdout) ?? [];
  expect(details.stdout).toMatch(/^Shared: +true$/m);
  expect(details.stdout).toMatch(/^Usage count: +1$/m);
  const totals = /^Total: +(\S+)$/m.exec((await lighter(["builder", "du"])).stdout);
  expect(totals?.[1]).toMatch(/B$/);
  const kept = await lighter(["builder", "prune", "-f", "--filter", description]);
  expect(kept.stdout).toBe("Total reclaimed space: 0B\n");
  const pruned = await lighter(["builder", "prune", "-f", "-a", "--filter", description]);
  expect(pruned.stdout).toMatch(new RegExp(`^Deleted build cache objects:\n${id}\n\nTotal reclaimed space: \\S+B\n$`));
});

buildTest("a build is cancelled by the id that its client has given it", async () => {
  const context = rawTar({ name: "Dockerfile", content: "FROM tools:1\nRUN echo in-$((1 + 1)); sleep 100000\n" });
  const type = { "Content-Type": "application/x-tar" };
  const building = daemon.request("POST", "/build?buildid=mine", context, type);
  const isCancelled = building.then(() => true);
  // The build may not have begun yet.
  await until(async () => {
    await daemon.request("POST", "/build/cancel?id=mine");
    return await Promise.race([isCancelled, new Promise<boolean>((resolve) => setTimeout(resolve, 50, false))]);
  }, "the build is cancelled");
  expect((await building).text).toContain("context canceled");
  expect((await daemon.request("POST", "/build/cancel")).json.message).toBe("build ID not provided");
});

buildTest("what is built goes to a directory, to a tar, or to an archive of an image", async () => {
  const context = directory({
    Dockerfile: "FROM scratch\nCOPY a links /dir/\n",
    a: "of a\n",
    "links/link": "-> a",
  });
  const [out, tar, oci, docker] = ["out", "out.tar", "oci.tar", "docker.tar"].map((name) => join(folder, name));
  const local = await lighter(["build", "-o", out!, context]);
  expect(local.code, local.stderr).toBe(0);
  expect(local.stderr).toMatch(/^#\d+ exporting to client directory\n#\d+ copying files \S+kB done$/m);
  expect(readFileSync(join(out!, "dir/link"), "utf8")).toBe("of a\n");
  expect(readlinkSync(join(out!, "dir/link"))).toBe("a");
  const many = [
    "-o",
    `type=tar,dest=${tar}`,
    "-o",
    `type=oci,dest=${oci},name=named:1`,
    "-o",
    `type=docker,dest=${docker}`,
  ];
  const written = await lighter(["build", "-t", "archived:1", ...many, context]);
  expect(written.code, written.stderr).toBe(0);
  const pathsIn = (bytes: Buffer) => readTar(bytes).map(({ path }) => `${path}`);
  const paths = (path: string) => pathsIn(readFileSync(path));
  expect(paths(tar!)).toEqual(["dir/", "dir/a", "dir/link"]);
  expect(paths(oci!)).toContain("oci-layout");
  expect(paths(oci!)).not.toContain("manifest.json");
  expect(paths(docker!)).toContain("manifest.json");
  // The image itself was asked for by nobody.
  expect((await daemon.request("GET", "/images/archived:1/json")).status).toBe(404);
  const loaded = await lighter(["load", "-i", docker!]);
  expect(loaded.stdout).toContain("Loaded image: archived:1");
  const stdout = await lighter(["build", "-q", "-o", "-", context]);
  expect(pathsIn(Buffer.from(stdout.stdout))).toContain("dir/a");
});

buildTest("an output that cannot be written fails the build, and one that is not known is refused", async () => {
  const context = directory({ Dockerfile: "FROM scratch\nCOPY Dockerfile /\n", file: "" });
  const unwritable = await lighter(["build", "-o", `type=tar,dest=${join(folder, "none/x.tar")}`, context]);
  expect(unwritable.code).toBe(1);
  expect(unwritable.stderr).toContain(`write ${join(folder, "none/x.tar")}: no such file or directory`);
  const below = await lighter(["build", "-o", join(context, "file/below"), context]);
  expect(below).toMatchObject({ code: 1, stderr: expect.stringContaining("mkdir") });
  expect((await lighter(["build", "-o", "type=x,dest=y", context])).stderr).toContain(
    'exporter "x" could not be found',
  );
  expect((await lighter(["build", "-o", "type=image,x=y", context])).stderr).toContain(
    `exporter "image": the option "x" is not supported yet`,
  );
});

buildTest("--debug opens a shell where a command has failed, as it was then, and keeps nothing of it", async () => {
  const mounts = ["secret,id=s", "cache,target=/c,id=debug", "bind,target=/m"].map((mount) => `--mount=type=${mount}`);
  const step = `RUN ${mounts.join(" ")} echo of the step > /tmp/made; touch /c/cached; echo told; false`;
  const context = directory({
    Dockerfile: `FROM tools:1\nENV A=b\nWORKDIR /tmp\nCOPY a .\nUSER user\nUSER root\n${step}\n`,
    a: "of the context\n",
  });
  const flags = ["--debug", "--secret", "id=s,env=OWN"];
  const stdin =
    "pwd; cat made a /m/a /run/secrets/s; echo; echo $A; ls /c; echo on stderr >&2; touch /c/more; exit 3\n";
  const build = (given: string) => lighter(["build", ...flags, context], { stdin: given, env: { OWN: "secret" } });
  const failed = await build(stdin);
  expect(failed.stdout).toBe("/tmp\nof the step\nof the context\nof the context\nsecret\nb\ncached\non stderr\n");
  expect([failed.code, failed.stderr]).toEqual([
    1,
    expect.stringMatching(/ told\n(.*\n)*.*exit code 1\nThis is a shell/),
  ]);
  expect(failed.stderr).toEndWith("did not complete successfully: exit code: 1\n");
  expect((await build("ls /c\n")).stdout).toBe("cached\nmore\n"); // a cache is a cache
  expect((await build("")).code).toBe(1);
  const without = await lighter(["build", "--secret", "id=s,env=OWN", context], { stdin, env: { OWN: "secret" } });
  expect([without.code, without.stdout]).toEqual([1, ""]);

  const bare = directory({
    Dockerfile: 'FROM scratch\nCOPY --from=tools:1 /bin/busybox /bin/false\nRUN ["/bin/false"]\n',
  });
  const shellless = await lighter(["build", "--debug", bare], { stdin });
  expect([shellless.code, shellless.stdout]).toEqual([
    1,
    expect.stringMatching(/\/bin\/sh.*no such file or directory\n$/),
  ]);
  expect((await lighter(["build", "--debug", "-"])).stderr).toStartWith("--debug needs stdin");
  await until(() => daemon.leftovers([]).length === 0, "nothing is left of the shells");
});

buildTest("--debug: a command that fails while there is a shell waits for its end, and then fails, too", async () => {
  const stages = [1, 2].map((number) => `FROM tools:1 AS s${number}\nRUN false && echo ${number}\n`);
  const copies = [1, 2].map((number) => `COPY --from=s${number} / /\n`);
  const context = directory({ Dockerfile: [...stages, "FROM tools:1\n", ...copies].join("") });
  const { stdout, stderr, code } = await lighter(["build", "--debug", context], {
    stdin: "echo in it; sleep 1; echo still\n",
  });
  expect([stdout, code, stderr.split("This is a shell").length]).toEqual(["in it\nstill\n", 1, 2]);
});

buildTest("--debug on a terminal: the shell has it, with its size, and a client that goes ends all of it", async () => {
  const context = directory({ Dockerfile: "FROM tools:1\nRUN echo in-$((1 + 1)) && sh -c 'exit 7'\n" });
  const argv = [...lighterCommand, "-H", `unix://${daemon.socketPath}`, "build", "--debug", context];
  const session = new TerminalSession(argv, { rows: 33, columns: 77 });
  await session.shows("This is a shell");
  await until(() => session.isRaw, "the terminal is raw");
  session.type("until busybox stty size | busybox grep '33 77'; do :; done; echo is-$((40 + 2))\r");
  await session.shows("is-42");
  session.resize(44, 88);
  session.type("until busybox stty size | busybox grep '44 88'; do :; done; echo is-$((50 + 2))\r");
  await session.shows("is-52");
  session.type("sh -c 'echo is-$((60 + 2)); sleep 100000'\r");
  await session.shows("is-62");
  session.type("\x03"); // a signal for what runs there
  session.type("echo is-$((70 + 2))\r");
  await session.shows("is-72");
  session.type("exit\r");
  expect(await session.ended()).toBe(1);
  expect(session.isRaw).toBe(false);
  await session.shows("exit code: 7");
  session.close();
  const cut = new TerminalSession(argv);
  await until(() => cut.isRaw, "the terminal is raw");
  cut.type("sleep 100000 & sleep 100000\r");
  expect(daemon.leftovers([])).not.toEqual([]);
  cut.close();
  await until(() => daemon.leftovers([]).length === 0, "nothing is left of the shell");
});

buildTest("a step gets secrets and agents of this machine, and no layer has them", async () => {
  const words = "FROM tools:1\nRUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=FROM_ENV";
  const context = directory({
    Dockerfile: `${words} cat /run/secrets/file; echo "$FROM_ENV"\n`,
    secret: "of-the-file\n",
  });
  const flags = ["--secret", `id=file,src=${join(context, "secret")}`, "--secret", "id=variable,env=OWN"];
  const options = { env: { OWN: "of-the-environment" } };
  const built = await lighter(["build", "-t", "secret:1", ...flags, context], options);
  expect(built.code, built.stderr).toBe(0);
  expect(built.stderr).toMatch(/^#\d+ [\d.]{5} of-the-file\n#\d+ [\d.]{5} of-the-environment$/m);
  const { json } = await daemon.request("GET", "/images/secret:1/history");
  expect(JSON.stringify(json)).not.toContain("of-the-");
  expect(daemon.log).not.toContain("of-the-");
  const missing = await lighter(["build", "--no-cache", "--secret", `id=file,src=${folder}/none`, context], options);
  expect(missing.stderr).toContain(`secret file: open ${folder}/none: no such file or directory`);
  expect((await lighter(["build", "--no-cache", context])).stderr).toContain("can't open '/run/secrets/file'");

  const socketPath = join(folder, "agent.sock");
  const agent = createServer((socket) => socket.on("data", (bytes) => socket.end(`agent has ${bytes}`)));
  await new Promise<void>((resolve) => agent.listen(socketPath, resolve));
  try {
    const Dockerfile = "FROM tools:1\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo it is there\n";
    const ssh = await lighter(["build", "--ssh", `default=${socketPath}`, directory({ Dockerfile })]);
    expect(ssh.stderr).toContain("it is there");
  } finally {
    agent.close();
  }
});

buildTest("COPY --link stays in the cache when what it is copied onto changes, and its layer with it", async () => {
  const from = (what: string) => `FROM tools:1\nRUN echo ${what} > /base && mkdir -p /in && echo below > /in/below\n`;
  const copies = "COPY --link a /in/\nCOPY --link --chown=5:6 b /in/\nCOPY --link a /in/\n";
  const context = directory({ Dockerfile: from("one") + copies, a: "first", b: "second" });
  const layersOf = async (image: string): Promise<string[]> => {
    const { stdout } = await lighter(["image", "inspect", "-f", "{{json .RootFS.Layers}}", image]);
    return JSON.parse(stdout) as string[];
  };
  const first = await lighter(["build", "--progress", "plain", "-t", "linked:1", context]);
  expect(first.code, first.stderr).toBe(0);
  writeFileSync(join(context, "Dockerfile"), from("two") + copies);
  const second = await lighter(["build", "--progress", "plain", "-t", "linked:2", context]);
  expect(second.code, second.stderr).toBe(0);
  expect(second.stderr.match(/^#\d+ CACHED$/gm)).toHaveLength(3);
  const [one, two] = [await layersOf("linked:1"), await layersOf("linked:2")];
  // The third copy is the first one's layer, which an image has once.
  expect(one.slice(-2)).toEqual(two.slice(-2));
  expect(one.at(-3)).not.toBe(two.at(-3)!);
  const run = ["run", "--rm", "--network=none", "linked:2"];
  const shown = await lighter([...run, "sh", "-c", "cat /base /in/*; stat -c %u:%g /in/b"]);
  expect(shown.stdout).toBe("two\nfirstsecondbelow\n5:6\n");
});

buildTest("explain says which steps are cached, and why the others are not, and builds nothing", async () => {
  const Dockerfile = "FROM tools:1\nCOPY a /explained\nRUN cat /explained > /b\nRUN echo $WORD explained\n";
  const context = directory({ Dockerfile, a: "1" });
  const explain = async (...flags: string[]) => {
    const { code, stdout, stderr } = await lighter(["explain", "--build", ...flags, context]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout.replace(/\d{4}-\S+Z/g, "TIME");
  };
  const head = "#1 [1/4] FROM docker.io/library/tools:1\n   here\n";
  const [copy, cat, echo] = [
    "#2 [2/4] COPY a /explained   (of #1)\n",
    "#3 [3/4] RUN cat /explained > /b   (of #2)\n",
    "#4 [4/4] RUN echo $WORD explained   (of #3)\n",
  ];
  expect(await explain()).toBe(
    `${head}${copy}   runs: no step in the cache is written like this\n` +
      `${cat}   runs: it needs #2, which runs\n${echo}   runs: it needs #2, which runs\n`,
  );
  expect((await lighter(["build", context])).code).toBe(0);
  const cached = "   cached: used once, last at TIME\n";
  for (
    let times = 0;
    times < 2;
    times++ // to look is no use
  )
    expect(await explain()).toBe(`${head}${copy}${cached}${cat}${cached}${echo}${cached}`);
  writeFileSync(join(context, "Dockerfile"), Dockerfile.replace("RUN echo", "ARG WORD=x\nRUN echo"));
  expect(await explain()).toEndWith(
    `${cat}${cached}${echo}   runs: its variables, mounts or settings are not those of the one of TIME\n`,
  );
  writeFileSync(join(context, "a"), "2");
  expect(await explain()).toContain(`${copy}   runs: what it copies is not what was copied by the one of TIME\n`);
  expect((await lighter(["explain", "--build", context, "--target", "none"])).stderr).toContain("none");
  expect(await explain("--no-cache")).toContain(`${copy}   runs: the cache is not to be used\n`);
});

buildTest(
  "with SOURCE_DATE_EPOCH two builds make the same image, if the times of files are rewritten, too",
  async () => {
    // A file whose time is another one in each build, and a file that is older than the epoch.
    const touch = `read n < /proc/sys/kernel/random/uuid; touch -d @$((1800000000 + 0x\${n%%-*} % 100000)) /new`;
    const Dockerfile = `FROM tools:1\nRUN ${touch}; touch -d @100 /old\nWORKDIR /epoch.d\nENV A=b\n`;
    const context = directory({ Dockerfile });
    const env = { SOURCE_DATE_EPOCH: "1700000000" };
    const build = async (name: string) => {
      const output = `type=image,name=${name},rewrite-timestamp=true`;
      const built = await lighter(["build", "--no-cache", "-q", "-o", output, context], { env });
      expect(built.stderr).toBe("");
      return built.stdout;
    };
    const first = await build("epoch:1");
    expect(await build("epoch:2")).toBe(first);
    const { json } = await daemon.request("GET", "/images/epoch:1/json");
    expect(json.Created).toBe("2023-11-14T22:13:20Z");
    const archive = join(folder, "epoch.tar");
    await lighter(["build", "-q", "-o", `type=tar,dest=${archive}`, context], { env });
    expect((await lighter(["build", "--build-arg", "SOURCE_DATE_EPOCH=now", context])).stderr).toContain(
      "invalid SOURCE_DATE_EPOCH: now",
    );
  },
);

buildTest("the cache is not used for stages that are named", async () => {
  const context = directory({
    Dockerfile: "FROM tools:1 AS One\nRUN echo one > /x\nFROM tools:1\nCOPY --from=one /x /x\nRUN echo two\n",
  });
  await lighter(["build", context]);
  const { stderr } = await lighter(["build", "--no-cache-filter", "none,one", context]);
  const states = [...stderr.matchAll(/^#(\d+) \[(one|stage-1) \d.\d\] (RUN|COPY).*\n(?:.*\n)*?#\1 (CACHED|DONE)/gm)];
  expect(states.map(([, , stage, word, state]) => `${stage} ${word} ${state}`).sort()).toEqual([
    "one RUN DONE",
    "stage-1 COPY CACHED",
    "stage-1 RUN CACHED",
  ]);
});

buildTest("a build copies from other directories, which are sent when a step needs them", async () => {
  const other = directory({
    ".dockerignore": "ignored",
    ignored: "x",
    file: "of the other\n",
    big: "x".repeat(3_000_000),
  });
  const context = directory({ Dockerfile: "FROM base\nCOPY --from=other . /all/\nRUN cat /all/file\n" });
  const flags = ["--build-context", `other=${other}`, "--build-context", "base=docker-image://tools:1"];
  const built = await lighter(["build", "-t", "named:1", ...flags, context]);
  expect(built.code, built.stderr).toBe(0);
  expect(built.stderr).toContain("of the other");
  expect(await filesOf("named:1")).toEqual(["/all/.dockerignore", "/all/big", "/all/file"]);
  const wrong = await lighter(["build", "--build-context", `other=${other}/none`, context]);
  expect(wrong.stderr).toBe(`failed to get build context other: stat ${other}/none: no such directory\n`);
});

/** The documents of an OCI layout in a tar, by path. */
function layoutIn(path: string) {
  const files = new Map(readTar(readFileSync(path)).map(({ path: name, content }) => [String(name), content]));
  const json = (name: string) => JSON.parse(Buffer.from(files.get(name)!).toString());
  const blob = (digest: string) => json(`blobs/${digest.replace(":", "/")}`);
  const [root] = json("index.json").manifests;
  return { files, root, blob };
}

buildTest("an image leaves in the form that its output asks for, and stays here as it is", async () => {
  const context = directory({ Dockerfile: "FROM tools:1\nRUN echo formed > /f\n" });
  const file = join(folder, "formed.tar");
  const exported = async (options: string, ...args: string[]) => {
    const built = await lighter(["build", "-o", `dest=${file},${options}`, ...args, context]);
    expect(built.code, built.stderr).toBe(0);
    const { root, blob, files } = layoutIn(file);
    return { root, manifest: blob(root.digest), files };
  };
  const typesOf = ({ layers }: { layers: { mediaType: string }[] }) =>
    layers.map(({ mediaType }) => mediaType.replace(/.*tar/, ""));
  const plain = await exported("type=oci,name=a/b:1");
  expect(plain.root.annotations["io.containerd.image.name"]).toBe("docker.io/a/b:1");
  expect(typesOf(plain.manifest)).toEqual(["", ""]);
  expect(typesOf((await exported("type=oci,compression=zstd,compression-level=7")).manifest)).toEqual([
    "+zstd",
    "+zstd",
  ]);
  const forced = await exported("type=oci,compression=gzip,force-compression=true");
  expect(typesOf(forced.manifest)).toEqual(["+gzip", "+gzip"]);
  expect(typesOf((await exported("type=oci,compression=uncompressed")).manifest)).toEqual(["", ""]);
  const docker = await exported("type=docker,oci-mediatypes=false,compression=gzip,name=formed:1");
  expect(docker.manifest.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
  expect(docker.manifest.config.mediaType).toBe("application/vnd.docker.container.image.v1+json");
  expect(docker.manifest.layers[0].mediaType).toBe("application/vnd.docker.image.rootfs.diff.tar.gzip");
  const loaded = await lighter(["load", "-i", file]);
  expect(loaded.stdout).toContain("Loaded image: formed:1");

  const noted = await exported(
    "type=oci,annotation.a=1,annotation[linux/s390x].b=2,annotation-manifest-descriptor.c=3",
    ...["--annotation", "d=4"],
  );
  expect(noted.manifest.annotations).toEqual({ a: "1", d: "4" });
  expect(noted.root.annotations).toEqual({ c: "3" });
  const refused = async (options: string, ...args: string[]) =>
    (await lighter(["build", "-o", `dest=${file},${options}`, ...args, context])).stderr;
  expect(await refused("type=oci", "--annotation", "index:a=1")).toContain(
    "index annotations not supported for single platform export",
  );
  expect(await refused("type=oci", "--annotation", "layer:a=1")).toContain('unknown annotation type "layer"');
  expect(await refused("type=oci,compression=lzma")).toContain("unsupported compression type lzma");
  expect(await refused("type=oci,compression-level=high")).toContain(
    "non-int value high specified for compression-level",
  );
  expect(await refused("type=oci,force-compression=perhaps")).toContain(
    "non-bool value perhaps specified for force-compression",
  );
  expect(await refused("type=oci,nonsense=1")).toContain('the option "nonsense" is not supported yet');
});

buildTest("--provenance tells how an image was made, beside it in an index, and to the metadata file", async () => {
  const context = directory({ Dockerfile: "FROM tools:1\nARG SECRET\nCOPY a /\nRUN true\n", a: "" });
  const [file, metadata, out] = ["told.tar", "told.json", "told"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const args = ["--build-arg", "SECRET=no", "--metadata-file", metadata, context];
  const built = await lighter(["build", "--provenance=true", "-o", `type=oci,dest=${file},name=told/x:1`, ...args]);
  expect(built.code, built.stderr).toBe(0);
  const { root, blob } = layoutIn(file);
  const [image, attestation] = blob(root.digest).manifests;
  expect(attestation).toMatchObject({
    annotations: { "vnd.docker.reference.digest": image.digest, "vnd.docker.reference.type": "attestation-manifest" },
    platform: { architecture: "unknown", os: "unknown" },
  });
  const [layer] = blob(attestation.digest).layers;
  expect(layer).toMatchObject({
    mediaType: "application/vnd.in-toto+json",
    annotations: { "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2" },
  });
  const { subject, predicate, ...types } = blob(layer.digest);
  expect(types).toEqual({
    _type: "https://in-toto.io/Statement/v0.1",
    predicateType: "https://slsa.dev/provenance/v0.2",
  });
  const platform = /platform=(linux%2F\w+)$/.exec(subject[0].name)?.[1];
  expect(subject).toEqual([
    { name: `pkg:docker/told/x@1?platform=${platform}`, digest: { sha256: image.digest.slice(7) } },
  ]);
  expect(predicate).toMatchObject({
    buildType: "https://mobyproject.org/buildkit@v1",
    materials: [{ uri: `pkg:docker/tools@1?platform=${platform}` }],
    invocation: { configSource: { entryPoint: "Dockerfile" }, parameters: { frontend: "dockerfile.v0" } },
    metadata: { completeness: { parameters: false, environment: true, materials: false } },
  });
  expect(JSON.stringify(predicate)).not.toContain("SECRET");
  expect(JSON.parse(readFileSync(metadata, "utf8"))["buildx.build.provenance"]).toEqual(predicate);

  const whole = await lighter(["build", "--provenance=mode=max", "-o", out, ...args]);
  expect(whole.code, whole.stderr).toBe(0);
  const told = JSON.parse(readFileSync(join(out, "provenance.json"), "utf8")).predicate;
  expect(told.invocation.parameters.args).toEqual({ "build-arg:SECRET": "no" });
  expect(told.metadata.completeness.parameters).toBe(true);
  expect(told.buildConfig.llbDefinition.at(-1).op.Op.exec.meta.args).toEqual(["/bin/sh", "-c", "true"]);
  expect(readdirSync(out)).toContain("a");

  const refused = async (...more: string[]) => (await lighter(["build", ...more, context])).stderr;
  expect(await refused("--provenance=mode=most")).toContain('invalid mode "most"');
  expect(await refused("--sbom=true")).toContain("an SBOM needs the image of a scanner, which is not supported");
  expect(await refused("--provenance=true", "-o", `type=docker,dest=${file}`)).toContain(
    "docker exporter does not currently support exporting manifest lists",
  );
});
