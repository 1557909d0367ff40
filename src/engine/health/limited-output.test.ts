import { expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { LimitedOutput } from "./limited-output.ts";

function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test("frames may come in any pieces", () => {
  const bytes = Buffer.concat([frame(1, "one "), frame(2, ""), frame(2, "two ü "), frame(1, "three")]);
  for (let size = 1; size <= bytes.length; size++) {
    const output = new LimitedOutput(100);
    for (let at = 0; at < bytes.length; at += size) output.push(bytes.subarray(at, at + size));
    expect(output.text).toBe("one two ü three");
  }
});

test("no more than the limit is kept, and the text says so", () => {
  const exact = new LimitedOutput(4);
  exact.push(frame(1, "1234"));
  expect(exact.text).toBe("1234");
  exact.push(frame(1, "5"));
  expect(exact.text).toBe("1234...");
});

test("a stream that has ended before it is read is read to its end", async () => {
  const server = createServer((socket) => socket.end());
  await once(server.listen(0, "127.0.0.1"), "listening");
  // Half open, as connections to a process are: nothing but an end tells that there is no more.
  const options = { port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true };
  const socket = connect(options as Parameters<typeof connect>[0] & object);
  await once(socket, "end");
  const output = new LimitedOutput(4);
  await output.readFrom(socket);
  expect([socket.readableEnded, output.text]).toEqual([true, ""]);
  socket.destroy();
  server.close();
});
