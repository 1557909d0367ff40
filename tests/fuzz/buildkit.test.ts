/** BuildKit's API is given bytes of all kinds: protobuf messages, gRPC's frames, HTTP/2, and the protocol that sends directories. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { LighterError } from "../../src/base/errors.ts";
import { receiveTree } from "../../src/engine/build/receive-tree.ts";
import { sendTree } from "../../src/engine/build/send-tree.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { frameOf, readMessages } from "../../src/grpc/frames.ts";
import { encodeHeaders, type Header, HeaderDecoder } from "../../src/grpc/hpack.ts";
import { Outbox } from "../../src/grpc/outbox.ts";
import { serveGrpc, unary } from "../../src/grpc/server.ts";
import {
  bridgeSolveType,
  emptyType,
  PACKET_KINDS,
  packetType,
  returnType,
  solveType,
  statusRequestType,
} from "../../src/spec/buildkit.ts";
import { rawTar } from "../support/image-tar.ts";
import { Random } from "../support/random.ts";
import { collect, readTar } from "../support/read-tar.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

/** Runs `round` until the time is over, and at least 20 times. */
async function rounds(what: string, round: (random: Random) => Promise<void> | void): Promise<void> {
  const random = Random.fromEnvironment(what);
  const deadline = performance.now() + BUDGET_MS;
  for (let count = 0; count < 20 || performance.now() < deadline; count++) await round(random);
}

function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.subarray(0, random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length));
  for (let count = random.below(4); count > 0 && copy.length > 0; count--)
    copy[random.below(copy.length)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  return copy;
}

/** Runs `act`; errors that a client may see are the only ones. */
async function survives(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof LighterError) || error.code !== "invalid") throw error;
  }
}

const SAMPLES = [
  solveType.encode({
    ref: "r",
    session: "s",
    frontendAttributes: new Map([["a", "b"]]),
    exporters: [{ type: "moby", attributes: new Map([["name", "x"]]) }],
    definition: { operations: [new Uint8Array([1, 2, 3])], metadata: new Map([["sha256:0", new Uint8Array()]]) },
  }),
  bridgeSolveType.encode({ frontend: "dockerfile.v0", frontendOptions: new Map([["filename", "Dockerfile"]]) }),
  returnType.encode({ error: { code: 2, message: "m", details: [{ typeUrl: "t", value: new Uint8Array(9) }] } }),
  packetType.encode({ stat: { path: Buffer.from("a/b"), mode: 2 ** 31 + 0o755, mtimeNs: -1n } }),
];
const TYPES = [solveType, bridgeSolveType, returnType, packetType, statusRequestType, emptyType];

test("protobuf: any bytes are a message or an error", () =>
  rounds("protobuf", async (random) => {
    const bytes = mutated(random, random.pick(SAMPLES));
    for (const type of TYPES) await survives(() => type.decode(bytes));
  }));

async function* inPieces(random: Random, bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(random.pick([1, 7, 70_000]));
    yield bytes.subarray(at, end);
    at = end;
  }
}

test("gRPC: messages arrive whole, however their bytes are cut; other bytes are an error", () =>
  rounds("gRPC frames", async (random) => {
    const messages = Array.from({ length: random.below(5) }, () =>
      Buffer.alloc(random.below(random.pick([3, 100_000])), 7),
    );
    const bytes = Buffer.concat(messages.map(frameOf));
    const received: Buffer[] = [];
    for await (const some of readMessages(inBatches(random, inPieces(random, bytes))))
      received.push(...some.map((message) => Buffer.from(message)));
    expect(received).toEqual(messages);
    const broken = inPieces(random, mutated(random, bytes));
    await survives(() => Array.fromAsync(readMessages(inBatches(random, broken))));
  }));

async function* oneByOne(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array[]> {
  for await (const piece of pieces) yield [piece];
}

/** Some pieces at a time. */
async function* inBatches(random: Random, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array[]> {
  let batch: Uint8Array[] = [];
  for await (const piece of pieces) {
    batch.push(piece);
    if (random.below(3) > 0) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/** A sender of directories, which answers requests in any order and in pieces. */
class Sender {
  readonly #random: Random;
  readonly #files: readonly { path: string; content: Buffer }[];
  readonly #jobs: { id: number; at: number }[] = [];
  #nextStat = 0;
  #isDone = false;

  constructor(random: Random, files: readonly { path: string; content: Buffer }[]) {
    this.#random = random;
    this.#files = files;
  }

  receive(bytes: Uint8Array): void {
    const { kind, id } = packetType.decode(bytes);
    if (kind === PACKET_KINDS.request) this.#jobs.push({ id, at: 0 });
    else this.#isDone = kind === PACKET_KINDS.end;
  }

  async *packets(): AsyncGenerator<Uint8Array> {
    while (!this.#isDone) {
      const canStat = this.#nextStat <= this.#files.length;
      if (canStat && (this.#jobs.length === 0 || this.#random.below(2) === 0)) yield this.#stat();
      else if (this.#jobs.length === 0) throw new Error("the receiver wants nothing, and is not done");
      else yield this.#data();
    }
    yield packetType.encode({ kind: PACKET_KINDS.end });
  }

  #stat(): Uint8Array {
    const file = this.#files[this.#nextStat++];
    if (file === undefined) return packetType.encode({ kind: PACKET_KINDS.stat });
    const stat = { path: Buffer.from(file.path), mode: 0o644, size: BigInt(file.content.length) };
    return packetType.encode({ kind: PACKET_KINDS.stat, stat });
  }

  #data(): Uint8Array {
    const job = this.#random.pick(this.#jobs);
    const { content } = this.#files[job.id]!;
    const data = content.subarray(job.at, job.at + 1 + this.#random.below(40_000));
    job.at += data.length;
    if (data.length === 0) this.#jobs.splice(this.#jobs.indexOf(job), 1);
    return packetType.encode({ kind: PACKET_KINDS.data, id: job.id, data });
  }
}

test("a directory arrives whole, in whatever order its files come", () =>
  rounds("receive tree", async (random) => {
    const files = Array.from({ length: random.below(30) }, (_, index) => ({
      path: `d/${index}`,
      content: Buffer.alloc(random.below(random.pick([2, 100_000])), index),
    }));
    const sender = new Sender(random, files);
    const tar = await collect(receiveTree(oneByOne(sender.packets()), (packet) => sender.receive(packet)));
    const entries = readTar(tar);
    expect(entries.map(({ path }) => String(path))).toEqual(files.map(({ path }) => path));
    for (const [index, { content }] of entries.entries()) expect(content.equals(files[index]!.content)).toBeTrue();
  }));

test("a directory that is sent arrives as it was", () =>
  rounds("send tree", async (random) => {
    const files = Array.from({ length: random.below(20) }, (_, index) => {
      const content = Buffer.alloc(random.below(random.pick([2, 100_000])), index);
      return [
        { name: `d${index}/`, type: "5", mode: random.pick([0o755, 0o1777, 0o2700]) },
        { name: `d${index}/f`, mode: random.pick([0o600, 0o4755]), uid: random.below(70_000), content },
        { name: `d${index}/h`, type: "1", linkName: `d${index}/f`, mode: 0o600 },
        { name: `d${index}/l`, type: "2", linkName: "../\xe4" },
      ];
    });
    const tar = rawTar(...files.flat());
    const [toReceiver, toSender] = [new Outbox(), new Outbox()];
    const sending = (async () => {
      for await (const packet of sendTree(inPieces(random, tar), toSender[Symbol.asyncIterator]()))
        toReceiver.send(packet);
    })();
    const received = await collect(receiveTree(oneByOne(toReceiver), (packet) => toSender.send(packet)));
    await sending;
    const shown = (bytes: Buffer) =>
      readTar(bytes).map(({ path, linkPath, mode, type, uid, content }) => {
        return { path, linkPath, mode: type === "hardlink" ? 0 : mode, type, uid, content };
      });
    expect(shown(received)).toEqual(shown(tar));
  }));

test("a sender of directories that breaks the protocol gets an error", () =>
  rounds("hostile sender", async (random) => {
    async function* packets() {
      for (let count = random.below(20); count > 0; count--) {
        const stat = {
          path: Buffer.from(random.pick(["", "a", "../x", "/a", "a\0b", "a/"])),
          mode: random.pick([0o644, 2 ** 31, 2 ** 27, 2 ** 24, 2 ** 26 + 2 ** 21, 2 ** 32 - 1, -1]),
          size: random.pick([0n, 1n, 5n, -1n, 2n ** 60n]),
          mtimeNs: random.pick([0n, -1n, 2n ** 63n - 1n]),
          linkPath: Buffer.from(random.pick(["", "", "a", "\0"])),
        };
        const packet = {
          kind: random.pick([0, 0, 0, 1, 2, 2, 3, 4, 9]),
          id: random.below(4),
          data: Buffer.alloc(random.pick([0, 1, 5])),
          ...(random.below(5) === 0 ? {} : { stat }),
        };
        yield mutated(random, packetType.encode(packet));
      }
    }
    await survives(async () => readTar(await collect(receiveTree(inBatches(random, packets()), () => {}))));
  }));

test("HTTP/2: any bytes are headers or an error", () =>
  rounds("headers", async (random) => {
    const headers: Header[] = [
      ["a", "b"],
      [":path", "/x"],
      ["c".repeat(random.below(300)), "d".repeat(random.below(300))],
    ];
    const decoder = new HeaderDecoder();
    for (let count = 0; count < 5; count++) {
      const bytes = Buffer.from(Array.from({ length: random.below(30) }, () => random.below(256)));
      await survives(() => decoder.decode(Buffer.concat([mutated(random, encodeHeaders(headers)), bytes])));
    }
  }));

test("HTTP/2: calls arrive, however the bytes are cut", () =>
  rounds("cut", async (random) => {
    const type = statusRequestType;
    const echo = unary({ request: type, answer: type }, (request) => request);
    const [ours, theirs] = cutPair(random);
    const served = serveGrpc(theirs, new Map([["/s/Echo", echo]]));
    using client = new GrpcClient(ours);
    const texts = Array.from({ length: 3 }, () => "x".repeat(random.below(random.pick([3, 50_000]))));
    const answers = texts.map((ref) => client.unary("/s/Echo", type.encode({ ref })));
    expect((await Promise.all(answers)).map((answer) => type.decode(answer).ref)).toEqual(texts);
    client[Symbol.dispose]();
    await served;
  }));

/** Two ends of a connection that cuts what goes through it. */
function cutPair(random: Random): [Duplex, Duplex] {
  const end = (other: () => Duplex) =>
    new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        for (let at = 0, length = 0; at < chunk.length; at += length) {
          length = 1 + random.below(random.pick([2, 30, 70_000]));
          other().push(Buffer.from(chunk.subarray(at, at + length)));
        }
        done();
      },
      destroy: (error, done) => {
        if (!other().destroyed) other().destroy();
        done(error);
      },
    });
  const pair: [Duplex, Duplex] = [end(() => pair[1]), end(() => pair[0])];
  return pair;
}

test("HTTP/2: a connection with any bytes harms no other", async () => {
  const echo = unary({ request: statusRequestType, answer: statusRequestType }, (request) => request);
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    void serveGrpc(socket, new Map([["/s/Echo", echo]]));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const open = async () => {
    const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
    socket.on("error", () => socket.destroy());
    await once(socket, "connect");
    return socket;
  };
  const good = new GrpcClient(await open());
  const message = statusRequestType.encode({ ref: "x".repeat(100_000) });
  try {
    await rounds("HTTP/2", async (random) => {
      await sendGarbage(random, await open());
      expect(Buffer.from(await good.unary("/s/Echo", message)).equals(message)).toBeTrue();
    });
  } finally {
    good[Symbol.dispose]();
    server.close();
  }
});

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Sends frames that are nearly right, and ends. */
async function sendGarbage(random: Random, socket: Socket): Promise<void> {
  const frames = Array.from({ length: random.below(8) }, () => {
    const payload = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
    const head = Buffer.alloc(9);
    head.writeUIntBE(random.below(5) === 0 ? random.below(2 ** 24) : payload.length, 0, 3);
    head[3] = random.below(11);
    head[4] = random.below(256);
    head.writeUInt32BE(random.pick([0, 1, 2, 3, 5, 2 ** 31 - 1]), 5);
    return Buffer.concat([head, payload]);
  });
  socket.write(Buffer.concat([mutated(random, PREFACE), ...frames]));
  socket.end();
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), 100); // a server may wait for the rest of a frame
  await once(socket, "close");
  clearTimeout(timer);
}
