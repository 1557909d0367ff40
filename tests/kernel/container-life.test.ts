/** Pausing, limits, statistics, checks and restarts of real containers, on whichever cgroups the host has. */
import { afterEach, expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isAlive, rooted, rootedWith } from "../support/stage.ts";

let daemon: TestDaemon | undefined;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
  daemon = undefined;
});

const sleeper = { Cmd: ["/bin/sleep", "1000"], HostConfig: hostUsr };

/** CPU time in clock ticks, of a process that does nothing but use it. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

rooted("a paused process uses no CPU, also after the daemon's death, until it is let go", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run({ Cmd: ["/bin/sh", "-c", "while :; do :; done"], HostConfig: hostUsr });
  const { Pid } = (await daemon.inspect(id)).State;
  await until(() => cpuTicks(Pid) > 0, "it runs");
  expect((await daemon.request("POST", `/containers/${id}/pause`)).status).toBe(204);
  const before = cpuTicks(Pid);
  await daemon.kill();
  await daemon.launch();
  expect((await daemon.inspect(id)).State).toMatchObject({ Status: "paused", Pid });
  expect(cpuTicks(Pid)).toBe(before);
  expect((await daemon.request("POST", `/containers/${id}/unpause`)).status).toBe(204);
  await until(() => cpuTicks(Pid) > before, "it runs again");
  await daemon.request("POST", `/containers/${id}/pause`);
  expect((await daemon.request("POST", `/containers/${id}/kill`)).status).toBe(204);
  expect((await daemon.inspect(id)).State).toMatchObject({ Status: "exited", ExitCode: 137 });
});

rootedWith("ps")("an update is the kernel's limit, and statistics tell of it", async () => {
  daemon = await TestDaemon.start();
  // Some kernels count whole clock ticks: it has to have worked before it sleeps.
  const work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exec /bin/sleep 1000";
  const id = await daemon.run({ ...sleeper, Cmd: ["/bin/sh", "-c", work] });
  const processes = async () =>
    (await daemon!.request("GET", `/containers/${id}/top?ps_args=-o%20pid,args`)).json.Processes.map(String);
  await until(async () => /,\/bin\/sleep 1000$/.test((await processes())[0]), "it sleeps");
  const limits = { Memory: 64 << 20, MemorySwap: 64 << 20, PidsLimit: 20 };
  const update = await daemon.request("POST", `/containers/${id}/update`, limits);
  expect(update.status).toBe(200);
  const stats = (await daemon.request("GET", `/containers/${id}/stats?stream=0&one-shot=1`)).json;
  expect(stats.memory_stats.limit).toBe(64 << 20);
  expect(stats.memory_stats.usage).toBeGreaterThan(0);
  expect(stats.pids_stats).toEqual({ current: 1, limit: 20 });
  expect(stats.cpu_stats.cpu_usage.total_usage).toBeGreaterThan(0);
  expect(stats.cpu_stats.system_cpu_usage).toBeGreaterThan(stats.cpu_stats.cpu_usage.total_usage);
  const top = (await daemon.request("GET", `/containers/${id}/top?ps_args=-o%20pid,args`)).json;
  expect(top).toEqual({ Titles: ["PID", "COMMAND"], Processes: [[expect.any(String), "/bin/sleep 1000"]] });
});

rooted("a daemon that comes back starts what must run, and goes on with a health check", async () => {
  daemon = await TestDaemon.start();
  const policy = (Name: string) => ({ ...sleeper, HostConfig: { ...hostUsr, RestartPolicy: { Name } } });
  const always = await daemon.run(policy("always"));
  const plain = await daemon.run(policy("no"));
  const Healthcheck = { Test: ["CMD-SHELL", "test -e /ok"], Interval: 50e6, Retries: 2 };
  const checked = await daemon.run({ ...sleeper, Healthcheck });
  const pids = await Promise.all([always, plain].map(async (id) => (await daemon!.inspect(id)).State.Pid));
  const health = async () => (await daemon!.inspect(checked)).State.Health.Status;
  await until(async () => (await health()) === "unhealthy", "it is unhealthy");
  await daemon.kill();
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await until(() => pids.every((pid) => !isAlive(pid)), "they are gone");
  await daemon.launch();
  const stateOf = async (id: string) => (await daemon!.inspect(id)).State.Status;
  await until(async () => (await stateOf(always)) === "running", "it runs again");
  expect(isAlive((await daemon.inspect(always)).State.Pid)).toBe(true);
  expect(await stateOf(plain)).toBe("exited");
  const exec = await daemon.request("POST", `/containers/${checked}/exec`, { Cmd: ["/bin/touch", "/ok"] });
  await daemon.request("POST", `/exec/${exec.json.Id}/start`, { Detach: true });
  await until(async () => (await health()) === "healthy", "it is healthy");
});

rooted("an exec outlives the daemon: it can be asked, attached to and killed", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run(sleeper);
  const create = { Cmd: ["/bin/cat"], AttachStdin: true, AttachStdout: true };
  const exec = (await daemon.request("POST", `/containers/${id}/exec`, create)).json.Id;
  await daemon.request("POST", `/exec/${exec}/start`, { Detach: true });
  await daemon.kill();
  await daemon.launch();
  const inspect = async () => (await daemon!.request("GET", `/exec/${exec}/json`)).json;
  expect(await inspect()).toMatchObject({ Running: true, ContainerID: id });
  const attached = await daemon.hijack(`/lighter/exec/${exec}/attach?stdin=1&stdout=1`);
  attached.socket.write("still here");
  await attached.until((text) => text.includes("still here"));
  expect((await daemon.request("POST", `/lighter/exec/${exec}/kill`)).status).toBe(204);
  await until(async () => (await inspect()).ExitCode === 137, "it is known to have ended");
  attached.socket.destroy();
  await daemon.request("DELETE", `/containers/${id}?force=1`);
  const left = daemon;
  await until(() => left.leftovers([id]).length === 0, "nothing is left");
});

rooted("a container that runs out of memory is told of when it happens, and once", async () => {
  daemon = await TestDaemon.start();
  const target = daemon;
  const limited = { ...hostUsr, Memory: 16 << 20, MemorySwap: 16 << 20 };
  const actions = async (id: string) => {
    const filters = encodeURIComponent(JSON.stringify({ container: [id], type: ["container"] }));
    const { text } = await target.request("GET", `/events?since=0&until=${Date.now() / 1000 + 1}&filters=${filters}`);
    const seen = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).Action as string);
    return seen.filter((action) => ["start", "oom", "die"].includes(action));
  };
  const eaten = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null";
  const id = await target.run({ Cmd: ["/bin/sh", "-c", `${eaten}; exec sleep 1000`], HostConfig: limited });
  await until(async () => (await target.inspect(id)).State.OOMKilled, "it is out of memory");
  expect((await target.inspect(id)).State.Running).toBe(true);
  expect(await actions(id)).toEqual(["start", "oom"]);
  await target.request("POST", `/containers/${id}/kill`);
  await target.request("POST", `/containers/${id}/wait`);
  expect(await actions(id)).toEqual(["start", "oom", "die"]);
  expect((await target.inspect(id)).State).toMatchObject({ Running: false, OOMKilled: true });
  // One that does not survive it; as its end tells of it, too, there must not be two.
  const first = await target.run({ Cmd: ["/bin/sh", "-c", `exec ${eaten}`], HostConfig: limited });
  await target.request("POST", `/containers/${first}/wait`);
  expect(await actions(first)).toEqual(["start", "oom", "die"]);
  // One that had no limit when it started.
  const later = await target.run(sleeper);
  await target.request("POST", `/containers/${later}/update`, { Memory: 16 << 20, MemorySwap: 16 << 20 });
  const exec = await target.request("POST", `/containers/${later}/exec`, { Cmd: ["/bin/sh", "-c", eaten] });
  await target.request("POST", `/exec/${exec.json.Id}/start`, { Detach: true });
  await until(async () => (await target.inspect(later)).State.OOMKilled, "it is out of memory, too");
  expect(await actions(later)).toEqual(["start", "oom"]);
});

rooted("a container that runs takes two fds of the daemon: its supervisor's socket and process", async () => {
  daemon = await TestDaemon.start();
  const { pid } = daemon;
  const fds = () => readdirSync(`/proc/${pid}/fd`).length;
  await daemon.run(sleeper); // with what the first one opens for all
  const before = fds();
  for (let i = 0; i < 5; i++) await daemon.run(sleeper);
  await until(() => fds() < before + 3 * 5, "two for each, and a few for who has asked");
});
