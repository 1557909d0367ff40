import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Bus, BusError } from "./bus.ts";
import { decodeMessage, encodeMessage, MESSAGE_TYPE, type Message, messageBytes } from "./wire.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-bus-"));
let server: Server | undefined;

afterEach(() => {
  server?.close();
  rmSync(join(directory, "bus"), { force: true });
});
afterAll(() => rmSync(directory, { recursive: true }));

const AUTH = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
const OK = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n";

/** A server that answers the authentication with `greeting`, and each call with what `answer` returns. */
async function serve(greeting: string, answer: (call: Message, socket: Socket) => Uint8Array[]): Promise<string> {
  const path = join(directory, "bus");
  server = createServer((socket) => {
    let received = Buffer.alloc(0);
    let isGreeted = false;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (!isGreeted && received.length >= AUTH.length) {
        expect(received.toString("latin1", 0, AUTH.length)).toBe(AUTH);
        received = received.subarray(AUTH.length);
        isGreeted = true;
        socket.write(greeting);
      }
      for (let size = messageBytes(received); size && size <= received.length; size = messageBytes(received)) {
        for (const bytes of answer(decodeMessage(received.subarray(0, size)), socket)) socket.write(bytes);
        received = received.subarray(size);
      }
    });
  });
  await new Promise<void>((resolve) => server!.listen(path, resolve));
  return path;
}

const reply = (to: Message, signature = "", body: Message["body"] = []) =>
  encodeMessage({ type: MESSAGE_TYPE.reply, serial: 1, replySerial: to.serial, signature, body });
const call = { destination: "a.b", path: "/a", interface: "a.b", member: "Do" };

test("a call gets its own reply, in whatever order and pieces they come", async () => {
  const calls: Message[] = [];
  const path = await serve(OK, (message, socket) => {
    calls.push(message);
    if (calls.length < 2) return [];
    const bytes = Buffer.concat(calls.reverse().map((each) => reply(each, "s", each.body)));
    for (const byte of bytes) socket.write(new Uint8Array([byte]));
    return [];
  });
  await using bus = await Bus.open(path, false);
  const ask = (text: string) => bus.call({ ...call, signature: "s", body: [text] });
  expect(await Promise.all([ask("one"), ask("two")])).toEqual([["one"], ["two"]]);
});

test("an error reply is thrown with its name, and signals are passed on", async () => {
  const path = await serve(OK, (message) => [
    encodeMessage({
      type: MESSAGE_TYPE.signal,
      serial: 1,
      path: "/x",
      interface: "a.b",
      member: "Sig",
      signature: "",
      body: [],
    }),
    encodeMessage({
      ...{ type: MESSAGE_TYPE.error, serial: 2, replySerial: message.serial, errorName: "a.b.Bad" },
      ...{ signature: "s", body: ["it is bad"] },
    }),
  ]);
  await using bus = await Bus.open(path, false);
  const signals: (string | undefined)[] = [];
  bus.onSignal = ({ member }) => signals.push(member);
  const failure = await bus.call(call).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(BusError);
  expect(failure).toMatchObject({ name: "a.b.Bad", message: "it is bad" });
  expect(signals).toEqual(["Sig"]);
});

test("who refuses us, says nonsense, goes away or claims a huge message is unavailable", async () => {
  const cases: [string, Uint8Array[] | "end"][] = [
    ["REJECTED EXTERNAL\r\n", []],
    ["x".repeat(2000), []],
    [OK, [new Uint8Array(16).fill(0x6d)]],
    [OK, [new Uint8Array([0x6c, 2, 0, 1, 0, 0, 0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0])]],
    [OK, "end"],
  ];
  for (const [greeting, answer] of cases) {
    const path = await serve(greeting, (_, socket) => {
      if (answer !== "end") return answer;
      socket.destroy();
      return [];
    });
    await using bus = await Bus.open(path, false);
    await expect(bus.call(call)).rejects.toMatchObject({ code: "unavailable" });
    await expect(bus.call(call)).rejects.toMatchObject({ code: "unavailable" });
    server!.close();
    rmSync(path, { force: true });
  }
});

test("nobody who listens is unavailable, with the errno", async () => {
  await expect(Bus.open(join(directory, "none"), true)).rejects.toMatchObject({
    code: "unavailable",
    detail: { errno: "ENOENT" },
  });
});
