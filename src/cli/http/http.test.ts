import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiError, DaemonUnreachable } from "../exit.ts";
import { Client, encodeName, encodeQuery } from "./client.ts";
import { resolveHost } from "./host.ts";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** A server that hands every connection's bytes so far to `respond`. */
async function serve(respond: (request: string, socket: Socket) => void): Promise<Client> {
  const folder = mkdtempSync(join(tmpdir(), "lighter-http-"));
  const path = join(folder, "s.sock");
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    let request = "";
    socket.on("data", (bytes) => {
      request += bytes.toString("latin1");
      respond(request, socket);
      if (request.endsWith("\r\n\r\n")) request = "";
    });
    socket.on("end", () => socket.end());
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return new Client(resolveHost(undefined, { DOCKER_HOST: `unix://${path}` }));
}

const json = (status: number, body: string) =>
  `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

test("requests follow one another on one connection", async () => {
  const seen = new Set<Socket>();
  const client = await serve((_request, socket) => {
    seen.add(socket);
    socket.write(json(200, '{"a":1}'));
  });
  for (let i = 0; i < 3; i++) expect(await client.get<unknown>("/x", { q: "ä b" })).toEqual({ a: 1 });
  expect(seen.size).toBe(1);
});

test("an upload whose source fails ends the connection and is told as the source puts it", async () => {
  let ended = false;
  const client = await serve((_request, socket) => {
    socket.once("close", () => {
      ended = true;
    });
  });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(10);
    throw new Error("the disk is gone");
  }
  const stream = { contentType: "application/x-tar", chunks: chunks() };
  await expect(client.request({ method: "POST", path: "/x", stream })).rejects.toThrow("the disk is gone");
  while (!ended) await Bun.sleep(1);
});

test("what is written after the peer has gone fails, also if nobody has noticed that yet", async () => {
  let peer: Socket | undefined;
  const client = await serve((_request, socket) => {
    peer = socket;
    socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  });
  const { connection } = await client.request({ method: "POST", path: "/x", upgrade: true });
  peer?.destroy(); // the write comes before the event
  await expect(connection.write(new Uint8Array(1))).rejects.toThrow("the daemon closed the connection");
});

test("a list in a query gives its name for each item", () => {
  expect(encodeQuery({ a: ["x y", "z"], b: [], c: undefined, d: "" })).toBe("?a=x%20y&a=z&d=");
});

test("a connection the server has closed is not used again", async () => {
  const client = await serve((_request, socket) => socket.end(`${json(200, "[]")}`));
  expect(await client.get<unknown>("/x")).toEqual([]);
  expect(await client.get<unknown>("/x")).toEqual([]);
});

test("an error status becomes the daemon's message", async () => {
  const client = await serve((_request, socket) => socket.write(json(404, '{"message":"No such container: x"}')));
  const error = await client.get("/x").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ status: 404, message: "Error response from daemon: No such container: x" });
});

test("an upload refused half-way ends with the server's answer", async () => {
  const client = await serve((request, socket) => {
    if (request.includes("\r\n\r\n")) socket.end(json(400, '{"message":"not a tar"}'));
  });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 1000; i++) yield new Uint8Array(64 * 1024);
  }
  const request = { method: "POST", path: "/images/load", stream: { contentType: "x", chunks: chunks() } } as const;
  await expect(client.request(request)).rejects.toThrow("Error response from daemon: not a tar");
});

test("an upgrade carries bytes both ways until both sides have ended", async () => {
  const client = await serve((request, socket) => {
    if (request.startsWith("POST")) socket.write("HTTP/1.1 101 UPGRADED\r\n\r\nhello ");
    else socket.write(request.toUpperCase());
  });
  const response = await client.request({ method: "POST", path: "/attach", upgrade: true });
  await response.connection.write(new TextEncoder().encode("world"));
  let text = "";
  while (text !== "hello WORLD") text += Buffer.from((await response.read()) ?? []).toString();
  response.connection.shutdownWrite();
  expect(await response.read()).toBeUndefined();
});

test("a server that goes away in the middle is an error, not an end", async () => {
  const client = await serve((_request, socket) => socket.end("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc"));
  await expect(client.get("/x")).rejects.toThrow("the connection ended early");
});

test("closing a stream wakes whoever reads it", async () => {
  const client = await serve((_request, socket) => socket.write("HTTP/1.1 101 UPGRADED\r\n\r\n"));
  const response = await client.request({ method: "POST", path: "/attach", upgrade: true });
  const reading = response.read();
  response.connection.close();
  await expect(reading).rejects.toThrow("the daemon closed the connection");
});

test("a slow reader pauses the server instead of filling memory", async () => {
  const total = 64 * 1024 * 1024;
  let taken = 0;
  const client = await serve((_request, socket) => {
    socket.write(`HTTP/1.1 200 X\r\nContent-Length: ${total}\r\n\r\n`);
    const piece = Buffer.alloc(1024 * 1024);
    const more = () => {
      while (taken < total) {
        taken += piece.length;
        if (!socket.write(piece)) return void socket.once("drain", more);
      }
    };
    more();
  });
  const response = await client.request({ method: "GET", path: "/x" });
  await response.read();
  await Bun.sleep(100); // time in which an unpaused socket would take it all
  expect(taken).toBeLessThan(total / 2);
  let received = 0;
  for (let piece = await response.read(); piece !== undefined; piece = await response.read()) received += piece.length;
  expect(received).toBeGreaterThan(total / 2);
});

test("an older daemon is asked again, in its own version, and from then on", async () => {
  const paths: string[] = [];
  const client = await serve((request, socket) => {
    const path = request.split(" ")[1]!;
    paths.push(path);
    const message = "client version 1.45 is too new. Maximum supported API version is 1.41";
    socket.write(path.startsWith("/v1.41/") ? json(200, "{}") : json(400, JSON.stringify({ message })));
  });
  await client.get("/x");
  await client.get("/y");
  expect(paths).toEqual(["/v1.45/x", "/v1.41/x", "/v1.41/y"]);
  await client.get("/lighter/z").catch(() => {});
  expect(paths.at(-1)).toBe("/lighter/z");
});

test.each(["1.45", "1.46", "2.1"])(
  "a daemon that asks for %s again and again is not asked again and again",
  async (version) => {
    let requests = 0;
    const client = await serve((_request, socket) => {
      requests++;
      const message = `client version 1.45 is too new. Maximum supported API version is ${version}`;
      socket.write(json(400, JSON.stringify({ message })));
    });
    expect(await client.get("/x").catch((error: unknown) => error)).toBeInstanceOf(ApiError);
    expect(requests).toBe(1);
  },
);

test("nobody there: the address and what to ask oneself; DOCKER_HOST starts nothing", async () => {
  const client = new Client(resolveHost(undefined, { DOCKER_HOST: "unix:///nonexistent/x.sock" }));
  const error = await client.get("/x").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DaemonUnreachable);
  expect(error).toMatchObject({
    message: "Cannot connect to the Lighter daemon at unix:///nonexistent/x.sock. Is the lighter daemon running?",
  });
});

test("resolveHost: -H, then LIGHTER_HOST, then DOCKER_HOST, then the default; a daemon is ours unless DOCKER_HOST says so", () => {
  const env = { LIGHTER_HOST: "unix:///l", DOCKER_HOST: "unix:///d" };
  const roots = { LIGHTER_DATA_ROOT: "/data", LIGHTER_EXEC_ROOT: "/exec" };
  for (const [flag, path] of [
    ["unix:///h", "/h"],
    [undefined, "/l"],
  ] as const) {
    const ours = { name: `unix://${path}`, address: { unix: path }, mayBeOurs: true };
    expect(resolveHost(flag, { ...env, ...roots })).toEqual({ ...ours, startSocketPath: path });
    for (const some of [{}, { LIGHTER_DATA_ROOT: "/data" }, { LIGHTER_EXEC_ROOT: "/exec" }])
      expect(resolveHost(flag, { ...env, ...some })).toEqual(ours);
  }
  expect(resolveHost(undefined, { DOCKER_HOST: "unix:///d" })).toMatchObject({ mayBeOurs: false });
  expect(resolveHost(undefined, { DOCKER_HOST: "unix:///d" })).not.toHaveProperty("startSocketPath");
  expect(resolveHost(undefined, {}).startSocketPath).toBe("/run/lighter/lighter.sock");
  expect(resolveHost("tcp://h:1", {})).toEqual({ name: "tcp://h:1", address: { hostname: "h", port: 1 } });
  expect(resolveHost("tcp://[::1]", {}).address).toEqual({ hostname: "::1", port: 2375 });
  for (const bad of ["/x", "./x", "tcp://h:x", "http://h:1", "tcp://h:1/v1", "fd://"])
    expect(() => resolveHost(bad, {})).toThrow("parse");
  for (const [text, name] of [
    ["", "unix:///run/lighter/lighter.sock"],
    ["h", "tcp://h:2375"],
    ["h:9", "tcp://h:9"],
    [":9", "tcp://localhost:9"],
    ["[::1]:9", "tcp://[::1]:9"],
    ["tcp://", "tcp://localhost:2375"],
  ] as const)
    expect(resolveHost(text, {}).name, text).toBe(name);
});

test("resolveHost: ssh:// is a command; what it cannot say is refused in Docker's words", () => {
  const command = (text: string) => (resolveHost(text, {}).address as { ssh: string[] }).ssh;
  const ssh = ["ssh", "-o", "ConnectTimeout=30", "-T"];
  const dial = (how: string) =>
    `sh -c 'if command -v lighter >/dev/null; then exec lighter ${how}; else exec docker ${how}; fi'`;
  expect(command("ssh://h")).toEqual([...ssh, "--", "h", dial("system dial-stdio")]);
  expect(command("ssh://u@[fe80::1]:22/run/l.sock")).toEqual([
    ...ssh,
    "-l",
    "u",
    "-p",
    "22",
    "--",
    "fe80::1",
    dial("--host unix:///run/l.sock system dial-stdio"),
  ]);
  for (const [text, why] of [
    ["ssh://", "no host specified"],
    ["ssh://u:p@h", "plain-text password is not supported"],
    ["ssh://h?x", 'extra query after the host: "x"'],
    ["ssh://h#x", 'extra fragment after the host: "x"'],
    ["ssh://h:22x", "unable to parse"],
    ["ssh://h/a';b", "a path that needs no quotes"],
  ] as const)
    expect(() => command(text)).toThrow(`ssh host connection is not valid: ${why}`);
});

test("resolveHost: TLS by flag or by Docker's variables, for TCP only", () => {
  const directory = mkdtempSync(join(tmpdir(), "lighter-cli-tls-"));
  try {
    const env = { DOCKER_CERT_PATH: directory };
    const verifying = { ...env, DOCKER_TLS_VERIFY: "1" };
    const address = { hostname: "h", port: 2376 };
    // Without files: the authorities that everybody trusts, and no certificate of ours.
    expect(resolveHost("tcp://h", verifying).address).toEqual({ ...address, tls: { verify: true } });
    expect(resolveHost("unix:///u", verifying).address).toEqual({ unix: "/u" });
    for (const name of ["ca", "cert"]) writeFileSync(join(directory, `${name}.pem`), name);
    expect(() => resolveHost("tcp://h", verifying)).toThrow("go together");
    writeFileSync(join(directory, "key.pem"), "key");
    const [ca, cert, key] = [Buffer.from("ca"), Buffer.from("cert"), Buffer.from("key")];
    expect(resolveHost("tcp://h", verifying).address).toEqual({ ...address, tls: { verify: true, ca, cert, key } });
    // --tls alone does not ask who the server is.
    expect(resolveHost("tcp://h", env, { tls: true }).address).toEqual({
      ...address,
      tls: { verify: false, cert, key },
    });
    expect(resolveHost("tcp://h", verifying, { tlsverify: false }).address).toEqual({ hostname: "h", port: 2375 });
    expect(() => resolveHost("tcp://h", verifying, { tlscacert: "/nonesuch" })).toThrow('"/nonesuch"');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("names and queries are encoded for the path", () => {
  expect(encodeName("localhost:5000/a/b:t@sha256:0")).toBe("localhost:5000/a/b:t@sha256:0");
  expect(encodeName("a?b#c d\r\n")).toBe("a%3Fb%23c%20d%0D%0A");
  expect(encodeQuery({ a: "1&2", b: undefined, c: "" })).toBe("?a=1%262&c=");
  expect(encodeQuery({ a: undefined })).toBe("");
});
