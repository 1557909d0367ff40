/** Create, attach, start and wait in one request: POST /lighter/run, and …/exec for an exec. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { frame, type RawConnection } from "../support/api-client.ts";
import { ApiServer } from "../support/api-server.ts";
import { until } from "../support/eventually.ts";
import type { FakeProcess } from "../support/fake-runtime.ts";

let api: ApiServer;

beforeEach(async () => {
  api = await ApiServer.start();
});

afterEach(() => api[Symbol.asyncDispose]());

const OUTPUT = "stdout=1&stderr=1";

function run(query: string, body: object = {}, early = ""): Promise<RawConnection> {
  return api.hijack(`/lighter/run?${query}`, { body: JSON.stringify({ Image: "hello", ...body }), early });
}

/** The ID in the first frame, which is taken out of the text. */
async function createdIn(connection: RawConnection): Promise<string> {
  await connection.until((text) => text.includes("}"));
  const [head, json = ""] = /^\x10\0\0\0.{4}({.*?})/s.exec(connection.text) ?? [];
  const { Id, Warnings } = JSON.parse(json);
  expect({ Id, Warnings }).toEqual({ Id: expect.stringMatching(/^[0-9a-f]{64}$/), Warnings: [] });
  connection.text = connection.text.slice(head!.length);
  return Id;
}

/** The process, with the connection attached. */
async function runningIn(connection: RawConnection): Promise<FakeProcess> {
  const id = await createdIn(connection);
  while (!(await api.inspect(id)).State.Running) await new Promise(setImmediate);
  return api.runtime.process(id);
}

test("says what it has created, then the output, then the exit code", async () => {
  const connection = await run(`${OUTPUT}&name=one`);
  expect(connection.head).toStartWith("HTTP/1.1 101 UPGRADED\r\n");
  const process = await runningIn(connection);
  const { id } = process.request;
  expect(process.request).toMatchObject({ attach: [{ stdin: false, stdout: true, stderr: true }] });
  expect((await api.inspect("one")).Id).toBe(id);
  process.write("stdout", "out");
  process.write("stderr", "err");
  process.exit(7);
  expect(await connection.untilEnd()).toBe(frame(1, "out") + frame(2, "err") + frame(18, '{"StatusCode":7}'));
  expect((await api.inspect(id)).State).toMatchObject({ Status: "exited", ExitCode: 7 });
});

test("stdin goes to the process from its first byte to its end", async () => {
  const connection = await run(`${OUTPUT}&stdin=1`, { OpenStdin: true, StdinOnce: true }, "early ");
  const process = await runningIn(connection);
  connection.socket.end("late");
  await process.untilStdin(() => process.stdinClosed);
  expect(process.stdin).toBe("early late");
  process.exit(0);
  expect(await connection.untilEnd()).toBe(frame(18, '{"StatusCode":0}'));
});

test("with AutoRemove the exit code comes when the container has gone, and its name is free", async () => {
  const connection = await run(`${OUTPUT}&name=one`, { HostConfig: { AutoRemove: true } });
  const process = await runningIn(connection);
  process.exit(3);
  expect(await connection.untilEnd()).toBe(frame(18, '{"StatusCode":3}'));
  expect((await api.request("GET", "/containers/one/json")).status).toBe(404);
});

test("what cannot be created is told as create tells it", async () => {
  await api.create({}, "taken");
  const cases: [query: string, body: object][] = [
    ["name=taken", { Image: "hello" }],
    ["", { Image: "missing" }],
    ["", { Image: "hello", HostConfig: { Memory: 1 } }],
  ];
  for (const [query, body] of cases) {
    const created = await api.request("POST", `/containers/create?${query}`, body);
    expect(created.status).toBeGreaterThanOrEqual(400);
    const connection = await api.hijack(`/lighter/run?${query}`, { body: JSON.stringify(body) });
    expect(connection.head).toStartWith(`HTTP/1.1 ${created.status} `);
    expect(await connection.untilEnd()).toBe(created.text);
  }
});

test("a failed start is told, and the container stays, or is gone with AutoRemove", async () => {
  for (const AutoRemove of [false, true]) {
    api.runtime.failure = new LighterError("kernel", "no such luck");
    const connection = await run(OUTPUT, { HostConfig: { AutoRemove } });
    const id = await createdIn(connection);
    expect(await connection.untilEnd()).toBe(frame(17, '{"message":"no such luck"}'));
    expect((await api.request("GET", `/containers/${id}/json`)).status).toBe(AutoRemove ? 404 : 200);
  }
});

test("a client that goes away leaves the container running", async () => {
  const connection = await run(OUTPUT);
  const process = await runningIn(connection);
  const { id } = process.request;
  connection.socket.destroy();
  process.write("stdout", "to nobody");
  expect((await api.inspect(id)).State.Status).toBe("running");
  process.exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  expect((await api.inspect(id)).State.Status).toBe("exited");
});

async function exec(body: object, early = ""): Promise<{ id: string; stream: RawConnection }> {
  const id = await api.create({ Image: "hello" });
  await api.request("POST", `/containers/${id}/start`);
  const path = `/lighter/containers/${id}/exec`;
  return { id, stream: await api.hijack(path, { body: JSON.stringify({ AttachStdout: true, ...body }), early }) };
}

test("an exec in one request takes input, gives output, and then its exit code", async () => {
  const { id, stream } = await exec({ Cmd: ["cat"], AttachStdin: true, AttachStderr: true }, "early ");
  expect(stream.head).toStartWith("HTTP/1.1 101 UPGRADED\r\n");
  await until(async () => (await api.inspect(id)).ExecIDs !== null, "the exec runs");
  const [execId] = (await api.inspect(id)).ExecIDs;
  const process = await api.runtime.started(execId);
  stream.socket.end("late");
  await process.untilStdin(() => process.stdinClosed);
  expect(process.stdin).toBe("early late");
  process.write("stdout", "out");
  process.write("stderr", "err");
  process.exit(7);
  expect(await stream.untilEnd()).toBe(frame(1, "out") + frame(2, "err") + frame(18, '{"StatusCode":7}'));
  expect((await api.request("GET", `/exec/${execId}/json`)).json).toMatchObject({ Running: false, ExitCode: 7 });
});

test("an exec in one request that fails says why and ends with 126; what cannot be created is told as create tells it", async () => {
  const id = await api.create({ Image: "hello" });
  await api.request("POST", `/containers/${id}/start`);
  const ask = (container: string, body: object) =>
    api.hijack(`/lighter/containers/${container}/exec`, { body: JSON.stringify(body) });
  api.runtime.failure = new LighterError("kernel", "no such luck");
  const failed = await ask(id, { Cmd: ["x"], AttachStdout: true });
  expect(await failed.untilEnd()).toBe(frame(1, "no such luck\r\n") + frame(18, '{"StatusCode":126}'));
  for (const [container, body] of [
    [id, {}],
    [id, { Cmd: ["x"], DetachKeys: "nonsense" }],
    ["none", { Cmd: ["x"] }],
  ] as const) {
    const created = await api.request("POST", `/containers/${container}/exec`, body);
    const stream = await ask(container, body);
    expect(stream.head).toStartWith(`HTTP/1.1 ${created.status} `);
    expect(await stream.untilEnd()).toBe(created.text);
  }
  const terminal = await ask(id, { Cmd: ["x"], Tty: true });
  expect(terminal.head).toStartWith("HTTP/1.1 400 ");
});
