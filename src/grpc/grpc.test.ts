/** The client and the server of gRPC, over a connection between them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { once } from "node:events";
import http2 from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { LighterError, messageOf } from "../base/errors.ts";
import { integer, MessageType, string } from "../spec/protobuf.ts";
import { GrpcClient } from "./client.ts";
import { frameOf } from "./frames.ts";
import { Outbox } from "./outbox.ts";
import { answerStream, type Methods, serveGrpc, unary } from "./server.ts";
import { GrpcError } from "./status.ts";

const type = new MessageType({ text: string(1), count: integer(2) });
const types = { request: type, answer: type };
const MIB = 1024 * 1024;

/** Calls that wait for their end, and how they ended. */
const waiting: Promise<unknown>[] = [];

const methods: Methods = new Map([
  ["/s/Echo", unary(types, (request, { metadata }) => ({ ...request, count: metadata.get("x-many")?.length ?? 0 }))],
  ["/s/Fail", unary(types, ({ text }) => Promise.reject(new LighterError("not-found", text)))],
  [
    "/s/Detail",
    unary(types, (): never => {
      throw new GrpcError({ code: 2, message: "m", details: [{ typeUrl: "t", value: new Uint8Array([1, 255]) }] });
    }),
  ],
  [
    "/s/Count",
    answerStream(types, async function* ({ text, count }) {
      for (let at = 0; at < count; at++) yield { text, count: at };
    }),
  ],
  [
    "/s/Wait",
    unary(types, (_request, { signal }) => {
      const ended = new Promise((resolve) => signal.addEventListener("abort", resolve));
      waiting.push(ended);
      return ended.then(() => ({}));
    }),
  ],
]);

let server: Server;

beforeAll(async () => {
  server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    void serveGrpc(socket, methods);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(() => server.close());

async function connected(): Promise<Socket> {
  const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

const open = async () => new GrpcClient(await connected());

const failure = (call: Promise<unknown>) =>
  call.then(
    () => expect.unreachable(),
    (error: GrpcError) => error.status,
  );

test("a call with one request and one answer, of any size; metadata may have a key more than once", async () => {
  using client = await open();
  for (const size of [0, 1, 70_000, 5 * MIB]) {
    const text = "x".repeat(size);
    const answer = await client.unary("/s/Echo", type.encode({ text }), { metadata: { "x-many": ["a", "b"] } });
    expect(type.decode(answer)).toEqual({ text, count: 2 });
  }
});

test("a connection is read though somebody has paused it, who read what came before HTTP/2", async () => {
  using client = new GrpcClient((await connected()).pause());
  expect(type.decode(await client.unary("/s/Echo", type.encode({ text: "x" })))).toEqual({ text: "x", count: 0 });
});

test("a call with many answers gets all, in their order, however slowly it reads", async () => {
  using client = await open();
  const request = type.encode({ text: "y".repeat(10_000), count: 500 });
  const counts: number[] = [];
  for await (const answer of client.call("/s/Count", [request])) {
    if (counts.length === 3) await Bun.sleep(20);
    counts.push(type.decode(answer).count);
  }
  expect(counts).toEqual(Array.from({ length: 500 }, (_, index) => index));
});

test("hundreds of calls at once on one connection", async () => {
  using client = await open();
  const texts = Array.from({ length: 200 }, (_, index) => `${index}`);
  const answers = await Promise.all(texts.map((text) => client.unary("/s/Echo", type.encode({ text }))));
  expect(answers.map((answer) => type.decode(answer).text)).toEqual(texts);
});

test("errors arrive with code, text and details", async () => {
  using client = await open();
  const text = "no such thing: 100 % ä\n";
  expect(await failure(client.unary("/s/Fail", type.encode({ text })))).toEqual({
    code: 5,
    message: text,
    details: [],
  });
  expect(await failure(client.unary("/s/Detail", type.encode({})))).toEqual({
    ...{ code: 2, message: "m" },
    details: [{ typeUrl: "t", value: new Uint8Array([1, 255]) }],
  });
  expect(await failure(client.unary("/s/None", type.encode({})))).toMatchObject({
    code: 12,
    message: "unknown method /s/None",
  });
  expect(await failure(client.unary("/s/Echo", new Uint8Array([8])))).toMatchObject({ code: 3 });
  const none = client.call("/s/Echo", [])[Symbol.asyncIterator]().next();
  expect(await failure(none)).toMatchObject({ code: 3, message: "the call has no request" });
});

test("a method hears that its call is over: cancelled, past its deadline, connection lost", async () => {
  const client = await open();
  const before = waiting.length;
  const aborter = new AbortController();
  const cancelled = client.unary("/s/Wait", type.encode({}), { signal: aborter.signal });
  await begun(before + 1);
  aborter.abort(new Error("enough"));
  expect(await cancelled.catch(messageOf)).toBe("enough");
  await waiting[before];

  const late = client.unary("/s/Wait", type.encode({}), { metadata: { "grpc-timeout": "20m" } });
  expect(await failure(late)).toMatchObject({ code: 4, message: "context deadline exceeded" });
  await waiting[before + 1];

  const lost = failure(client.unary("/s/Wait", type.encode({})));
  await begun(before + 3);
  client[Symbol.dispose]();
  expect(await lost).toMatchObject({ code: 14 });
  await waiting[before + 2];
  expect(await failure(client.unary("/s/Echo", type.encode({})))).toMatchObject({ code: 14 });
  await client.closed;
});

async function begun(count: number): Promise<void> {
  while (waiting.length < count) await Bun.sleep(1);
}

test("the server answers another implementation of HTTP/2", async () => {
  const session = http2.connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  try {
    for (const text of ["a", "b".repeat(300_000)]) {
      const stream = session.request({ ":method": "POST", ":path": "/s/Echo", "x-many": ["1", "2", "3"] });
      const trailers = once(stream, "trailers");
      stream.end(frameOf(type.encode({ text })));
      const bytes = Buffer.concat(await Array.fromAsync(stream));
      expect(type.decode(bytes.subarray(5))).toEqual({ text, count: 3 });
      expect((await trailers)[0]).toMatchObject({ "grpc-status": "0" });
    }
  } finally {
    session.destroy();
  }
});

test("the client calls another implementation of HTTP/2", async () => {
  const other = http2.createServer({ settings: { initialWindowSize: 1000 } });
  other.on("stream", async (stream: http2.ServerHttp2Stream, headers) => {
    stream.respond({ ":status": 200, "x-path": headers[":path"] }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "5", "grpc-message": "100 %25" }));
    stream.end(Buffer.concat(await Array.fromAsync(stream)));
  });
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const socket = connect((other.address() as { port: number }).port, "127.0.0.1");
  await once(socket, "connect");
  using client = new GrpcClient(socket);
  try {
    const requests = [1, 70_000, 3].map((length) => Buffer.alloc(length, "x"));
    const answers: Uint8Array[] = [];
    const call = async () => {
      for await (const answer of client.call("/s/Any", requests)) answers.push(Buffer.from(answer));
    };
    expect(await failure(call())).toEqual({ code: 5, message: "100 %", details: [] });
    expect(answers).toEqual(requests);
  } finally {
    other.close();
  }
});

test("an outbox tells when its messages have been taken, or nobody takes them any more", async () => {
  const outbox = new Outbox();
  await outbox.taken();
  outbox.send(new Uint8Array([1]));
  const taken = outbox.taken();
  const messages = outbox[Symbol.asyncIterator]();
  expect((await messages.next()).value).toEqual(new Uint8Array([1]));
  await taken;
  outbox.send(new Uint8Array([2]));
  const abandoned = outbox.taken();
  await messages.return(undefined);
  await abandoned;
  const failing = new Outbox();
  failing.send(new Uint8Array([3]));
  failing.fail(new Error("broken"));
  expect(await Array.fromAsync(failing).then(() => "", messageOf)).toBe("broken");
});
