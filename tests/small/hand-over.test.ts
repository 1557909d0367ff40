/** What the small engine leaves to Bun's program: which command lines, and that they arrive as they were. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, copyFileSync, lstatSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { needsBun } from "../../src/needs-bun.ts";
import { describeIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const isSmall = !lstatSync(join(root, "dist/lighter")).isSymbolicLink();
const folder = mkdtempSync(join(tmpdir(), "lighter-hand-over-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A context of Docker's client, in the files of one. */
function context(name: string, Host: string, certificates: readonly string[] = []): void {
  const id = createHash("sha256").update(name).digest("hex");
  for (const kind of [`meta/${id}`, `tls/${id}/docker`]) mkdirSync(join(folder, "contexts", kind), { recursive: true });
  const meta = { Name: name, Metadata: {}, Endpoints: { docker: { Host, SkipTLSVerify: false } } };
  writeFileSync(join(folder, "contexts/meta", id, "meta.json"), JSON.stringify(meta));
  for (const file of certificates) writeFileSync(join(folder, "contexts/tls", id, "docker", file), "");
}

describe("a command line is Bun's", () => {
  beforeAll(() => {
    context("local", "unix:///run/other.sock");
    context("default-host", "");
    context("shell", "ssh://me@far");
    context("number", "tcp://10.0.0.1:2375");
    context("named", "tcp://far:2375");
    context("trusted", "tcp://10.0.0.1:2376", ["ca.pem"]);
  });

  const run = (line: string, env: Record<string, string> = {}) =>
    needsBun(line === "" ? [] : line.split(" "), { DOCKER_CONFIG: folder, ...env });

  test.each([
    "daemon",
    "daemon --debug -H fd://",
    "layer-worker",
    "file-worker",
    "build .",
    "--debug build .",
    "-H unix:///x build -t a .",
    "image build .",
    "image import -",
    "image bootstrap debian:trixie",
    "machine import a.tar",
    "machine bootstrap x",
    "system dial-stdio",
    "--host unix:///x system dial-stdio",
    "import -",
    "dashboard",
    "explain --build .",
    "-H tcp://far:2375 ps",
    "-H far ps",
    "-Hfar ps",
    "--host=far:1 ps",
    "-DH far ps",
    "-H tcp://[::1]:2375 ps",
    "--tls -H 10.0.0.1 ps",
    "--tlsverify -H tcp://10.0.0.1 ps",
    "--tlscacert /dev/stdin --tls -H 10.0.0.1 ps",
    "-c named ps",
    "--context trusted ps",
    `--config ${folder} --context trusted ps`,
  ])("%s", (line) => expect(run(line)).toBe(true));

  test.each([
    "",
    "--version",
    "--help",
    "ps",
    "run image build",
    "run -H far image",
    "exec c daemon",
    "image ls",
    "system df",
    "cp - c:/",
    "load",
    "-H unix:///x ps",
    "-H /run/x.sock ps",
    "-H ssh://me@far ps",
    "-H 10.0.0.1 ps",
    "-H tcp://:2375 ps",
    "-H tcp://localhost:2375 ps",
    "--tls -H unix:///x ps",
    "-c local ps",
    "-c default-host ps",
    "-c shell ps",
    "-c number ps",
    "-c default ps",
    // what is wrong is said without Bun
    "-c nonesuch ps",
    "--nonesuch build",
    "-H ftp://far ps",
    "-H",
  ])("%s: it is not", (line) => expect(run(line)).toBe(false));

  test("by the environment, where no flag says otherwise", () => {
    const far = { DOCKER_HOST: "tcp://far:2375" };
    expect(run("ps", far)).toBe(true);
    expect(run("-H unix:///x ps", far)).toBe(false);
    expect(run("ps", { ...far, LIGHTER_HOST: "unix:///x" })).toBe(false);
    expect(run("ps", { LIGHTER_HOST: "far" })).toBe(true);
    expect(run("ps", { DOCKER_HOST: "10.0.0.1", DOCKER_TLS_VERIFY: "1" })).toBe(true);
    expect(run("ps", { DOCKER_HOST: "10.0.0.1", DOCKER_TLS: "1" })).toBe(true);
    expect(run("ps", { DOCKER_TLS_VERIFY: "1" })).toBe(false);
    expect(run("ps", { DOCKER_CONTEXT: "named" })).toBe(true);
    expect(run("ps", { DOCKER_CONTEXT: "named", DOCKER_HOST: "unix:///x" })).toBe(false);
    expect(run("-c local ps", { DOCKER_CONTEXT: "named" })).toBe(false);
    expect(run("--version", far)).toBe(false);
  });
});

describeIf(isSmall ? undefined : "dist/lighter is Bun's program")("what is handed over", () => {
  const program = join(folder, "bin/lighter");
  const stand = join(folder, "bin/lighterd");

  /** Puts a script in the place of Bun's program. */
  function standIn(script: string): void {
    writeFileSync(stand, `#!/bin/sh\n${script}`);
    chmodSync(stand, 0o755);
  }

  beforeAll(() => {
    mkdirSync(join(folder, "bin"));
    copyFileSync(join(root, "dist/lighter"), program);
  });

  test("arguments and environment come byte by byte, and the exit code goes back", () => {
    standIn("printf '[%s]' \"$@\"\nprintf '%s|' \"$WORD\"\nexit 7\n");
    const script = `WORD=$(printf 'b\\377') exec ${program} build '' ' two' "$(printf 'a\\377\\200')" ü`;
    const { status, stdout, stderr } = spawnSync("sh", ["-c", script], { encoding: "latin1" });
    expect({ status, stdout, stderr }).toEqual({
      status: 7,
      stdout: "[build][][ two][a\xff\x80][\xc3\xbc]b\xff|",
      stderr: "",
    });
  });

  test("stdin is unread, and other descriptors stay open", () => {
    standIn("cat; echo; cat <&5\n");
    const file = join(folder, "fifth");
    writeFileSync(file, "of the fifth");
    const { stdout } = spawnSync(program, ["import", "-"], {
      input: "x".repeat(300_000),
      stdio: ["pipe", "pipe", "pipe", "ignore", "ignore", openSync(file, "r")],
      encoding: "utf8",
    });
    expect(stdout).toBe(`${"x".repeat(300_000)}\nof the fifth`);
  });

  test("it opens nothing that stays open, and blocks no signal", () => {
    // A shell that starts a program has pipes, and blocks signals.
    const blocked = "while read -r line; do case $line in SigBlk*) echo $line;; esac; done </proc/$$/status";
    standIn(`cd /proc/$$/fd; echo *; ${blocked}\n`);
    const alone = spawnSync(stand, [], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const after = spawnSync(program, ["daemon"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    expect(after.stdout).toBe(alone.stdout);
  });

  test("the process stays the same, and its end by a signal is one", async () => {
    standIn("echo $$; exec sleep 1000\n");
    const child = spawn(program, ["daemon"], { stdio: ["ignore", "pipe", "inherit"] });
    const [bytes] = await once(child.stdout!, "data");
    expect(`${bytes}`).toBe(`${child.pid}\n`);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
  });

  describe("cp of a directory, whose files are many", () => {
    const socket = join(folder, "daemon.sock");
    const requests: string[] = [];
    /** A daemon that has one directory and nothing else. */
    const daemon = createServer(({ method, url = "" }, response) => {
      requests.push(`${method} ${url}`);
      const { pathname, searchParams } = new URL(url, "http://daemon");
      const isKnown = pathname.endsWith("/containers/c/archive") && searchParams.get("path") === "/directory";
      const stat = Buffer.from(JSON.stringify({ name: "directory", size: 0, mode: 2 ** 31, linkTarget: "" })).toString(
        "base64",
      );
      response.writeHead(isKnown ? 200 : 404, isKnown ? { "X-Docker-Container-Path-Stat": stat } : {}).end();
    });

    beforeAll(async () => {
      await new Promise<void>((resolve) => daemon.listen(socket, resolve));
      standIn("printf '[%s]' \"$@\"\n");
      writeFileSync(join(folder, "file"), "");
    });
    afterAll(() => daemon.close());

    const copy = async (from: string, to: string, host = `unix://${socket}`) => {
      requests.length = 0;
      const child = spawn(program, ["-H", host, "cp", from, to], { stdio: ["ignore", "pipe", "ignore"] });
      return (await text(child.stdout!)).startsWith("[");
    };

    test.each<[string, string]>([
      [folder, "c:/"],
      [`${folder}/.`, "c:/"],
      ["c:/directory", folder],
    ])("%s to %s: Bun's", async (from, to) => {
      expect(await copy(from, to)).toBe(true);
      expect(requests.filter((request) => !request.startsWith("HEAD"))).toEqual([]);
    });

    test.each<[string, string]>([
      [join(folder, "file"), "c:/"],
      [join(folder, "none"), "c:/"],
      ["-", "c:/"],
      ["c:/directory", "-"],
      ["c:/file", folder],
      ["d:/directory", folder],
    ])("%s to %s: not", async (from, to) => expect(await copy(from, to)).toBe(false));
  });

  test("a link from elsewhere finds what is beside the file; without that, it is said", () => {
    standIn("echo found\n");
    const run = () =>
      spawnSync("sh", ["-c", `ln -sf ${program} ${folder}/link && ${folder}/link daemon`], { encoding: "utf8" });
    expect(run()).toMatchObject({ status: 0, stdout: "found\n" });
    rmSync(stand);
    expect(run()).toMatchObject({
      status: 1,
      stdout: "",
      stderr: `lighter: execute "${stand}": no such file or directory\n`,
    });
  });

  test("what is no hand-over needs no such program", () => {
    rmSync(stand, { force: true });
    expect(spawnSync(program, ["--version"], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  });
});
