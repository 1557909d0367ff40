import { expect, test } from "bun:test";
import { parseLogConfig } from "./log.ts";

const parse = (Type: string, Config: Record<string, string>) => parseLogConfig({ Type, Config });

test("fluentd: addresses, and options that are on when they say so", () => {
  const address = (text: string) => parse("fluentd", { "fluentd-address": text }).fluentd?.address;
  expect(parse("fluentd", {}).fluentd).toEqual({
    address: { kind: "tcp", hostname: "127.0.0.1", port: 24224 },
    ...{ isPrecise: false, isAcknowledged: false, writeTimeoutMs: 0 },
  });
  expect(address("log.example")).toEqual({ kind: "tcp", hostname: "log.example", port: 24224 });
  expect(address("tcp://[::1]:9")).toEqual({ kind: "tcp", hostname: "::1", port: 9 });
  expect(address("tls://a")).toEqual({ kind: "tcp", hostname: "a", port: 24224, isEncrypted: true });
  expect(address(":9")).toEqual({ kind: "tcp", hostname: "127.0.0.1", port: 9 });
  expect(address("unix:///run/fluent.sock")).toEqual({ kind: "unix", path: "/run/fluent.sock" });
  const all = {
    ...{ "fluentd-async": "true", "fluentd-buffer-limit": "8MB", "fluentd-max-retries": "3", tag: "{{.Name}}" },
    ...{ "fluentd-request-ack": "1", "fluentd-sub-second-precision": "t", "fluentd-write-timeout": "2s" },
    ...{ "fluentd-retry-wait": "1s", "fluentd-async-reconnect-interval": "5s", labels: "a", mode: "non-blocking" },
  };
  expect(parse("fluentd", all).fluentd).toMatchObject({ isPrecise: true, isAcknowledged: true, writeTimeoutMs: 2000 });
});

test("gelf: addresses and compression", () => {
  const gelf = (Config: Record<string, string>) => parse("gelf", { "gelf-address": "udp://g:12201", ...Config }).gelf;
  expect(gelf({})).toEqual({ address: { kind: "udp", hostname: "g", port: 12201 }, compression: "gzip", level: 1 });
  expect(gelf({ "gelf-compression-type": "zlib", "gelf-compression-level": "-1" })).toMatchObject({
    ...{ compression: "zlib", level: -1 },
  });
  expect(gelf({ "gelf-address": "tcp://[::1]:1", "gelf-tcp-max-reconnect": "3" })?.address.kind).toBe("tcp");
});

for (const [type, options, text] of [
  ["fluentd", { "fluentd-address": "http://a" }, "invalid fluentd-address (http://a): unsupported scheme: 'http'"],
  ["fluentd", { "fluentd-address": "a:b" }, "invalid fluentd-address (a:b): invalid port"],
  ["fluentd", { "fluentd-address": "a:1/b" }, "should not contain a path element"],
  ["fluentd", { "fluentd-address": "unix://" }, "invalid fluentd-address (unix://): path is empty"],
  ["fluentd", { "fluentd-async": "x" }, 'strconv.ParseBool: parsing "x": invalid syntax'],
  ["fluentd", { "fluentd-retry-wait": "x" }, 'time: invalid duration "x"'],
  ["fluentd", { "fluentd-max-retries": "-1" }, 'strconv.ParseUint: parsing "-1": invalid syntax'],
  ["fluentd", { "fluentd-buffer-limit": "x" }, "invalid size: 'x'"],
  ["fluentd", { "fluentd-async-reconnect-interval": "1ms" }, "must be between 100ms and 10s"],
  ["fluentd", { "max-size": "1" }, "unknown log opt 'max-size' for fluentd log driver"],
  ["gelf", {}, "gelf-address is a required parameter"],
  ["gelf", { "gelf-address": "x" }, "gelf: endpoint needs to be TCP or UDP"],
  ["gelf", { "gelf-address": "http://x:1" }, "gelf: endpoint needs to be TCP or UDP"],
  ["gelf", { "gelf-address": "udp://x" }, "gelf: please provide gelf-address as proto://host:port"],
  ["gelf", { "gelf-address": "tcp://x:1", "gelf-compression-type": "gzip" }, "compression is only supported on UDP"],
  [
    "gelf",
    { "gelf-address": "udp://x:1", "gelf-compression-level": "10" },
    'unknown value "10" for log opt "gelf-compression-level" for gelf log driver',
  ],
  [
    "gelf",
    { "gelf-address": "udp://x:1", "gelf-compression-type": "xz" },
    'unknown value "xz" for log opt "gelf-compression-type" for gelf log driver',
  ],
  ["gelf", { "gelf-address": "tcp://x:1", "gelf-tcp-max-reconnect": "x" }, "must be a positive integer"],
] as const)
  test(`${type} refuses ${JSON.stringify(options)}`, () => {
    expect(() => parse(type, options)).toThrow(text);
  });
