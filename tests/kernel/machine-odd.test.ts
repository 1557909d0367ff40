// needs: busybox
/** Machines whose init, disk, memory or keeper is not as it should be, each most of them with a client at the console. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { RawConnection } from "../support/api-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isRoot, parentOf, rootedWith } from "../support/stage.ts";

const here = rootedWith("busybox");
const isHere = isRoot && Bun.which("busybox") !== null;
const TIMEOUT_MS = 120_000;
let daemon: TestDaemon;

beforeAll(async () => {
  if (!isHere) return;
  daemon = await TestDaemon.start();
  const archive = dockerArchive({
    layers: [rawTar(...busyboxRoot())],
    tags: ["init:busybox"],
    config: {},
  });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

interface Machine {
  id: string;
  console: RawConnection;
}

/** Starts a machine whose init is a script, with a client at its console from before its start. */
async function start(script: string | undefined, hostConfig: object = {}): Promise<Machine> {
  const Cmd = script === undefined ? [] : ["/bin/sh", "-c", script];
  const id = await daemon.create({
    Image: "init:busybox",
    Tty: true,
    ...(script === undefined ? {} : { Cmd }),
    HostConfig: { Runtime: "machine", NetworkMode: "none", ...hostConfig },
  });
  const console = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1&stdin=1`);
  await daemon.request("POST", `/containers/${id}/start`);
  return { id, console };
}

const stateOf = async (id: string) => (await daemon.inspect(id)).State;
const ended = async (id: string) => {
  await until(async () => (await stateOf(id)).Status === "exited", "it has ended");
  const { ExitCode, Machine, OOMKilled } = await stateOf(id);
  return { ExitCode, End: Machine?.End, OOMKilled };
};
const log = async (id: string) => (await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text;
const times = (text: string, what: string) => text.split(what).length - 1;

/** Removes it, and waits until no process, cgroup or directory of it is left. */
async function remove({ id, console }: Machine): Promise<void> {
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  await console.untilEnd();
  const left = () => daemon.leftovers([id]).filter((path) => path.includes(id.slice(0, 32)));
  await until(() => left().length === 0, "nothing is left of the machine");
}

const busybox = (command: string) => `/bin/busybox ${command}`;
const WAIT = `while :; do ${busybox("sleep 1000000")} & wait; done`;

describe("a machine", () => {
  here("whose init ignores every signal is killed when its time to stop is over", async () => {
    const machine = await start(`trap '' 1 2 3 10 12 13 14 15 30; echo up; ${WAIT}`);
    await machine.console.until((text) => text.includes("up"));
    await daemon.request("POST", `/containers/${machine.id}/stop?t=1`);
    expect(await ended(machine.id)).toEqual({ ExitCode: 137, End: "killed", OOMKilled: false });
    await remove(machine);
  });

  here("whose init ends at once is started by its policy, more and more seldom, and stops in between", async () => {
    const machine = await start("echo up; exit 3", { RestartPolicy: { Name: "always" } });
    await until(async () => times(await log(machine.id), "up") >= 4, "it was started four times");
    await daemon.request("POST", `/containers/${machine.id}/stop?t=1`);
    const { RestartCount } = await daemon.inspect(machine.id);
    expect(RestartCount).toBeGreaterThanOrEqual(3);
    expect(await ended(machine.id)).toEqual({ ExitCode: 3, End: "exit", OOMKilled: false });
    await remove(machine);
  });

  here("whose init forks and goes takes its children along, and its console says all", async () => {
    const orphan = `${busybox("setsid")} /bin/sh -c "trap '' 1 2 15; ${WAIT}"`;
    const machine = await start(`${orphan} & echo gone; exit 0`);
    expect(await machine.console.untilEnd()).toBe("gone\r\n");
    expect(await ended(machine.id)).toEqual({ ExitCode: 0, End: "exit", OOMKilled: false });
    await remove(machine);
  });

  here(
    "that reboots for ever is started more and more seldom, uncounted, and stops",
    async () => {
      const since = Math.floor(Date.now() / 1000);
      const machine = await start(`echo up; ${busybox("reboot -f")}; ${WAIT}`);
      await until(async () => times(await log(machine.id), "up") >= 5, "it has come up five times");
      await daemon.request("POST", `/containers/${machine.id}/stop?t=1`);
      const filters = encodeURIComponent(JSON.stringify({ container: [machine.id], event: ["start"] }));
      const { text } = await daemon.request(
        "GET",
        `/events?since=${since}&until=${Date.now() / 1000 + 1}&filters=${filters}`,
      );
      const starts = text
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).timeNano / 1e6);
      const gaps = starts.slice(1).map((at, index) => at - starts[index]!);
      for (const [index, gap] of gaps.slice(0, 4).entries()) expect(gap).toBeGreaterThan(100 * 2 ** index);
      expect((await daemon.inspect(machine.id)).RestartCount).toBe(0);
      expect((await stateOf(machine.id)).Running).toBe(false);
      await remove(machine);
    },
    TIMEOUT_MS,
  );

  here("that uses up its memory loses the program that does, and runs on", async () => {
    const machine = await start(undefined, { Memory: 32 << 20, MemorySwap: 32 << 20 });
    await machine.console.until((text) => text.includes("up"));
    const body = { Cmd: ["/bin/sh", "-c", "x=xxxxxxxx; while :; do x=$x$x; done"], AttachStdout: true };
    const { json } = await daemon.request("POST", `/containers/${machine.id}/exec`, body);
    await (await daemon.hijack(`/exec/${json.Id}/start`, { body: "{}" })).untilEnd();
    expect((await daemon.request("GET", `/exec/${json.Id}/json`)).json.ExitCode).toBe(137);
    expect(await stateOf(machine.id)).toMatchObject({ Running: true, OOMKilled: true });
    await daemon.request("POST", `/containers/${machine.id}/stop?t=-1`);
    expect(await ended(machine.id)).toMatchObject({ ExitCode: 130, End: "poweroff" });
    await remove(machine);
  });

  here("whose init uses up its memory is killed, and is told to have run out of it", async () => {
    const limits = { Memory: 16 << 20, MemorySwap: 16 << 20 };
    const machine = await start("echo up; x=xxxxxxxx; while :; do x=$x$x; done", limits);
    expect(await ended(machine.id)).toEqual({ ExitCode: 137, End: "crash", OOMKilled: true });
    await remove(machine);
  });

  here("whose keeper is killed ends, with all its processes, and is started by its policy", async () => {
    const machine = await start(`echo up; ${busybox("setsid")} /bin/sh -c "${WAIT}" & ${WAIT}`, {
      RestartPolicy: { Name: "on-failure" },
    });
    await machine.console.until((text) => text.includes("up"));
    const { Pid } = await stateOf(machine.id);
    process.kill(parentOf(Pid), "SIGKILL");
    await machine.console.untilEnd();
    await until(async () => times(await log(machine.id), "up") === 2, "it is up once more");
    await eventually(async () => {
      const next = (await stateOf(machine.id)).Pid;
      expect([0, Pid]).not.toContain(next);
      expect(processesIn(machine.id).length).toBeGreaterThan(0);
    });
    await remove(machine);
  });
});

/** The processes whose cgroup is that of the container. */
function processesIn(id: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id);
    } catch {
      return false; // it has just ended
    }
  });
}

describe("a daemon that is killed while a machine", () => {
  /** Kills the daemon and starts another, which finds the machine as it is by then. */
  const another = async () => {
    await daemon.kill();
    await daemon.launch();
  };

  here(
    "boots, stops or reboots finds it when it comes back, and what it said in its log",
    async () => {
      const id = await daemon.create({
        Image: "init:busybox",
        Tty: true,
        HostConfig: { Runtime: "machine", NetworkMode: "none", RestartPolicy: { Name: "always" } },
      });
      const starting = daemon.request("POST", `/containers/${id}/start`).catch(() => {});
      await until(async () => (await stateOf(id)).Status !== "created", "it starts");
      await Promise.all([another(), starting]);
      await until(async () => (await log(id)).includes("up\r\n"), "it is up");

      const stopping = daemon.request("POST", `/containers/${id}/stop?t=-1`).catch(() => {});
      await until(async () => (await stateOf(id)).Machine?.Status !== "running", "it stops");
      await Promise.all([another(), stopping]);
      expect(await ended(id)).toEqual({ ExitCode: 130, End: "poweroff", OOMKilled: false });

      await daemon.request("POST", `/containers/${id}/start`);
      await until(async () => times(await log(id), "up\r\n") === 2, "it is up once more");
      const { Pid } = await stateOf(id);
      process.kill(Pid, "SIGTERM"); // busybox's word for a reboot
      await another();
      await until(async () => times(await log(id), "up\r\n") === 3, "it has rebooted");
      await until(async () => (await stateOf(id)).Running, "it runs");
      expect((await daemon.inspect(id)).RestartCount).toBe(0);
      await daemon.request("DELETE", `/containers/${id}?force=1`);
      await until(() => processesIn(id).length === 0, "its processes have gone");
    },
    TIMEOUT_MS,
  );
});
