/**
 * Reads where spans go, and which. Source: OpenTelemetry specification 1.40, "Environment Variable Specification", "OTLP Exporter
 * Configuration". As it asks for, a value that cannot be used is said and otherwise ignored.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { messageOf } from "../../base/errors.ts";
import { SPAN_QUEUE_MAX } from "../../base/limits.ts";
import { VERSION } from "../../base/version.ts";
import type { Sampler } from "./tracer.ts";

export interface TracingSettings {
  url: string;
  protocol: "http/json" | "http/protobuf";
  headers: Readonly<Record<string, string>>;
  isCompressed: boolean;
  timeoutMs: number;
  /** What is trusted in place of the system's authorities, and what we show. */
  tls: { ca?: string; cert?: string; key?: string };
  queueMax: number;
  batchMax: number;
  delayMs: number;
  isSampled: Sampler;
  resource: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const TRACES_PATH = "v1/traces";
const DEFAULTS = { timeoutMs: 10_000, queueMax: 2048, batchMax: 512, delayMs: 5000 };

/**
 * Reads the settings; undefined if no spans are to be sent. `endpoint`: the daemon's own setting, which comes before the variables.
 * `warn` hears what is not used, and why.
 */
export function readTracingSettings(
  endpoint: string | undefined,
  env: Environment,
  warn: (what: string) => void,
): TracingSettings | undefined {
  const of = (name: string) => env[`OTEL_EXPORTER_OTLP_TRACES_${name}`] || env[`OTEL_EXPORTER_OTLP_${name}`] || "";
  const url = urlOf(endpoint, env, warn);
  if (url === undefined || env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return undefined;
  const exporter = env.OTEL_TRACES_EXPORTER || "otlp";
  if (exporter !== "otlp") {
    if (exporter !== "none") warn(`OTEL_TRACES_EXPORTER: there is no "${exporter}", but otlp and none`);
    return undefined;
  }
  const count = (name: string, initial: number, max: number) => {
    const text = env[name];
    if (!text) return initial;
    if (/^\d{1,9}$/.test(text) && Number(text) >= 1 && Number(text) <= max) return Number(text);
    warn(`${name}: "${text}" is no number from 1 to ${max}`);
    return initial;
  };
  const queueMax = count("OTEL_BSP_MAX_QUEUE_SIZE", DEFAULTS.queueMax, SPAN_QUEUE_MAX);
  const timeout = env.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT ? "_TRACES" : "";
  return {
    url,
    protocol: protocolOf(of("PROTOCOL"), warn),
    headers: parsePairs(of("HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS", warn),
    isCompressed: of("COMPRESSION") === "gzip",
    timeoutMs: count(`OTEL_EXPORTER_OTLP${timeout}_TIMEOUT`, DEFAULTS.timeoutMs, 600_000),
    tls: {
      ...fileOf("ca", of("CERTIFICATE"), warn),
      ...fileOf("cert", of("CLIENT_CERTIFICATE"), warn),
      ...fileOf("key", of("CLIENT_KEY"), warn),
    },
    queueMax,
    batchMax: Math.min(queueMax, count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", DEFAULTS.batchMax, SPAN_QUEUE_MAX)),
    delayMs: count("OTEL_BSP_SCHEDULE_DELAY", DEFAULTS.delayMs, 600_000),
    isSampled: samplerOf(env, warn),
    resource: {
      "service.name": "lighter",
      "service.version": VERSION,
      "host.name": hostname(),
      ...parsePairs(env.OTEL_RESOURCE_ATTRIBUTES ?? "", "OTEL_RESOURCE_ATTRIBUTES", warn),
      ...(env.OTEL_SERVICE_NAME ? { "service.name": env.OTEL_SERVICE_NAME } : {}),
    },
  };
}

function urlOf(endpoint: string | undefined, env: Environment, warn: (what: string) => void): string | undefined {
  const exact = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const base = endpoint || (exact ? "" : env.OTEL_EXPORTER_OTLP_ENDPOINT) || "";
  const text = base === "" ? (exact ?? "") : `${base.replace(/\/$/, "")}/${TRACES_PATH}`;
  if (text === "") return undefined;
  if (isHttpUrl(text)) return text;
  warn(`the endpoint for traces "${text}" is no http:// or https:// URL`);
  return undefined;
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === "http:" || url.protocol === "https:");
}

function protocolOf(name: string, warn: (what: string) => void): TracingSettings["protocol"] {
  if (name === "http/json" || name === "http/protobuf") return name;
  if (name !== "")
    warn(`OTEL_EXPORTER_OTLP_PROTOCOL: there is no "${name}", but http/protobuf, which is used, and http/json`);
  return "http/protobuf";
}

/** Parses "a=1,b=two%20words", W3C's baggage without properties. */
function parsePairs(text: string, name: string, warn: (what: string) => void): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const part of text.split(",").filter((each) => each.trim() !== "")) {
    const at = part.indexOf("=");
    try {
      if (at < 1) throw new Error("no key");
      pairs[part.slice(0, at).trim()] = decodeURIComponent(part.slice(at + 1).trim());
    } catch {
      warn(`${name}: one of its parts is not KEY=VALUE`); // the value may be a secret
    }
  }
  return pairs;
}

function fileOf(name: "ca" | "cert" | "key", path: string, warn: (what: string) => void): TracingSettings["tls"] {
  if (path === "") return {};
  try {
    return { [name]: readFileSync(path, "utf8") };
  } catch (error) {
    warn(`the certificate or key "${path}" of the collector cannot be read: ${messageOf(error)}`);
    return {};
  }
}

const SAMPLERS: Readonly<Record<string, (ratio: number) => Sampler>> = {
  always_on: () => () => true,
  always_off: () => () => false,
  traceidratio: (ratio) => (traceId) => isInRatio(traceId, ratio),
  parentbased_always_on: () => (_, isCallerSampled) => isCallerSampled ?? true,
  parentbased_always_off: () => (_, isCallerSampled) => isCallerSampled ?? false,
  parentbased_traceidratio: (ratio) => (traceId, isCallerSampled) => isCallerSampled ?? isInRatio(traceId, ratio),
};

function samplerOf(env: Environment, warn: (what: string) => void): Sampler {
  const name = env.OTEL_TRACES_SAMPLER || "parentbased_always_on";
  const text = env.OTEL_TRACES_SAMPLER_ARG || "1";
  const ratio = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  const isRatio = ratio >= 0 && ratio <= 1;
  if (!isRatio) warn(`OTEL_TRACES_SAMPLER_ARG: "${text}" is no number from 0 to 1`);
  const make = Object.hasOwn(SAMPLERS, name) ? SAMPLERS[name] : undefined;
  if (make === undefined) warn(`OTEL_TRACES_SAMPLER: there is no "${name}", but ${Object.keys(SAMPLERS).join(", ")}`);
  return (make ?? SAMPLERS.parentbased_always_on!)(isRatio ? ratio : 1);
}

/** Whether a trace is among the given part of all traces: everybody who takes part decides the same from the id's last digits. */
function isInRatio(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-8), 16) < ratio * 2 ** 32;
}
