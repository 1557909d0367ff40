/** Who gets into the dashboard, and who does not: other pages, other users, links and sessions that are not theirs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { promisify } from "node:util";
import { DashboardServer } from "../../src/api/dashboard/server.ts";
import { Router } from "../../src/api/http/router.ts";
import { routes } from "../../src/api/http/routes.ts";
import { ApiServer } from "../support/api-server.ts";
import { eventually } from "../support/eventually.ts";
import { testIf } from "../support/test-if.ts";

let server: ApiServer;
let port: number;
/** What a browser with a session sends. */
let own: Record<string, string>;
let reader: Record<string, string>;

beforeAll(async () => {
  server = await ApiServer.start();
  const { json } = await server.request("POST", "/lighter/dashboard");
  port = json.Port;
  own = await enter(tokenIn(json.Url));
  reader = await enter(await newToken("?readonly=1"));
});

afterAll(async () => {
  await server.request("DELETE", "/lighter/dashboard");
  await server[Symbol.asyncDispose]();
});

const tokenIn = (url: string) => /#token=([\w-]{43})$/.exec(url)![1]!;
const origin = () => `http://127.0.0.1:${port}`;

async function newToken(query = ""): Promise<string> {
  return tokenIn((await server.request("POST", `/lighter/dashboard${query}`)).json.Url);
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** Sends a request to the dashboard, with the headers that are given and no others of a browser. */
function send(method: string, path: string, headers: Record<string, string> = {}, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const type: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
    const options = { host: "127.0.0.1", port, method, path, headers: { ...type, ...headers }, agent: false };
    const sent = httpRequest(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function exchange(token: string, headers: Record<string, string> = { Origin: origin() }): Promise<Answer> {
  return send("POST", "/session", headers, { token });
}

async function enter(token: string): Promise<Record<string, string>> {
  const { headers, text } = await exchange(token);
  if (headers["set-cookie"] === undefined) throw new Error(`no session: ${text}`);
  const [cookie = ""] = headers["set-cookie"]![0]!.split(";");
  return { Cookie: cookie, "X-Lighter-Key": JSON.parse(text).key };
}

const withOrigin = (headers: Record<string, string>) => ({ ...headers, Origin: origin() });

/** The status that the request for a websocket gets: 101, or a refusal. The first bytes after it, too. */
function upgrade(
  path: string,
  headers: Record<string, string>,
  message = "",
): Promise<{ status: number; rest: string }> {
  const lines = Object.entries({
    ...{ Host: `127.0.0.1:${port}`, Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Version": "13" },
    ...{ "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", ...headers },
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; rest: string }>();
  const socket = connect(port, "127.0.0.1", () => socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`));
  let text = "";
  socket.on("error", reject);
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    const head = /^HTTP\/1.1 (\d+) [\s\S]*?\r\n\r\n/.exec(text);
    if (head === null) return;
    const [status, rest] = [Number(head[1]), text.slice(head[0].length)];
    if (status === 101 && message !== "" && rest === "") return void socket.write(maskedFrame(message));
    if (status === 101 && message !== "" && !rest.includes("}")) return;
    resolve({ status, rest });
    socket.destroy();
  });
  return promise;
}

/** A text message of a client's websocket, shorter than 126 bytes. Source: RFC 6455, 5.2. */
function maskedFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

const socketHeaders = (session: Record<string, string>) => ({
  Cookie: session.Cookie!,
  "Sec-WebSocket-Protocol": `lighter, ${session["X-Lighter-Key"]}`,
});

test("the page is served to anybody, with headers that keep other pages out and everything foreign off", async () => {
  const { status, headers, text } = await send("GET", "/");
  expect([status, text]).toEqual([200, expect.stringContaining("page.js")]);
  const policy = headers["content-security-policy"]!;
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self';");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(headers).toMatchObject({
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
  });
  expect(headers["access-control-allow-origin"]).toBeUndefined();
  expect((await send("GET", "/page.js")).status).toBe(200);
  expect((await send("GET", "/../../etc/passwd")).status).toBe(404);
  expect((await send("POST", "/", { Origin: origin() })).status).toBe(405);
});

test("a session reads and changes; nobody else does", async () => {
  expect((await send("GET", "/api/containers/json", own)).status).toBe(200);
  const id = await server.create({}, "dashboard-own");
  expect((await send("DELETE", `/api/containers/${id}`, withOrigin(own))).status).toBe(204);
  expect((await send("GET", "/api/containers/json")).status).toBe(403);
});

test("half a session is none: the cookie alone, the key alone, halves of two", async () => {
  const other = await enter(await newToken());
  const halves = [
    { Cookie: own.Cookie! },
    { "X-Lighter-Key": own["X-Lighter-Key"]! },
    { Cookie: own.Cookie!, "X-Lighter-Key": other["X-Lighter-Key"]! },
    { Cookie: own.Cookie!, "X-Lighter-Key": "" },
  ];
  for (const headers of halves) expect((await send("GET", "/api/info", headers)).status).toBe(403);
});

test("a link works once, and not with another page's Origin or none", async () => {
  const token = await newToken();
  expect((await exchange(token, {})).status).toBe(403);
  expect((await exchange(token, { Origin: "http://evil.example" })).status).toBe(403);
  const first = await exchange(token);
  expect(first.status).toBe(200);
  expect(first.headers["set-cookie"]![0]).toMatch(/^lighter-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/);
  const second = await exchange(token);
  expect([second.status, second.text]).toEqual([403, expect.stringContaining("was used before")]);
  expect((await exchange("")).status).toBe(403);
  expect((await send("POST", "/session", { Origin: origin() }, { token: {} })).status).toBe(403);
  expect((await send("POST", "/session", { Origin: origin() }, [])).status).toBe(403);
});

test("a name that leads here by DNS gets nothing, not even the page", async () => {
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    "127.0.0.1",
    `127.0.0.1:${port + 1}`,
    `localhost.evil.example:${port}`,
  ]) {
    expect((await send("GET", "/", { Host: host })).status).toBe(403);
    expect((await send("GET", "/api/info", { ...own, Host: host })).status).toBe(403);
  }
  expect((await send("GET", "/", { Host: `localhost:${port}` })).status).toBe(200);
});

test("another page cannot use a browser's session: neither by Origin, nor without, nor on the same host", async () => {
  const id = await server.create({}, "dashboard-csrf");
  const path = `/api/containers/${id}`;
  for (const headers of [
    own, // no Origin at all
    { ...own, Origin: "http://evil.example" },
    { ...own, Origin: "null" },
    { ...own, Origin: `http://127.0.0.1:${port + 1}` },
    { ...own, Origin: `https://127.0.0.1:${port}` },
    { ...withOrigin(own), "Sec-Fetch-Site": "same-site" },
    { ...withOrigin(own), "Sec-Fetch-Site": "cross-site" },
    { Cookie: own.Cookie!, Origin: origin() }, // a form has no key
  ])
    expect((await send("DELETE", path, headers as Record<string, string>)).status).toBe(403);
  expect((await server.request("GET", `/containers/${id}/json`)).status).toBe(200);
  expect((await send("GET", path.concat("/json"), { ...own, "Sec-Fetch-Site": "same-site" })).status).toBe(403);
  await server.request("DELETE", `/containers/${id}`);
});

test("only what the page asks for is answered, whatever the session may", async () => {
  const body = { Image: "hello", HostConfig: { Privileged: true } };
  expect((await send("POST", "/api/containers/create", withOrigin(own), body)).status).toBe(403);
  expect((await send("POST", "/api/lighter/dashboard", withOrigin(own))).status).toBe(403);
  expect((await send("POST", "/api/v1.44/containers/create", withOrigin(own), body)).status).toBe(403);
  expect((await send("GET", "/api/containers/a%2f..%2fb/json", own)).status).toBe(403);
  expect((await send("GET", "/api//etc/passwd", own)).status).toBe(403);
  expect((await send("OPTIONS", "/api/info", withOrigin(own))).status).toBe(403);
});

test("a reader reads, and changes nothing", async () => {
  const id = await server.create({}, "dashboard-reader");
  expect((await send("GET", `/api/containers/${id}/json`, reader)).status).toBe(200);
  for (const [method, path] of [
    ["DELETE", `/api/containers/${id}`],
    ["POST", `/api/containers/${id}/start`],
    ["POST", `/api/containers/${id}/exec`],
    ["PUT", `/api/containers/${id}/archive?path=/`],
    ["POST", "/api/build/cancel?id=0123456789ab"],
    ["POST", "/api/containers/prune"],
  ] as const) {
    const { status, text } = await send(method, path, withOrigin(reader), {});
    expect([status, text]).toEqual([403, expect.stringContaining("read-only")]);
  }
  const exec = "0".repeat(64);
  const headers = { ...socketHeaders(reader), Origin: origin() };
  expect((await upgrade(`/terminal/${exec}`, headers)).status).toBe(403);
  expect((await upgrade(`/console/${id}`, headers)).status).toBe(403);
  await server.request("DELETE", `/containers/${id}`);
});

test("a websocket needs the page's Origin, its name, and a whole session", async () => {
  const good = { ...socketHeaders(own), Origin: origin() };
  const { status, rest } = await upgrade("/lighter/watch", good, '{"topic":"history","id":""}');
  expect(status).toBe(101);
  expect(rest).toContain('"topic":"history"');
  const { Cookie, "Sec-WebSocket-Protocol": protocols } = socketHeaders(own);
  for (const headers of [
    socketHeaders(own), // no Origin
    { ...good, Origin: "http://evil.example" },
    { ...good, Origin: `http://127.0.0.1:${port + 1}` },
    { ...good, Host: `evil.example:${port}` },
    { ...good, Host: `evil.example:${port}`, Origin: `http://evil.example:${port}` },
    { ...good, "Sec-Fetch-Site": "same-site" },
    { Cookie, Origin: origin() },
    { "Sec-WebSocket-Protocol": protocols, Origin: origin() },
    { ...good, "Sec-WebSocket-Protocol": "lighter, wrong" },
  ])
    expect((await upgrade("/lighter/watch", headers as Record<string, string>)).status).toBe(403);
  expect((await upgrade("/elsewhere", good)).status).toBe(403);
});

testIf(process.getuid?.() === 0, "needs root")(
  "another user of this machine gets the page and nothing else",
  async () => {
    const script = `
    const at = "http://127.0.0.1:${port}";
    const page = await fetch(at + "/");
    const info = await fetch(at + "/api/info");
    const headers = { Origin: at, "Content-Type": "application/json" };
    const body = JSON.stringify({ token: "${"A".repeat(43)}" });
    const guess = await fetch(at + "/session", { method: "POST", headers, body });
    console.log(process.getuid(), page.status, info.status, guess.status);`;
    const options = { uid: 65534, gid: 65534, cwd: "/", env: { HOME: "/tmp" } };
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script], options);
    expect(stdout.trim()).toBe("65534 200 403 403");
  },
);

test("--end ends the sessions and the server, and the next link is of a new one", async () => {
  const other = await ApiServer.start();
  try {
    const first = (await other.request("POST", "/lighter/dashboard")).json;
    expect((await other.request("DELETE", "/lighter/dashboard")).status).toBe(204);
    const refused = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(first.Port, "127.0.0.1", () => {
          socket.destroy();
          resolve(false);
        });
        socket.on("error", () => resolve(true));
      });
    await eventually(async () => expect(await refused()).toBe(true));
    expect((await other.request("DELETE", "/lighter/dashboard")).status).toBe(204);
    expect((await other.request("POST", "/lighter/dashboard?readonly=1")).json.ReadOnly).toBe(true);
    await other.request("DELETE", "/lighter/dashboard");
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test("a dashboard ends when nobody has looked for a while, and not while a page is open", async () => {
  const idle = { afterMs: 60_000, checkMs: 5 };
  const ended = Promise.withResolvers<void>();
  const dashboard = await DashboardServer.start(server.daemon, new Router(routes), ended.resolve, idle);
  const at = `http://127.0.0.1:${dashboard.port}`;
  const body = JSON.stringify({ token: tokenIn(dashboard.createLink({ readOnly: false })) });
  const answer = await fetch(`${at}/session`, {
    ...{ method: "POST", body },
    headers: { Origin: at, "Content-Type": "application/json" },
  });
  const [cookie = ""] = answer.headers.get("set-cookie")!.split(";");
  const { key } = (await answer.json()) as { key: string };
  const options = { headers: { Origin: at, Cookie: cookie }, protocols: ["lighter", key] };
  const page = new WebSocket(`${at.replace("http", "ws")}/lighter/watch`, options as never);
  await once(page, "open");
  idle.afterMs = 50; // from now on: a slow machine takes longer until the page is there
  const openedMs = performance.now();
  await eventually(() => expect(performance.now() - openedMs).toBeGreaterThan(5 * idle.afterMs));
  expect(page.readyState).toBe(WebSocket.OPEN);
  page.close();
  await ended.promise;
  await expect(fetch(at)).rejects.toThrow();
});
