/** What `kubectl exec`, `attach` and `port-forward` do, by SPDY/3.1 and by WebSocket, with processes in real pods. */
import { afterAll, beforeAll, expect } from "bun:test";
import { join } from "node:path";
import { CniPlugins } from "../support/cni-plugin.ts";
import { CriClient } from "../support/cri-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { SpdyClient } from "../support/spdy-client.ts";
import { rooted, rootedWith } from "../support/stage.ts";

let daemon: TestDaemon;
let cri: CriClient;
let pod: string;
let container: string;

beforeAll(async () => {
  daemon = await TestDaemon.start({ hostNetwork: true });
  const plugins = new CniPlugins(daemon.directory);
  plugins.add("fake", ["10.9.0.2/24"]);
  plugins.configure([{ type: "fake" }]);
  await daemon.kill();
  const cni = ["--cni-conf-dir", plugins.configDirectory, "--cni-bin-dir", plugins.binDirectory];
  await daemon.launch({}, ["--cri", `unix://${join(daemon.directory, "cri.sock")}`, ...cni]);
  cri = await CriClient.connect(join(daemon.directory, "cri.sock"));
  pod = (await cri.call("RunPodSandbox", { config: { metadata: { name: "p", uid: "u", namespace: "n" } } }))
    .podSandboxId;
  container = await start("main", "exec sleep 100000");
});

afterAll(async () => {
  cri?.[Symbol.dispose]();
  await daemon?.[Symbol.asyncDispose]();
});

async function start(name: string, script: string, more: object = {}): Promise<string> {
  const config = {
    metadata: { name },
    image: { image: "host-usr" },
    command: ["/bin/sh", "-c", script],
    mounts: [{ hostPath: "/usr", containerPath: "/usr", readonly: true }],
    ...more,
  };
  const { containerId } = await cri.call("CreateContainer", { podSandboxId: pod, config });
  await cri.call("StartContainer", { containerId });
  return containerId;
}

async function execUrl(script: string, more: object = {}): Promise<string> {
  const cmd = ["/bin/sh", "-c", script];
  return (await cri.call("Exec", { containerId: container, cmd, stdout: true, stderr: true, ...more })).url;
}

/** A client by SPDY, with its streams open. */
async function open(url: string, names: readonly string[]) {
  const client = await SpdyClient.connect(url);
  const ids: Record<string, number> = {};
  for (const name of names) ids[name] = await client.open({ streamtype: name });
  return { client, ids, all: (name: string) => client.all(ids[name]!), id: (name: string) => ids[name]! };
}

rooted("exec by SPDY: output apart, input with its end, and the exit code", async () => {
  const url = await execUrl("cat; echo err >&2; exit 3", { stdin: true });
  const { client, all, id } = await open(url, ["error", "stdin", "stdout", "stderr"]);
  client.send(id("stdin"), "hello\n");
  client.send(id("stdin"), "", true);
  expect(await all("stdout")).toBe("hello\n");
  expect(await all("stderr")).toBe("err\n");
  expect(JSON.parse(await all("error"))).toMatchObject({
    status: "Failure",
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: "3" }] },
  });
  client.close();
  const good = await open(await execUrl("true"), ["error", "stdout", "stderr"]);
  expect(JSON.parse(await good.all("error"))).toEqual({ metadata: {}, status: "Success" });
  good.client.close();
});

rooted("megabytes come through whole in both directions", async () => {
  const bytes = 6_000_000;
  const url = await execUrl("cat", { stdin: true });
  const { client, all, id } = await open(url, ["error", "stdin", "stdout", "stderr"]);
  const chunk = Buffer.alloc(30_000, "0123456789");
  for (let sent = 0; sent < bytes; sent += chunk.length) client.send(id("stdin"), chunk);
  client.send(id("stdin"), "", true);
  const received = await all("stdout");
  expect(received.length).toBe(bytes);
  expect(received.endsWith("56789")).toBe(true);
  client.close();
});

rooted("a terminal has the size that the client tells", async () => {
  const url = await execUrl("while :; do stty size; sleep 0.05; done", { stdin: true, stderr: false, tty: true });
  const { client, id } = await open(url, ["error", "stdin", "stdout", "resize"]);
  client.send(id("resize"), '{"Width":101,"Height":33}\n');
  await until(() => client.received(id("stdout")).includes("33 101\r\n"), "it has the size");
  client.send(id("stdin"), "\x03");
  expect(JSON.parse(await client.all(id("error"))).details.causes[0].message).toBe("130");
  client.close();
});

/** What comes on each channel of a WebSocket, until it is closed. `act` sends. */
async function overWebSocket(url: string, protocol: string, act: (socket: WebSocket) => void): Promise<string[]> {
  const socket = new WebSocket(url.replace("http", "ws"), [protocol]);
  socket.binaryType = "arraybuffer";
  const received: Buffer[][] = [[], [], [], []];
  const closed = Promise.withResolvers<void>();
  socket.onopen = () => act(socket);
  socket.onmessage = ({ data }) => {
    const bytes = Buffer.from(data as ArrayBuffer);
    received[bytes[0]!]!.push(bytes.subarray(1));
  };
  socket.onclose = () => closed.resolve();
  await closed.promise;
  expect(socket.protocol).toBe(protocol);
  return received.map((chunks) => Buffer.concat(chunks).toString());
}

const message = (channel: number, text: string) => Buffer.concat([Buffer.from([channel]), Buffer.from(text)]);

rooted("exec by WebSocket, whose version 5 tells the end of the input", async () => {
  const url = await execUrl("cat; echo err >&2; exit 4", { stdin: true });
  const [, out, err, status] = await overWebSocket(url, "v5.channel.k8s.io", (socket) => {
    socket.send(message(0, "typed\n"));
    socket.send(Buffer.from([255, 0]));
  });
  expect([out, err]).toEqual(["typed\n", "err\n"]);
  expect(JSON.parse(status!).details.causes[0].message).toBe("4");
  const [, four] = await overWebSocket(await execUrl("echo four"), "v4.channel.k8s.io", () => {});
  expect(four).toBe("four\n");
});

rooted("attach gets what the process writes from now on, and gives it its input", async () => {
  const attached = await start("attached", "while read line; do echo got $line; done; echo end", {
    stdin: true,
    stdinOnce: true,
  });
  const { url } = await cri.call("Attach", { containerId: attached, stdin: true, stdout: true, stderr: true });
  const { client, all, id } = await open(url, ["error", "stdin", "stdout", "stderr"]);
  client.send(id("stdin"), "a\nb\n", true);
  expect(await all("stdout")).toBe("got a\ngot b\nend\n");
  expect(JSON.parse(await all("error")).status).toBe("Success");
  client.close();
});

rootedWith("python3")("ports of the pod are reached, several at once, and a closed one is told", async () => {
  const script = `import socket
s = socket.create_server(("127.0.0.1", 8080))
while True:
    c, _ = s.accept()
    data = b""
    while chunk := c.recv(65536): data += chunk
    c.sendall(b"<" + data + b">")
    c.close()`;
  const server = await start("server", "", { command: ["/usr/bin/python3", "-c", script] });
  const { url } = await cri.call("PortForward", { podSandboxId: pod, port: [8080] });
  const client = await SpdyClient.connect(url, "portforward.k8s.io");
  expect(client.head).toStartWith("HTTP/1.1 101 ");
  const pair = async (requestid: string, port: string) => ({
    error: await client.open({ streamtype: "error", port, requestid }),
    data: await client.open({ streamtype: "data", port, requestid }),
  });
  const refused = await pair("0", "9");
  expect(await client.all(refused.error)).toContain("an error occurred forwarding 9");
  await until(async () => {
    const tried = await pair(`try-${Math.random()}`, "8080");
    client.send(tried.data, "", true);
    return (await client.all(tried.data)) === "<>";
  }, "the server listens");
  const pairs = [await pair("1", "8080"), await pair("2", "8080")];
  for (const [index, { data }] of pairs.entries()) client.send(data, `request ${index}`);
  for (const { data } of pairs) client.send(data, "", true);
  expect(await Promise.all(pairs.map(({ data }) => client.all(data)))).toEqual(["<request 0>", "<request 1>"]);
  client.close();
  await cri.call("RemoveContainer", { containerId: server });
});

rootedWith("python3")(
  "a hundred connections at once, with halves that end apart, and a client that vanishes",
  async () => {
    const script = `import socket, threading
sockets, last = set(), b""
def serve(c):
    global last
    sockets.add(c)
    data = b""
    try:
        while chunk := c.recv(65536):
            data += chunk
            if data == b"how many": c.sendall(str(len(sockets)).encode())
            if data == b"say no more":
                c.sendall(b"bye")
                c.shutdown(socket.SHUT_WR)
            if data == b"what": c.sendall(last)
        if data.startswith(b"say"): last = data
        if data.startswith(b"request"): c.sendall(b"<" + data + b">")
    except ConnectionError: pass
    sockets.remove(c)
    c.close()
s = socket.create_server(("127.0.0.1", 8081), backlog=128)
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()`;
    const busy = await start("busy", "", { command: ["/usr/bin/python3", "-c", script] });
    const forward = async () =>
      await SpdyClient.connect(
        (await cri.call("PortForward", { podSandboxId: pod, port: [8081] })).url,
        "portforward.k8s.io",
      );
    const pair = async (client: SpdyClient, requestid: string) => {
      const error = await client.open({ streamtype: "error", port: "8081", requestid });
      client.send(error, "", true);
      return await client.open({ streamtype: "data", port: "8081", requestid });
    };
    const client = await forward();
    const ask = async (question: string) => {
      const stream = await pair(client, `ask-${Math.random()}`);
      client.send(stream, question, true);
      return await client.all(stream);
    };
    await until(async () => (await ask("how many")) === "1", "the server listens");

    const many: number[] = [];
    while (many.length < 100) many.push(await pair(client, `${many.length}`));
    for (const [index, stream] of many.entries()) client.send(stream, `request ${index}, `);
    await until(async () => (await ask("how many")) === "101", "all are there");
    for (const stream of many.toReversed()) client.send(stream, "x".repeat(10_000), true);
    const answers = await Promise.all(many.map((stream) => client.all(stream)));
    expect(answers).toEqual(many.map((_, index) => `<request ${index}, ${"x".repeat(10_000)}>`));

    const half = await pair(client, "half");
    client.send(half, "say no more");
    expect(await client.all(half)).toBe("bye");
    client.send(half, ", and hear", true);
    await until(async () => (await ask("what")) === "say no more, and hear", "it hears after it has said all");

    const lost = await forward();
    for (let index = 0; index < 20; index++) lost.send(await pair(lost, `${index}`), "request");
    await until(async () => (await ask("how many")) === "21", "all are there");
    lost.close();
    await until(async () => (await ask("how many")) === "1", "nobody is there any more");
    client.close();
    await cri.call("RemoveContainer", { containerId: busy });
  },
);

rooted("a URL is good for one client; what is no stream is refused, and hurts nobody", async () => {
  const url = await execUrl("true");
  const first = await open(url, ["error", "stdout", "stderr"]);
  await first.all("error");
  first.client.close();
  const second = await SpdyClient.connect(url);
  expect(second.head).toStartWith("HTTP/1.1 404 ");
  second.close();
  const old = await SpdyClient.connect(await execUrl("true"), "channel.k8s.io");
  expect(old.head).toStartWith("HTTP/1.1 403 ");
  old.close();
  const hostile = await SpdyClient.connect(await execUrl("true"));
  hostile.raw(Buffer.from("8003000100ffffff".repeat(20), "hex"));
  await hostile.closed();
  expect(await cri.failure("Exec", { containerId: container, cmd: [], stdout: true })).toMatchObject({ code: 3 });
  expect(await cri.failure("Exec", { containerId: container, cmd: ["x"] })).toMatchObject({ code: 3 });
  expect(await cri.failure("PortForward", { podSandboxId: "none" })).toMatchObject({ code: 5 });
});
