/** AppArmor profiles of real containers. Where the kernel has none, there is nothing to test. */
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { apparmorEnabled } from "../../src/linux/apparmor/mod.ts";
import { hostUsr, TestDaemon, type TestDaemonOptions } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { hasSystemd, systemdRoot } from "../support/machine-root.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const PARSER = "/usr/sbin/apparmor_parser";
const SECURITYFS = "/sys/kernel/security";
const hasAppArmor = isRoot && apparmorEnabled((path) => (existsSync(path) ? readFileSync(path, "utf8") : undefined));
const confined = testIf(hasAppArmor && existsSync(PARSER), "needs AppArmor in the kernel, apparmor_parser, and root");

let mounted = false;
let daemon: TestDaemon;

beforeAll(() => {
  if (!hasAppArmor || existsSync(`${SECURITYFS}/apparmor`)) return;
  mounted = spawnSync("mount", ["-t", "securityfs", "securityfs", SECURITYFS]).status === 0;
});

afterAll(() => {
  if (mounted) spawnSync("umount", [SECURITYFS]);
});

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

async function start(options?: TestDaemonOptions): Promise<void> {
  daemon = await TestDaemon.start(options);
}

function parse(flag: "--replace" | "--remove", policy: string): void {
  const { status, stderr } = spawnSync(PARSER, [flag, "--skip-cache"], { input: policy, encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
}

const DEFAULT = "docker-default (enforce)";
const CURRENT = "cat /proc/self/attr/apparmor/current";

/** What a shell says in a container of its own. */
async function says(command: string, hostConfig: object = {}): Promise<string> {
  const Cmd = ["/bin/sh", "-c", command];
  const id = await daemon.run({ Cmd, Tty: true, HostConfig: { ...hostUsr, ...hostConfig } });
  await daemon.request("POST", `/containers/${id}/wait`);
  return logs(id);
}

async function logs(id: string): Promise<string> {
  return asText((await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text);
}

async function execSays(id: string, command: string): Promise<string> {
  const create = { Cmd: ["/bin/sh", "-c", command], AttachStdout: true, Tty: true };
  const { Id } = (await daemon.request("POST", `/containers/${id}/exec`, create)).json;
  const stream = await daemon.hijack(`/exec/${Id}/start`, { body: JSON.stringify({ Tty: true }) });
  return asText(await stream.untilEnd());
}

/** What went through a terminal. */
const asText = (bytes: string) => bytes.replaceAll("\r\n", "\n").trim();

confined("a container, its execs and its health checks have the default profile, which is told", async () => {
  await start();
  expect((await daemon.request("GET", "/info")).json.SecurityOptions).toContain("name=apparmor");
  const id = await daemon.run({
    Cmd: ["/bin/sh", "-c", `${CURRENT}; exec /bin/sleep 1000`],
    Tty: true,
    HostConfig: hostUsr,
    Healthcheck: { Test: ["CMD-SHELL", CURRENT], Interval: 50e6 },
  });
  await until(async () => (await logs(id)) === DEFAULT, "it says its profile");
  expect((await daemon.inspect(id)).AppArmorProfile).toBe("docker-default");
  expect(await execSays(id, CURRENT)).toBe(DEFAULT);
  const checks = async () => (await daemon.inspect(id)).State.Health.Log;
  await until(async () => (await checks()).length > 0, "a check has ended");
  expect((await checks())[0].Output).toBe(`${DEFAULT}\n`);
});

confined("capabilities and bare paths that were asked for do not reach the host's settings", async () => {
  await start();
  const bare = { CapAdd: ["SYS_ADMIN", "SYS_PTRACE"], SecurityOpt: ["systempaths=unconfined"] };
  // What is written is what is there.
  const write = 'p=/proc/sys/kernel/core_pattern; v=$(cat $p); { echo "$v" > $p; } 2>&1 && echo written';
  const mount = "mount -t tmpfs none /mnt 2>&1 && echo mounted";
  const read = "cat /sys/kernel/security/apparmor/profiles /proc/kcore 2>&1 | head -c 1000";
  const commands = `${write}; ${mount}; ${read}; echo 100 > /proc/self/oom_score_adj && echo own`;
  const confinedSays = await says(commands, bare);
  expect(confinedSays).not.toMatch(/^(written|mounted)$/m);
  expect(confinedSays).toMatch(/core_pattern: Permission denied/);
  expect(confinedSays).toMatch(/^own$/m);
  const free = await says(commands, { ...bare, SecurityOpt: [...bare.SecurityOpt, "apparmor=unconfined"] });
  expect(free).toMatch(/^written$/m);
});

confined("a profile of the user's is the process's, none with unconfined, none if privileged", async () => {
  await start();
  parse("--replace", "profile lighter-test { file, signal, capability, deny /etc/passwd r, }");
  try {
    const own = { SecurityOpt: ["apparmor=lighter-test"] };
    expect(await says(`${CURRENT}; cat /etc/passwd 2>&1`, own)).toMatch(/^lighter-test \(enforce\)\n.*denied$/);
    expect(await says(CURRENT, { SecurityOpt: ["apparmor:unconfined"] })).toBe("unconfined");
    expect(await says(CURRENT, { Privileged: true })).toBe("unconfined");
    expect(await says(CURRENT, { Privileged: true, ...own })).toBe("lighter-test (enforce)");
  } finally {
    parse("--remove", "profile lighter-test {}");
  }
  const HostConfig = { ...hostUsr, SecurityOpt: ["apparmor=lighter-test"] };
  const missing = await daemon.create({ Cmd: ["/bin/true"], HostConfig });
  const refused = await daemon.request("POST", `/containers/${missing}/start`);
  expect([refused.status, refused.json.message]).toEqual([500, expect.stringContaining("the profile is not loaded")]);
});

const machines = testIf(
  hasAppArmor && existsSync(PARSER) && hasSystemd,
  "needs AppArmor in the kernel, apparmor_parser, systemd, dbus-daemon, and root",
);

machines(
  "a machine has a profile of its own that lets systemd boot and mount, and not reach what is the host's",
  async () => {
    await start();
    const image = dockerArchive({ layers: [rawTar(...systemdRoot())], tags: ["init:systemd"], config: {} });
    await daemon.request("POST", "/images/load", image, { "Content-Type": "application/x-tar" });
    const run = (Cmd: string[], HostConfig: object) =>
      daemon.run({
        Image: "init:systemd",
        Cmd,
        HostConfig: { Runtime: "machine", Binds: ["/usr:/usr:ro"], ...HostConfig },
      });
    const own = await run(["/usr/lib/systemd/systemd"], {});
    expect((await (await daemon.wait(own, "running")).answer).StatusCode).toBe(0);
    expect((await daemon.inspect(own)).AppArmorProfile).toBe("lighter-machine");
    expect(await execSays(own, `${CURRENT}; cat /proc/1/attr/apparmor/current`)).toBe(
      "lighter-machine (enforce)\nlighter-machine (enforce)",
    );
    expect(
      await execSays(own, "systemctl is-system-running --wait; systemctl --failed --no-pager --plain --no-legend"),
    ).toBe("running");
    const attempts = `mount -t tmpfs none /tmp && echo mounted
    (echo x >/proc/sys/kernel/core_pattern) || (echo h >/proc/sysrq-trigger) || echo read only`;
    expect(await execSays(own, `(${attempts}) 2>/dev/null`)).toBe("mounted\nread only");
    expect(await execSays(own, "unshare --user --map-root-user --mount mount -t tmpfs none /tmp && echo nested")).toBe(
      "nested",
    );
    // With the host's ids the profile is what keeps it out.
    const bare = await run(["/bin/sleep", "1000"], { UsernsMode: "host", SecurityOpt: ["systempaths=unconfined"] });
    expect(await execSays(bare, `(${attempts}) 2>/dev/null; cat /proc/self/uid_map`)).toMatch(
      /^mounted\nread only\n +0 +0 +4294967295$/,
    );
    const privileged = await run(["/bin/sleep", "1000"], { Privileged: true });
    expect(await execSays(privileged, CURRENT)).toBe("unconfined");
  },
);

confined("the default profile is loaded anew when somebody has unloaded it", async () => {
  await start();
  const id = await daemon.run({ Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr });
  parse("--remove", "profile docker-default {}");
  expect(await says(CURRENT)).toBe(DEFAULT);
  parse("--remove", "profile docker-default {}");
  expect(await execSays(id, CURRENT)).toBe(DEFAULT);
});

confined("a daemon that finds no compiler for profiles says so, and starts containers without one", async () => {
  parse("--replace", "profile docker-default {}"); // whether it is there or not
  parse("--remove", "profile docker-default {}");
  const hidden = `mount --bind /dev/null ${PARSER} && exec "$@"`;
  await start({ wrapper: ["unshare", "--mount", "sh", "-c", hidden, "sh"] });
  expect(daemon.log).toContain("containers run without an AppArmor profile");
  const info = (await daemon.request("GET", "/info")).json;
  expect(info.SecurityOptions).not.toContain("name=apparmor");
  expect(String(info.Warnings)).toContain("apparmor_parser");
  expect(await says(CURRENT)).toBe("unconfined");
});
