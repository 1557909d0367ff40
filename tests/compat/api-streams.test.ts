import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { LighterError } from "../../src/base/errors.ts";
import { ATTACHED_CLIENTS_MAX } from "../../src/base/limits.ts";
import { frame, maskedFrame, type RawConnection } from "../support/api-client.ts";
import { ApiServer } from "../support/api-server.ts";
import { until } from "../support/eventually.ts";

let api: ApiServer;

beforeEach(async () => {
  api = await ApiServer.start();
});

afterEach(() => api[Symbol.asyncDispose]());

const ALL = "stream=1&stdin=1&stdout=1&stderr=1";

function start(id: string) {
  return api.request("POST", `/containers/${id}/start`);
}

/** Ends the request that holds an attach open, as a client that goes away. */
function leave(...connections: RawConnection[]): void {
  for (const { socket } of connections) socket.destroy();
}

// --- Attach ---

test("an attach before the start misses no byte, and ends with the process", async () => {
  const id = await api.create();
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
  expect(attached.head).toStartWith("HTTP/1.1 101 UPGRADED\r\n");
  expect(attached.head).toContain("Content-Type: application/vnd.docker.multiplexed-stream\r\n");
  expect(attached.head).toContain("Upgrade: tcp\r\n");
  await start(id);
  const process = api.runtime.process(id);
  expect(process.request.attach).toMatchObject([{ stdin: false, stdout: true, stderr: true, closeStdinOnEnd: false }]);
  process.write("stdout", "out");
  process.write("stderr", "err");
  process.exit(0);
  expect(await attached.untilEnd()).toBe(frame(1, "out") + frame(2, "err"));
});

test("an attach to a process whose supervisor has just gone waits for the next one", async () => {
  const id = await api.create();
  await start(id);
  const process = api.runtime.process(id);
  process.isUnreachable = true;
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
  process.exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  await start(id);
  api.runtime.process(id).write("stdout", "next");
  await attached.until((text) => text === frame(1, "next"));
  leave(attached);
});

test("without an upgrade the answer is a 200 and a raw stream, in both directions", async () => {
  const id = await api.create({ OpenStdin: true, StdinOnce: true });
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`, { upgrade: false, early: "early " });
  expect(attached.head).toStartWith("HTTP/1.1 200 OK\r\n");
  expect(attached.head).toContain("Content-Type: application/vnd.docker.raw-stream\r\n");
  await start(id);
  const process = api.runtime.process(id);
  attached.socket.end("late");
  await process.untilStdin(() => process.stdinClosed);
  expect(process.stdin).toBe("early late");
  process.write("stdout", "after the end of stdin");
  process.exit(0);
  expect(await attached.untilEnd()).toBe(frame(1, "after the end of stdin"));
});

test("bytes sent before the answer and before the start arrive", async () => {
  const id = await api.create({ OpenStdin: true });
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`, { early: "early" });
  await start(id);
  const process = api.runtime.process(id);
  await process.untilStdin(() => process.stdin === "early");
  leave(attached);
});

test("stdin's end closes the process's stdin only if the container says once", async () => {
  for (const StdinOnce of [true, false]) {
    const id = await api.create({ OpenStdin: true, StdinOnce });
    const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
    await start(id);
    const process = api.runtime.process(id);
    attached.socket.end("x");
    await process.untilStdin(() => process.stdin === "x" && process.stdinClosed === StdinOnce);
    process.write("stdout", "still here");
    await attached.until((text) => text === frame(1, "still here"));
    process.exit(0);
    await attached.untilEnd();
  }
});

/** How a client can be done with its input before there is a process to take it. */
const EARLY_ENDS: [how: string, end: (connection: RawConnection) => void][] = [
  ["half-closes", ({ socket }) => socket.end()],
  ["goes away", ({ socket }) => socket.destroy()],
];

test.each(EARLY_ENDS)(
  "input that ends before the start is the process's all the same: the client %s",
  async (_, end) => {
    for (const input of ["", "before"]) {
      const id = await api.create({ OpenStdin: true, StdinOnce: true });
      const attached = await api.hijack(`/containers/${id}/attach?${ALL}`, { early: input });
      end(attached);
      await api.request("GET", "/_ping"); // the end has come, too
      await start(id);
      const process = api.runtime.process(id);
      await process.untilStdin(() => process.stdinClosed);
      expect(process.stdin).toBe(input);
      process.exit(0);
      if (!attached.socket.destroyed) expect(await attached.untilEnd()).toBe("");
    }
  },
);

test.each(EARLY_ENDS)("so is that of a websocket, and of an exec: the client %s", async (_, end) => {
  for (const input of ["", "before"]) {
    const id = await api.create({ OpenStdin: true, StdinOnce: true });
    const socket = await api.openWebSocket(`/containers/${id}/attach/ws?${ALL}`);
    if (input !== "") socket.socket.write(maskedFrame(2, input));
    end(socket);
    await api.request("GET", "/_ping");
    await start(id);
    const process = api.runtime.process(id);
    await process.untilStdin(() => process.stdinClosed);
    expect(process.stdin).toBe(input);

    const exec = await createExec(id, { Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
    end(await api.hijack(`/exec/${exec}/start`, { body: "{}", early: input }));
    const executed = await api.runtime.started(exec);
    await executed.untilStdin(() => executed.stdinClosed);
    expect(executed.stdin).toBe(input);
  }
});

test("an attach ends when the container's end is known, so that what is asked next sees it ended", async () => {
  for (const HostConfig of [{}, { AutoRemove: true }]) {
    const id = await api.create({ HostConfig });
    const early = await api.hijack(`/containers/${id}/attach?${ALL}`);
    await start(id);
    const late = await api.hijack(`/containers/${id}/attach?${ALL}`);
    const process = api.runtime.process(id);
    process.endOutput();
    expect((await api.inspect(id)).State.Running).toBe(true);
    expect([early.ended, late.ended]).toEqual([false, false]);
    process.exit(3);
    for (const attached of [early, late]) {
      await attached.untilEnd();
      if (HostConfig.AutoRemove) expect((await api.request("GET", `/containers/${id}/json`)).status).toBe(404);
      else expect((await api.inspect(id)).State).toMatchObject({ Running: false, ExitCode: 3 });
    }
  }
});

test("a client attaches to a running container, others see the same, each only what it asked for", async () => {
  const id = await api.run();
  const process = api.runtime.process(id);
  const both = await api.hijack(`/containers/${id}/attach?stream=1&stdout=1&stderr=1`);
  const errors = await api.hijack(`/containers/${id}/attach?stream=1&stderr=1`);
  process.write("stdout", "o");
  process.write("stderr", "e");
  process.exit(0);
  expect(await both.untilEnd()).toBe(frame(1, "o") + frame(2, "e"));
  expect(await errors.untilEnd()).toBe(frame(2, "e"));
});

test("with logs=1 the past comes first; without stream that is all", async () => {
  const id = await api.run();
  const process = api.runtime.process(id);
  process.write("stdout", "past\n");
  const past = await api.hijack(`/containers/${id}/attach?logs=1&stdout=1`);
  expect(await past.untilEnd()).toBe(frame(1, "past\n"));
  const both = await api.hijack(`/containers/${id}/attach?logs=1&stream=1&stdout=1`);
  await both.until((text) => text === frame(1, "past\n"));
  process.write("stdout", "now\n");
  await both.until((text) => text === frame(1, "past\n") + frame(1, "now\n"));
  leave(both);
});

test("a terminal's stream is raw, and the detach keys end it without ending the process", async () => {
  const id = await api.create({ Tty: true, OpenStdin: true, StdinOnce: true });
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
  expect(attached.head).toContain("Content-Type: application/vnd.docker.raw-stream\r\n");
  await start(id);
  const process = api.runtime.process(id);
  process.write("stdout", "$ ");
  await attached.until((text) => text === "$ ");
  attached.socket.write("ls\r\x10");
  await process.untilStdin(() => process.stdin === "ls\r");
  attached.socket.write("\x11lost");
  expect(await attached.untilEnd()).toBe("$ ");
  expect(process.stdin).toBe("ls\r");
  const again = await api.hijack(`/containers/${id}/attach?${ALL}`);
  again.socket.write("pwd\r");
  await process.untilStdin(() => process.stdin === "ls\rpwd\r");
  expect(process.stdinClosed).toBe(false);
  leave(again);
});

test("detach keys of one's own replace the usual ones; in a pipe all are bytes", async () => {
  const id = await api.run({ Tty: true, OpenStdin: true });
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}&detachKeys=ctrl-a,x`);
  attached.socket.write("\x10\x11\x01x");
  await attached.untilEnd();
  expect(api.runtime.process(id).stdin).toBe("\x10\x11");
  expect(await api.request("POST", `/containers/${id}/attach?${ALL}&detachKeys=bad`)).toMatchObject({
    status: 400,
    text: "Invalid detach keys (bad) provided\r\n",
  });
  const piped = await api.run({ OpenStdin: true });
  const pipe = await api.hijack(`/containers/${piped}/attach?${ALL}`);
  pipe.socket.write("\x10\x11");
  const process = api.runtime.process(piped);
  await process.untilStdin(() => process.stdin === "\x10\x11");
  leave(pipe);
});

test("an attach's body is not stdin, what comes after it is", async () => {
  const id = await api.create({ OpenStdin: true, StdinOnce: true });
  await api.hijack(`/containers/${id}/attach?${ALL}`, { body: '{"stream":true}', early: "early " });
  await api.request("POST", `/containers/${id}/start`);
  const process = api.runtime.process(id);
  await process.untilStdin(() => process.stdin.length >= 6);
  expect(process.stdin).toBe("early ");
});

test("an attach to what is removed before it starts just ends", async () => {
  const id = await api.create();
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
  await api.request("DELETE", `/containers/${id}`);
  expect(await attached.untilEnd()).toBe("");
});

test("one client too many is told so", async () => {
  const id = await api.create();
  const attach = () => api.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
  const attached: RawConnection[] = [];
  while (attached.length < ATTACHED_CLIENTS_MAX)
    // as many at a time as the server has a queue for
    attached.push(...(await Promise.all(Array.from({ length: 100 }, attach))));
  const last = await attach();
  expect(last.head).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
  expect(await last.untilEnd()).toContain(`${ATTACHED_CLIENTS_MAX} clients are attached already`);
  leave(...attached);
});

test("an error before the stream is an answer, to an attach in Docker's plain text", async () => {
  const json = (message: string) => `${JSON.stringify({ message })}\n`;
  for (const upgrade of [true, false])
    for (const [path, body] of [
      [`/containers/none/attach?${ALL}`, "No such container: none\r\n"],
      ["/exec/none/start", json("No such exec instance: none")],
    ] as const) {
      const attached = await api.hijack(path, { upgrade, body: "{}" });
      expect(attached.head).toStartWith("HTTP/1.1 404 Not Found\r\n");
      expect(await attached.untilEnd()).toBe(body);
    }
  const again = await api.request("POST", "/containers/none/attach", undefined, { Expect: "" });
  expect(again).toMatchObject({ status: 404, text: "No such container: none\r\n" });
  const plain = await api.request("GET", `/containers/none/attach/ws?${ALL}`);
  expect(plain).toMatchObject({ status: 404, text: json("No such container: none") });
});

test("a client that attaches before it has the answer to another request gets a well-formed answer", async () => {
  const id = await api.create();
  const connection = await api.open(
    `GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nPOST /containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n`,
  );
  await connection.until((text) => text.includes("vnd.docker.multiplexed-stream"));
  await start(id);
  api.runtime.process(id).write("stdout", "hi");
  await connection.until((text) => text.endsWith(`a\r\n${frame(1, "hi")}\r\n`));
  api.runtime.process(id).exit(0);
  await connection.until((text) => text.endsWith("0\r\n\r\n"));
  leave(connection);
});

test("megabytes pass unchanged in both directions at once, whoever is slow", async () => {
  const id = await api.create({ OpenStdin: true, StdinOnce: true });
  const attached = await api.hijack(`/containers/${id}/attach?${ALL}`);
  await start(id);
  const process = api.runtime.process(id);
  const [input, output] = [randomBytes(8 << 20), randomBytes(8 << 20)];
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  attached.socket.pause();
  attached.socket.end(input);
  process.write("stdout", output.toString("latin1")); // UTF-8 of it: more than 8 MiB
  await process.untilStdin(() => process.stdinClosed);
  expect(hash(Buffer.from(process.stdin, "latin1"))).toBe(hash(input));
  attached.socket.resume();
  process.exit(0);
  const received = Buffer.from(await attached.untilEnd(), "latin1");
  expect(received.readUInt32BE(4)).toBe(received.length - 8);
  expect(hash(received.subarray(8))).toBe(hash(Buffer.from(output.toString("latin1"))));
});

/** The messages that a websocket's client has got, and the status of the close frame that ended them. */
function messagesOf(text: string): { opcode: number; payload: Buffer; status: number | undefined } {
  const bytes = Buffer.from(text, "latin1");
  const payloads: Buffer[] = [];
  let [opcode, status] = [0, undefined as number | undefined];
  for (let at = 0; at < bytes.length; ) {
    const short = bytes[at + 1]!;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? bytes.readUInt32BE(at + 6) : short;
    const payload = bytes.subarray(at + head, at + head + length);
    if ((bytes[at]! & 15) === 8) status = payload.readUInt16BE(0);
    else {
      opcode = bytes[at]! & 15;
      payloads.push(payload);
    }
    at += head + length;
  }
  return { opcode, payload: Buffer.concat(payloads), status };
}

test("megabytes pass over a websocket in both directions, whoever is slow; its end is a close frame", async () => {
  for (const [path, opcode] of [
    ["", 2],
    ["/v1.24", 1],
  ] as const) {
    const id = await api.create({ OpenStdin: true });
    const attached = await api.openWebSocket(`${path}/containers/${id}/attach/ws?${ALL}`);
    await start(id);
    const process = api.runtime.process(id);
    const [input, output] = ["in ".repeat(1 << 20), "out ".repeat(1 << 20)];
    attached.socket.pause();
    for (let at = 0; at < input.length; at += 60_000)
      attached.socket.write(maskedFrame(2, input.slice(at, at + 60_000)));
    process.write("stdout", output);
    await process.untilStdin(() => process.stdin.length === input.length);
    expect(process.stdin === input).toBe(true);
    attached.socket.resume();
    process.exit(0);
    await attached.until((text) => text.endsWith("\x88\x02\x03\xe8"));
    attached.socket.write(maskedFrame(8, ""));
    const received = messagesOf(await attached.untilEnd());
    expect(received).toMatchObject({ opcode, status: 1000 });
    expect(received.payload.toString() === output).toBe(true);
  }
});

test("a websocket's client that breaks the protocol loses its connection, and a ping is answered", async () => {
  const id = await api.run({ OpenStdin: true });
  const open = () => api.openWebSocket(`/containers/${id}/attach/ws?${ALL}`);
  const tooLong = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 1, 1, 2, 3, 4]);
  for (const [bytes, status] of [
    [tooLong, 1009],
    [Buffer.from([0x82, 1, 0x61]), undefined],
    [Buffer.from([0xf3, 0x80]), undefined],
  ] as const) {
    const attached = await open();
    attached.socket.write(bytes);
    const received = messagesOf(await attached.untilEnd());
    if (status !== undefined) expect(received.status).toBe(status);
    expect(received.payload.length).toBe(0);
  }
  const attached = await open();
  attached.socket.write(maskedFrame(9, "there?"));
  await attached.until((text) => text === "\x8a\x06there?");
  leave(attached);
});

test("a websocket is asked for with a key and a version", async () => {
  const id = await api.create();
  const head =
    "GET /containers/ID/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".replace(
      "ID",
      id,
    );
  for (const [headers, status] of [
    ["", 400],
    ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400],
    ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 8\r\n", 400],
  ] as const) {
    const connection = await api.open(`${head}${headers}\r\n`);
    await connection.readHead();
    expect(connection.head).toStartWith(`HTTP/1.1 ${status} `);
    leave(connection);
  }
});

// --- Logs ---

async function exited(body: object, write: (process: ReturnType<typeof api.runtime.process>) => void): Promise<string> {
  const id = await api.run(body);
  const process = api.runtime.process(id);
  write(process);
  process.exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  return id;
}

test("logs are framed, by stream, with time stamps of equal width", async () => {
  const id = await exited({}, (process) => {
    process.write("stdout", "one\n");
    process.write("stderr", "two\n");
    process.write("stdout", "three\n");
  });
  const logs = async (query: string) => await api.request("GET", `/containers/${id}/logs?${query}`);
  const all = await logs("stdout=1&stderr=1");
  expect(all.headers["content-type"]).toBe("application/vnd.docker.multiplexed-stream");
  expect(all.text).toBe(frame(1, "one\n") + frame(2, "two\n") + frame(1, "three\n"));
  expect((await logs("stdout=1")).text).toBe(frame(1, "one\n") + frame(1, "three\n"));
  expect((await logs("stdout=1&stderr=1&tail=1")).text).toBe(frame(1, "three\n"));
  expect((await logs("stdout=1&stderr=1&tail=all&timestamps=1")).text).toMatch(
    /^\x01\0\0\0\0\0\0#\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n/,
  );
  expect((await logs("stdout=1&since=9999999999")).text).toBe("");
  expect((await logs("stdout=1&until=1")).text).toBe("");
  expect(await logs("")).toMatchObject({
    status: 400,
    json: { message: "Bad parameters: you must choose at least one stream" },
  });
  expect((await logs("stdout=1&since=yesterday")).status).toBe(400);
});

test("a terminal's logs are raw", async () => {
  const id = await exited({ Tty: true }, (process) => process.write("stdout", "$ ls\r\n"));
  const { headers, text } = await api.request("GET", `/containers/${id}/logs?stdout=1`);
  expect(headers["content-type"]).toBe("application/vnd.docker.raw-stream");
  expect(text).toBe("$ ls\r\n");
});

test("following logs go on until the process ends", async () => {
  const id = await api.run();
  const process = api.runtime.process(id);
  process.write("stdout", "first\n");
  const connection = await api.open(
    `GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`,
  );
  await connection.until((text) => text.includes("first\n"));
  process.write("stdout", "second\n");
  await connection.until((text) => text.includes("second\n"));
  process.write("stdout", "last words\n");
  process.exit(0);
  expect(await connection.untilEnd()).toContain("last words\n");
});

test("a container that never ran has empty logs; without a log driver there are none to read", async () => {
  const created = await api.create();
  expect(await api.request("GET", `/containers/${created}/logs?stdout=1&follow=1`)).toMatchObject({
    status: 200,
    text: "",
  });
  const silent = await exited({ HostConfig: { LogConfig: { Type: "none" } } }, () => {});
  expect(await api.request("GET", `/containers/${silent}/logs?stdout=1`)).toMatchObject({
    status: 501,
    json: { message: "configured logging driver does not support reading" },
  });
});

// --- Exec ---

async function createExec(container: string, body: object): Promise<string> {
  const answer = await api.request("POST", `/containers/${container}/exec`, body);
  expect(answer.status).toBe(201);
  return answer.json.Id;
}

test("an attached exec streams, ends with its process and tells its code", async () => {
  const id = await api.run({ Env: ["A=1"] });
  const exec = await createExec(id, { Cmd: ["cat", "-"], AttachStdin: true, AttachStdout: true, Env: ["B=2"] });
  expect((await api.request("GET", `/exec/${exec}/json`)).json).toMatchObject({
    ID: exec,
    Running: false,
    ExitCode: null,
    ContainerID: id,
    OpenStdin: true,
    OpenStderr: false,
    ProcessConfig: { tty: false, entrypoint: "cat", arguments: ["-"] },
  });
  const stream = await api.hijack(`/exec/${exec}/start`, { body: '{"Detach":false}', early: "early " });
  expect(stream.head).toStartWith("HTTP/1.1 101 UPGRADED\r\n");
  const process = await api.runtime.started(exec);
  stream.socket.end("late");
  await process.untilStdin(() => process.stdinClosed);
  expect(process.stdin).toBe("early late");
  expect((await api.inspect(id)).ExecIDs).toEqual([exec]);
  expect(process.request).toMatchObject({ containerPid: api.runtime.process(id).pid });
  process.write("stdout", "out");
  process.exit(7);
  expect(await stream.untilEnd()).toBe(frame(1, "out"));
  expect((await api.request("GET", `/exec/${exec}/json`)).json).toMatchObject({ Running: false, ExitCode: 7 });
});

test("an exec's start may come in chunks, and ask for an upgrade with half of its headers", async () => {
  const id = await api.run();
  const body = '2\r\n{"\r\nD;x=y\r\nDetach":null}\r\n0\r\n\r\n';
  for (const [headers, status] of [
    ["Connection: Upgrade\r\nUpgrade: tcp", "101 UPGRADED"],
    ["Upgrade: tcp", "101 UPGRADED"],
    ["Upgrade: tcp\r\nConnection: keep-alive", "101 UPGRADED"],
    ["Connection: keep-alive", "200 OK"],
  ] as const) {
    const exec = await createExec(id, { Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
    const [type, encoding] = ["Content-Type: application/json", "Transfer-Encoding: chunked"];
    const head = [
      "POST /exec/",
      exec,
      "/start HTTP/1.1\r\nHost: d\r\n",
      `${type}\r\n${encoding}\r\n${headers}\r\n\r\n`,
    ];
    const stream = await api.open(head[0]!);
    for (const piece of [...head.slice(1), body.slice(0, 7), `${body.slice(7)}early `]) {
      await api.request("GET", "/_ping"); // so that it comes in pieces
      stream.socket.write(piece);
    }
    await stream.readHead();
    expect([headers, stream.head]).toEqual([headers, expect.stringContaining(`HTTP/1.1 ${status}\r\n`)]);
    const process = await api.runtime.started(exec);
    stream.socket.end("late");
    await process.untilStdin(() => process.stdinClosed);
    expect(process.stdin).toBe("early late");
    process.exit(0);
    await stream.untilEnd();
  }
  const exec = await createExec(id, { Cmd: ["cat"] });
  const headers = "Host: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nUpgrade: tcp";
  const broken = await api.open(`POST /exec/${exec}/start HTTP/1.1\r\n${headers}\r\n\r\nnonsense\r\n`);
  expect(await broken.untilEnd()).toStartWith("HTTP/1.1 400 Bad Request\r\n");
});

test("a stream may be asked for on a connection that has carried other requests, also with a body of JSON", async () => {
  const upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  for (const [headers, status] of [
    ["", "200 OK"],
    ["Upgrade: tcp\r\n", "101 UPGRADED"],
    [upgrade, "101 UPGRADED"],
  ] as const) {
    const id = await api.create({ OpenStdin: true, StdinOnce: true });
    const stream = await api.open("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    const inPieces = async (...pieces: string[]) => {
      for (const piece of pieces) {
        stream.socket.write(piece);
        await api.request("GET", "/_ping");
      }
    };
    await stream.until((text) => text.endsWith("\r\n\r\nOK"));
    await inPieces("POST /volumes/prune HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n{", "}");
    await stream.until((text) => text.includes('{"VolumesDeleted"'));
    const target = `ST /containers/${id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n`;
    await inPieces("PO", `${target}${headers}Content-Length: 13\r\n\r\n{"stream":`, "1 }early ");
    await stream.until((text) => text.includes(`HTTP/1.1 ${status}\r\n`));
    await api.request("POST", `/containers/${id}/start`);
    const process = api.runtime.process(id);
    stream.socket.end("late");
    await process.untilStdin(() => process.stdinClosed);
    expect([headers, process.stdin]).toEqual([headers, "early late"]);
    process.write("stdout", "out");
    process.exit(0);
    expect(await stream.untilEnd()).toEndWith(`\r\n\r\n${frame(1, "out")}`);
  }
});

test("an exec's stream is framed, or not, as its start asks, whatever the process has", async () => {
  const id = await api.run();
  for (const [Tty, body, output] of [
    [true, "{}", frame(1, "o") + frame(1, "e")],
    [false, '{"Tty":true}', "oe"],
  ] as const) {
    const exec = await createExec(id, { Cmd: ["x"], Tty, AttachStdout: true, AttachStderr: true });
    const stream = await api.hijack(`/exec/${exec}/start`, { body });
    const type = Tty ? "multiplexed" : "raw";
    expect(stream.head).toContain(`Content-Type: application/vnd.docker.${type}-stream\r\n`);
    const process = await api.runtime.started(exec);
    await until(async () => (await api.request("GET", `/exec/${exec}/json`)).json.Running, "the exec runs");
    process.write("stdout", "o");
    await stream.until((text) => text.endsWith("o"));
    process.write("stderr", "e");
    process.exit(0);
    expect(await stream.untilEnd()).toBe(output);
  }
});

test("an exec that was not started is gone when its container has ended; its detach keys are told as bytes", async () => {
  const id = await api.run();
  const body = { Cmd: ["x"], DetachKeys: "ctrl-a,b" };
  const [unstarted, ended] = [await createExec(id, body), await createExec(id, { ...body, DetachKeys: undefined })];
  expect((await api.request("GET", `/exec/${unstarted}/json`)).json.DetachKeys).toBe("AWI=");
  await api.request("POST", `/exec/${ended}/start`, { Detach: true });
  api.runtime.process(ended).exit(4);
  api.runtime.process(id).exit(0);
  await api.request("POST", `/containers/${id}/wait`);
  const directory = api.engine.paths.execDirectory(unstarted);
  expect(existsSync(directory)).toBe(false);
  for (const [method, path] of [
    ["GET", "json"],
    ["POST", "start"],
  ] as const)
    expect(await api.request(method, `/exec/${unstarted}/${path}`, method === "POST" ? {} : undefined)).toMatchObject({
      status: 404,
      json: { message: `No such exec instance: ${unstarted}` },
    });
  expect((await api.request("GET", `/exec/${ended}/json`)).json).toMatchObject({ ExitCode: 4, DetachKeys: "" });
});

test("an exec that ends with a container that removes itself still tells its code to who saw it end", async () => {
  const id = await api.run({ HostConfig: { AutoRemove: true } });
  const exec = await createExec(id, { Cmd: ["x"], AttachStdout: true });
  const stream = await api.hijack(`/exec/${exec}/start`, { body: "{}" });
  const process = await api.runtime.started(exec);
  await until(async () => (await api.request("GET", `/exec/${exec}/json`)).json.Running, "the exec runs");
  api.runtime.process(id).exit(0);
  process.exit(7);
  await stream.untilEnd();
  await until(
    async () => (await api.request("GET", `/containers/${id}/json`)).status === 404,
    "the container is removed",
  );
  expect((await api.request("GET", `/exec/${exec}/json`)).json).toMatchObject({ Running: false, ExitCode: 7 });
});

test("an exec's body is looked at before what it is for", async () => {
  const bad = { status: 400, json: { message: expect.stringContaining("invalid JSON") } };
  expect(await api.request("POST", "/exec/none/start", "{", { "Content-Type": "application/json" })).toMatchObject(bad);
  expect(await api.request("POST", "/containers/none/exec", { Cmd: [] })).toMatchObject({
    status: 400,
    json: { message: "No exec command specified" },
  });
});

test("a detached exec answers when it runs, once", async () => {
  const id = await api.run();
  const exec = await createExec(id, { Cmd: ["true"] });
  expect(await api.request("POST", `/exec/${exec}/start`, { Detach: true })).toMatchObject({ status: 200, text: "" });
  expect((await api.request("GET", `/exec/${exec}/json`)).json).toMatchObject({ Running: true, ExitCode: null });
  expect(await api.request("POST", `/exec/${exec}/start`, { Detach: true })).toMatchObject({
    status: 409,
    json: { message: `Error: Exec command ${exec} has already run` },
  });
  expect((await api.request("POST", `/exec/${exec}/resize?h=5&w=6`)).status).toBe(200);
  expect(api.runtime.process(exec).sizes).toEqual([[5, 6]]);
});

test("a size may be told before the exec has been started, and not after its end", async () => {
  const id = await api.run();
  const exec = await createExec(id, { Cmd: ["sh"], Tty: true });
  const resize = () => api.request("POST", `/exec/${exec}/resize?h=5&w=6`);
  const early = resize();
  await api.request("GET", "/_ping");
  await api.request("POST", `/exec/${exec}/start`, { Detach: true });
  expect((await early).status).toBe(200);
  expect(api.runtime.process(exec).sizes).toEqual([[5, 6]]);
  api.runtime.process(exec).exit(0);
  await until(async () => (await api.request("GET", `/exec/${exec}/json`)).json.ExitCode === 0, "its end");
  expect(await resize()).toMatchObject({
    status: 404,
    json: { message: `process does not exist ${exec}: not found` },
  });
});

test.each([
  ["exec-not-found", 'exec: "nonesuch": executable file not found in $PATH', 126],
  ["exec-denied", 'exec: "/etc": permission denied', 126],
] as const)("an exec that fails with %s says so where its output would be", async (code, message, exitCode) => {
  const id = await api.run();
  const attached = await createExec(id, { Cmd: ["x"], AttachStdout: true });
  api.runtime.failure = new LighterError(code, message);
  const stream = await api.hijack(`/exec/${attached}/start`, { body: "{}" });
  expect(await stream.untilEnd()).toBe(frame(1, `${message}\r\n`));
  expect((await api.request("GET", `/exec/${attached}/json`)).json).toMatchObject({ ExitCode: exitCode });
  const detached = await createExec(id, { Cmd: ["x"] });
  api.runtime.failure = new LighterError(code, message);
  expect(await api.request("POST", `/exec/${detached}/start`, { Detach: true })).toMatchObject({
    status: 400,
    json: { message },
  });
});

test("an exec needs a command and a running container", async () => {
  const created = await api.create();
  expect(await api.request("POST", `/containers/${created}/exec`, { Cmd: ["ls"] })).toMatchObject({
    status: 409,
    json: { message: `container ${created} is not running` },
  });
  const id = await api.run();
  for (const body of [{}, { Cmd: [] }])
    expect(await api.request("POST", `/containers/${id}/exec`, body)).toMatchObject({
      status: 400,
      json: { message: "No exec command specified" },
    });
  for (const body of [{ Cmd: "ls" }, { Cmd: ["a\0b"] }, { Cmd: ["ls"], Tty: 1 }, { Cmd: ["ls"], ConsoleSize: [1] }, []])
    expect((await api.request("POST", `/containers/${id}/exec`, body)).status).toBe(400);
  expect(await api.request("GET", "/exec/none/json")).toMatchObject({
    status: 404,
    json: { message: "No such exec instance: none" },
  });
});

test("an exec with a terminal has its size from the start", async () => {
  const id = await api.run();
  const exec = await createExec(id, { Cmd: ["sh"], Tty: true, AttachStdin: true, AttachStdout: true });
  const stream = await api.hijack(`/exec/${exec}/start`, { body: '{"Tty":true,"ConsoleSize":[24,80]}' });
  expect(stream.head).toContain("Content-Type: application/vnd.docker.raw-stream\r\n");
  const { request } = await api.runtime.started(exec);
  expect(request).toMatchObject({
    stdio: { terminal: true, stdin: true },
    process: { terminal: true, consoleSize: { height: 24, width: 80 } },
  });
  leave(stream);
});
