/** The server of Exec, Attach and PortForward with clients that do not keep to the rules, or do so at an unfortunate moment. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { SPDY_STREAMS_MAX, SPDY_UNREAD_MAX_BYTES } from "../../src/base/limits.ts";
import type { Wanted } from "../../src/cri/streaming/channels.ts";
import type { RemoteProcess } from "../../src/cri/streaming/remote-command.ts";
import { StreamingServer } from "../../src/cri/streaming/server.ts";
import { SpdyHeaderWriter } from "../../src/cri/streaming/spdy-headers.ts";
import { until } from "../support/eventually.ts";
import { Random } from "../support/random.ts";
import { SpdyClient } from "../support/spdy-client.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);
/** With a terminal, output has no frames of ours. */
const WANTED: Wanted = { stdin: true, stdout: true, stderr: false, tty: true };
const NAMES = ["error", "stdin", "stdout", "resize"];
/** For what takes a second on an idle machine. */
const PATIENCE_MS = 60_000;
const PORTS = "portforward.k8s.io";

const server = new StreamingServer();

/** A process that writes what it reads, and ends with its input. */
function echo(): RemoteProcess {
  const socket = new PassThrough();
  const exitCode = once(socket, "close").then(() => 7);
  return { socket, exitCode, resize: () => Promise.resolve() };
}

/** Something that reads nothing, and says something and ends as soon as it is written to. */
function deaf(): Duplex {
  return new Duplex({
    read: () => {},
    write(_chunk, _encoding, _done) {
      this.push("enough");
      this.push(null);
      this.once("end", () => this.destroy());
    },
  });
}

const execUrl = (open: () => Promise<RemoteProcess>) => server.urlFor({ kind: "exec", wanted: WANTED, open });

async function openPair(client: SpdyClient, requestid: string) {
  const error = await client.open({ streamtype: "error", port: "80", requestid });
  client.send(error, "", true); // as kubectl does: nothing is to be sent on it
  return { error, data: await client.open({ streamtype: "data", port: "80", requestid }) };
}

test(
  "a connection is good for any number of requests to ports, one after the other",
  async () => {
    const url = await server.urlFor({ kind: "portforward", connect: async () => new PassThrough() });
    const client = await SpdyClient.connect(url, PORTS);
    for (let request = 0; request <= SPDY_STREAMS_MAX; request++) {
      const { data, error } = await openPair(client, String(request));
      client.send(data, `request ${request}`, true);
      expect(await client.all(data)).toBe(`request ${request}`);
      expect(await client.all(error)).toBe("");
    }
    client.close();
  },
  PATIENCE_MS,
);

test(
  "what is sent to a port that has closed does not hold up the other requests",
  async () => {
    let isFirst = true;
    const connect = async () => {
      const socket = isFirst ? deaf() : new PassThrough();
      isFirst = false;
      return socket;
    };
    const client = await SpdyClient.connect(await server.urlFor({ kind: "portforward", connect }), PORTS);
    const first = await openPair(client, "1");
    for (let sent = 0; sent < 30; sent++) client.send(first.data, Buffer.alloc(32_000));
    expect(await client.all(first.data)).toBe("enough");
    const second = await openPair(client, "2");
    client.send(second.data, "through", true);
    expect(await client.all(second.data)).toBe("through");
    client.close();
  },
  PATIENCE_MS,
);

/** Something that takes nothing until it is released. */
class Slow extends Duplex {
  receivedBytes = 0;
  readonly #released = Promise.withResolvers<void>();

  release(): void {
    this.#released.resolve();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.receivedBytes += chunk.length;
    void this.#released.promise.then(done);
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}

test(
  "a port that takes nothing for a while holds up no other request, as far as what is sent to it can be kept",
  async () => {
    const slow = new Slow();
    const sockets = [slow, new PassThrough(), new PassThrough()];
    const connect = async () => sockets.shift()!;
    const client = await SpdyClient.connect(await server.urlFor({ kind: "portforward", connect }), PORTS);
    const held = await openPair(client, "slow");
    const chunk = Buffer.alloc(32_000);
    let sentBytes = 0;
    for (; sentBytes < SPDY_UNREAD_MAX_BYTES / 2; sentBytes += chunk.length) client.send(held.data, chunk);
    const quick = await openPair(client, "quick");
    client.send(quick.data, "through", true);
    expect(await client.all(quick.data)).toBe("through");
    for (; sentBytes < 2 * SPDY_UNREAD_MAX_BYTES; sentBytes += chunk.length) client.send(held.data, chunk);
    client.send(held.data, "", true);
    const last = await openPair(client, "last");
    client.send(last.data, "later", true);
    expect(slow.receivedBytes).toBeLessThan(SPDY_UNREAD_MAX_BYTES);
    slow.release();
    expect(await client.all(held.data)).toBe("");
    expect(slow.receivedBytes).toBe(sentBytes);
    expect(await client.all(last.data)).toBe("later");
    client.close();
  },
  PATIENCE_MS,
);

test("a client that heeds windows gets them: the connection's at once, a stream's when it is read", async () => {
  const slow = new Slow();
  const sockets = [slow, new PassThrough()];
  const connect = async () => sockets.shift()!;
  const client = await SpdyClient.connect(await server.urlFor({ kind: "portforward", connect }), PORTS);
  const [held, quick] = [await openPair(client, "slow"), await openPair(client, "quick")];
  const openedFor = (stream: number) =>
    client.windows.filter(([id]) => id === stream).reduce((sum, [, bytes]) => sum + bytes, 0);
  for (const { data } of [held, quick]) for (let sent = 0; sent < 20; sent++) client.send(data, Buffer.alloc(32_768));
  await until(() => openedFor(quick.data) === 20 * 32_768, "what was read may be sent anew");
  expect(openedFor(0)).toBe(40 * 32_768);
  expect(openedFor(held.data)).toBeLessThan(10 * 32_768);
  slow.release();
  await until(() => openedFor(held.data) === 20 * 32_768, "the other, too");
  client.close();
});

test("input that a process does not take holds up neither its terminal's size nor a sign of life", async () => {
  const resized = Promise.withResolvers<number>();
  const resize = async (rows: number) => resized.resolve(rows);
  const running = { ...echo(), socket: new Slow(), resize };
  const socket = new WebSocket((await execUrl(async () => running)).replace("http", "ws"), ["v5.channel.k8s.io"]);
  await new Promise((resolve) => (socket.onopen = resolve));
  for (let sent = 0; sent < 30; sent++) socket.send(Buffer.alloc(32_000));
  socket.send(Buffer.from('\x04{"Width":80,"Height":25}'));
  expect(await resized.promise).toBe(25);
  socket.close();
  await until(() => running.socket.destroyed, "the process has lost its client");
});

test(
  "a client that does not wait for its port or its process leaves no connection",
  async () => {
    const sockets = [new PassThrough(), new PassThrough()] as const;
    const [asked, ready] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const connect = async () => {
      asked.resolve();
      await ready.promise;
      return sockets[0];
    };
    const forwarding = await SpdyClient.connect(await server.urlFor({ kind: "portforward", connect }), PORTS);
    const { data } = await openPair(forwarding, "1");
    await asked.promise;
    forwarding.raw(Buffer.from([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, data, 0, 0, 0, 5])); // reset
    const other = await openPair(forwarding, "2"); // whose reply tells that the reset has been read
    forwarding.send(other.data, "", true);

    const started = Promise.withResolvers<void>();
    const url = await execUrl(async () => {
      started.resolve();
      await ready.promise;
      return { ...echo(), socket: sockets[1] };
    });
    const executing = await SpdyClient.connect(url);
    for (const streamtype of NAMES) await executing.open({ streamtype });
    await started.promise;
    executing.close();
    forwarding.close();
    await new Promise((resolve) => setImmediate(resolve));
    ready.resolve();
    await until(() => sockets.every(({ destroyed }) => destroyed), "both are closed");
  },
  PATIENCE_MS,
);

test(
  "a process that ends without having read its input tells how, and what clients send where nobody reads is dropped",
  async () => {
    const url = await execUrl(async () => ({ ...echo(), socket: deaf(), exitCode: Promise.resolve(3) }));
    const client = await SpdyClient.connect(url);
    const ids: Record<string, number> = {};
    for (const name of [...NAMES, "unheard-of"]) ids[name] = await client.open({ streamtype: name });
    for (const name of ["stdout", "error", "unheard-of", "stdin"])
      for (let sent = 0; sent < 30; sent++) client.send(ids[name]!, Buffer.alloc(32_000));
    expect(await client.all(ids.stdout!)).toBe("enough");
    expect(JSON.parse(await client.all(ids.error!)).details.causes[0].message).toBe("3");
    client.close();
  },
  PATIENCE_MS,
);

const HEADS = {
  spdy: "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io",
  spdyPorts: `Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PORTS}`,
  webSocket: "Upgrade: websocket\r\nSec-WebSocket-Key: aaaa\r\nSec-WebSocket-Protocol: v5.channel.k8s.io",
  tunnel: `Upgrade: websocket\r\nSec-WebSocket-Key: aaaa\r\nSec-WebSocket-Protocol: SPDY/3.1+${PORTS}`,
} as const;

/** A frame of SPDY, or one of those that no client should send. */
function spdyFrame(word: number, flags: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(word >>> 0);
  header[4] = flags;
  header.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([header, payload]);
}

/** What a client sends that opens its streams and uses them. */
async function spdySession(random: Random, isPorts: boolean): Promise<Buffer> {
  const writer = new SpdyHeaderWriter();
  const frames: Buffer[] = [];
  const types = isPorts ? ["error", "data", "data", "error"] : NAMES;
  for (const [index, streamtype] of types.entries()) {
    const fields = Buffer.alloc(10);
    fields.writeUInt32BE(2 * index + 1);
    const port = random.pick(["80", "0", "x", "70000"]);
    const headers = { streamtype, ...(isPorts ? { port, requestid: String(index >> 1) } : {}) };
    const block = await writer.write(new Map(Object.entries(headers)));
    frames.push(spdyFrame(0x8003_0001, random.below(8) === 0 ? 1 : 0, Buffer.concat([fields, block])));
  }
  writer.close();
  for (let count = random.below(8); count > 0; count--) {
    const word = random.below(3) > 0 ? 1 + random.below(9) : 0x8003_0000 + random.below(12);
    frames.push(spdyFrame(word, random.below(3), Buffer.alloc(random.pick([0, 4, 8, 20, 70_000]), random.below(256))));
  }
  return Buffer.concat(frames);
}

function webSocketFrame(first: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(payload.length < 126 ? 6 : 14); // the key is 0
  header[0] = first;
  header[1] = 0x80 | (payload.length < 126 ? payload.length : 127);
  if (payload.length >= 126) header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, payload]);
}

function webSocketSession(random: Random): Buffer {
  const frames = Array.from({ length: random.below(12) }, () => {
    const filled = Buffer.alloc(random.pick([0, 1, 2, 30, 200, 70_000]), random.pick([0, 4, 255, 123]));
    const payload = random.pick([filled, filled, filled, Buffer.from([255, 0])]); // which is the end of stdin
    return webSocketFrame(random.pick([0x82, 0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0xf2, 0x8b]), payload);
  });
  return Buffer.concat(frames);
}

/** Some bytes are changed, or the end is missing. */
function damaged(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let count = random.below(4); count > 0 && copy.length > 0; count--)
    copy[random.below(Math.min(copy.length, random.pick([200, copy.length])))] = random.u32();
  return random.below(3) === 0 ? copy.subarray(0, random.below(copy.length + 1)) : copy;
}

test(
  "whatever a client sends, its connection ends with it, and so does its end in the pod",
  async () => {
    const random = Random.fromEnvironment("streams");
    const sockets: Duplex[] = [];
    const open = async () => {
      const running = echo();
      sockets.push(running.socket);
      return running;
    };
    for (const deadline = performance.now() + BUDGET_MS; performance.now() < deadline; ) {
      const way = random.pick(Object.keys(HEADS) as (keyof typeof HEADS)[]);
      const isPorts = way === "spdyPorts" || way === "tunnel";
      const url = isPorts
        ? await server.urlFor({ kind: "portforward", connect: async () => (await open()).socket })
        : await execUrl(open);
      const spdy = way === "webSocket" ? Buffer.alloc(0) : damaged(random, await spdySession(random, isPorts));
      const body = { spdy, spdyPorts: spdy, tunnel: webSocketFrame(0x82, spdy), webSocket: webSocketSession(random) }[
        way
      ];
      const { hostname, port, pathname } = new URL(url);
      const socket = connectSocket(Number(port), hostname);
      socket.on("error", () => {}).resume();
      await once(socket, "connect");
      socket.write(`POST ${pathname} HTTP/1.1\r\nConnection: Upgrade\r\n${HEADS[way]}\r\n\r\n`);
      socket.end(random.below(2) === 0 ? body : damaged(random, body));
      if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
    }
    await until(() => sockets.every(({ destroyed }) => destroyed), "all processes have lost their client");
  },
  PATIENCE_MS,
);
