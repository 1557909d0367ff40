/** Traces: what collectors get, and that nobody waits for them. */
import { afterEach, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Server } from "node:net";
import { Exporter } from "../../src/api/tracing/exporter.ts";
import { KeptTraces } from "../../src/api/tracing/kept-traces.ts";
import { readTracingSettings, type TracingSettings } from "../../src/api/tracing/settings.ts";
import { Tracer } from "../../src/api/tracing/tracer.ts";
import { registeredFamilies } from "../../src/base/metrics.ts";
import { collectSpans, inSpan } from "../../src/base/spans.ts";
import { KEEP_TRACE_HEADER } from "../../src/spec/trace.ts";
import { ApiServer } from "../support/api-server.ts";
import { Collector } from "../support/collector.ts";
import { until } from "../support/eventually.ts";

afterEach(() => collectSpans(undefined));

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`;

function settingsFor(url: string, more: Partial<TracingSettings> = {}): TracingSettings {
  const settings = readTracingSettings(url, { OTEL_BSP_SCHEDULE_DELAY: "1" }, () => {});
  return { ...settings!, ...more };
}

/** Sends what is done from now on to a collector. */
function exportTo(url: string, more: Partial<TracingSettings> = {}): Exporter {
  const exporter = new Exporter(settingsFor(url, more), 1);
  collectSpans(new Tracer({ exporter, keeper: new KeptTraces() }));
  return exporter;
}

/** How many spans became what. */
function countOf(result: "sent" | "dropped"): number {
  const line = registeredFamilies().find((each) => each.startsWith(`lighter_spans_total{result="${result}"} `));
  return Number(line?.split(" ")[1]);
}

async function doSpans(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await inSpan(`span ${index}`, async () => {});
}

test.each(["http/json", "http/protobuf"] as const)("%s: spans arrive as parts of one another", async (protocol) => {
  using collector = new Collector();
  using _ = exportTo(collector.url, { protocol, isCompressed: protocol === "http/json", headers: { "api-key": "k" } });
  const failing = inSpan("whole", async (whole) => {
    await inSpan("first", async (span) => span?.set({ text: "x", count: 3, yes: true, none: undefined }));
    whole?.add({ name: "measured", beganMs: 1000, endedMs: 1001.5 });
    throw new Error("it failed");
  });
  await expect(failing).rejects.toThrow("it failed");
  await until(() => collector.spans.length === 3, "three spans");
  const [whole] = collector.named("whole");
  expect(whole).toMatchObject({ parentId: "", error: "it failed", isServer: false });
  expect(collector.partsOf(whole!)).toEqual(["measured", "first"]);
  expect(collector.named("first")[0]!.attributes).toEqual({ text: "x", count: "3", yes: true });
  expect(collector.named("measured")[0]).toMatchObject({ beganNs: 1_000_000_000n, endedNs: 1_001_500_000n });
  expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1);
  expect(Math.abs(Number(whole!.beganNs / 1_000_000n) - Date.now())).toBeLessThan(60_000);
  expect(collector.resources[0]).toMatchObject({ "service.name": "lighter" });
  expect(new URL(collector.requests[0]!.url).pathname).toBe("/v1/traces");
  expect(collector.requests[0]!.headers.get("api-key")).toBe("k");
});

test("a caller's trace goes on here, and its decision counts", async () => {
  using collector = new Collector();
  using _ = exportTo(collector.url);
  const headers = await inSpan("request", async (span) => span?.headers, {
    traceparent: TRACEPARENT,
    tracestate: "a=1",
  });
  const unsampled = { traceparent: TRACEPARENT.replace(/01$/, "00") };
  await inSpan(
    "unseen",
    async (span) => {
      expect(span?.isWanted).toBe(false);
      expect(span?.headers.traceparent).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
      await inSpan("unseen, too", async (part) => expect(part).toBeUndefined());
    },
    unsampled,
  );
  await inSpan("last", async () => {});
  await until(() => collector.named("last").length === 1, "the last span");
  const [request] = collector.named("request");
  expect(request).toMatchObject({ traceId: TRACE, parentId: SPAN, isServer: true });
  expect(headers).toEqual({ traceparent: `00-${TRACE}-${request!.id}-01`, tracestate: "a=1" });
  expect(collector.spans.map(({ name }) => name)).toEqual(["request", "last"]);
});

test("a collector that is busy gets the batch again", async () => {
  const answers = [
    () => new Response("", { status: 503, headers: { "Retry-After": "0" } }),
    () => new Response("", { status: 429 }),
  ];
  using collector = new Collector(() => answers.shift()?.() ?? new Response("{}"));
  using _ = exportTo(collector.url);
  const before = countOf("sent");
  await doSpans(2);
  await until(() => countOf("sent") === before + 2, "two spans sent");
  expect(collector.spans.map(({ name }) => name).sort()).toEqual(["span 0", "span 1"]);
});

test("a collector that refuses a batch does not get it again", async () => {
  using collector = new Collector(() => new Response("no", { status: 400 }));
  using _ = exportTo(collector.url);
  const before = countOf("dropped");
  await doSpans(1);
  await until(() => countOf("dropped") === before + 1, "a span dropped");
  expect(collector.requests.length).toBe(1);
});

test("a redirect is not followed", async () => {
  using elsewhere = new Collector();
  using collector = new Collector(() => Response.redirect(elsewhere.url, 307));
  using _ = exportTo(collector.url);
  const before = countOf("dropped");
  await doSpans(1);
  await until(() => countOf("dropped") === before + 1, "a span dropped");
  expect(elsewhere.requests.length).toBe(0);
});

test("a collector that is not there, hangs or says nonsense: what waits is bounded, and nobody waits for it", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  const babbling = createServer((socket) => socket.on("error", () => {}).write("\0nonsense\r\n\r\n")).listen(
    0,
    "127.0.0.1",
  );
  await until(() => silent.listening && babbling.listening, "two listeners");
  const portOf = (server: Server) => (server.address() as AddressInfo).port;
  const ports = [1, portOf(silent), portOf(babbling)];
  for (const port of ports) {
    using _ = exportTo(`http://127.0.0.1:${port}`, { queueMax: 50, batchMax: 10, timeoutMs: 30 });
    const before = countOf("dropped");
    await doSpans(1000);
    // All but the queue and the batch under way are dropped already.
    expect(countOf("dropped") - before).toBeGreaterThanOrEqual(900);
    await until(() => countOf("dropped") === before + 1000, `everything dropped at port ${port}`);
  }
  silent.close();
  babbling.close();
});

test("requests are spans: by route, with what they do", async () => {
  await using api = await ApiServer.start();
  using collector = new Collector();
  using _ = exportTo(collector.url);
  const { json } = await api.request(
    "POST",
    "/containers/create?name=one",
    { Image: "hello" },
    { traceparent: TRACEPARENT },
  );
  await api.request("POST", `/containers/${json.Id}/start`);
  await api.request("GET", "/containers/nope/json");
  await api.request("GET", "/_ping");
  await until(() => collector.spans.some(({ name }) => name === "GET /containers/{id...}/json"), "the request");
  const [create] = collector.named("POST /containers/create");
  expect(create).toMatchObject({
    ...{ traceId: TRACE, parentId: SPAN, isServer: true },
    attributes: {
      "http.request.method": "POST",
      "http.route": "/containers/create",
      "http.response.status_code": "201",
    },
  });
  const [request] = collector.named("POST /containers/{id...}/start");
  expect(collector.partsOf(request!)).toEqual(["start"]);
  const [start] = collector.named("start");
  expect(start!.attributes).toMatchObject({
    "container.id": json.Id,
    "container.name": "one",
    "container.image.name": "hello",
  });
  expect(collector.partsOf(start!)).toEqual(["profile", "volumes", "network", "image"]);
  expect(collector.named("GET /containers/{id...}/json")[0]!.attributes["http.response.status_code"]).toBe("404");
  expect(collector.spans.some(({ name }) => name.includes("_ping"))).toBe(false);
});

test("a trace is kept for a client that asks for that, once, and nobody else's is", async () => {
  await using api = await ApiServer.start();
  const headers = { traceparent: TRACEPARENT, [KEEP_TRACE_HEADER]: "1" };
  await api.request("POST", "/containers/create", { Image: "hello" }, headers);
  const other = TRACEPARENT.replace(TRACE, "f".repeat(32));
  await api.request("POST", "/containers/create", { Image: "hello" }, { traceparent: other });
  const { json } = await api.request("GET", `/lighter/traces/${TRACE}`);
  expect(json.spans).toMatchObject([
    { name: "POST /containers/create", parentId: SPAN, isServer: true },
    { name: "create", parentId: json.spans[0].id },
  ]);
  expect((await api.request("GET", `/lighter/traces/${TRACE}`)).status).toBe(404);
  expect((await api.request("GET", `/lighter/traces/${"f".repeat(32)}`)).status).toBe(404);
});

test("kept traces are bounded", async () => {
  const keeper = new KeptTraces();
  collectSpans(new Tracer({ keeper }));
  const keep = (id: string, work: () => Promise<void>) =>
    inSpan("request", work, { traceparent: `00-${id}-${SPAN}-01`, isKept: true });
  const idOf = (index: number) => index.toString(16).padStart(32, "1");
  for (let index = 0; index < 100; index++) await keep(idOf(index), () => doSpans(index === 99 ? 5000 : 1));
  expect(keeper.take(idOf(0))).toBeUndefined();
  expect(keeper.take(idOf(98))?.length).toBe(2);
  expect(keeper.take(idOf(99))?.length).toBe(1000);
});
