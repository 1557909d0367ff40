import { afterEach, beforeEach, expect } from "bun:test";
import { routes } from "../../src/api/http/routes.ts";
import type { RawConnection } from "../support/api-client.ts";
import { ApiServer } from "../support/api-server.ts";
import { Random } from "../support/random.ts";
import { testIf } from "../support/test-if.ts";

/** Requests of every shape: each gets an answer that is no bug of ours, and the server lives on. */

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 2000);
const rooted = testIf(process.getuid?.() === 0, "needs root");

let api: ApiServer;
/** What nobody caught: a bug, whatever the answer was. */
const uncaught: unknown[] = [];
const onUncaught = (error: unknown) => void uncaught.push(error);

beforeEach(async () => {
  process.on("uncaughtException", onUncaught).on("unhandledRejection", onUncaught);
  if (process.getuid?.() === 0) api = await ApiServer.start();
});

afterEach(async () => {
  process.off("uncaughtException", onUncaught).off("unhandledRejection", onUncaught);
  await api?.[Symbol.asyncDispose]();
});

const WORDS = ["", "0", "1", "-1", "web", "a", "hello", "none", "%00", "%2F..%2F", "ü", "true", "null", "9".repeat(30)];
const QUERIES = [
  ..."all limit size filters name platform t signal condition v force link h w follow stdout stderr".split(" "),
  ..."since until tail timestamps stream stdin logs detachKeys quiet one-shot ps_args".split(" "),
];
const FIELDS = [
  ..."Image Cmd Entrypoint Env Tty OpenStdin StdinOnce User WorkingDir Labels Volumes HostConfig Detach".split(" "),
  ..."AttachStdout ConsoleSize Privileged Memory Binds Mounts NetworkMode AutoRemove LogConfig __proto__".split(" "),
  ..."MemorySwap PidsLimit CpusetCpus RestartPolicy Name MaximumRetryCount Healthcheck Test Interval".split(" "),
  ..."NetworkingConfig EndpointsConfig EndpointConfig IPAMConfig IPv4Address Aliases Links MacAddress DriverOpts".split(
    " ",
  ),
  ..."Container Force ExposedPorts PortBindings PublishAllPorts HostIp HostPort ExtraHosts bridge 80/tcp 9-8/x".split(
    " ",
  ),
];
const VALUES = [
  null,
  true,
  0,
  -1,
  1e300,
  "",
  "hello",
  "\0",
  [],
  [null],
  ["a"],
  {},
  { a: 1 },
  { Type: "none" },
  [[]],
  "10.0.0.1",
  "8080-8082",
  "a:b",
];

function anyBody(random: Random, depth = 0): unknown {
  if (depth > 2 || random.below(4) === 0) return random.pick(VALUES);
  const body: Record<string, unknown> = random.below(2) === 0 ? { Image: "hello" } : {};
  for (let count = random.below(4); count > 0; count--) body[random.pick(FIELDS)] = anyBody(random, depth + 1);
  return body;
}

function anyQuery(random: Random): string {
  const parts: string[] = [];
  for (let count = random.below(4); count > 0; count--) {
    const value =
      random.below(6) === 0 ? encodeURIComponent(JSON.stringify(anyBody(random))) : encodeURI(random.pick(WORDS));
    parts.push(`${random.pick(QUERIES)}=${value}`);
  }
  return parts.join("&");
}

function anyRequest(random: Random, ids: readonly string[]): string {
  const route = random.pick(routes);
  const path = route.path.replace(/\{.*?\}/g, () =>
    random.below(3) > 0 ? random.pick(ids) : encodeURI(random.pick(WORDS)),
  );
  const body = random.below(3) === 0 ? "" : JSON.stringify(anyBody(random));
  const headers = ["Host: d", "Connection: close", `Content-Length: ${Buffer.byteLength(body)}`];
  if (random.below(5) > 0) headers.push("Content-Type: application/json");
  if (random.below(4) === 0) headers[1] = "Connection: Upgrade\r\nUpgrade: tcp";
  const version = random.pick(["", "", "/v1.51", "/v1.30", "/v1.99"]);
  return `${route.method} ${version}${path}?${anyQuery(random)} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n${body}`;
}

/** Where a bad request is answered with 500 because Docker does so. */
const DOCKERS_500 = new RegExp(
  [
    /Container \w+ is not paused|Couldn't find PID field|"ps: |specifying \\"|Unexpected pid|/,
    /error while looking up for (expose|publish)|cannot remove the default link name|Cannot link to a non running|/,
    /is not connected to|cannot join own network|do not support custom mac|failed to allocate|/,
    /parent interface|existing interface|invalid subinterface|vlan id|marked read-only|extraction point|/,
    /cannot overwrite|is outside of|: dial tcp/,
  ]
    .map(({ source }) => source)
    .join(""),
);

/** "" if none comes soon: some requests wait for something that will not happen here. */
async function statusOf(connection: RawConnection): Promise<string> {
  const head = connection
    .until((text) => text.includes("\r\n\r\n"))
    .then(
      () => connection.text,
      () => connection.text,
    );
  const late = new Promise<string>((resolve) => setTimeout(resolve, 250, ""));
  const text = await Promise.race([head, late]);
  connection.socket.destroy();
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? text;
  return status === "500" && DOCKERS_500.test(text) ? "500 as Docker" : status;
}

async function expectAlive(what: string): Promise<void> {
  expect((await api.request("GET", "/_ping")).text, `alive after ${what}`).toBe("OK");
  expect(uncaught, `nothing uncaught after ${what}`).toEqual([]);
}

/** One that is created, two that run, and an exec; and the image, which a request may have removed. */
async function someContainers(): Promise<string[]> {
  if ((await api.request("GET", "/images/hello/json")).status === 404) await api.restart();
  const running = await api.run({ OpenStdin: true });
  const exec = await api.request("POST", `/containers/${running}/exec`, { Cmd: ["x"], AttachStdout: true });
  return [await api.create(), running, await api.run({ Tty: true }), exec.json.Id];
}

rooted("any well-formed request gets an answer that is not 500", async () => {
  const random = Random.fromEnvironment("api requests");
  const end = Date.now() + BUDGET_MS;
  let ids: string[] = [];
  for (let count = 0; Date.now() < end; count++) {
    if (count % 100 === 0) ids = await someContainers();
    const request = anyRequest(random, ids);
    const status = await statusOf(await api.open(request));
    expect(status, request).toMatch(/^([1234]\d\d|500 as Docker|501|503|)$/);
    await expectAlive(request);
  }
});

rooted("bytes that are nearly a request do no harm", async () => {
  const random = Random.fromEnvironment("api bytes");
  const end = Date.now() + BUDGET_MS;
  let ids: string[] = [];
  for (let count = 0; Date.now() < end; count++) {
    if (count % 100 === 0) ids = await someContainers();
    const bytes = Buffer.from(anyRequest(random, ids));
    for (let count = 1 + random.below(4); count > 0; count--) bytes[random.below(bytes.length)] = random.below(256);
    const cut = random.below(3) === 0 ? random.below(bytes.length) : bytes.length;
    const connection = await api.open("");
    connection.socket.write(bytes.subarray(0, cut));
    if (random.below(2) === 0) connection.socket.end();
    await Promise.race([statusOf(connection), new Promise((resolve) => setTimeout(resolve, 5))]);
    connection.socket.destroy();
    await expectAlive(JSON.stringify(bytes.toString("latin1")));
  }
});
