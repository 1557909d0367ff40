/**
 * Debian with each init that it has, as a machine: it boots, stops by what its init understands, reboots and powers itself off.
 * Each root file system takes a minute to make, so this runs only where LIGHTER_TEST_INITS names a directory to keep them in.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { lighterCommand, runProgram } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { missing } from "../support/missing.ts";
import { isRoot } from "../support/stage.ts";
import { describeIf } from "../support/test-if.ts";

const directory = process.env.LIGHTER_TEST_INITS;
const whyNot =
  (isRoot ? undefined : "needs root") ?? missing("mmdebstrap") ?? (directory ? undefined : "needs LIGHTER_TEST_INITS");
const TIMEOUT_MS = 600_000;
const PATIENCE_MS = 120_000;

interface Init {
  packages: string;
  /** Shell commands that change the new root, whose path is $1. */
  hook?: string;
  command?: string[];
  /** A shell command that succeeds once it has booted. */
  isUp: string;
  /** The command that has it reboot, and power itself off; undefined if it has none. */
  reboot?: string;
  poweroff?: string;
  /** The exit code of a machine that was stopped. */
  stopped: number;
}

const SYSV = {
  isUp: "tr '\\0' ' ' </proc/1/cmdline | grep -qF 'init [2]' && ! pgrep -f '[/]etc/init.d/'",
  reboot: "reboot",
  poweroff: "poweroff",
  stopped: 129, // its ctrl-alt-del is a reboot
};

const INITS: Record<string, Init> = {
  systemd: {
    packages: "systemd-sysv,dbus,libpam-systemd",
    isUp: "systemctl is-system-running --wait | grep -x running && ! systemctl --failed --plain --no-legend | grep .",
    reboot: "reboot",
    poweroff: "poweroff",
    stopped: 130,
  },
  sysvinit: { packages: "sysvinit-core,initscripts", ...SYSV },
  openrc: { packages: "sysvinit-core,openrc", ...SYSV },
  "openrc-init": {
    packages: "sysvinit-core,openrc",
    command: ["/usr/sbin/openrc-init"],
    isUp: "test -e /run/openrc/softlevel && grep -qx default /run/openrc/softlevel && ! pgrep -x openrc",
    reboot: "openrc-shutdown -r now",
    poweroff: "openrc-shutdown -p now",
    stopped: 130,
  },
  runit: { packages: "runit-init", isUp: "pgrep -x runsvdir", reboot: "reboot", poweroff: "poweroff", stopped: 130 },
  s6: {
    packages: "s6",
    hook: `mkdir -p "$1/etc/s6/tick"
printf '#!/bin/sh\\nexec sleep 1000000\\n' >"$1/etc/s6/tick/run"
printf '#!/bin/sh\\ncp -a /etc/s6/. /run/service\\nexec s6-svscan /run/service\\n' >"$1/usr/sbin/init"
chmod 755 "$1/usr/sbin/init" "$1/etc/s6/tick/run"`,
    isUp: "pgrep -x s6-supervise && pgrep -x sleep",
    stopped: 0,
  },
};

let daemon: TestDaemon;

beforeAll(async () => {
  if (whyNot === undefined) daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

/** Makes the root file system, unless it is there, and an image of it. */
async function makeImage(name: string, { packages, hook }: Init): Promise<void> {
  const path = join(directory!, `${name}.tar`);
  if (!existsSync(path)) {
    const more = hook === undefined ? [] : [`--customize-hook=${hook}`];
    const args = ["--variant=minbase", `--include=${packages},procps`, ...more, "--skip=output/dev", "trixie"];
    const made = await runProgram(["mmdebstrap", ...args, `${path}.new.tar`]);
    if (made.code !== 0) throw new Error(`mmdebstrap: ${made.stderr}`);
    renameSync(`${path}.new.tar`, path);
  }
  const imported = await lighter("machine", "import", path, `init:${name}`);
  expect(imported).toMatchObject({ stderr: "", code: 0 });
}

const lighter = (...args: string[]) => runProgram([...lighterCommand, "-H", `unix://${daemon.socketPath}`, ...args]);

describeIf(whyNot)("Debian as a machine", () => {
  describe.each(Object.entries(INITS))("with %s", (name, init) => {
    let id = "";
    const stateOf = async () => {
      const { State } = await daemon.inspect(id);
      return [State.Status, State.ExitCode];
    };
    const isUp = () =>
      eventually(async () => expect((await lighter("exec", id, "sh", "-c", init.isUp)).code).toBe(0), PATIENCE_MS);
    const start = async () => {
      await daemon.request("POST", `/containers/${id}/start`);
      await isUp();
    };

    test(
      "boots and stops",
      async () => {
        await makeImage(name, init);
        id = await daemon.run({ Image: `init:${name}`, Cmd: init.command ?? null, HostConfig: { Runtime: "machine" } });
        await isUp();
        const begun = performance.now();
        await daemon.request("POST", `/containers/${id}/stop?t=60`);
        console.log(`${name}: stop took ${Math.round(performance.now() - begun)} ms`);
        expect(await stateOf()).toEqual(["exited", init.stopped]);
      },
      TIMEOUT_MS,
    );

    test(
      "reboots and stays off",
      async () => {
        await start();
        const { reboot, poweroff } = init;
        if (reboot !== undefined && poweroff !== undefined) {
          const { StartedAt } = (await daemon.inspect(id)).State;
          await lighter("exec", id, "sh", "-c", reboot);
          await eventually(
            async () => expect((await daemon.inspect(id)).State.StartedAt).not.toBe(StartedAt),
            PATIENCE_MS,
          );
          await isUp();
          await lighter("exec", id, "sh", "-c", poweroff);
          await eventually(async () => expect(await stateOf()).toEqual(["exited", 130]), PATIENCE_MS);
          await start();
        }
        await daemon.request("POST", `/containers/${id}/stop?t=0`); // falls back at once, unless the init is faster
        const [status, exitCode] = await stateOf();
        expect(status).toBe("exited");
        expect([137, init.stopped]).toContain(exitCode);
        await daemon.request("DELETE", `/containers/${id}?force=1`);
      },
      TIMEOUT_MS,
    );
  });
});
