/** `run` by one request, to a daemon that is named as Lighter's, and by four, to one that is named as Docker's: the same to see. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Explanation } from "../../src/spec/explanation.ts";
import { TestDaemon } from "../support/daemon.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, type Outcome, type RunOptions, runProgram } from "./cli-support.ts";

const isRoot = process.getuid?.() === 0;
const IMAGE = "host-usr";

describeIf(isRoot ? undefined : "needs root")("run at once", () => {
  let daemon: TestDaemon;

  beforeAll(async () => {
    daemon = await TestDaemon.start();
  }, 60_000);

  afterAll(() => daemon[Symbol.asyncDispose](), 60_000);

  function run(how: "LIGHTER_HOST" | "DOCKER_HOST", args: readonly string[], options: RunOptions = {}) {
    const env = { [how]: `unix://${daemon.socketPath}` };
    return runProgram([...lighterCommand, "run", "--network", "none", "-v", "/usr:/usr:ro", ...args], {
      ...options,
      env,
    });
  }

  /** IDs are of one container each. */
  function plain({ stdout, stderr, code }: Outcome): Outcome {
    const withoutIds = (text: string) => text.replace(/\b[0-9a-f]{64}\b/g, "ID");
    return { stdout: withoutIds(stdout), stderr: withoutIds(stderr), code };
  }

  const shell = (script: string, ...flags: string[]) => [...flags, IMAGE, "sh", "-c", script];
  const cases: [name: string, args: string[], options?: RunOptions][] = [
    ["output of both streams and the exit code", shell("echo out; echo err >&2; exit 7", "--rm")],
    ["a signal's exit code", shell("kill -9 $$", "--rm")],
    ["stdin", shell("cat; echo end", "--rm", "-i"), { stdin: "a\nb" }],
    ["no stdin", shell("cat; echo end", "--rm"), { stdin: "a\nb" }],
    ["stdin that nobody reads", shell("exit 3", "--rm", "-i"), { stdin: "x".repeat(1_000_000) }],
    ["one stream", shell("echo out; echo err >&2", "--rm", "-a", "stdout")],
    ["the other stream", shell("echo out; echo err >&2", "--rm", "-a", "stderr")],
    ["much output", shell("head -c 5000000 /dev/zero | tr '\\0' x", "--rm")],
    ["no command", ["--rm", IMAGE, "/nope"]],
    ["a command that is none", ["--rm", IMAGE, "/etc"]],
    ["an image that is not there", ["--rm", "--pull", "never", "missing:latest", "true"]],
    ["a bad image name", ["--rm", "Bad Name", "true"]],
    ["a name that is taken", ["--name", "taken", IMAGE, "true"]],
    ["a bad name", ["--rm", "--name", "!", IMAGE, "true"]],
    ["a bad limit", ["--rm", "-m", "1", IMAGE, "true"]],
    ["a warning", ["--rm", "--kernel-memory", "64m", IMAGE, "true"]],
    ["without output", shell("sleep 0; exit 4", "--rm", "-d")],
  ];

  test.each(cases)("%s", async (_name, args, options = {}) => {
    if (args.includes("taken")) await daemon.create({}, "taken");
    const atOnce = plain(await run("LIGHTER_HOST", args, options));
    expect(plain(await run("DOCKER_HOST", args, options))).toEqual(atOnce);
    if (args.includes("taken")) await daemon.request("DELETE", "/containers/taken");
  });

  test("a name is free again when the client has ended", async () => {
    for (let round = 0; round < 5; round++)
      expect(await run("LIGHTER_HOST", ["--rm", "--name", "again", IMAGE, "true"])).toMatchObject({
        code: 0,
        stderr: "",
      });
  });

  test.each(["LIGHTER_HOST", "DOCKER_HOST"] as const)("with %s it starts although nobody reads the ID", async (how) => {
    const env = { [how]: `unix://${daemon.socketPath}` };
    // The reader of the pipe has ended before the command begins.
    const script = 'exec 3> >(exit 0); wait $!; exec "$@" >&3';
    const flags = ["run", "-d", "--name", "unread", "--network", "none", "-v", "/usr:/usr:ro", IMAGE, "sleep", "1000"];
    await runProgram(["bash", "-c", script, "bash", ...lighterCommand, ...flags], { env });
    expect((await daemon.request("GET", "/containers/unread/json")).json.State.Status).toBe("running");
    await daemon.request("DELETE", "/containers/unread?force=1");
  });

  test("explain prints a page of the whole program, the ops, and what other flags change", async () => {
    const explain = async (...args: string[]) => {
      const env = { LIGHTER_HOST: `unix://${daemon.socketPath}` };
      const { code, stdout, stderr } = await runProgram([...lighterCommand, "explain", ...args], { env });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    };
    const command = ["--network", "none", IMAGE, "true"];
    const page = (await explain("-m", "64m", ...command)).split("\n");
    expect(Math.max(...page.map(({ length }) => length))).toBeLessThanOrEqual(100);
    for (const line of [
      /^limits .* the container's cgroup/,
      / resources\.memory\.limit +write .*"67108864"$/,
      /^execve .* run "true"/,
    ])
      expect(page.filter((each) => line.test(each))).toHaveLength(1);
    const { ops, names } = JSON.parse(await explain("--format", "json", ...command));
    expect(names.map(({ name }: { name: string }) => name)).toEqual(["@data", "@run", "@cgroup", "@id"]);
    const listing = await explain("--verbose", ...command);
    expect(listing.match(/^ *\d+ {2}/gm)?.map(Number)).toEqual(ops.map(({ index }: { index: number }) => index));
    expect(await explain("--diff", "", "--verbose", ...command)).toBe(listing); // the same question, the same answer
    const changes = (await explain("--diff", "--cap-drop ALL --hostname 'a b'", ...command)).split("\n");
    expect(
      changes.filter((line) => / hostname +sethostname /.test(line)).map((line) => line.replace(/ {2,}/g, " ")),
    ).toEqual([
      expect.stringMatching(/^- .* sethostname \{"0123456789ab"\} 12$/),
      expect.stringMatching(/^\+ .* sethostname \{"a b"\} 3$/),
    ]);
    expect(changes.filter((line) => line.includes("process.capabilities"))).toHaveLength(2);
    expect(changes.filter((line) => line.includes("cgroup"))).toEqual([]);
  });

  test("explain --trace starts a container, says how long each op took, and leaves nothing", async () => {
    const env = { LIGHTER_HOST: `unix://${daemon.socketPath}` };
    const trace = (...args: string[]) =>
      runProgram([...lighterCommand, "explain", "--trace", "-v", "/usr:/usr:ro", "--network", "none", ...args], {
        env,
      });
    const page = await trace("--rm", "--restart", "no", IMAGE, "true");
    expect(page).toMatchObject({ code: 0, stderr: "" });
    expect(page.stdout).toMatch(/^execve +\d+ +[\d.]+ [µm]s {2}run "true"/m);
    expect(page.stdout).toMatch(/^ +The program ran [\d.]+ [µm]s after the first op\.$/m);
    const { ops } = JSON.parse((await trace("--format", "json", IMAGE, "sleep", "1000")).stdout) as Explanation;
    for (const section of ["host", "init"] as const) {
      const begins = ops.filter((op) => op.section === section).map(({ beganNs }) => beganNs ?? Number.NaN);
      expect(begins).toEqual([...begins].sort((a, b) => a - b));
    }
    expect(ops.filter(({ tookNs }) => tookNs === undefined).every(({ section }) => section === "cleanup")).toBe(true);
    expect(await trace(IMAGE, "/nope")).toMatchObject({ code: 1, stderr: expect.stringContaining("/nope") });
    expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
  });

  test("run --trace says what the start was made of: on standard error, or as an OpenTelemetry document in a file", async () => {
    const names = (text: string) => text.split("\n").map((line) => line.replace(/ *[█▏▎▍▌▋▊▉].*$/, ""));
    for (const how of ["LIGHTER_HOST", "DOCKER_HOST"] as const) {
      const { code, stdout, stderr } = await run(how, ["--trace", ...shell("echo out; exit 3", "--rm")]);
      expect({ code, stdout }).toEqual({ code: 3, stdout: "out\n" });
      expect(stderr).toMatch(/^From the request to the program's first instruction: [\d.]+ ms\n/);
      for (const name of ["start", "  network", "  image", "  compile", "  supervisor", "  program"])
        expect(names(stderr)).toContain(`  ${name}`);
      for (const name of ["launcher: namespaces", "container: root", "container: execve"])
        expect(names(stderr)).toContain(`      ${name}`);
      expect(Math.max(...stderr.split("\n").map((line) => line.length))).toBeLessThanOrEqual(101);
    }
    const path = join(daemon.directory, "trace.json");
    expect(await run("LIGHTER_HOST", ["--trace-output", path, "--rm", IMAGE, "/nope"])).toMatchObject({ code: 127 });
    const [{ spans }] = JSON.parse(readFileSync(path, "utf8")).resourceSpans[0].scopeSpans;
    const start = spans.find(({ name }: { name: string }) => name === "start");
    expect(start.status).toEqual({ code: 2, message: expect.stringContaining("/nope") });
    expect(new Set(spans.map(({ traceId }: { traceId: string }) => traceId)).size).toBe(1);
  });

  test("a file for the ID is written, and one that is there refused", async () => {
    const path = join(daemon.directory, "cid");
    expect(await run("LIGHTER_HOST", ["--cidfile", path, "--name", "filed", IMAGE, "true"])).toMatchObject({ code: 0 });
    expect(readFileSync(path, "utf8")).toBe((await daemon.inspect("filed")).Id);
    expect(await run("LIGHTER_HOST", ["--cidfile", path, IMAGE, "true"])).toMatchObject({ code: 125 });
    rmSync(path);
    expect(existsSync(path)).toBe(false);
  });

  test("a daemon that dies meanwhile ends the client with an error", async () => {
    const ended = run("LIGHTER_HOST", ["--name", "orphan", IMAGE, "sh", "-c", "sleep 100"]);
    const isRunning = async () => {
      const { status, json } = await daemon.request("GET", "/containers/orphan/json");
      return status === 200 && json.State.Running;
    };
    while (!(await isRunning())) await Bun.sleep(5);
    await daemon.kill();
    const { code, stderr } = await ended;
    expect({ code, stderr }).toEqual({
      code: 125,
      stderr: expect.stringContaining("the daemon closed the connection"),
    });
    await daemon.launch();
    expect((await daemon.inspect("orphan")).State.Running).toBe(true);
  });
});
