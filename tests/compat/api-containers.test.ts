import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { LighterError } from "../../src/base/errors.ts";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { ApiServer } from "../support/api-server.ts";

let api: ApiServer;

beforeEach(async () => {
  api = await ApiServer.start();
});

afterEach(() => api[Symbol.asyncDispose]());

const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

async function names(query = ""): Promise<string[]> {
  const { json } = await api.request("GET", `/containers/json?${query}`);
  return json.map(({ Names }: { Names: string[] }) => Names[0]!.slice(1));
}

// --- Create, inspect ---

test("a created container has Docker's state, and can be inspected by id, name and prefix", async () => {
  const answer = await api.request("POST", "/containers/create?name=web", { Image: "hello", Cmd: ["/hello", "a b"] });
  expect(answer.status).toBe(201);
  const id: string = answer.json.Id;
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  for (const ref of [id, "web", "%2Fweb", id.slice(0, 12), id.slice(0, 4)])
    expect((await api.inspect(ref)).Id).toBe(id);
  const json = await api.inspect(id);
  expect(json).toMatchObject({ Name: "/web", Path: "/hello", Args: ["a b"], RestartCount: 0, ExecIDs: null });
  expect(json.State).toEqual({
    Status: "created",
    Running: false,
    Paused: false,
    Restarting: false,
    OOMKilled: false,
    Dead: false,
    Pid: 0,
    ExitCode: 0,
    Error: "",
    StartedAt: "0001-01-01T00:00:00Z",
    FinishedAt: "0001-01-01T00:00:00Z",
  });
  expect(json.Config).toMatchObject({ Image: "hello", Hostname: id.slice(0, 12), Tty: false, Cmd: ["/hello", "a b"] });
});

test("a container without a name gets two words", async () => {
  expect((await api.inspect(await api.create())).Name).toMatch(/^\/[a-z]+_[a-z]+$/);
});

test("a name in use is Docker's conflict; a bad name is invalid", async () => {
  const id = await api.create({}, "web");
  const second = await api.request("POST", "/containers/create?name=web", { Image: "hello" });
  expect(second.status).toBe(409);
  expect(second.json.message).toBe(
    `Conflict. The container name "/web" is already in use by container "${id}". ` +
      "You have to remove (or rename) that container to be able to reuse that name.",
  );
  const bad = await api.request("POST", "/containers/create?name=-x", { Image: "hello" });
  expect(bad).toMatchObject({
    status: 400,
    json: { message: "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" },
  });
});

test("create refuses a missing image, an empty config, wrong types and the wrong platform", async () => {
  const create = (body: object, query = "") => api.request("POST", `/containers/create?${query}`, body);
  expect(await create({ Image: "none" })).toMatchObject({
    status: 404,
    json: { message: "No such image: none:latest" },
  });
  expect(await create({})).toMatchObject({
    status: 400,
    json: { message: "config cannot be empty in order to create a container" },
  });
  expect((await create({ Image: "hello", Cmd: 5 })).status).toBe(400);
  expect((await create({ Image: "hello", HostConfig: { Memory: "1g" } })).status).toBe(400);
  for (const [text, message] of [
    ["a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'],
    ["nonesuch", '"nonesuch": unknown operating system or architecture: invalid argument'],
  ])
    expect(await create({ Image: "none" }, `platform=${text}`)).toMatchObject({ status: 400, json: { message } });
  for (const text of ["linux", "amd64", "Linux/x86_64"]) {
    const { status, json } = await create({ Image: "hello" }, `platform=${text}`);
    expect(status).toBe(201);
    await api.request("DELETE", `/containers/${json.Id}`);
  }
  const platform = await create({ Image: "hello" }, "platform=linux/s390x");
  expect(platform.status).toBe(404);
  expect(platform.json.message).toStartWith(
    "image with reference hello was found but does not match the specified platform: wanted linux/s390x",
  );
  expect(await names("all=1")).toEqual([]);
});

test("an ambiguous prefix of ids is an error, not a guess", async () => {
  const ids: string[] = [];
  const seen = new Set<string>();
  for (;;) {
    const id = await api.create();
    if (seen.has(id[0]!)) {
      ids.push(id);
      break;
    }
    seen.add(id[0]!);
  }
  const answer = await api.request("GET", `/containers/${ids[0]![0]}/json`);
  expect(answer).toMatchObject({
    status: 400,
    json: { message: `Multiple IDs found with provided prefix: ${ids[0]![0]}` },
  });
});

test("operations on a container that is not there are 404 with its name", async () => {
  for (const [method, path] of [
    ["GET", "json"],
    ["POST", "start"],
    ["POST", "stop"],
    ["POST", "wait"],
    ["POST", "restart"],
    ["POST", "resize?h=1&w=1"],
    ["POST", "rename?name=other"],
    ["GET", "logs?stdout=1"],
  ] as const)
    expect(await api.request(method, `/containers/none/${path}`), path).toMatchObject({
      status: 404,
      json: { message: "No such container: none" },
    });
  expect(await api.request("POST", "/containers/none/attach")).toMatchObject({
    status: 404,
    text: "No such container: none\r\n",
  });
  expect((await api.request("DELETE", "/containers/none")).json.message).toBe("No such container: none");
  const exec = await api.request("POST", "/containers/none/exec", { Cmd: ["ls"] });
  expect(exec).toMatchObject({ status: 404, json: { message: "No such container: none" } });
});

// --- Start ---

test("start runs the container's process, a second one is 304", async () => {
  const id = await api.create({ Cmd: ["/hello", "x"], Env: ["A=b"] });
  expect(await api.request("POST", `/containers/${id}/start`, { Dns: [] })).toMatchObject({
    status: 400,
    json: {
      message: "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    },
  });
  const chunked = { "Transfer-Encoding": "chunked" };
  expect((await api.request("POST", `/containers/${id}/start`, "", chunked)).status).toBe(400);
  expect(await api.request("POST", `/containers/${id}/start`, {})).toMatchObject({ status: 204, text: "" });
  expect(await api.request("POST", `/containers/${id}/start`)).toMatchObject({ status: 304, text: "" });
  const { request, pid } = api.runtime.process(id);
  expect(request.config.process).toMatchObject({ args: ["/hello", "x"], user: { uid: 0, gid: 0 } });
  expect(request.config.process?.env).toContain("A=b");
  expect(request.config.hostname).toBe(id.slice(0, 12));
  const { State } = await api.inspect(id);
  expect(State).toMatchObject({ Status: "running", Running: true, Pid: pid, FinishedAt: "0001-01-01T00:00:00Z" });
  expect(Date.now() - Date.parse(State.StartedAt)).toBeLessThan(10_000);
});

test.each([
  ["exec-not-found", 'exec: "nonesuch": executable file not found in $PATH', 400, 127],
  ["exec-denied", 'exec: "/etc": permission denied', 400, 126],
  ["kernel", "mounts[3] on /data: mount(2): ENOSPC", 500, 128],
] as const)(
  "a start that fails with %s leaves a created container that says so",
  async (code, message, status, exit) => {
    const id = await api.create();
    const attached = await api.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
    api.runtime.failure = new LighterError(code, message);
    expect(await api.request("POST", `/containers/${id}/start`)).toMatchObject({ status, json: { message } });
    expect((await api.inspect(id)).State).toMatchObject({ Status: "created", ExitCode: exit, Error: message });
    expect(await attached.untilEnd()).toBe("");
    expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
    expect((await api.inspect(id)).State).toMatchObject({ Status: "running", ExitCode: 0, Error: "" });
  },
);

test("an AutoRemove container whose start fails is gone, and who waits for that learns the code", async () => {
  const id = await api.create({ HostConfig: { AutoRemove: true } });
  const wait = await api.wait(id, "removed");
  api.runtime.failure = new LighterError("exec-not-found", 'exec: "x": executable file not found in $PATH');
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(400);
  expect(await wait.answer).toEqual({ StatusCode: 127 });
  expect((await api.request("GET", `/containers/${id}/json`)).status).toBe(404);
});

// --- Exit, wait ---

test("the end of the process is recorded, with its code and whether memory ran out", async () => {
  const id = await api.run();
  const wait = await api.wait(id);
  api.runtime.process(id).exit(137, true);
  expect(await wait.answer).toEqual({ StatusCode: 137 });
  const { State } = await api.inspect(id);
  expect(State).toMatchObject({ Status: "exited", Running: false, Pid: 0, ExitCode: 137, OOMKilled: true });
  expect(Date.parse(State.FinishedAt)).toBeGreaterThanOrEqual(Date.parse(State.StartedAt));
});

test("wait sends its headers at once and each condition ends when it should", async () => {
  const id = await api.create();
  expect((await api.request("POST", `/containers/${id}/wait`)).json).toEqual({ StatusCode: 0 });
  const next = await api.wait(id, "next-exit");
  const removed = await api.wait(id, "removed");
  let isRemoved = false;
  void removed.answer.then(() => (isRemoved = true));
  await api.request("POST", `/containers/${id}/start`);
  api.runtime.process(id).exit(3);
  expect(await next.answer).toEqual({ StatusCode: 3 });
  expect(isRemoved).toBe(false);
  await api.request("DELETE", `/containers/${id}`);
  expect(await removed.answer).toEqual({ StatusCode: 3 });
});

test("wait for the next exit of a container that is removed unstarted ends with 0", async () => {
  const id = await api.create();
  const wait = await api.wait(id, "next-exit");
  await api.request("DELETE", `/containers/${id}`);
  expect(await wait.answer).toEqual({ StatusCode: 0 });
});

test("an unknown wait condition is refused", async () => {
  const id = await api.create();
  for (const condition of ["foo", "constructor"])
    expect(await api.request("POST", `/containers/${id}/wait?condition=${condition}`)).toMatchObject({
      status: 400,
      json: { message: `invalid condition: "${condition}"` },
    });
});

test("an AutoRemove container is gone when it has ended", async () => {
  const id = await api.run({ HostConfig: { AutoRemove: true } }, "gone");
  const wait = await api.wait(id, "removed");
  api.runtime.process(id).exit(5);
  expect(await wait.answer).toEqual({ StatusCode: 5 });
  expect((await api.request("GET", `/containers/${id}/json`)).status).toBe(404);
  await api.create({}, "gone");
  await api.engine.idle();
  expect(existsSync(api.engine.paths.container(id).directory)).toBe(false);
  expect(existsSync(api.engine.paths.runDirectory(id))).toBe(false);
});

// --- Stop, kill, restart ---

test("stop sends the stop signal and kills what does not end in time", async () => {
  const id = await api.run({ StopSignal: "SIGUSR1" });
  const process = api.runtime.process(id);
  expect((await api.request("POST", `/containers/${id}/stop?t=0`)).status).toBe(204);
  expect(process.signals).toEqual([10, 9]);
  expect((await api.inspect(id)).State).toMatchObject({ Status: "exited", ExitCode: 137 });
  expect((await api.request("POST", `/containers/${id}/stop`)).status).toBe(304);
});

test("stop with a signal of its own waits for the end only", async () => {
  const id = await api.run();
  expect((await api.request("POST", `/containers/${id}/stop?signal=TERM`)).status).toBe(204);
  expect(api.runtime.process(id).signals).toEqual([15]);
});

test("kill sends any signal, SIGKILL by default, and refuses others in Docker's words", async () => {
  const id = await api.run({}, "web");
  expect((await api.request("POST", "/containers/web/kill?signal=HUP")).status).toBe(204);
  expect((await api.request("POST", "/containers/web/kill?signal=12")).status).toBe(204);
  expect(await api.request("POST", "/containers/web/kill?signal=FOO")).toMatchObject({
    status: 400,
    json: { message: "cannot kill container: web: invalid signal: FOO" },
  });
  expect((await api.request("POST", "/containers/web/kill")).status).toBe(204);
  expect(api.runtime.process(id).signals).toEqual([1, 12, 9]);
  expect(await api.request("POST", "/containers/web/kill")).toMatchObject({
    status: 409,
    json: { message: `cannot kill container: web: container ${id} is not running` },
  });
});

test("restart starts the container anew and keeps an AutoRemove one", async () => {
  const id = await api.run({ HostConfig: { AutoRemove: true } });
  const first = api.runtime.process(id);
  expect((await api.request("POST", `/containers/${id}/restart?t=0`)).status).toBe(204);
  expect(api.runtime.process(id)).not.toBe(first);
  expect((await api.inspect(id)).State.Status).toBe("running");
});

test("resize reaches the terminal, and needs two numbers and a running container", async () => {
  const id = await api.run({ Tty: true });
  expect((await api.request("POST", `/containers/${id}/resize?h=24&w=80`)).status).toBe(200);
  expect(api.runtime.process(id).sizes).toEqual([[24, 80]]);
  for (const query of ["", "h=1", "h=a&w=2"])
    expect((await api.request("POST", `/containers/${id}/resize?${query}`)).status).toBe(400);
  api.runtime.process(id).exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  expect(await api.request("POST", `/containers/${id}/resize?h=1&w=1`)).toMatchObject({
    status: 409,
    json: { message: `container ${id} is not running` },
  });
});

// --- Rename, remove ---

test("rename frees the old name and takes the new one, or says why not", async () => {
  const id = await api.create({}, "one");
  const other = await api.create({}, "two");
  const rename = (from: string, to: string) => api.request("POST", `/containers/${from}/rename?name=${to}`);
  expect(await rename("one", "")).toMatchObject({
    status: 400,
    json: { message: "Neither old nor new names may be empty" },
  });
  expect(await rename("one", "one")).toMatchObject({
    status: 400,
    json: { message: "Renaming a container with the same name as its current name" },
  });
  expect((await rename("one", "two")).json.message).toBe(
    `Error when allocating new name: Conflict. The container name "/two" is already in use by container "${other}". ` +
      "You have to remove (or rename) that container to be able to reuse that name.",
  );
  expect((await rename("one", "a%20b")).json.message).toBe(
    "Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  );
  expect((await rename("one", "three")).status).toBe(204);
  expect((await api.inspect("three")).Id).toBe(id);
  await api.create({}, "one");
});

test("a running container is removed by force only", async () => {
  const id = await api.run({}, "web");
  expect(await api.request("DELETE", "/containers/web")).toMatchObject({
    status: 409,
    json: {
      message:
        'cannot remove container "/web": container is running: stop the container before removing or force remove',
    },
  });
  expect((await api.request("DELETE", "/containers/web?force=1")).status).toBe(204);
  expect(api.runtime.process(id).signals).toEqual([9]);
  expect((await api.request("GET", `/containers/${id}/json`)).status).toBe(404);
});

test("removing is over for clients before the files have gone, and leaves none", async () => {
  const id = await api.run();
  api.runtime.process(id).exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  const { directory } = api.engine.paths.container(id);
  expect(existsSync(directory)).toBe(true);
  expect((await api.request("DELETE", `/containers/${id}`)).status).toBe(204);
  expect((await api.request("DELETE", `/containers/${id}`)).status).toBe(404);
  await api.engine.idle();
  expect(existsSync(directory)).toBe(false);
});

test("many removals of one container: one does it", async () => {
  const id = await api.run();
  const answers = await Promise.all([1, 2, 3, 4].map(() => api.request("DELETE", `/containers/${id}?force=1`)));
  const statuses = answers.map(({ status }) => status).sort();
  expect(statuses[0]).toBe(204);
  for (const status of statuses.slice(1)) expect([404, 409]).toContain(status);
});

test("start, stop and remove at once end in a state that inspect explains", async () => {
  for (let round = 0; round < 20; round++) {
    const id = await api.create();
    await Promise.all([
      api.request("POST", `/containers/${id}/start`),
      api.request("POST", `/containers/${id}/stop?t=0`),
      api.request("POST", `/containers/${id}/kill`),
      api.request("POST", `/containers/${id}/start`),
    ]);
    const { State } = await api.inspect(id);
    expect(["running", "exited"]).toContain(State.Status);
    expect(State.Running).toBe(State.Status === "running");
    expect((await api.request("DELETE", `/containers/${id}?force=1`)).status).toBe(204);
  }
});

test("anonymous volumes are made at the start and go with v=1 or AutoRemove, and only then", async () => {
  const sourceOf = async (id: string) => {
    const [mount] = (await api.inspect(id)).Mounts;
    expect(mount).toMatchObject({ Type: "volume", Destination: "/data", Driver: "local", RW: true });
    return mount.Source;
  };
  for (const [query, isKept] of [
    ["", true],
    ["?v=1", false],
  ] as const) {
    const id = await api.run({ Volumes: { "/data": {} } });
    const source = await sourceOf(id);
    expect(existsSync(source)).toBe(true);
    api.runtime.process(id).exit(0);
    await api.request("POST", `/containers/${id}/wait`);
    const { Name } = (await api.inspect(id)).Mounts[0];
    await api.request("DELETE", `/containers/${id}${query}`);
    // At once: a client looks right after its removal.
    const { json } = await api.request("GET", "/volumes");
    expect(json.Volumes.some((volume: { Name: string }) => volume.Name === Name)).toBe(isKept);
    expect(existsSync(source)).toBe(isKept);
  }
  const id = await api.run({ Volumes: { "/data": {} }, HostConfig: { AutoRemove: true } });
  const source = await sourceOf(id);
  const wait = await api.wait(id, "removed");
  api.runtime.process(id).exit(0);
  await wait.answer;
  await api.engine.idle();
  expect(existsSync(source)).toBe(false);
});

// --- List ---

test("the list shows running containers, newest first, and all when asked", async () => {
  await api.create({}, "created");
  const running = await api.run({ Cmd: ["/hello", "a b", "c"], Labels: { k: "v" } }, "running");
  const exited = await api.run({}, "exited");
  api.runtime.process(exited).exit(4);
  await api.request("POST", `/containers/${exited}/wait`);
  expect(await names()).toEqual(["running"]);
  expect(await names("all=1")).toEqual(["exited", "running", "created"]);
  expect(await names("limit=2")).toEqual(["exited", "running"]);
  const { json } = await api.request("GET", "/containers/json?size=1");
  expect(json[0]).toMatchObject({
    Id: running,
    Names: ["/running"],
    Image: "hello",
    Command: "/hello 'a b' c",
    State: "running",
    Status: expect.stringMatching(/^Up /),
    Labels: { k: "v" },
    Ports: [],
  });
  expect(json[0].ImageID).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(json[0].SizeRootFs).toBeGreaterThan(1000);
});

test("filters choose as Docker's do", async () => {
  const one = await api.create({ Labels: { tier: "web", x: "" } }, "web-1");
  const two = await api.run({ Labels: { tier: "db" } }, "db-1");
  const three = await api.run({}, "web-2");
  api.runtime.process(three).exit(3);
  await api.request("POST", `/containers/${three}/wait`);
  const list = (value: object) => names(`all=1&${filters(value)}`);
  expect(await list({ name: ["web"] })).toEqual(["web-2", "web-1"]);
  expect(await list({ name: ["^/web-1$"] })).toEqual(["web-1"]);
  expect(await list({ id: [two.slice(0, 12)] })).toEqual(["db-1"]);
  expect(await list({ label: ["tier"] })).toEqual(["db-1", "web-1"]);
  expect(await list({ label: ["tier=web", "x"] })).toEqual(["web-1"]);
  expect(await list({ status: ["running", "created"] })).toEqual(["db-1", "web-1"]);
  expect(await list({ status: { exited: true } })).toEqual(["web-2"]);
  expect(await list({ name: { "db-1": false } })).toEqual(["db-1"]);
  expect(await list({ exited: ["3"] })).toEqual(["web-2"]);
  expect(await list({ exited: ["0"] })).toEqual([]);
  expect(await list({ ancestor: ["hello"], before: [three] })).toEqual(["db-1", "web-1"]);
  expect(await list({ since: [one] })).toEqual(["web-2", "db-1"]);
  expect(await list({ ancestor: ["none"] })).toEqual([]);
  expect(await names(filters({ status: ["exited"] }))).toEqual(["web-2"]);
});

test("filters but for a status are for what runs, unless all is asked for; a regular expression takes no time", async () => {
  await api.create({}, "first");
  const running = await api.run({ HostConfig: { NetworkMode: "none" } }, "middle");
  const last = await api.create({}, "last");
  expect(await names(filters({ before: [last] }))).toEqual(["middle"]);
  expect(await names(filters({ since: ["first"] }))).toEqual(["middle"]);
  expect(await names(filters({ exited: ["0"] }))).toEqual([]);
  const { json: network } = await api.request("GET", "/networks/none");
  for (const ref of ["none", network.Id, network.Id.slice(0, 7)])
    expect(await names(filters({ network: [ref] }))).toEqual(["middle"]);
  for (const ref of ["non", network.Id.slice(1)]) expect(await names(filters({ network: [ref] }))).toEqual([]);
  const long = "a".repeat(200);
  await api.request("POST", `/containers/${running}/rename?name=${long}`);
  expect(await names(filters({ name: ["^/(a|a)+$"] }))).toEqual([long]);
  expect(await names(filters({ name: ["^/(a|a)+b$"] }))).toEqual([]);
});

test("bad filters are refused in Docker's words", async () => {
  const list = async (query: string) => {
    const { status, json } = await api.request("GET", `/containers/json?${query}`);
    return [status, json.message];
  };
  expect(await list(filters({ foo: ["a"] }))).toEqual([400, "invalid filter 'foo'"]);
  expect(await list("filters=garbage")).toEqual([400, "invalid filter"]);
  expect(await list(filters({ name: [5] }))).toEqual([400, "invalid filter"]);
  expect(await list(filters({ status: ["a"] }))).toEqual([400, "invalid filter 'status=a'"]);
  expect((await list(filters({ exited: ["a"] })))[0]).toBe(400);
  expect(await list(filters({ before: ["zz"] }))).toEqual([404, "No such container: zz"]);
  expect(await list("limit=zz")).toEqual([400, 'strconv.Atoi: parsing "zz": invalid syntax']);
});

test("clients of older APIs get the defaults of their time", async () => {
  const create = async (version: string, HostConfig: object) =>
    (await api.request("POST", `/v${version}/containers/create`, { Image: "hello", HostConfig })).json.Id;
  expect((await api.inspect(await create("1.39", { Memory: 0 }))).HostConfig.IpcMode).toBe("shareable");
  expect((await api.inspect(await create("1.40", { Memory: 0 }))).HostConfig.IpcMode).toBe("private");
  const seen = detectCgroupHost().mode === "unified" ? "private" : "host";
  expect((await api.inspect(await create("1.40", { Memory: 0 }))).HostConfig.CgroupnsMode).toBe(seen);
  expect((await api.inspect(await create("1.41", { Memory: 0 }))).HostConfig.CgroupnsMode).toBe("private");
  const id = await create("1.45", { PidsLimit: 100 });
  for (const [version, limit] of [
    ["1.39", 100],
    ["1.40", 50],
  ] as const) {
    await api.request("POST", `/v${version}/containers/${id}/update`, { PidsLimit: 50 });
    expect((await api.inspect(id)).HostConfig.PidsLimit).toBe(limit);
  }
});

test("a container may publish every port of a protocol", async () => {
  const ports = Array.from({ length: 65535 }, (_, index) => `${index + 1}/tcp`);
  const PortBindings = Object.fromEntries(ports.map((port) => [port, [{ HostIp: "", HostPort: port.slice(0, -4) }]]));
  const ExposedPorts = Object.fromEntries(ports.map((port) => [port, {}]));
  const answer = await api.request("POST", "/containers/create", {
    ...{ Image: "hello", ExposedPorts, HostConfig: { PortBindings } },
  });
  expect(answer).toMatchObject({ status: 201 });
});

test("a container is found by the name and the alias of a link to it", async () => {
  const db = await api.run({}, "db");
  await api.create({ HostConfig: { Links: ["db:store"] } }, "app");
  for (const ref of ["app%2Fstore", "%2Fapp%2Fstore", "app/store"]) {
    const answer = await api.request("GET", `/containers/${ref}/json`);
    expect(answer).toMatchObject({ status: 200, json: { Id: db } });
  }
  // Docker's client writes the name as it is given.
  expect((await api.request("POST", "/containers/app/store/pause")).status).toBe(204);
  expect((await api.request("POST", "/containers/app/store/unpause")).status).toBe(204);
  expect((await api.request("POST", "/containers/app/store/exec", { Cmd: ["true"] })).status).toBe(201);
  expect((await api.request("GET", `/containers/${encodeURIComponent("app/db")}/json`)).status).toBe(404);
});

test("a namespace of a container that has ended cannot be joined, in Docker's words", async () => {
  const peer = await api.create({}, "ended");
  for (const [HostConfig, status, message] of [
    [{ PidMode: "container:ended" }, 500, `failed to join PID namespace: container ${peer} is not running`],
    [{ IpcMode: "container:ended" }, 409, `failed to join IPC namespace: container ${peer} is not running`],
    [{ NetworkMode: "container:ended" }, 409, `cannot join network of a non running container: ${peer}`],
  ] as const) {
    const id = await api.create({ HostConfig });
    expect(await api.request("POST", `/containers/${id}/start`)).toMatchObject({ status, json: { message } });
  }
});

// --- Explain ---

test("explain shows the program of a container and makes none", async () => {
  const answer = await api.request("POST", "/lighter/explain", { Image: "hello", Cmd: ["/hello", "x"] });
  expect(answer).toMatchObject({ status: 200, text: expect.stringContaining("the program of /hello x\n") });
  expect(answer.headers["content-type"]).toStartWith("text/plain");
  expect(await names("all=1")).toEqual([]);
});
