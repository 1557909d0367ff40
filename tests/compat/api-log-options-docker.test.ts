/** The options of fluentd and gelf, asked of our daemon and of dockerd: the same are accepted, the others refused in the same words. */
import { afterAll, beforeAll, expect } from "bun:test";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { whyNoDocker } from "./cli-support.ts";

const why = whyNoDocker();
const both = testIf(why === undefined, why ?? "");
let beside: BesideDocker;

beforeAll(async () => {
  if (why === undefined) beside = await startBesideDocker("log-options");
}, 120_000);
afterAll(() => beside?.stop(), 60_000);

const UDP = { "gelf-address": "udp://127.0.0.1:1" };
const TCP = { "gelf-address": "tcp://127.0.0.1:1" };

both.each<[driver: string, options: Record<string, string>]>([
  ["fluentd", {}],
  ["fluentd", { "fluentd-address": "tls://a:1" }],
  ["fluentd", { "fluentd-address": "tls://a:1/b" }],
  ["fluentd", { "fluentd-address": "unix:///a" }],
  ["fluentd", { "fluentd-address": "unix://" }],
  ["fluentd", { "fluentd-address": "http://a" }],
  ["fluentd", { "fluentd-address": "a:1/b" }],
  ["fluentd", { "fluentd-address": "[::1]:1" }],
  ["fluentd", { "fluentd-async": "true", "fluentd-async-reconnect-interval": "1s" }],
  ["fluentd", { "fluentd-async": "x" }],
  ["fluentd", { "fluentd-async-connect": "true" }],
  ["fluentd", { "fluentd-async-connect": "x" }],
  ["fluentd", { "fluentd-retry-wait": "1y" }],
  ["fluentd", { "fluentd-async-reconnect-interval": "11s" }],
  ["fluentd", { "fluentd-async-reconnect-interval": "1ms" }],
  ["fluentd", { "fluentd-async-reconnect-interval": "x" }],
  ["fluentd", { "fluentd-buffer-limit": "8MB" }],
  ["fluentd", { "fluentd-buffer-limit": "x" }],
  ["fluentd", { "fluentd-max-retries": "x" }],
  ["fluentd", { "fluentd-max-retries": "-1" }],
  ["fluentd", { "fluentd-request-ack": "x" }],
  ["fluentd", { "fluentd-retry-wait": "1" }],
  ["fluentd", { "fluentd-sub-second-precision": "x" }],
  ["fluentd", { "fluentd-tls": "true" }],
  ["fluentd", { tag: "a", labels: "b", "labels-regex": "c", env: "d", "env-regex": "e" }],
  ["gelf", {}],
  ["gelf", UDP],
  ["gelf", TCP],
  ["gelf", { "gelf-address": "x" }],
  ["gelf", { "gelf-address": "http://x:1" }],
  ["gelf", { "gelf-address": "udp://x" }],
  ["gelf", { ...UDP, "gelf-compression-type": "xz" }],
  ["gelf", { ...UDP, "gelf-compression-type": "zlib", "gelf-compression-level": "10" }],
  ["gelf", { ...UDP, "gelf-compression-level": "x" }],
  ["gelf", { ...UDP, "gelf-tcp-max-reconnect": "1" }],
  ["gelf", { ...TCP, "gelf-compression-type": "gzip" }],
  ["gelf", { ...TCP, "gelf-compression-level": "1" }],
  ["gelf", { ...TCP, "gelf-tcp-max-reconnect": "-1" }],
  ["gelf", { ...TCP, "gelf-tcp-max-reconnect": "x" }],
  ["gelf", { ...TCP, "gelf-tcp-reconnect-delay": "x" }],
  ["gelf", { ...TCP, "gelf-tcp-reconnect-delay": "3" }],
  ["gelf", { ...TCP, "gelf-facility": "x" }],
])("%s %j", async (Type, Config) => {
  const ask = async (api: BesideDocker["ours" | "theirs"], Image: string) => {
    const { status, json } = await api.request("POST", "/containers/create", {
      Image,
      HostConfig: { LogConfig: { Type, Config } },
    });
    if (json.Id !== undefined) await api.request("DELETE", `/containers/${json.Id}`);
    return { status, message: json.message };
  };
  expect(await ask(beside.ours, "host-usr")).toEqual(await ask(beside.theirs, "busybox"));
});
