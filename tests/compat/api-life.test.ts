/** Restart policies, health checks, pausing and events, with a runtime whose processes the test plays. */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import type { EngineEvent } from "../../src/engine/mod.ts";
import { ApiServer } from "../support/api-server.ts";
import { fillDisk } from "../support/full-disk.ts";

let api: ApiServer;
let seen: EngineEvent[];

beforeEach(async () => {
  api = await ApiServer.start();
  seen = [];
  listen();
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

let wake = () => {};

function listen(): void {
  api.engine.events.listen((event) => {
    seen.push(event);
    wake();
  });
}

/** Resolves when `action` has been published, for the `count`th time in this test. */
async function published(action: string, count = 1): Promise<EngineEvent> {
  for (;;) {
    const found = seen.filter((event) => event.action === action);
    if (found.length >= count) return found[count - 1]!;
    await new Promise<void>((resolve) => (wake = resolve));
  }
}

/** Of all but networks, which a container is in while it runs. */
const lifeEvents = () => seen.filter(({ type }) => type !== "network");
const actions = () => lifeEvents().map(({ action }) => action);

function policy(Name: string, MaximumRetryCount = 0) {
  return { HostConfig: { RestartPolicy: { Name, MaximumRetryCount } } };
}

test("a restarted container is seen as restarting, then runs, and counts", async () => {
  const id = await api.run(policy("always"));
  // Its next start is 100 ms away, after that 200, and so on: the fourth leaves time to look at it.
  for (const round of [1, 2, 3, 4]) {
    await published("start", round);
    api.runtime.process(id).exit(3);
    await published("die", round);
  }
  const last = api.runtime.process(id);
  const { State, RestartCount } = await api.inspect(id);
  expect(State).toMatchObject({ Status: "restarting", Running: true, Restarting: true, Pid: 0, ExitCode: 3 });
  expect(RestartCount).toBe(4);
  const [listed] = (await api.request("GET", "/containers/json")).json;
  expect(listed).toMatchObject({ State: "restarting", Status: "Restarting (3) Less than a second ago" });
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(304);
  expect(await api.request("DELETE", `/containers/${id}`)).toMatchObject({ status: 409 });
  expect((await api.request("POST", `/containers/${id}/exec`, { Cmd: ["x"] })).json.message).toBe(
    `Container ${id} is restarting, wait until the container is running`,
  );
  await published("start", 5);
  expect(api.runtime.process(id)).not.toBe(last);
  const next = api.runtime.process(id);
  expect((await api.inspect(id)).State).toMatchObject({ Status: "running", Restarting: false, Pid: next.pid });
});

test("on-failure:2 gives up after two more failures, and a start by hand counts anew", async () => {
  const id = await api.run(policy("on-failure", 2));
  for (const round of [1, 2, 3]) {
    await published("start", round);
    api.runtime.process(id).exit(1);
    await published("die", round);
  }
  expect(await api.inspect(id)).toMatchObject({ RestartCount: 2, State: { Status: "exited", ExitCode: 1 } });
  await api.request("POST", `/containers/${id}/start`);
  expect((await api.inspect(id)).RestartCount).toBe(0);
});

test("a stop ends the waiting at once, and unless-stopped stays stopped over a daemon's death", async () => {
  const id = await api.run(policy("unless-stopped"), "web");
  api.runtime.process(id).exit(1);
  await published("die");
  const wait = await api.wait(id);
  expect((await api.request("POST", `/containers/${id}/stop`)).status).toBe(204);
  expect(await wait.answer).toEqual({ StatusCode: 1 });
  expect((await api.inspect(id)).State).toMatchObject({ Status: "exited", Running: false });
  expect(actions()).toEqual(["create", "start", "die", "stop"]);
  await api.restart();
  await api.engine.idle();
  expect((await api.inspect(id)).State.Status).toBe("exited");
});

test("a daemon that comes back starts what must run", async () => {
  const ids: Record<string, string> = {};
  for (const name of ["no", "always", "unless-stopped", "on-failure"]) ids[name] = await api.run(policy(name), name);
  const created = await api.create(policy("always"));
  for (const id of Object.values(ids)) {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    api.engine.events.listen((event) => event.action === "die" && event.id === id && resolve());
    await api.request("POST", `/containers/${id}/stop`);
    await ended;
  }
  await api.restart();
  await api.engine.idle();
  const statusOf = async (id: string) => (await api.inspect(id)).State.Status;
  expect(await statusOf(ids.always!)).toBe("running");
  for (const name of ["no", "unless-stopped", "on-failure"]) expect(await statusOf(ids[name]!)).toBe("exited");
  expect(await statusOf(created)).toBe("created");
});

test("what was waiting to be started again when the daemon died is started by the next", async () => {
  const id = await api.run(policy("on-failure"));
  api.runtime.process(id).exit(1);
  await published("die");
  await api.restart();
  await api.engine.idle();
  expect((await api.inspect(id)).State.Status).toBe("running");
});

test("a process that runs, whatever its row says of an earlier run, is running as if it had just been started", async () => {
  const id = await api.run();
  const died = "UPDATE container SET status = 'exited', exit_code = 3, error = 'lost', oom_killed = 1";
  await api.restart(() => changeRows(died));
  const running = { Status: "running", ExitCode: 0, Error: "", OOMKilled: false };
  expect((await api.inspect(id)).State).toMatchObject(running);
  await api.restart();
  expect((await api.inspect(id)).State).toMatchObject(running);
});

test("a container that was out of memory and runs on is so for the next daemon, too, whose end of it is not told twice", async () => {
  const id = await api.run();
  await api.restart(() => changeRows("UPDATE container SET oom_killed = 1"));
  listen();
  expect((await api.inspect(id)).State).toMatchObject({ Status: "running", OOMKilled: true });
  api.runtime.process(id).exit(137, true);
  await published("die");
  expect(actions()).toEqual(["create", "start", "die"]);
});

/** Changes the rows while there is no daemon. */
function changeRows(sql: string): void {
  const db = new Database(join(api.directory, "data/lighter.db"));
  db.run(sql);
  db.close();
}

test("an end while there was no daemon counts as any other", async () => {
  const id = await api.run(policy("always"));
  await api.restart(() => api.runtime.process(id).exit(4));
  listen();
  expect((await api.inspect(id)).State.ExitCode).toBe(4);
  await published("start", 2);
  expect(await api.inspect(id)).toMatchObject({ RestartCount: 1, State: { Status: "running" } });
});

test("a restart by hand of one with a policy starts it once, with Docker's events", async () => {
  const id = await api.run(policy("always"));
  expect((await api.request("POST", `/containers/${id}/restart`)).status).toBe(204);
  expect(actions()).toEqual(["create", "start", "kill", "die", "stop", "start", "restart"]);
  expect((await api.inspect(id)).RestartCount).toBe(0);
});

test("removing by force a container that waits to be started again", async () => {
  const id = await api.run(policy("always"));
  api.runtime.process(id).exit(1);
  await published("die");
  expect((await api.request("DELETE", `/containers/${id}?force=1`)).status).toBe(204);
  expect(actions()).toEqual(["create", "start", "die", "destroy"]);
});

test("a paused container: state, what cannot be done with it, and what can", async () => {
  const id = await api.run({}, "still");
  expect((await api.request("POST", `/containers/${id}/pause`)).status).toBe(204);
  expect((await api.inspect(id)).State).toMatchObject({ Status: "paused", Running: true, Paused: true });
  expect((await api.request("GET", "/containers/json")).json[0].Status).toBe("Up Less than a second (Paused)");
  const message = async (method: string, path: string, body?: object) => {
    const { status, json } = await api.request(method, `/containers/${id}${path}`, body);
    return `${status} ${json?.message}`;
  };
  expect(await message("POST", "/pause")).toBe(`409 Container ${id} is already paused`);
  expect(await message("POST", "/start")).toBe("409 cannot start a paused container, try unpause instead");
  expect(await message("POST", "/exec", { Cmd: ["x"] })).toBe(
    `409 Container ${id} is paused, unpause the container before exec`,
  );
  expect(await message("DELETE", "")).toBe(
    '409 cannot remove container "/still": container is paused and must be unpaused first',
  );
  await api.restart();
  expect((await api.inspect(id)).State.Paused).toBe(true);
  expect((await api.request("POST", `/containers/${id}/unpause`)).status).toBe(204);
  expect(await message("POST", "/unpause")).toBe(`500 Container ${id} is not paused`);
  await api.request("POST", `/containers/${id}/pause`);
  expect((await api.request("POST", `/containers/${id}/stop`)).status).toBe(204);
  expect((await api.inspect(id)).State).toMatchObject({ Status: "exited", Paused: false });
});

// --- Health ---

function healthcheck(more: object = {}) {
  return { Healthcheck: { Test: ["CMD", "probe"], Interval: 1e6, Retries: 2, ...more } };
}

/** Ends the next probe. */
async function answerProbe(count: number, exitCode: number, output = ""): Promise<void> {
  const { attributes } = await published("exec_start: probe ", count);
  const process = await api.runtime.started(attributes.execID!);
  while (!(await api.request("GET", `/exec/${attributes.execID}/json`)).json.Running); // its output is listened to
  if (output !== "") process.write("stdout", output);
  process.exit(exitCode);
}

test("a health check goes from starting over healthy to unhealthy, with its log", async () => {
  const id = await api.run(healthcheck(), "checked");
  expect((await api.inspect(id)).State.Health).toEqual({ Status: "starting", FailingStreak: 0, Log: [] });
  expect((await api.request("GET", "/containers/json")).json[0].Status).toBe(
    "Up Less than a second (health: starting)",
  );
  await answerProbe(1, 0, "fine\n");
  await published("health_status: healthy");
  const { Health } = (await api.inspect(id)).State;
  expect(Health).toMatchObject({ Status: "healthy", FailingStreak: 0 });
  expect(Health.Log[0]).toMatchObject({ ExitCode: 0, Output: "fine\n" });
  await answerProbe(2, 1);
  await answerProbe(3, 1, "x".repeat(5000));
  await published("health_status: unhealthy");
  const after = (await api.inspect(id)).State.Health;
  expect(after).toMatchObject({ Status: "unhealthy", FailingStreak: 2 });
  expect(after.Log[2].Output).toBe(`${"x".repeat(4096)}...`);
});

test("a probe that takes too long is killed", async () => {
  const id = await api.run(healthcheck({ Timeout: 20e6, Retries: 1 }));
  const { attributes } = await published("exec_start: probe ");
  const process = await api.runtime.started(attributes.execID!);
  await published("health_status: unhealthy");
  expect(process.signals).toEqual([9]);
  expect((await api.inspect(id)).State.Health.Log[0]).toMatchObject({
    ExitCode: -1,
    Output: "Health check exceeded timeout (20ms)",
  });
});

test("health is known to the next daemon, which goes on checking; a container that has ended is unhealthy", async () => {
  const id = await api.run(healthcheck());
  await answerProbe(1, 0);
  await published("health_status: healthy");
  const probes = () => seen.filter(({ action }) => action.startsWith("exec_start")).length;
  let before = 0;
  await api.restart(() => (before = probes()));
  listen();
  expect((await api.inspect(id)).State.Health.Status).toBe("healthy");
  await answerProbe(before + 1, 0);
  api.runtime.process(id).exit(0);
  await published("die");
  expect((await api.inspect(id)).State.Health.Status).toBe("unhealthy");
});

test("a container with a check that ended while there was no daemon is unhealthy", async () => {
  const id = await api.run(healthcheck({ Interval: 0 }));
  await api.restart(() => api.runtime.process(id).exit(0));
  expect((await api.inspect(id)).State.Health.Status).toBe("unhealthy");
});

test("NONE switches a check off", async () => {
  const id = await api.run(healthcheck({ Test: ["NONE"] }));
  expect((await api.inspect(id)).State.Health).toBeUndefined();
});

// --- Events ---

test("the stream of events: the past, the present, until its client goes", async () => {
  const id = await api.create({ Labels: { b: "2", a: "1" } }, "web");
  const connection = await api.open("GET /events?since=1 HTTP/1.1\r\nHost: d\r\n\r\n");
  await connection.until((text) => text.includes('"Action":"create"'));
  await api.request("POST", `/containers/${id}/rename?name=other`);
  await connection.until((text) => text.includes('"Action":"rename"'));
  const line = /\{"status":"rename".*\}/.exec(connection.text)![0];
  const { time, timeNano, ...event } = JSON.parse(line);
  const imageLabels = api.images.get("hello").document.config?.Labels;
  expect(Math.trunc(timeNano / 1e9)).toBe(time);
  expect(event).toEqual({
    status: "rename",
    id,
    from: "hello",
    Type: "container",
    Action: "rename",
    Actor: { ID: id, Attributes: { ...imageLabels, a: "1", b: "2", image: "hello", name: "other", oldName: "/web" } },
    scope: "local",
  });
  expect((await api.request("GET", "/info")).json.NEventsListener).toBe(1);
  connection.socket.destroy();
  while ((await api.request("GET", "/info")).json.NEventsListener !== 0);
});

test("events of the past alone, filtered", async () => {
  const id = await api.run({}, "one");
  await api.run({}, "two");
  const until = Date.now() / 1000 + 0.01;
  const filters = encodeURIComponent(JSON.stringify({ container: ["one"], event: ["start", "die"] }));
  const { text } = await api.request("GET", `/events?since=0&until=${until.toFixed(3)}&filters=${filters}`);
  const lines = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ Action, Actor }) => [Action, Actor.ID])).toEqual([["start", id]]);
  const wrong = await api.request("GET", "/events?since=5&until=1");
  expect(wrong).toMatchObject({ status: 400 });
  expect(wrong.json.message).toBe("`since` time (5) cannot be after `until` time (1)");
});

test("the life of an AutoRemove container in events", async () => {
  const id = await api.run({ HostConfig: { AutoRemove: true } });
  api.runtime.process(id).exit(2);
  await published("destroy");
  expect(actions()).toEqual(["create", "start", "die", "destroy"]);
  expect(lifeEvents()[2]!.attributes).toMatchObject({ exitCode: "2", execDuration: "0" });
});

test("execs are known to the next daemon: running, not started, and ended meanwhile", async () => {
  const id = await api.run();
  const create = async () => (await api.request("POST", `/containers/${id}/exec`, { Cmd: ["cat"] })).json.Id;
  const [running, waiting, ended] = [await create(), await create(), await create()];
  for (const exec of [running, ended]) await api.request("POST", `/exec/${exec}/start`, { Detach: true });
  await api.restart(() => api.runtime.process(ended).exit(5));
  listen();
  const inspect = async (exec: string) => (await api.request("GET", `/exec/${exec}/json`)).json;
  expect(await inspect(running)).toMatchObject({ Running: true, ExitCode: null });
  expect(await inspect(waiting)).toMatchObject({ Running: false, ExitCode: null, Pid: 0 });
  expect(await inspect(ended)).toMatchObject({ Running: false, ExitCode: 5 });
  api.runtime.process(running).exit(6);
  expect((await published("exec_die", 1)).attributes).toMatchObject({ execID: running, exitCode: "6" });
  expect((await api.request("POST", `/exec/${waiting}/start`, { Detach: true })).status).toBe(200);
});

test("an exec can be listed, killed, and attached to again", async () => {
  const id = await api.run();
  const create = { Cmd: ["cat"], AttachStdin: true, AttachStdout: true };
  const exec = (await api.request("POST", `/containers/${id}/exec`, create)).json.Id;
  const message = async () => (await api.request("POST", `/lighter/exec/${exec}/kill`)).json.message;
  expect(await message()).toBe(`exec ${exec} is not running`);
  await api.request("POST", `/exec/${exec}/start`, { Detach: true });
  const list = (await api.request("GET", `/lighter/containers/${id}/execs`)).json;
  expect(list).toMatchObject([{ ID: exec, Running: true, ProcessConfig: { entrypoint: "cat" } }]);
  expect((await api.inspect(id)).ExecIDs).toEqual([exec]);
  const attached = await api.hijack(`/lighter/exec/${exec}/attach?stdin=1&stdout=1`);
  attached.socket.write("in");
  const process = api.runtime.process(exec);
  await process.untilStdin(() => process.stdin === "in");
  process.write("stdout", "out");
  await attached.until((text) => text.includes("out"));
  expect((await api.request("POST", `/lighter/exec/${exec}/kill?signal=TERM`)).status).toBe(204);
  expect(process.signals).toEqual([15]);
});

// --- Update, prune, lists ---

test("what cannot be updated says so in Docker's words, and changes nothing", async () => {
  const id = await api.create({ HostConfig: { NanoCpus: 1e9, AutoRemove: true } });
  const before = (await api.inspect(id)).HostConfig;
  for (const [body, status, message] of [
    [{ Memory: 1024 }, 400, "Minimum memory limit allowed is 6MB"],
    [
      { Memory: 100 * 1024 * 1024 },
      409,
      `Cannot update container ${id}: Memory limit should be smaller than already set memoryswap limit, ` +
        "update the memoryswap at the same time",
    ],
    [
      { CpuPeriod: 50_000 },
      409,
      `Cannot update container ${id}: Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set`,
    ],
    [
      { RestartPolicy: { Name: "always" } },
      409,
      `Cannot update container ${id}: Restart policy cannot be updated because AutoRemove is enabled for the container`,
    ],
    [
      { RestartPolicy: { Name: "foo" } },
      400,
      "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ],
    [{ CpusetCpus: "999" }, 400, /^Requested CPUs are not available - requested 999, available: /],
  ] as const) {
    const answer = await api.request("POST", `/containers/${id}/update`, body);
    expect(answer.status).toBe(status);
    expect(answer.json.message).toMatch(message instanceof RegExp ? message : new RegExp(`^${escapeRegExp(message)}$`));
  }
  expect((await api.inspect(id)).HostConfig).toEqual(before);
});

test("limits that the kernel refuses on a full disk are not kept", async () => {
  const id = await api.run({ HostConfig: { CpuShares: 512 } });
  const before = (await api.inspect(id)).HostConfig;
  using _full = fillDisk(api.engine.store, 1);
  // It has no cgroup: its process is the test's.
  const answer = await api.request("POST", `/containers/${id}/update`, { CpuShares: 100 });
  expect(answer.json.message).toStartWith("Cannot update container");
  expect((await api.inspect(id)).HostConfig).toEqual(before);
});

function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

test("an update is seen in inspect, survives the daemon, and its restart policy holds at the next end", async () => {
  const id = await api.run();
  const answer = await api.request("POST", `/containers/${id}/update`, { RestartPolicy: { Name: "always" } });
  expect([answer.status, answer.json]).toEqual([200, { Warnings: null }]);
  await published("update");
  await api.restart();
  listen();
  expect((await api.inspect(id)).HostConfig.RestartPolicy).toEqual({ Name: "always", MaximumRetryCount: 0 });
  api.runtime.process(id).exit(0);
  await published("start", 2);
});

test("prune removes what does not run, by label and age", async () => {
  const running = await api.run();
  const [one, two] = [await api.create({ Labels: { keep: "no" } }), await api.create()];
  const prune = (filters: object) =>
    api.request("POST", `/containers/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
  expect((await prune({ until: ["1h"] })).json).toEqual({ ContainersDeleted: null, SpaceReclaimed: 0 });
  expect((await prune({ label: ["keep"] })).json.ContainersDeleted).toEqual([one]);
  expect((await prune({ foo: ["x"] })).json.message).toBe("invalid filter 'foo'");
  expect((await prune({})).json.ContainersDeleted).toEqual([two]);
  expect((await api.request("GET", "/containers/json?all=1")).json.map(({ Id }: { Id: string }) => Id)).toEqual([
    running,
  ]);
  expect(actions().filter((action) => action === "prune")).toHaveLength(3);
});

test("lists by health, state and ports", async () => {
  const list = async (filters: object) => {
    const { json } = await api.request(
      "GET",
      `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`,
    );
    return Array.isArray(json) ? json.map(({ Names }: { Names: string[] }) => Names[0]) : json.message;
  };
  await api.run({ ...healthcheck({ Interval: 0 }), ExposedPorts: { "80/tcp": {}, "53/udp": {} } }, "checked");
  const id = await api.run({}, "plain");
  await api.request("POST", `/containers/${id}/pause`);
  expect(await list({ health: ["starting"] })).toEqual(["/checked"]);
  expect(await list({ health: ["none"] })).toEqual(["/plain"]);
  expect(await list({ health: ["foo"] })).toBe("unrecognized filter value for health: foo");
  expect(await list({ status: ["paused"] })).toEqual(["/plain"]);
  expect(await list({ expose: ["75-85"] })).toEqual(["/checked"]);
  expect(await list({ expose: ["53/tcp"] })).toEqual([]);
  expect(await list({ publish: ["80"] })).toEqual([]);
});

test("statistics of a container that does not run are empty at once", async () => {
  const id = await api.create({}, "idle");
  const { status, json } = await api.request("GET", `/containers/${id}/stats?stream=false`);
  expect(status).toBe(200);
  expect(json).toMatchObject({ read: "0001-01-01T00:00:00Z", name: "/idle", id, memory_stats: {} });
  expect(await api.request("GET", `/containers/${id}/top`)).toMatchObject({ status: 409 });
});

test("events of images", async () => {
  const id = api.images.get("hello").id;
  await api.request("POST", "/images/hello/tag?repo=other&tag=1");
  await api.request("GET", "/images/other:1/get");
  await api.request("DELETE", "/images/other:1");
  await api.request("POST", "/images/prune");
  const images = seen.filter(({ type }) => type === "image");
  expect(images.map(({ action, id: of, attributes }) => [action, of, attributes.name])).toEqual([
    ["tag", id, "other:1"],
    ["save", id, id],
    ["untag", id, id],
    ["prune", "", undefined!],
  ]);
});
