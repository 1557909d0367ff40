import { afterEach, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { gunzipSync, inflateSync } from "node:zlib";
import { type Certificates, hasOpenssl, makeCertificates } from "../../../tests/support/certificates.ts";
import { until } from "../../../tests/support/eventually.ts";
import { testIf } from "../../../tests/support/test-if.ts";
import { encodeFluentd, openFluentd } from "./fluentd.ts";
import { formatGelf, openGelf, splitGelf } from "./gelf.ts";
import { StreamSink } from "./stream-sink.ts";

const entry = { stream: "stdout", log: "hello\n", time: "2026-03-04T05:06:07.123456789Z" } as const;
const container = { id: "0123456789abcdef", name: "web", imageName: "debian", imageId: "sha256:0", config: {} };
const mark = { container, tag: "t", attributes: { a: "b" } };
const gelfMark = { ...mark, hostname: "h", created: "2026-01-02T03:04:05Z", command: "sh -c x" };
const plain = { isPrecise: false, isAcknowledged: false, writeTimeoutMs: 0 };
const cleanup: (() => unknown)[] = [];

afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** A server on loopback that hands every connection to `serve`. */
async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

const tcp = (port: number) => ({ kind: "tcp" as const, hostname: "127.0.0.1", port });

test("a message for fluentd is an array of tag, time, record and options", () => {
  const options = { address: tcp(1), ...plain };
  const hex = encodeFluentd(options, { ...mark, attributes: {} }, { ...entry, log: "part" }, "x").toString("latin1");
  expect(hex).toStartWith("\x94\xa1t\xce\x69\xa7\xbd\xbf\xde\x00\x05\xaccontainer_id\xb00123456789abcdef");
  expect(hex).toContain("\xaecontainer_name\xa4/web\xa6source\xa6stdout\xa3log\xa4part\xafpartial_message\xa4true");
  expect(hex).toEndWith("\xde\x00\x01\xa5chunk\xa1x");
  const precise = encodeFluentd({ ...options, isPrecise: true }, mark, { ...entry, log: `${"é".repeat(99)}\n` });
  expect(precise.toString("latin1")).toStartWith(
    "\x94\xa1t\xd7\x00\x69\xa7\xbd\xbf\x07\x5b\xcd\x15\xde\x00\x05\xa1a\xa1b",
  );
  expect(precise.toString("latin1")).toContain("\xa3log\xdb\x00\x00\x00\xc6");
});

test("fluentd: an entry is taken when it is acknowledged, and sent anew over a new connection when it is not", async () => {
  let connections = 0;
  const port = await serve((socket) => {
    connections++;
    socket.on("data", (bytes) => {
      const chunk = /chunk\xb8([\w+/=]{24})/.exec(bytes.toString("latin1"))?.[1];
      if (connections === 1) socket.destroy();
      else socket.write(`\x81\xa3ack\xb8${chunk}`, "latin1");
    });
  });
  const sink = openFluentd({ address: tcp(port), ...plain, isAcknowledged: true }, mark);
  cleanup.push(() => sink.close());
  expect(await sink.send(entry).catch((error: Error) => error.message)).toBe("the server closed the connection");
  await sink.send(entry);
  await sink.send(entry);
  expect(connections).toBe(2);
});

test("a server that hangs is given up after a while, and at once when its sink is closed", async () => {
  const port = await serve((socket) => socket.pause());
  const never = () => ({ bytes: Buffer.from("x"), isTaken: () => false });
  const impatient = new StreamSink(tcp(port), never, 1);
  expect(await impatient.send(entry).catch((error: Error) => error.message)).toBe("the server does not take it");
  const patient = new StreamSink(tcp(port), never);
  const sent = patient.send(entry).catch((error: Error) => error.message);
  patient.close();
  expect(await sent).toBe("closed");
});

test("a message for Graylog has Docker's fields; labels replace none of them", () => {
  expect(
    JSON.parse(formatGelf({ ...gelfMark, attributes: { a: "b", tag: "no" } }, { ...entry, stream: "stderr" })),
  ).toEqual({
    ...{ version: "1.1", host: "h", short_message: "hello", timestamp: 1772600767.123, level: 3, _a: "b" },
    ...{ _command: "sh -c x", _container_id: "0123456789abcdef", _container_name: "web" },
    ...{ _created: "2026-01-02T03:04:05Z", _image_id: "sha256:0", _image_name: "debian", _tag: "t" },
  });
});

test("by UDP a message is compressed, and split if it is large; too large ones are refused", async () => {
  const server = createSocket("udp4");
  const datagrams: Buffer[] = [];
  server.on("message", (bytes) => datagrams.push(bytes));
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  cleanup.push(() => server.close());
  const address = { kind: "udp" as const, hostname: "127.0.0.1", port: server.address().port };
  for (const [compression, expand] of [
    ["gzip", gunzipSync],
    ["zlib", inflateSync],
    ["none", (bytes: Buffer) => bytes],
  ] as const) {
    const sink = openGelf({ address, compression, level: 1 }, gelfMark);
    cleanup.push(() => sink.close());
    await sink.send(entry);
    await until(() => datagrams.length > 0, "it has come");
    expect(JSON.parse(expand(datagrams.pop()!).toString()).short_message).toBe("hello");
  }
  const pieces = splitGelf(Buffer.alloc(3000, "x"), Buffer.from("12345678"));
  expect(pieces.map(({ length }) => length)).toEqual([1420, 1420, 196]);
  expect(Buffer.from(pieces[1]!).toString("latin1")).toStartWith("\x1e\x0f12345678\x01\x03x");
  expect(() => splitGelf(Buffer.alloc(1_000_000))).toThrow("too large");
});

test("by TCP each message ends with a NUL", async () => {
  let text = "";
  const port = await serve((socket) => socket.on("data", (bytes) => (text += bytes)));
  const sink = openGelf({ address: tcp(port), compression: "none", level: 1 }, gelfMark);
  cleanup.push(() => sink.close());
  await sink.send(entry);
  await sink.send({ ...entry, log: "two\n" });
  await until(() => text.split("\0").length === 3, "both have come");
  expect(
    text
      .split("\0")
      .slice(0, 2)
      .map((each) => JSON.parse(each).short_message),
  ).toEqual(["hello", "two"]);
});

testIf(hasOpenssl, "needs openssl")(
  "by TLS an entry arrives where the host trusts the server, and nowhere else",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-collector-"));
    cleanup.push(() => rmSync(directory, { recursive: true }));
    const [trusted, other] = [makeCertificates(directory, "a"), makeCertificates(directory, "b")];
    process.env.SSL_CERT_FILE = trusted.caPath;
    cleanup.push(() => delete process.env.SSL_CERT_FILE);
    const listen = async ({ certPath, keyPath }: Certificates) => {
      const heard = { text: "", port: 0 };
      const options = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
      const server = createTlsServer(options, (socket) => {
        socket
          .on("error", () => {})
          .on("data", (bytes) => {
            heard.text += bytes.toString("latin1");
          });
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      cleanup.push(() => server.close());
      heard.port = (server.address() as { port: number }).port;
      return heard;
    };
    const [ours, others] = [await listen(trusted), await listen(other)];
    const sinkTo = ({ port }: { port: number }) =>
      openFluentd({ address: { ...tcp(port), isEncrypted: true }, ...plain }, mark);
    const [good, bad] = [sinkTo(ours), sinkTo(others)];
    cleanup.push(() => good.close());
    await good.send(entry);
    await until(() => ours.text.includes("hello"), "the entry");
    await expect(bad.send(entry)).rejects.toThrow();
    expect(others.text).toBe("");
  },
);
