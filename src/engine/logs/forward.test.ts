import { afterEach, beforeEach, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerInMemory } from "../../../tests/support/container-record.ts";
import { formatRfc3339 } from "../../base/time.ts";
import { parseLogConfig } from "../config/log.ts";
import type { Container } from "../container.ts";
import { EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { LogForwarder } from "./forward.ts";
import { encodeJournal } from "./journald.ts";
import { formatSyslog } from "./syslog.ts";

const entry = { stream: "stdout", log: "hello\n", time: "2026-03-04T05:06:07.123456789Z" } as const;

test("syslog messages are as Docker's driver has them", () => {
  const mark = { tag: "web", hostname: "h", pid: 7 };
  const format = (name: string, stream: "stdout" | "stderr" = "stdout") =>
    formatSyslog(parseLogConfig({ Type: "syslog", Config: { "syslog-format": name } }).syslog!, mark, {
      ...entry,
      stream,
    });
  expect(format("")).toBe("<30>Mar  4 05:06:07 web[7]: hello");
  expect(format("", "stderr")).toBe("<27>Mar  4 05:06:07 web[7]: hello");
  expect(format("rfc3164")).toBe("<30>Mar  4 05:06:07 h web[7]: hello");
  expect(format("rfc5424")).toBe("<30>1 2026-03-04T05:06:07Z h web 7 web - hello");
  expect(format("rfc5424micro")).toBe("<30>1 2026-03-04T05:06:07.123456Z h web 7 web - hello");
});

test("journal messages have Docker's fields; a value with a line break has its length before it", () => {
  const container = { id: "0123456789abcdef", name: "web", imageName: "debian", imageId: "sha256:0", config: {} };
  const mark = { container, tag: "t", attributes: { "my.label": "a\nb", message: "not this", _: "nor this" } };
  expect(encodeJournal(mark, entry).toString("latin1")).toBe(
    "MESSAGE=hello\nPRIORITY=6\nCONTAINER_ID=0123456789ab\nCONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_NAME=web\n" +
      "CONTAINER_TAG=t\nIMAGE_NAME=debian\nSYSLOG_IDENTIFIER=t\nSYSLOG_TIMESTAMP=2026-03-04T05:06:07.123456789Z\n" +
      "MY_LABEL\n\x03\0\0\0\0\0\0\0a\nb\n",
  );
  expect(encodeJournal(mark, { ...entry, log: "part" }).toString("latin1")).toContain(
    "CONTAINER_PARTIAL_MESSAGE=true\n",
  );
});

let directory: string;
let paths: ReturnType<EnginePaths["container"]>;
const cleanup: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-forward-"));
  paths = { ...new EnginePaths(directory, directory).container("c"), directory, log: join(directory, "log") };
});
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
  rmSync(directory, { recursive: true });
});

function containerFor(address: string): Container {
  const hostConfig = { LogConfig: { Type: "syslog", Config: { "syslog-address": address, tag: "t" } } };
  const record = { id: "c", name: "n", image: "i", imageId: "sha256:0", status: "exited", startedAt: entry.time };
  return containerInMemory({ ...record, config: {}, hostConfig, mountPoints: [] } as unknown as ContainerRecord);
}

function line(text: string, ns: bigint): string {
  return `${JSON.stringify({ log: `${text}\n`, stream: "stdout", time: formatRfc3339(ns) })}\n`;
}

/** Collects lines; `until(n)` resolves when n have come. */
class SyslogServer {
  readonly texts: string[] = [];
  #wake = () => {};
  server: Server | undefined;

  take(message: string): void {
    this.texts.push(message.replace(/^.*?: /, ""));
    this.#wake();
  }

  async until(count: number): Promise<string[]> {
    while (this.texts.length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.texts;
  }

  async listenTcp(port = 0): Promise<number> {
    this.server = createServer((socket) => {
      let rest = "";
      socket.on("data", (chunk) => {
        const lines = (rest + chunk.toString()).split("\n");
        rest = lines.pop() ?? "";
        for (const each of lines) this.take(each);
      });
    });
    await new Promise<void>((resolve) => this.server?.listen(port, "127.0.0.1", resolve));
    cleanup.push(() => this.server?.close());
    return (this.server.address() as { port: number }).port;
  }
}

test("a log is sent once, goes on where an earlier daemon was, and waits for a server that is away", async () => {
  // Several entries of one time, as a clock of milliseconds makes them: the cursor counts those.
  writeFileSync(paths.log, line("1", 5n) + line("2", 5n));
  const first = new SyslogServer();
  const port = await first.listenTcp();
  const container = containerFor(`tcp://127.0.0.1:${port}`);
  const forwarder = new LogForwarder();
  forwarder.begin(container, paths);
  await forwarder.finish(container);
  expect(await first.until(2)).toEqual(["1", "2"]);
  await new Promise((resolve) => first.server?.close(resolve));

  appendFileSync(paths.log, line("3", 5n) + line("4", 6n));
  const next = new LogForwarder(); // of the next daemon, while nobody listens
  next.begin(container, paths);
  const second = new SyslogServer();
  await second.listenTcp(port);
  expect(await second.until(2)).toEqual(["3", "4"]);
  await next.finish(container);
  await next.stop();
});

test("UDP takes datagrams", async () => {
  writeFileSync(paths.log, line("over UDP", 5n));
  const server = new SyslogServer();
  const socket = createSocket("udp4", (message) => server.take(message.toString()));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  cleanup.push(() => socket.close());
  const container = containerFor(`udp://127.0.0.1:${socket.address().port}`);
  const forwarder = new LogForwarder();
  forwarder.begin(container, paths);
  expect(await server.until(1)).toEqual(["over UDP"]);
  await forwarder.finish(container);
});
