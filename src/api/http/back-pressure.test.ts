import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../../tests/support/eventually.ts";
import { holdBack } from "./back-pressure.ts";

const BODY_BYTES = 64 * 1024 * 1024;

test("a body that nobody reads stays with its sender, and comes whole when it is read; the next request is served", async () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-held-"));
  const requests: IncomingMessage[] = [];
  const http = createHttpServer((request, response) => {
    holdBack(request);
    requests.push(request);
    request.once("end", () => response.end("read"));
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => void http.emit("connection", socket));
  const path = join(directory, "s");
  let client: Socket | undefined;
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    client = connect(path);
    let answers = "";
    client.on("data", (bytes) => {
      answers += bytes.toString();
    });
    const head = `POST / HTTP/1.1\r\nHost: d\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`;
    client.write(head);
    client.write(Buffer.alloc(BODY_BYTES));
    await eventually(() => expect(requests[0]?.socket.isPaused()).toBe(true));
    expect(requests[0]!.readableLength).toBeLessThan(8 * 1024 * 1024);
    let length = 0;
    for await (const chunk of requests[0]!) length += (chunk as Buffer).length;
    expect(length).toBe(BODY_BYTES);
    client.write("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nhi");
    await eventually(() => expect(requests).toHaveLength(2));
    requests[1]!.resume();
    await eventually(() => expect(answers.match(/200 OK/g)).toHaveLength(2));
  } finally {
    client?.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  }
});
