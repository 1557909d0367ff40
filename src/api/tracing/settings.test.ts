import { expect, test } from "bun:test";
import { readTracingSettings } from "./settings.ts";

const OWN = "http://127.0.0.1:4318";

function read(env: Record<string, string>, endpoint?: string) {
  const warnings: string[] = [];
  return { settings: readTracingSettings(endpoint, env, (what) => warnings.push(what)), warnings };
}

test("without an endpoint nothing is sent", () => {
  expect(read({ OTEL_SERVICE_NAME: "x" }).settings).toBeUndefined();
});

test("the path is added to a general endpoint, not to one for traces; the daemon's own setting comes first", () => {
  const urlOf = (...given: Parameters<typeof read>) => read(...given).settings?.url;
  expect(urlOf({ OTEL_EXPORTER_OTLP_ENDPOINT: `${OWN}/base/` })).toBe(`${OWN}/base/v1/traces`);
  expect(urlOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${OWN}/x`, OTEL_EXPORTER_OTLP_ENDPOINT: OWN })).toBe(`${OWN}/x`);
  expect(urlOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${OWN}/x` }, OWN)).toBe(`${OWN}/v1/traces`);
});

test("the usual variables count", () => {
  const { settings, warnings } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: OWN,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%20b, x=y=z",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "500",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_BSP_MAX_QUEUE_SIZE: "10",
    OTEL_BSP_SCHEDULE_DELAY: "20",
    OTEL_SERVICE_NAME: "mine",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
  });
  expect(warnings).toEqual([]);
  expect(settings).toMatchObject({
    ...{ protocol: "http/json", headers: { "api-key": "a b", x: "y=z" }, timeoutMs: 500, isCompressed: true },
    ...{ queueMax: 10, batchMax: 10, delayMs: 20 },
    resource: { "service.name": "mine", "deployment.environment": "test" },
  });
});

test("it can be switched off", () => {
  expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: OWN, OTEL_SDK_DISABLED: "TRUE" }).settings).toBeUndefined();
  expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: OWN, OTEL_TRACES_EXPORTER: "none" })).toEqual({
    settings: undefined,
    warnings: [],
  });
});

test.each([
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"],
  ["OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "soon"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "secret", "OTEL_EXPORTER_OTLP_HEADERS"],
  ["OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "/nowhere"],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "0", "from 1"],
  ["OTEL_TRACES_SAMPLER", "toString", "parentbased_always_on"],
  ["OTEL_TRACES_SAMPLER_ARG", "2", "from 0 to 1"],
])("%s=%s is said, and not used", (name, value, said) => {
  const { settings, warnings } = read({ OTEL_EXPORTER_OTLP_ENDPOINT: OWN, [name]: value });
  expect(settings?.url).toBe(`${OWN}/v1/traces`);
  expect(warnings).toEqual([expect.stringContaining(said)]);
  expect(warnings[0]).not.toContain("secret");
});

test("an endpoint that is none is said", () => {
  for (const url of ["file:///etc/passwd", "127.0.0.1:4318", "?"])
    expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: url })).toEqual({
      settings: undefined,
      warnings: [expect.stringContaining(url)],
    });
});

test("samplers: who calls decides, or the trace's id does", () => {
  const sampler = (name: string, arg = "1") =>
    read({ OTEL_EXPORTER_OTLP_ENDPOINT: OWN, OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg }).settings!
      .isSampled;
  const [low, high] = [`${"0".repeat(24)}00000001`, `${"0".repeat(24)}ffffffff`];
  expect(sampler("parentbased_always_on")(low, false)).toBe(false);
  expect(sampler("parentbased_always_off")(low, undefined)).toBe(false);
  expect(sampler("parentbased_always_off")(low, true)).toBe(true);
  expect(sampler("always_on")(low, false)).toBe(true);
  expect(sampler("traceidratio", "0.5")(low, false)).toBe(true);
  expect(sampler("traceidratio", "0.5")(high, true)).toBe(false);
  expect(sampler("traceidratio", "0")(low, true)).toBe(false);
  expect(sampler("traceidratio", "1")(high, undefined)).toBe(true);
});
