import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecRequest } from "../../src/runtime/mod.ts";
import { frame } from "../support/api-client.ts";
import { ApiServer } from "../support/api-server.ts";

/** What the next daemon makes of what the last one left. Each case is a moment at which the last one may have died. */

let api: ApiServer;

beforeEach(async () => {
  api = await ApiServer.start();
});

afterEach(() => api[Symbol.asyncDispose]());

test("a running container runs on, is attached to again, and its end is recorded", async () => {
  const id = await api.run({}, "web");
  const process = api.runtime.process(id);
  await api.restart();
  expect((await api.inspect("web")).State).toMatchObject({ Status: "running", Pid: process.pid });
  const attached = await api.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  process.write("stdout", "still here");
  process.exit(6);
  expect(await attached.untilEnd()).toBe(frame(1, "still here"));
  expect((await api.request("POST", "/containers/web/wait")).json).toEqual({ StatusCode: 6 });
});

test("an exec works in a container that an earlier daemon started", async () => {
  const id = await api.run({ User: "" });
  await api.restart();
  const { json } = await api.request("POST", `/containers/${id}/exec`, { Cmd: ["ls"] });
  expect((await api.request("POST", `/exec/${json.Id}/start`, { Detach: true })).status).toBe(200);
  expect(api.runtime.process(json.Id).request.config.linux?.cgroupsPath).toBe(`/lighter/${id}`);
});

test("an exec knows the hostname of the container whose network its own has joined, also after a restart", async () => {
  await api.run({ Hostname: "of-web" }, "web");
  const id = await api.run({ HostConfig: { NetworkMode: "container:web" } }, "joined");
  const variables = async () => {
    const { json } = await api.request("POST", `/containers/${id}/exec`, { Cmd: ["ls"] });
    await api.request("POST", `/exec/${json.Id}/start`, { Detach: true });
    return (api.runtime.process(json.Id).request as ExecRequest).process.env;
  };
  expect(await variables()).toContain("HOSTNAME=of-web");
  await api.restart();
  expect(await variables()).toContain("HOSTNAME=of-web");
  await api.request("DELETE", "/containers/web?force=1");
  await api.restart();
  expect(await variables()).toContain("HOSTNAME=");
});

test("what an exec of an earlier daemon leaves is removed when it has ended", async () => {
  const id = await api.run();
  const exec = async () => {
    const { json } = await api.request("POST", `/containers/${id}/exec`, { Cmd: ["ls"] });
    await api.request("POST", `/exec/${json.Id}/start`, { Detach: true });
    return { process: api.runtime.process(json.Id), directory: api.engine.paths.execDirectory(json.Id) };
  };
  const [ended, running, lost] = [await exec(), await exec(), await exec()];
  await api.restart(() => {
    ended.process.exit(0);
    api.runtime.processes.delete(lost.process.request.id);
  });
  const isGone = async (path: string) => {
    while (existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  await Promise.all([isGone(ended.directory), isGone(lost.directory)]);
  expect(existsSync(running.directory)).toBe(true);
  running.process.exit(0);
  await isGone(running.directory);
});

test("an end while there was no daemon is found in the exit record", async () => {
  const id = await api.run();
  const removed = await api.run({ HostConfig: { AutoRemove: true } });
  await api.restart(() => {
    api.runtime.process(id).write("stdout", "unseen\n");
    api.runtime.process(id).exit(9);
    api.runtime.process(removed).exit(0);
  });
  expect((await api.inspect(id)).State).toMatchObject({ Status: "exited", ExitCode: 9, Pid: 0 });
  expect((await api.request("GET", `/containers/${id}/logs?stdout=1`)).text).toBe(frame(1, "unseen\n"));
  expect((await api.request("GET", `/containers/${removed}/json`)).status).toBe(404);
  await api.engine.idle();
  for (const each of [id, removed]) expect(existsSync(api.engine.paths.runDirectory(each))).toBe(false);
});

test("a supervisor that died unseen leaves an exited container with 137 and the reason", async () => {
  const id = await api.run();
  await api.restart(() => api.runtime.processes.delete(id));
  expect((await api.inspect(id)).State).toMatchObject({
    Status: "exited",
    ExitCode: 137,
    Error: "the container's supervisor was lost: it died without an exit record",
  });
  expect(api.runtime.cleaned).toContain(id);
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
});

test("a supervisor that dies under a living daemon does the same", async () => {
  const id = await api.run();
  const wait = await api.wait(id);
  api.runtime.process(id).lose();
  expect(await wait.answer).toEqual({ StatusCode: 137 });
  expect((await api.inspect(id)).State.Error).toStartWith("the container's supervisor was lost");
  expect(api.runtime.cleaned).toEqual([id]);
});

test("a process whose start was not written down is found by its run directory", async () => {
  const id = await api.create();
  const other = await api.run();
  await api.restart(() => {
    // What a daemon leaves that dies right after the runtime's start.
    const { pid } = api.runtime.process(other);
    const request = { ...api.runtime.process(other).request, id, runDirectory: api.engine.paths.runDirectory(id) };
    mkdirSync(request.runDirectory);
    api.runtime.adopt(request, pid + 1);
  });
  expect((await api.inspect(id)).State.Status).toBe("running");
  api.runtime.process(id).exit(2);
  expect((await api.request("POST", `/containers/${id}/wait`)).json).toEqual({ StatusCode: 2 });
});

test("a start that was cut off is cleaned up, and the container is still created", async () => {
  const id = await api.create();
  await api.restart(() => mkdirSync(api.engine.paths.runDirectory(id)));
  expect((await api.inspect(id)).State.Status).toBe("created");
  expect(api.runtime.cleaned).toEqual([id]);
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
});

test("an exit record that is written down already is not taken for another run's", async () => {
  const id = await api.run();
  const process = api.runtime.process(id);
  process.exit(1);
  await api.request("POST", `/containers/${id}/wait`);
  await api.engine.idle();
  const { State } = await api.inspect(id);
  await api.restart(() => {
    mkdirSync(api.engine.paths.runDirectory(id));
    writeFileSync(join(api.engine.paths.runDirectory(id), "exit"), "1");
  });
  expect((await api.inspect(id)).State).toEqual(State);
});

test("names, configs and the order of creation survive", async () => {
  const one = await api.create({ Env: ["A=ü"], Labels: { k: "v" } }, "one");
  await api.create({}, "two");
  await api.request("POST", "/containers/one/rename?name=first");
  const before = await api.inspect(one);
  const list = async () => (await api.request("GET", "/containers/json?all=1")).json;
  const listed = await list();
  const { ID } = (await api.request("GET", "/info")).json;
  await api.restart();
  expect(await api.inspect("first")).toEqual(before);
  expect(await list()).toEqual(listed);
  expect((await api.request("GET", "/info")).json.ID).toBe(ID);
});

test("a second daemon on the same data does not start", async () => {
  const { openEngine } = await import("../../src/engine/mod.ts");
  const { dataRoot, execRoot } = api.engine.paths;
  const opened = openEngine({ dataRoot, execRoot, runtime: api.runtime, hostNetwork: api.network });
  expect(opened).rejects.toMatchObject({ code: "conflict" });
  await opened.catch(() => {});
});
