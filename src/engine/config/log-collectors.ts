/** Reads the options of the log drivers fluentd and gelf. Defaults and texts are Docker's. */
import { parseDurationIf } from "../../base/duration.ts";
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { invalid } from "./errors.ts";

export interface FluentdOptions {
  address: { kind: "tcp"; hostname: string; port: number; isEncrypted?: boolean } | { kind: "unix"; path: string };
  /** True if the times of entries have nanoseconds. */
  isPrecise: boolean;
  /** True if the server is asked to acknowledge each message. */
  isAcknowledged: boolean;
  /** The time that the server may take for a message; 0 is our own. */
  writeTimeoutMs: number;
}

export interface GelfOptions {
  address: { kind: "tcp" | "udp"; hostname: string; port: number };
  compression: "gzip" | "zlib" | "none";
  level: number;
}

const FLUENTD_PORT = 24224;

export const FLUENTD_OPTIONS: readonly string[] = [
  ...[
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-connect",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
  ],
  ...["fluentd-max-retries", "fluentd-request-ack", "fluentd-retry-wait", "fluentd-sub-second-precision"],
  "fluentd-write-timeout",
];
export const GELF_OPTIONS: readonly string[] = [
  ...["gelf-address", "gelf-compression-level", "gelf-compression-type"],
  ...["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"],
];

type Options = Readonly<Record<string, string>>;

/** Parses a host with a port, "[::1]:1" among them; undefined if it is neither. */
function parseHostPort(text: string): { hostname: string; port: number | undefined } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const hostname = bracketed ?? plain;
  if (hostname === undefined || Number(port ?? 0) > 65535) return undefined;
  return { hostname, port: port === undefined ? undefined : Number(port) };
}

/**
 * Reads fluentd's options. Those about retries and buffers are checked only: the file is the buffer, and sending is tried for as long
 * as it is there. @throws LighterError "invalid"
 */
export function parseFluentd(options: Options): FluentdOptions {
  if (options["fluentd-async"] && options["fluentd-async-connect"])
    throw invalid("conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'");
  for (const name of ["fluentd-async", "fluentd-async-connect", "fluentd-request-ack", "fluentd-sub-second-precision"])
    booleanOf(options, name);
  for (const name of ["fluentd-retry-wait", "fluentd-write-timeout"]) durationOf(options, name);
  const retries = options["fluentd-max-retries"];
  if (retries && !(/^\d{1,10}$/.test(retries) && Number(retries) < 2 ** 32))
    throw invalid(`strconv.ParseUint: parsing ${JSON.stringify(retries)}: invalid syntax`);
  const limit = options["fluentd-buffer-limit"];
  if (limit && !/^\d+(\.\d+)? ?[kmgtp]?i?b?$/i.test(limit)) throw invalid(`invalid size: '${limit}'`);
  const wrongInterval = "invalid value for fluentd-async-reconnect-interval: ";
  const intervalMs = durationOf(options, "fluentd-async-reconnect-interval", wrongInterval);
  if (intervalMs !== 0 && (intervalMs < 100 || intervalMs > 10_000))
    throw invalid(
      `${wrongInterval}value (${JSON.stringify(options["fluentd-async-reconnect-interval"])}) must be between 100ms and 10s`,
    );
  return {
    address: parseFluentdAddress(options["fluentd-address"] ?? ""),
    isPrecise: booleanOf(options, "fluentd-sub-second-precision"),
    isAcknowledged: booleanOf(options, "fluentd-request-ack"),
    writeTimeoutMs: durationOf(options, "fluentd-write-timeout"),
  };
}

function parseFluentdAddress(text: string): FluentdOptions["address"] {
  const wrong = (why: string) => invalid(`invalid fluentd-address (${text}): ${why}`);
  const [, scheme = "tcp", rest = ""] = /^(?:([a-z+]+):\/\/)?(.*)$/.exec(text) ?? [];
  if (scheme === "unix") {
    if (/^\/*$/.test(rest)) throw wrong("path is empty");
    return { kind: "unix", path: rest };
  }
  if (scheme !== "tcp" && scheme !== "tls") throw wrong(`unsupported scheme: '${scheme}'`);
  const [host = "", ...path] = rest.split("/");
  if (path.join("") !== "") throw wrong("should not contain a path element");
  const parsed = parseHostPort(host);
  if (parsed === undefined) throw wrong("invalid port");
  const { hostname, port = FLUENTD_PORT } = parsed;
  return { kind: "tcp", hostname: hostname || "127.0.0.1", port, ...(scheme === "tls" && { isEncrypted: true }) };
}

function booleanOf(options: Options, name: string): boolean {
  const text = options[name];
  if (!text) return false;
  const value = parseGoBoolean(text);
  if (value === undefined) throw invalid(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
  return value;
}

/** A duration in milliseconds; 0 if it is not given. `before`: how an error begins. */
function durationOf(options: Options, name: string, before = ""): number {
  const text = options[name];
  if (!text) return 0;
  const ns = parseDurationIf(text);
  if (ns === undefined || ns < 0n) {
    const [, unit] = /^\d+(?:\.\d*)?([^\d.]*)$/.exec(text) ?? [];
    const what =
      unit === undefined ? "invalid" : unit === "" ? "missing unit in" : `unknown unit ${JSON.stringify(unit)} in`;
    throw invalid(`${before}time: ${what} duration ${JSON.stringify(text)}`);
  }
  return Number(ns / 1_000_000n);
}

/** Reads gelf's options. @throws LighterError "invalid" */
export function parseGelf(options: Options): GelfOptions {
  const address = parseGelfAddress(options["gelf-address"] ?? "");
  const unknown = (name: string) =>
    invalid(`unknown value ${JSON.stringify(options[name])} for log opt ${JSON.stringify(name)} for gelf log driver`);
  for (const name of ["gelf-compression-type", "gelf-compression-level"])
    if (options[name] !== undefined && address.kind !== "udp") throw invalid("compression is only supported on UDP");
  const type = options["gelf-compression-type"] ?? "gzip";
  if (type !== "gzip" && type !== "zlib" && type !== "none") throw unknown("gelf-compression-type");
  const level = options["gelf-compression-level"] ?? "1";
  if (!/^(-1|[0-9])$/.test(level)) throw unknown("gelf-compression-level");
  for (const name of ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"]) {
    if (options[name] === undefined) continue;
    if (!/^\d{1,9}$/.test(options[name])) throw invalid(`${JSON.stringify(name)} must be a positive integer`);
    if (address.kind !== "tcp") throw invalid(`${JSON.stringify(name)} is only valid for TCP`);
  }
  return { address, compression: type, level: Number(level) };
}

function parseGelfAddress(text: string): GelfOptions["address"] {
  if (text === "") throw invalid("gelf-address is a required parameter");
  const [, scheme, rest = ""] = /^([a-z+]+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme !== "udp" && scheme !== "tcp") throw invalid("gelf: endpoint needs to be TCP or UDP");
  const { hostname = "", port } = parseHostPort(rest) ?? {};
  if (port === undefined) throw invalid("gelf: please provide gelf-address as proto://host:port");
  return { kind: scheme, hostname: hostname || "127.0.0.1", port };
}
