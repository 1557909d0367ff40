import { afterAll, beforeAll, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { DockerRegistry, hasDockerRegistry } from "../support/docker-registry.ts";
import { isRoot } from "../support/stage.ts";
import { TerminalSession } from "../support/terminal.ts";
import { testIf } from "../support/test-if.ts";
import { lighterCommand } from "./cli-support.ts";

/** The stock `docker` command line against our daemon, with real containers. */

const hasDocker = spawnSync("docker", ["--version"]).status === 0;
const stock = testIf(isRoot && hasDocker, isRoot ? "no docker command here" : "needs root");

let daemon: TestDaemon;

beforeAll(async () => {
  if (isRoot && hasDocker) daemon = await TestDaemon.start({ hostNetwork: true });
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

function dockerProcess(args: readonly string[]) {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  return spawn("docker", args, { env, stdio: ["pipe", "pipe", "pipe"] });
}

/** Runs to its end, with `input` as its whole stdin. Bytes are latin1. */
async function dockerWith(input: string | Buffer, ...args: string[]): Promise<Result> {
  const child = dockerProcess(args);
  const result: Result = { code: null, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (result.stdout += chunk.toString("latin1")));
  child.stderr.on("data", (chunk: Buffer) => (result.stderr += chunk.toString("latin1")));
  child.stdin.on("error", () => {}); // it need not read all
  child.stdin.end(input);
  result.code = await new Promise((resolve) => child.on("close", resolve));
  return result;
}

const docker = (...args: string[]) => dockerWith("", ...args);
const RUN = ["--network", "none", "-v", hostUsr.Binds[0]!];
const run = (...args: string[]) => docker("run", "--rm", ...RUN, ...args);

const ourClient = (...args: string[]) => clientWith(["nothing", "", 0], [...lighterCommand, ...args]);

async function id(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(...args);
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

stock("run shows both streams apart and hands the exit code on", async () => {
  expect(await run("host-usr", "sh", "-c", "echo out; echo err >&2; exit 7")).toEqual({
    code: 7,
    stdout: "out\n",
    stderr: "err\n",
  });
  // Of a child: the kernel keeps a namespace's first process from killing itself.
  expect((await run("host-usr", "sh", "-c", "sh -c 'kill -9 $$'")).code).toBe(137);
});

stock("run's own failures have Docker's exit codes", async () => {
  expect((await run("host-usr", "nonesuch")).code).toBe(127);
  expect((await run("host-usr", "/usr/bin/nonesuch")).code).toBe(127);
  expect((await run("host-usr", "/etc")).code).toBe(126);
  expect((await run("host-usr", "/etc/passwd")).code).toBe(126);
  expect((await run("-v", "/nonesuch/of/anybody:/x:rw,badoption", "host-usr", "true")).code).toBe(125);
  expect((await run("none/such", "true")).code).toBe(125);
  const { stdout } = await docker("ps", "-aq");
  expect(stdout).toBe("");
});

stock("what a start finds wrong with the container is a 500, as with Docker", async () => {
  const container = await daemon.create({ User: "nobodyhere", Cmd: ["true"], HostConfig: hostUsr });
  expect(await daemon.request("POST", `/containers/${container}/start`)).toMatchObject({
    status: 500,
    json: { message: "unable to find user nobodyhere: no matching entries in passwd file" },
  });
  await daemon.request("DELETE", `/containers/${container}`);
});

stock("run -i passes megabytes through unchanged", async () => {
  const input = randomBytes(10 << 20);
  const { stdout, code } = await dockerWith(input, "run", "--rm", "-i", ...RUN, "host-usr", "cat");
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  expect(hash(Buffer.from(stdout, "latin1"))).toBe(hash(input));
  expect(code).toBe(0);
});

/** What a client's stdin may be: its bytes, and when it ends after them, in ms; "none": there is none; "open": it does not end. */
const INPUTS: [name: string, bytes: string, end: number | "none" | "open"][] = [
  ["none", "", "none"],
  ["an end at once", "", 0],
  ["an end after 1 ms", "", 1],
  ["an end after 50 ms", "", 50],
  ["bytes and the end", "hello\n", 0],
  ["bytes, and the end after 20 ms", "hello\n", 20],
  ["bytes, and no end", "hello\n", "open"],
];

/** Runs a client with one of INPUTS, to its end. */
async function clientWith([, bytes, end]: (typeof INPUTS)[number], argv: readonly string[]): Promise<Result> {
  const [command = "", ...args] = argv;
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  const child = spawn(command, args, { env, stdio: [end === "none" ? "ignore" : "pipe", "pipe", "pipe"] });
  const result: Result = { code: null, stdout: "", stderr: "" };
  child.stdout!.on("data", (chunk: Buffer) => (result.stdout += chunk.toString("latin1")));
  child.stderr!.on("data", (chunk: Buffer) => (result.stderr += chunk.toString("latin1")));
  child.stdin?.on("error", () => {});
  if (bytes !== "") child.stdin?.write(bytes);
  if (end === 0) child.stdin?.end();
  else if (typeof end === "number") setTimeout(() => child.stdin?.end(), end);
  result.code = await new Promise((resolve) => child.on("close", resolve));
  child.stdin?.destroy();
  return result;
}

stock("whenever stdin ends, the process sees its end: run, exec, attach and start, of both clients", async () => {
  await id("run", "-d", "--name", "box", ...RUN, "host-usr", "sleep", "1000");
  for (const input of INPUTS) {
    const command = ["host-usr", ...(input[2] === "open" ? ["head", "-n1"] : ["cat"])];
    const [started, running] = [
      await id("create", "-i", ...RUN, ...command),
      await id("create", "-i", ...RUN, ...command),
    ];
    const commands = [
      ["run", "--rm", "-i", ...RUN, ...command],
      ["exec", "-i", "box", ...command.slice(1)],
      ["start", "-ai", started],
      ["attach", running],
    ];
    for (const client of [["docker"], lighterCommand]) {
      await docker("start", running);
      const outcomes = commands.map((args) => clientWith(input, [...client, ...args]));
      const expected = { code: 0, stdout: input[1], stderr: "" };
      for (const [index, outcome] of (await Promise.all(outcomes)).entries())
        expect([client[0], input[0], commands[index]![0], outcome]).toEqual([
          client[0],
          input[0],
          commands[index]![0],
          expected,
        ]);
    }
    await docker("rm", "-f", started, running);
  }
  await docker("rm", "-f", "box");
});

stock("what is typed before a terminal is there reaches it, its end too", async () => {
  for (const early of ["\x04", "hello\r\x04"]) {
    const container = await daemon.create({ Cmd: ["cat"], Tty: true, OpenStdin: true, HostConfig: hostUsr });
    const attached = await daemon.hijack(`/containers/${container}/attach?stream=1&stdin=1&stdout=1`, { early });
    await daemon.request("POST", `/containers/${container}/start`);
    const exec = { Cmd: ["cat"], Tty: true, AttachStdin: true, AttachStdout: true };
    const box = await daemon.run({ Cmd: ["sleep", "1000"], HostConfig: hostUsr });
    const { Id } = (await daemon.request("POST", `/containers/${box}/exec`, exec)).json;
    const executed = await daemon.hijack(`/exec/${Id}/start`, { body: '{"Tty":true}', early });
    for (const stream of [attached, executed])
      expect((await stream.untilEnd()).replaceAll("^D\b\b", "")).toBe(early === "\x04" ? "" : "hello\r\nhello\r\n");
    for (const one of [container, box]) await daemon.request("DELETE", `/containers/${one}?force=1`);
  }
});

stock("run -t has a terminal", async () => {
  const { stdout } = await run("-t", "host-usr", "sh", "-c", "test -t 1 && echo terminal");
  expect(stdout).toBe("terminal\r\n");
});

stock("the embedded image runs", async () => {
  const { code, stdout } = await docker("run", "--rm", "--network", "none", "hello");
  expect(code).toBe(0);
  expect(stdout).toContain("pid 1");
});

stock("a detached container can be listed, inspected, executed in, stopped and removed", async () => {
  const container = await id(
    "run",
    "-d",
    "--name",
    "web",
    "-e",
    "A=b",
    "-l",
    "k=v",
    ...RUN,
    "host-usr",
    "sleep",
    "1000",
  );
  expect(container).toMatch(/^[0-9a-f]{64}$/);
  expect((await docker("ps", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.State}}", "--no-trunc")).stdout).toBe(
    'web host-usr "sleep 1000" running\n',
  );
  expect((await docker("ps", "-q", "--no-trunc", "--filter", "label=k=v")).stdout).toBe(`${container}\n`);
  const format = "{{.Name}} {{.State.Status}} {{.Config.Hostname}} {{.HostConfig.NetworkMode}} {{index .Config.Env 0}}";
  expect((await docker("inspect", "-f", format, "web")).stdout).toBe(
    `/web running ${container.slice(0, 12)} none A=b\n`,
  );
  expect(await docker("exec", "web", "sh", "-c", "echo $A; exit 5")).toEqual({ code: 5, stdout: "b\n", stderr: "" });
  expect((await dockerWith("through", "exec", "-i", "web", "cat")).stdout).toBe("through");
  expect((await docker("exec", "-u", "user", "web", "id", "-u")).stdout).toBe("1000\n");
  expect((await docker("exec", "web", "nonesuch")).code).toBe(126);
  expect((await docker("exec", "-t", "web", "sh", "-c", "test -t 0 && echo tty")).stdout).toBe("tty\r\n");
  expect((await docker("exec", "-d", "web", "sleep", "1000")).code).toBe(0);
  const refused = await docker("rm", "web");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("container is running: stop the container before removing or force remove");
  expect(await docker("stop", "-t", "0", "web")).toMatchObject({ code: 0, stdout: "web\n" });
  expect(await docker("wait", "web")).toMatchObject({ code: 0, stdout: "137\n" });
  expect(await docker("rm", "web")).toMatchObject({ code: 0, stdout: "web\n" });
  expect((await docker("inspect", "web")).code).toBe(1);
});

stock("logs shows, cuts and follows", async () => {
  const script = "echo two >&2; echo one; sleep 0.05; echo three; read line; echo $line";
  await id("run", "-di", "--name", "talker", ...RUN, "host-usr", "sh", "-c", script);
  const child = dockerProcess(["logs", "-f", "talker"]);
  let followed = "";
  const hasAll = Promise.withResolvers<void>();
  child.stdout.on("data", (chunk: Buffer) => {
    followed += chunk.toString();
    if (followed.includes("three")) hasAll.resolve();
  });
  const closed = new Promise((resolve) => child.on("close", resolve));
  await hasAll.promise;
  expect(await docker("logs", "talker")).toEqual({ code: 0, stdout: "one\nthree\n", stderr: "two\n" });
  expect(await docker("logs", "-n", "1", "talker")).toMatchObject({ stdout: "three\n", stderr: "" });
  expect((await docker("logs", "-t", "-n", "1", "talker")).stdout).toMatch(/^\d{4}-.*Z three\n$/);
  expect((await docker("logs", "--since", "1h", "talker")).stdout).toBe("one\nthree\n");
  expect((await docker("logs", "--until", "1h", "talker")).stdout).toBe("");
  expect((await dockerWith("four\n", "attach", "talker")).stdout).toBe("four\n");
  await closed;
  expect(followed).toBe("one\nthree\nfour\n");
  expect((await dockerWith("five\n", "start", "-ai", "talker")).stdout).toBe("one\nthree\nfive\n");
  await docker("rm", "-f", "talker");
});

stock("create, start, restart, rename and kill", async () => {
  await id("create", "--name", "a1", ...RUN, "host-usr", "sleep", "1000");
  expect((await docker("ps", "-a", "--format", "{{.Status}}")).stdout).toBe("Created\n");
  expect((await docker("start", "a1")).stdout).toBe("a1\n");
  const pid = async () => (await docker("inspect", "-f", "{{.State.Pid}}", "a1")).stdout;
  const first = await pid();
  expect((await docker("restart", "-t", "0", "a1")).code).toBe(0);
  expect(await pid()).not.toBe(first);
  expect((await docker("rename", "a1", "a2")).code).toBe(0);
  expect((await docker("kill", "-s", "KILL", "a2")).stdout).toBe("a2\n");
  expect((await docker("kill", "a2")).code).toBe(1);
  expect((await docker("ps", "-a", "--format", "{{.Names}} {{.Status}}")).stdout).toMatch(
    /^a2 Exited \(137\) .* ago\n$/,
  );
  expect((await docker("rm", "-f", "a2")).code).toBe(0);
});

stock("limits reach the kernel and are shown", async () => {
  const script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; exit 0";
  const { stdout } = await run("-m", "64m", "host-usr", "sh", "-c", script);
  expect(stdout).toBe(`${64 << 20}\n`);
});

stock("a terminal has the client's size, follows it, can be left by keys and come back to", async () => {
  const env = { DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  const open = (...args: string[]) => new TerminalSession(["docker", ...args], { rows: 33, columns: 101, env });
  const shell = open("run", "-it", "--name", "term", "-e", "PS1=$ ", ...RUN, "host-usr", "sh");
  await shell.shows("$ ");
  shell.type("stty size\r");
  await shell.shows("33 101");
  shell.type("until stty size | grep '^44 77'; do sleep 0.01; done\r");
  // The client looks out for new sizes only some time after the container has started: tell it until it does.
  const seen = shell.shows("44 77\r\n").then(() => true);
  shell.resize(44, 77);
  do {
    process.kill(shell.pid, "SIGWINCH"); // Bun's terminal is not the controlling one, whose change would send it
  } while (!(await Promise.race([seen, Bun.sleep(50)])));
  shell.type("\x10\x11");
  expect(await shell.ended()).toBe(0);
  expect((await docker("ps", "-q", "--filter", "name=term")).stdout).not.toBe("");
  const again = open("attach", "term");
  again.type("echo $((40+2)); exit 9\r");
  await again.shows("42\r\n");
  expect(await again.ended()).toBe(9);
  for (const session of [shell, again]) session.close();
  await docker("rm", "term");
});

stock("attach to a terminal that has our size already makes it draw itself anew, with both clients", async () => {
  const script = "trap 'echo drawn' WINCH; stty rows 33 cols 101; echo ready; while :; do sleep 0.05; done";
  const Cmd = ["sh", "-c", script];
  const env = { DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  for (const client of [["docker"], lighterCommand]) {
    const container = await daemon.create({ Cmd, Tty: true, OpenStdin: true, HostConfig: hostUsr });
    const first = await daemon.hijack(`/containers/${container}/attach?stream=1&stdout=1`);
    await daemon.request("POST", `/containers/${container}/start`);
    await first.until((text) => text.includes("ready"));
    const session = new TerminalSession([...client, "attach", container], { rows: 33, columns: 101, env });
    await session.shows("drawn");
    session.close();
    first.socket.destroy();
    await daemon.request("DELETE", `/containers/${container}?force=1`);
  }
});

stock("images are listed, inspected and removed", async () => {
  expect((await docker("images", "--format", "{{.Repository}}:{{.Tag}}")).stdout.split("\n").sort()).toEqual([
    "",
    "hello:latest",
    "host-usr:latest",
  ]);
  expect((await docker("image", "inspect", "-f", "{{.Os}} {{.Config.Cmd}}", "host-usr")).stdout).toBe(
    "linux [/bin/sh]\n",
  );
  await id("create", "--name", "user", "hello");
  expect((await docker("rmi", "hello")).stderr).toContain("conflict: unable to remove repository reference");
  await docker("rm", "user");
  expect((await docker("rmi", "hello")).stdout).toContain("Untagged: hello:latest\nDeleted: sha256:");
});

stock("a container's files are compared, committed, exported, imported, saved and loaded", async () => {
  await id("run", "--name", "writer", ...RUN, "host-usr", "sh", "-c", "echo new > /new; rm /etc/passwd; exit 0");
  expect((await docker("diff", "writer")).stdout.split("\n").sort()).toEqual([
    "",
    "A /new",
    "A /usr",
    "C /etc",
    "D /etc/passwd",
  ]);
  const committed = await id("commit", "-m", "why", "-c", 'CMD ["cat", "/new"]', "writer", "made:1");
  expect(committed).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect((await run("made:1")).stdout).toBe("new\n");
  expect((await docker("history", "--format", "{{.Comment}}", "made:1")).stdout).toStartWith("why\n");

  const [exported, saved] = [join(daemon.directory, "exported.tar"), join(daemon.directory, "saved.tar")];
  expect((await docker("export", "-o", exported, "writer")).code).toBe(0);
  expect(await id("import", exported, "imported:1")).toStartWith("sha256:");
  expect((await run("imported:1", "cat", "/new")).stdout).toBe("new\n");
  expect((await docker("save", "-o", saved, "made:1")).code).toBe(0);
  expect((await docker("rmi", "made:1", "imported:1")).code).toBe(0);
  expect(await docker("load", "-i", saved)).toMatchObject({ code: 0, stdout: "Loaded image: made:1\n" });
  expect((await docker("inspect", "-f", "{{.Id}}", "made:1")).stdout).toBe(`${committed}\n`);
  expect((await docker("tag", "made:1", "made:2")).code).toBe(0);
  expect((await docker("rmi", "made:1")).stdout).toBe("Untagged: made:1\n");
  expect((await docker("rm", "writer")).code).toBe(0);
  expect((await docker("rmi", "made:2")).stdout).toContain("Untagged: made:2\nDeleted: sha256:");
  expect((await docker("image", "prune", "-f")).stdout).toBe("Total reclaimed space: 0B\n");
});

/** Until a template of `docker inspect` gives this. */
async function shows(name: string, format: string, wanted: string): Promise<void> {
  let stdout = "";
  const deadlineMs = Date.now() + 20_000;
  while (stdout !== `${wanted}\n`) {
    if (Date.now() > deadlineMs) throw new Error(`${name} does not show ${wanted}: ${stdout}`);
    ({ stdout } = await docker("inspect", "-f", format, name));
  }
}

stock("a container that fails is started again, as often as it was told", async () => {
  await id("run", "-d", "--name", "fails", "--restart", "on-failure:2", ...RUN, "host-usr", "sh", "-c", "exit 3");
  await shows("fails", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", "2 exited 3");
  await id("run", "-d", "--name", "stays", "--restart", "always", ...RUN, "host-usr", "sleep", "1000");
  const pid = Number((await docker("inspect", "-f", "{{.State.Pid}}", "stays")).stdout);
  process.kill(pid, "SIGKILL");
  await shows("stays", `{{.RestartCount}} {{.State.Running}} {{eq .State.Pid ${pid}}}`, "1 true false");
  expect((await docker("stop", "-t", "0", "stays")).code).toBe(0);
  await shows("stays", "{{.RestartCount}} {{.State.Status}}", "1 exited");
  await docker("rm", "fails", "stays");
});

stock("a container's health is looked after, and shown", async () => {
  const check = ["--health-cmd", "test -e /ok", "--health-interval", "50ms", "--health-retries", "1"];
  await id("run", "-d", "--name", "patient", ...check, ...RUN, "host-usr", "sleep", "1000");
  await shows("patient", "{{.State.Health.Status}}", "unhealthy");
  expect((await docker("exec", "patient", "touch", "/ok")).code).toBe(0);
  await shows("patient", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "healthy 0");
  expect((await docker("ps", "--filter", "health=healthy", "--format", "{{.Status}}")).stdout).toMatch(
    /^Up .* \(healthy\)\n$/,
  );
  await docker("rm", "-f", "patient");
});

stock("a paused container stands still, and a stopped one has told its events", async () => {
  const since = String(Math.floor(Date.now() / 1000));
  await id("run", "-d", "--name", "still", ...RUN, "host-usr", "sleep", "1000");
  expect(await docker("pause", "still")).toMatchObject({ code: 0, stdout: "still\n" });
  expect((await docker("ps", "--filter", "status=paused", "--format", "{{.Status}}")).stdout).toMatch(
    /^Up .* \(Paused\)\n$/,
  );
  expect((await docker("exec", "still", "true")).stderr).toContain("is paused, unpause the container before exec");
  expect(await docker("unpause", "still")).toMatchObject({ code: 0, stdout: "still\n" });
  expect((await docker("exec", "still", "true")).code).toBe(0);
  await docker("kill", "still");
  await docker("rm", "still");
  const range = ["--since", since, "--until", String(Date.now() / 1000)];
  const { stdout } = await docker("events", ...range, "--filter", "container=still", "--format", "{{.Action}}");
  const wanted = ["create", "start", "pause", "unpause", "exec_create: true ", "exec_start: true ", "exec_die"];
  expect(stdout.trimEnd().split("\n")).toEqual([...wanted, "kill", "die", "destroy"]);
});

stock("what runs is measured, listed and given new limits", async () => {
  await id("run", "-d", "--name", "busy", ...RUN, "host-usr", "sleep", "1000");
  const stats = await docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "busy");
  expect(stats.stdout).toMatch(/^busy 1 [\d.]+[KM]iB \/ [\d.]+[MG]iB\n$/);
  expect((await docker("top", "busy", "-o", "pid,args")).stdout).toMatch(/^PID +COMMAND\n\d+ +sleep 1000\n$/);
  expect((await docker("update", "--memory", "64m", "--memory-swap", "64m", "busy")).stdout).toBe("busy\n");
  const limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; exit 0";
  expect((await docker("exec", "busy", "sh", "-c", limit)).stdout).toBe(`${64 << 20}\n`);
  await docker("kill", "busy");
  const pruned = await docker("container", "prune", "-f");
  expect(pruned.stdout).toMatch(/^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: /);
});

const withRegistry = hasDockerRegistry ? stock : testIf(false, "no docker-registry here");

withRegistry("images go to a registry and come back", async () => {
  await using registry = await DockerRegistry.start();
  const reference = `${registry.host}/of/cli:1`;
  expect((await docker("tag", "host-usr", reference)).code).toBe(0);
  expect((await docker("push", reference)).stdout).toMatch(/^1: digest: sha256:[0-9a-f]{64} size: \d+$/m);
  expect((await docker("rmi", reference)).stdout).toContain(`Untagged: ${reference}`);
  const pulled = await docker("pull", reference);
  expect(pulled.stdout).toContain(`Status: Downloaded newer image for ${reference}\n${reference}\n`);
  expect((await run(reference, "echo", "back")).stdout).toBe("back\n");
  expect((await docker("pull", reference)).stdout).toContain(`Status: Image is up to date for ${reference}`);
  expect((await docker("pull", `${registry.host}/of/nobody:1`)).stderr).toContain("not found");
  const asked = [[reference], ["-v", reference], [`${registry.host}/of/cli:2`], [`${registry.host}/of/nobody`]];
  for (const words of asked) {
    const theirs = await docker("manifest", "inspect", "--insecure", ...words);
    expect(await ourClient("manifest", "inspect", ...words)).toEqual(theirs);
  }
  expect((await docker("rmi", reference)).code).toBe(0);
});

stock("version and info speak of this daemon", async () => {
  expect((await docker("version", "-f", "{{.Server.APIVersion}}")).stdout).toBe("1.51\n");
  const { code, stdout } = await docker("info", "-f", "{{.OSType}} {{.Containers}} {{.DockerRootDir}}");
  expect({ code, stdout }).toEqual({ code: 0, stdout: `linux 0 ${daemon.dataRoot}\n` });
});

stock("50 containers at once", async () => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, index) => run("host-usr", "sh", "-c", `echo ${index}; exit ${index}`)),
  );
  expect(results).toEqual(
    Array.from({ length: 50 }, (_, index) => ({ code: index, stdout: `${index}\n`, stderr: "" })),
  );
});

stock("networks, plugins and swarm are asked for by the client's own commands", async () => {
  const list = await docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}");
  expect(list).toMatchObject({ code: 0, stdout: "bridge bridge local\nhost host local\nnone null local\n" });
  expect((await docker("network", "inspect", "-f", "{{.Name}} {{.Created}}", "none")).stdout).toMatch(/^none 20\d\d-/);
  expect((await docker("network", "rm", "none")).stderr).toContain(
    "none is a pre-defined network and cannot be removed",
  );
  expect((await docker("plugin", "ls", "-q")).code).toBe(0);
  expect((await docker("node", "ls")).stderr).toContain("This node is not a swarm manager.");
  expect((await docker("info")).stderr).not.toContain("ERROR");
});

stock("docker pause, top, stats, update, ps, unpause and events speak of the same container", async () => {
  const name = "looked-at";
  const flags = ["--restart", "on-failure:2", "--health-cmd", "true", "--health-interval", "100ms"];
  await id("run", "-d", "--name", name, ...RUN, ...flags, "host-usr", "sleep", "1000");
  const health = () => id("inspect", "-f", "{{.State.Health.Status}}", name);
  while ((await health()) !== "healthy");
  expect(await id("ps", "--filter", "health=healthy", "--format", "{{.Names}} {{.Status}}")).toMatch(
    /^looked-at Up .*\(healthy\)$/,
  );
  expect((await id("top", name, "-o", "pid,args")).split("\n")[1]).toMatch(/^\d+\s+sleep 1000$/);
  expect(await id("update", "--memory", "64m", "--memory-swap", "64m", "--restart", "always", name)).toBe(name);
  const format = ["--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}"];
  expect(await id("stats", "--no-stream", ...format, name)).toMatch(/^looked-at .+ \/ 64MiB \d+$/);
  expect(await id("pause", name)).toBe(name);
  expect(await id("ps", "--filter", "status=paused", "--format", "{{.Status}}")).toEndWith("(Paused)");
  expect(await id("unpause", name)).toBe(name);
  expect(await id("rm", "-f", name)).toBe(name);
  const until = (Date.now() / 1000 + 0.001).toFixed(3);
  const events = ["events", "--since", "1m", "--until", until, "--filter", `container=${name}`];
  const actions = (await id(...events, "--format", "{{.Action}}")).split("\n");
  const ofExecs = /^(exec_|health_status)/;
  expect(actions.filter((action) => !ofExecs.test(action))).toEqual(
    ["create", "start", "top", "update", "pause", "unpause", "kill", "die", "destroy"], // no attach: it is detached
  );
  expect(actions).toContain("health_status: healthy");
});
