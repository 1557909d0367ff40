import { afterEach, expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** Log drivers as users of the API see them, with real containers. */

const rooted = testIf(isRoot, "needs root");
const cleanup: (() => unknown)[] = [];

afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** A syslog server on TCP: `until(text)` resolves when a message ends with it. */
async function syslogServer() {
  const messages: string[] = [];
  let wake = () => {};
  const server = createServer((socket) => {
    let rest = "";
    socket.on("data", (chunk) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      messages.push(...lines);
      wake();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.push(() => server.close());
  const until = async (text: string) => {
    while (!messages.some((message) => message.endsWith(text))) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
  };
  return { messages, until, port: (server.address() as { port: number }).port };
}

rooted("syslog: sent on while the container runs, after the daemon was killed, and before a removal", async () => {
  await using daemon = await TestDaemon.start({ hostNetwork: true });
  const { messages, until, port } = await syslogServer();
  const LogConfig = {
    Type: "syslog",
    Config: { "syslog-address": `tcp://127.0.0.1:${port}`, tag: "{{.Name}}", "syslog-format": "rfc5424" },
  };
  const script = "echo one; read line; echo two; read line; echo three >&2";
  const body = {
    Cmd: ["/bin/sh", "-c", script],
    OpenStdin: true,
    HostConfig: { ...hostUsr, LogConfig, AutoRemove: true },
  };
  const id = await daemon.create(body, "logged");
  const attach = async () => (await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1`)).socket;
  await daemon.request("POST", `/containers/${id}/start`);
  await until("logged - one");
  (await attach()).write("\n");
  await until("logged - two");
  await daemon.kill();
  await daemon.launch();
  (await attach()).write("\n");
  await until("logged - three");
  // At least once: what the killed daemon had sent and not yet written down comes again.
  const texts = new Set(messages.map((message) => message.replace(/^<(\d+)>.* - /, "$1 ")));
  expect([...texts]).toEqual(["30 one", "30 two", "27 three"]);
});

/** A server on TCP that keeps what it is told. */
async function collector() {
  const heard = { text: "", port: 0 };
  const server = createServer((socket) => {
    socket.on("data", (bytes) => {
      heard.text += bytes.toString("latin1");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanup.push(() => server.close());
  heard.port = (server.address() as { port: number }).port;
  return heard;
}

rooted(
  "fluentd and gelf get what a container says, once they are there; a removal does not wait for one that is away",
  async () => {
    await using daemon = await TestDaemon.start({ hostNetwork: true });
    const [fluentd, gelf, away] = [await collector(), await collector(), await collector()];
    await cleanup.pop()?.();
    const run = async (Type: string, Config: Record<string, string>) => {
      const HostConfig = { ...hostUsr, LogConfig: { Type, Config } };
      return await daemon.run({ Cmd: ["/bin/echo", `said by ${Type}`], HostConfig });
    };
    const ids = [
      await run("fluentd", { "fluentd-address": `127.0.0.1:${fluentd.port}`, tag: "docker.{{.Name}}" }),
      await run("gelf", { "gelf-address": `tcp://127.0.0.1:${gelf.port}` }),
      await run("fluentd", { "fluentd-address": `127.0.0.1:${away.port}` }),
    ];
    await until(() => fluentd.text.includes("\xa3log\xafsaid by fluentd"), "fluentd has it");
    await until(() => gelf.text.includes('"short_message":"said by gelf"'), "gelf has it");
    for (const id of ids) {
      await daemon.request("POST", `/containers/${id}/wait`);
      expect((await daemon.request("DELETE", `/containers/${id}`)).status).toBe(204);
    }
  },
);

rooted("local is read like json-file; details show the labels and variables that options pick", async () => {
  await using daemon = await TestDaemon.start();
  const run = async (LogConfig: object) => {
    const body = { Cmd: ["/bin/echo", "said"], Env: ["A=x y"], Labels: { b: "c" }, Tty: true };
    const id = await daemon.run({ ...body, HostConfig: { ...hostUsr, LogConfig } });
    await daemon.request("POST", `/containers/${id}/wait`);
    return id;
  };
  const logs = async (id: string, query = "") =>
    (await daemon.request("GET", `/containers/${id}/logs?stdout=1${query}`)).text;
  expect(await logs(await run({ Type: "local", Config: {} }))).toBe("said\r\n");
  const id = await run({ Type: "json-file", Config: { labels: "b", env: "A", tag: "t" } });
  expect(await logs(id, "&details=1")).toBe("A=x+y,b=c,tag=t said\r\n");
  expect(await logs(id)).toBe("said\r\n");
});

rooted("a log that names no limit is rotated at 10 MB, five files", async () => {
  await using daemon = await TestDaemon.start();
  // 62 MB of output are 65 MB of log, of which five files of 10 MB stay.
  const script = "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 62000000";
  const id = await daemon.run({ Cmd: ["/bin/sh", "-c", script], HostConfig: hostUsr });
  await daemon.request("POST", `/containers/${id}/wait`);
  const path = join(daemon.dataRoot, "containers", id, `${id}-json.log`);
  const sizes = ["", ".1", ".2", ".3", ".4", ".5"].map((end) =>
    existsSync(path + end) ? readFileSync(path + end).length : undefined,
  );
  expect(sizes[5]).toBeUndefined();
  for (const size of sizes.slice(1, 5)) expect(size! >= 9_000_000 && size! < 11_000_000).toBe(true);
});

/** Of one stream, as the client gets it. */
function withoutFrames(text: string): string {
  return text.replaceAll(/\x01\0\0\0[\s\S]{4}/g, "");
}

rooted(
  "compressed files are read with the others, by tail, since and follow, and damage ends what is read of them",
  async () => {
    await using daemon = await TestDaemon.start();
    const lines = 6000;
    const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line $i; done; read go; echo last`;
    const LogConfig = { Type: "json-file", Config: { compress: "true", "max-size": "20k", "max-file": "40" } };
    const body = { Cmd: ["/bin/sh", "-c", script], OpenStdin: true, HostConfig: { ...hostUsr, LogConfig } };
    const id = await daemon.run(body);
    const directory = join(daemon.dataRoot, "containers", id);
    const numbers = (pattern: RegExp) => readdirSync(directory).filter((name) => pattern.test(name)).length;
    const expected = Array.from({ length: lines }, (_, index) => `line ${index + 1}\n`);
    const logs = async (query = "") =>
      withoutFrames((await daemon.request("GET", `/containers/${id}/logs?stdout=1${query}`)).text);
    const followed = daemon.request("GET", `/containers/${id}/logs?stdout=1&follow=1`);
    await until(async () => (await logs("&tail=1")) === `line ${lines}\n`, "all is written");
    await until(() => numbers(/\.log\.\d+$/) === 0 && numbers(/\.log\.\d+\.gz$/) > 3, "what is rotated is compressed");
    expect(await logs()).toBe(expected.join(""));
    for (const tail of [2, 300, 2500, 5000]) expect(await logs(`&tail=${tail}`)).toBe(expected.slice(-tail).join(""));
    const [, time] = /^(\S+) line 1500$/m.exec(await logs("&timestamps=1"))!;
    expect(await logs(`&since=${time}&until=${time}`)).toContain("line 1500\n");
    expect(await logs(`&since=${time}`)).toEndWith(expected.slice(1499).join(""));

    (await daemon.hijack(`/containers/${id}/attach?stream=1&stdin=1`)).socket.write("\n");
    expect(withoutFrames((await followed).text)).toBe(`${expected.join("")}last\n`);

    const damaged = join(directory, `${id}-json.log.2.gz`);
    writeFileSync(damaged, readFileSync(damaged).subarray(0, 200));
    const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1`);
    const [read = "", error = ""] = text.split(/\x03\0\0\0[\s\S]{4}/);
    expect(error).toBe(
      `Error grabbing logs: error decompressing log file "${damaged}": gzip data is corrupt or cut short\n`,
    );
    expect(withoutFrames(read)).toStartWith(expected.slice(0, 200).join(""));
    expect(withoutFrames(read)).toEndWith(`${expected.slice(-100).join("")}last\n`);
  },
);
