import { afterAll, beforeAll, describe, expect } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lighterCommand, runProgram } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isRoot, rootedWith } from "../support/stage.ts";
import { TerminalSession } from "../support/terminal.ts";

/* `lighter machine` on the kernel, with machines whose init is busybox's. */

let daemon: TestDaemon;
let folder: string;
const sessions: TerminalSession[] = [];
const isHere = isRoot && Bun.which("busybox") !== null;
const here = rootedWith("busybox");
const host = () => ({ PATH: `${folder}:${process.env.PATH}`, LIGHTER_HOST: `unix://${daemon.socketPath}` });

const lighter = (...args: string[]) => runProgram([...lighterCommand, ...args], { env: host() });
const machine = (...args: string[]) => lighter("machine", ...args);

function onTerminal(...args: string[]): TerminalSession {
  const session = new TerminalSession([...lighterCommand, "machine", ...args], { env: host() });
  sessions.push(session);
  return session;
}

/** Stands in for the host's bootstrap tool: "makes" a root file system of busybox, with `su`. */
function fakeBootstrap(): void {
  const root = join(folder, "root.tar");
  writeFileSync(root, rawTar(...busyboxRoot(), { name: "bin/su", type: "2", linkName: "busybox" }));
  const tool = join(folder, "mmdebstrap");
  writeFileSync(tool, `#!/bin/sh\necho "$@" >>${folder}/calls\nexec cat ${root}\n`);
  chmodSync(tool, 0o755);
}

beforeAll(async () => {
  if (!isHere) return;
  daemon = await TestDaemon.start();
  folder = mkdtempSync(join(tmpdir(), "lighter-machine-commands-"));
  fakeBootstrap();
  const archive = join(folder, "m.tar");
  writeFileSync(archive, rawTar(...busyboxRoot()));
  const { code } = await machine("import", archive, "m");
  expect(code).toBe(0);
});
afterAll(async () => {
  for (const session of sessions) session.close();
  await daemon?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

describe("machine launch", () => {
  here("starts a machine, prints its name, and says what is not one", async () => {
    expect(await machine("launch", "--network", "none", "m", "plain")).toEqual({
      stdout: "plain\n",
      stderr: "",
      code: 0,
    });
    const { Config, HostConfig } = await daemon.inspect("plain");
    expect([Config.Hostname, Config.Tty, Config.OpenStdin, Config.StdinOnce, HostConfig.Runtime]).toEqual([
      "plain",
      true,
      true,
      false,
      "machine",
    ]);
    expect(await machine("shell", "plain", "sh", "-c", 'echo "$1"; exit 7', "x", "a b")).toMatchObject({
      stdout: "a b\n",
      code: 7,
    });
    const app = await lighter("create", "--name", "app", "host-usr");
    expect(app.code).toBe(0);
    for (const command of ["rm", "stop", "shell", "console", "edit"])
      expect(await machine(command, "app")).toEqual({
        stdout: "",
        stderr: "app is a container, not a machine\n",
        code: 1,
      });
    expect(await machine("rm", "-f", "plain")).toMatchObject({ stdout: "plain\n", code: 0 });
    expect((await lighter("rm", "app")).code).toBe(0);
  });

  // A mirror of one's own has no keys to look for; a launch without one needs those of the archive.
  here("makes a missing image of Debian, and opens a login shell on a terminal", async () => {
    const made = await lighter("image", "bootstrap", "--machine", "--mirror", "http://localhost", "debian:trixie");
    expect(made.code).toBe(0);
    const session = onTerminal("launch", "--network", "none", "debian:trixie", "web");
    session.type('echo "$HOME-$USER-$(busybox tty)-$(busybox hostname)"; exit 3\n');
    await session.shows("/-root-/dev/pts/1-web");
    expect(await session.ended()).toBe(3);
    expect(await machine("rm", "-f", "web")).toMatchObject({ code: 0 });
  });

  here("tells why a machine does not come up", async () => {
    const { code, stderr } = await machine("launch", "--network", "none", "m", "bad", "--", "/bin/sh", "-c", "exit 4");
    // One whose init says nothing runs from its first moment: it may have ended by the time somebody asks.
    expect(code === 0 || stderr.includes("has ended before it was running")).toBe(true);
    const missing = await machine("launch", "--network", "none", "m", "worse", "/no/init");
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("/no/init");
    expect(await machine("rm", "bad", "worse")).toMatchObject({ code: 0 });
  });
});

describe("a machine that runs", () => {
  beforeAll(async () => {
    if (isHere) expect(await machine("launch", "-m", "64m", "m", "one")).toMatchObject({ code: 0 });
  });
  const up = (times: number) =>
    until(
      async () => (await machine("logs", "one")).stdout.split("up\r\n").length === times + 1,
      `it has come up ${times} times`,
    );

  here("is listed with its state, init, address, image and limits", async () => {
    const { stdout } = await machine("ls");
    const [heading, row, ...others] = stdout.trimEnd().split("\n");
    expect(heading).toMatch(/^NAME +STATE +INIT +ADDRESS +IMAGE +LIMITS$/);
    expect(row).toMatch(/^one +running +busybox +172\.\S+ +m +64MiB$/);
    expect(others).toEqual([]);
    expect((await machine("ls", "--format", "{{.Name}} {{.State}}", "-f", "name=no-such")).stdout).toBe("");
    const { stdout: offered } = await lighter("__complete", "machine", "stop", "");
    expect(offered).toContain("one");
  });

  here("is changed by flags, or in an editor", async () => {
    const edited = await runProgram([...lighterCommand, "machine", "edit", "one"], {
      env: { ...host(), EDITOR: "sed -i -e s/64m/80m/ -e 's/name: one/name: two/'" },
    });
    expect(edited).toMatchObject({ stderr: "", code: 0 });
    expect((await machine("edit", "--name", "one", "--pids-limit", "50", "two")).code).toBe(0);
    expect((await machine("ls", "--format", "{{.Name}} {{.Limits}}")).stdout).toBe("one 80MiB, 50 processes\n");
    const failing = await runProgram([...lighterCommand, "machine", "edit", "one"], {
      env: { ...host(), EDITOR: "false" },
    });
    expect(failing).toMatchObject({ stderr: "nothing is changed: false failed\n", code: 1 });
  });

  here(
    "has a console that many share and leave, and that outlives daemons and reboots",
    async () => {
      await up(1);
      const [first, second] = [onTerminal("console", "one"), onTerminal("console", "--detach-keys", "ctrl-]", "one")];
      for (const session of [first, second]) await until(() => session.isRaw, "it is at the console");
      first.type("typed by the first\r");
      for (const session of [first, second]) await session.shows("typed by the first");
      second.type("\x01q and left by other keys\r\x1d");
      expect(await second.ended()).toBe(0);
      await first.shows("and left by other keys");
      await daemon.kill();
      await daemon.launch();
      const third = onTerminal("console", "one");
      await third.shows("and left by other keys"); // what was shown before
      await until(() => third.isRaw, "it is at the console");
      first.type("typed to the next daemon\r");
      for (const session of [first, third]) await session.shows("typed to the next daemon");
      await machine("exec", "one", "/bin/reboot");
      await up(2);
      // Each is back when it is: what is said before is in the log only.
      await until(async () => {
        third.type("typed after the reboot\r");
        return await first.showsWithin("typed after the reboot", 1000);
      }, "the first sees what the third types");
      first.type("\x01q");
      expect(await first.ended()).toBe(0);
      await machine("exec", "one", "/bin/poweroff");
      expect(await third.ended()).toBe(0);
      await third.shows("machine one is off");
    },
    120_000,
  );

  here("is started and waited for", async () => {
    expect(await machine("ls", "--format", "{{.State}}")).toMatchObject({ stdout: "stopped (poweroff)\n" });
    expect(await machine("start", "--wait", "--timeout", "60", "one")).toEqual({
      stdout: "one\n",
      stderr: "",
      code: 0,
    });
    expect(await lighter("wait", "--condition", "running", "one")).toEqual({ stdout: "0\n", stderr: "", code: 0 });
    expect((await machine("stop", "one")).code).toBe(0);
    expect(await machine("rm", "one")).toMatchObject({ stdout: "one\n", code: 0 });
  });
});
