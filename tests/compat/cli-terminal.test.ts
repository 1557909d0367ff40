/**
 * Terminals, signals and streams: what a user of the stock client sees with a real dockerd, ours shows too, with that
 * dockerd and with our own daemon.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { type TerminalOptions, TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, PrivateDocker, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker();
let docker: PrivateDocker;
let ours: TestDaemon;
const sessions: TerminalSession[] = [];

function onTerminal(argv: readonly string[], host: string, options: TerminalOptions = {}): TerminalSession {
  const session = new TerminalSession(argv, { ...options, env: { ...environment(host), ...options.env } });
  sessions.push(session);
  return session;
}

/** Where our own daemon is: as Lighter's, which is asked in another way. */
const hostOfOurs = () => `unix://${ours.socketPath}`;
const environment = (host: string) => (host === hostOfOurs() ? { LIGHTER_HOST: host } : { DOCKER_HOST: host });

/** Docker's client with its daemon comes first, so that every expectation is shown to hold for those. */
const pairs = [
  ["docker", ["docker"], () => docker.host],
  ["lighter", lighterCommand, () => docker.host],
  ["lighter-lighter", lighterCommand, hostOfOurs],
] as const;

const runFlags = ["run", "--rm", "--network", "none"];

describeIf(whyNot)("terminals and signals", () => {
  beforeAll(async () => {
    docker = await PrivateDocker.start();
    ours = await TestDaemon.start();
    const options = { env: { DOCKER_HOST: `unix://${ours.socketPath}` } };
    const loaded = await docker.docker(["load", "-i", join(docker.folder, "saved.tar")], options);
    expect(loaded).toMatchObject({ stderr: "", code: 0 });
  }, 90_000);

  afterAll(async () => {
    for (const session of sessions) session.close();
    await docker.stop();
    await ours[Symbol.asyncDispose]();
  }, 60_000);

  describe.each(pairs)("%s", (name, client, host) => {
    const control = (args: readonly string[]) => docker.docker(args, { env: { DOCKER_HOST: host() } });

    test("run -it: the terminal is raw meanwhile, has our size, follows it, and is itself again at the end", async () => {
      const script =
        'stty size; echo ready; for s in "44 88" "55 99"; do while [ "$(stty size)" != "$s" ]; do sleep 0.02; done; echo "now $s"; done; read x; exit 7';
      const session = onTerminal([...client, ...runFlags, "-it", "busybox", "sh", "-c", script], host(), {
        rows: 33,
        columns: 77,
      });
      expect(session.isRaw).toBe(false);
      await session.shows("33 77");
      await session.shows("ready");
      expect(session.isRaw).toBe(true);
      // dockerd may set the first size after it has started the program, and so undo a resize that came at once.
      for (let tries = 0; tries < 10; tries++) {
        session.resize(44, 88 - (tries % 2));
        session.resize(44, 88);
        if (await session.showsWithin("now 44 88", 1000)) break;
      }
      session.resize(55, 99);
      await session.shows("now 55 99");
      session.type("\r");
      expect(await session.ended()).toBe(7);
      expect(session.isRaw).toBe(false);
    });

    test("run -it: output is passed on byte by byte", async () => {
      const script = "stty raw; printf 'one\\ntwo\\r\\n\\033[1mthree'";
      const session = onTerminal([...client, ...runFlags, "-it", "busybox", "sh", "-c", script], host());
      await session.ended();
      await session.shows("three");
      expect(session.output).toStartWith("one\ntwo\r\n\u001b[1mthree");
    });

    test("run -it: ctrl-c is a key for the container's terminal", async () => {
      const script = "echo ready; sleep 100";
      const session = onTerminal([...client, ...runFlags, "-it", "--init", "busybox", "sh", "-c", script], host());
      await session.shows("ready");
      session.type("\x03");
      expect(await session.ended()).toBe(130);
      expect(session.isRaw).toBe(false);
    });

    test("run -it: ctrl-p ctrl-q detaches, the container runs on, exit code 0", async () => {
      const container = `detach-${name}`;
      const flags = ["run", "--network", "none", "--name", container, "-it"];
      const session = onTerminal([...client, ...flags, "busybox", "sh", "-c", "echo ready; cat; exit 3"], host());
      await session.shows("ready");
      session.type("\x10x\r");
      await session.shows("x");
      session.type("\x10\x11");
      expect(await session.ended()).toBe(0);
      expect(session.isRaw).toBe(false);
      const { stdout } = await control(["inspect", "-f", "{{.State.Running}}", container]);
      expect(stdout).toBe("true\n");
    });

    test("attach: other detach keys, and the message that says so", async () => {
      const container = `attach-${name}`;
      await control([
        "run",
        "-dit",
        "--network",
        "none",
        "--name",
        container,
        "busybox",
        "sh",
        "-c",
        "read x; echo got $x; exit 5",
      ]);
      const first = onTerminal([...client, "attach", "--detach-keys", "ctrl-x,y", container], host());
      first.type("\x18y");
      expect(await first.ended()).toBe(1);
      await first.shows("read escape sequence\r\n");
      const second = onTerminal([...client, "attach", container], host());
      second.type("word\r");
      await second.shows("got word");
      expect(await second.ended()).toBe(5);
      expect(second.isRaw).toBe(false);
    });

    test("attach, start and exec: detach keys of config.json, unless a flag has others", async () => {
      const container = `configured-${name}`;
      const folder = mkdtempSync(join(docker.folder, "config-"));
      writeFileSync(join(folder, "config.json"), '{"detachKeys": "ctrl-x,y"}');
      const env = { DOCKER_CONFIG: folder };
      await control(["run", "-dit", "--network", "none", "--name", container, "busybox", "sh", "-c", "cat; exit 5"]);
      const detaches = async (args: readonly string[], keys: string, text: string, code: number) => {
        const session = onTerminal([...client, ...args], host(), { env });
        session.type("\x10\x11"); // Docker's own, which are ordinary keys now
        session.type("word\r");
        await session.shows("word");
        session.type(keys);
        expect([args, await session.ended()]).toEqual([args, code]);
        await session.shows(text);
      };
      await detaches(["attach", container], "\x18y", "read escape sequence\r\n", 1);
      await detaches(["attach", "--detach-keys", "ctrl-b", container], "\x02", "read escape sequence\r\n", 1);
      await detaches(["exec", "-it", container, "cat"], "\x18y", "read escape sequence\r\n", 1);
      await control(["kill", container]);
      await detaches(["start", "-ai", container], "\x18y", "", 0);
    });

    test("exec -it: a shell on a terminal, its exit code, and detaching from it", async () => {
      const container = `exec-${name}`;
      await control(["run", "-d", "--network", "none", "--name", container, "busybox", "sleep", "1000"]);
      const shell = onTerminal([...client, "exec", "-it", container, "sh", "-c", "stty size; read x; exit 9"], host(), {
        rows: 31,
      });
      await shell.shows("31 80");
      shell.type("\r");
      expect(await shell.ended()).toBe(9);
      const second = onTerminal([...client, "exec", "-it", container, "cat"], host());
      second.type("echo\r");
      await second.shows("echo\r\necho");
      second.type("\x10\x11");
      expect(await second.ended()).toBe(1);
      await second.shows("read escape sequence\r\n");
      expect(second.isRaw).toBe(false);
    });

    test("start -ai: a stopped container again, with its terminal", async () => {
      const container = `start-${name}`;
      const create = ["create", "-it", "--network", "none", "--name", container, "busybox"];
      await control([...create, "sh", "-c", "echo hello; read x; exit 4"]);
      const session = onTerminal([...client, "start", "-ai", container], host());
      await session.shows("hello");
      session.type("\r");
      expect(await session.ended()).toBe(4);
      expect(session.isRaw).toBe(false);
    });

    test("signals are passed on, one after the other", async () => {
      const signals = ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "CONT", "TSTP", "WINCH"] as const;
      const script = `for s in ${signals.join(" ")}; do trap "echo got-$s" $s; done; echo ready; while :; do sleep 0.02; done`;
      const child = spawn(client[0], [...client.slice(1), ...runFlags, "busybox", "sh", "-c", script], {
        env: { PATH: process.env.PATH, ...environment(host()) },
        stdio: ["ignore", "pipe", "inherit"],
      });
      // From the start: the client may have ended before the command that killed its container has.
      const closed = new Promise((resolve) => child.once("close", resolve));
      let output = "";
      let wake = () => {};
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk;
        wake();
      });
      const shows = async (text: string) => {
        while (!output.includes(text))
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      };
      await shows("ready");
      for (const signal of signals) {
        child.kill(`SIG${signal}`);
        await shows(`got-${signal}`);
      }
      const id = (await control(["ps", "-lq"])).stdout.trim();
      await control(["kill", id]);
      expect(await closed).toBe(137);
    });

    test("run -i: 8 MB through cat come back as they were, and the end of stdin ends it", async () => {
      const data = randomBytes(8 * 1024 * 1024);
      const argv = [...client, ...runFlags, "-i", "busybox", "cat"];
      const child = spawn(argv[0] ?? "", argv.slice(1), {
        env: { PATH: process.env.PATH, ...environment(host()) },
        stdio: ["pipe", "pipe", "inherit"],
      });
      const chunks: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
      child.stdin.end(data);
      expect(await new Promise((resolve) => child.once("close", resolve))).toBe(0);
      expect(Buffer.concat(chunks).equals(data)).toBe(true);
    });
  });

  test("--sig-proxy=false: TERM ends the client, and the terminal is itself again", async () => {
    const flags = ["run", "--rm", "--network", "none", "-it", "--sig-proxy=false"];
    const session = onTerminal(
      [...lighterCommand, ...flags, "busybox", "sh", "-c", "echo ready; sleep 100"],
      docker.host,
    );
    await session.shows("ready");
    expect(session.isRaw).toBe(true);
    process.kill(session.pid, "SIGTERM");
    expect(await session.ended()).toBe(143);
    expect(session.isRaw).toBe(false);
  });

  test("a crash of the client leaves no raw terminal behind", async () => {
    const flags = ["run", "--rm", "--network", "none", "-it"];
    const session = onTerminal(
      [...lighterCommand, ...flags, "busybox", "sh", "-c", "echo ready; sleep 100"],
      docker.host,
    );
    await session.shows("ready");
    process.kill(session.pid, "SIGSEGV");
    expect(await session.ended()).toBe(139);
    expect(session.isRaw).toBe(false);
  });

  test("a reader that goes away ends the client without a word", async () => {
    const argv = [...lighterCommand, ...runFlags, "busybox", "yes"].map((word) => `'${word}'`).join(" ");
    const child = spawn("bash", ["-c", `${argv} | head -n 2; echo "\${PIPESTATUS[0]}"`], {
      env: { PATH: process.env.PATH, DOCKER_HOST: docker.host },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { out: "", err: "" };
    child.stdout.on("data", (chunk) => {
      text.out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      text.err += chunk;
    });
    await new Promise((resolve) => child.once("close", resolve));
    expect(text).toEqual({ out: "y\ny\n141\n", err: "" });
  });
});
