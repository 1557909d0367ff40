/** Reads the log settings of a container: driver, options, tag and attributes. */
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { shortId } from "../../base/ids.ts";
import { LOG_MAX_FILES } from "../../base/limits.ts";
import { compilePattern } from "../../base/linear-pattern.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";
import {
  FLUENTD_OPTIONS,
  type FluentdOptions,
  GELF_OPTIONS,
  type GelfOptions,
  parseFluentd,
  parseGelf,
} from "./log-collectors.ts";

export type { FluentdOptions, GelfOptions } from "./log-collectors.ts";

/**
 * Where a container's output goes. The supervisor writes a json-file, whatever the driver, so that nothing is lost while
 * no daemon lives; for drivers that send, that file is a buffer, which the daemon sends on (../logs/forward.ts).
 */
export interface LogOptions {
  driver: "json-file" | "local" | "none" | "syslog" | "journald" | "fluentd" | "gelf";
  /** The size above which the file is rotated; 0: never. */
  maxBytes: number;
  /** The number of files kept, the current one included. */
  maxFiles: number;
  /** True if rotated files are compressed. */
  compress: boolean;
  syslog?: SyslogOptions;
  fluentd?: FluentdOptions;
  gelf?: GelfOptions;
}

export interface SyslogOptions {
  address: SyslogAddress;
  /** The facility in a message's priority: 3 is "daemon". */
  facility: number;
  format: "" | "rfc3164" | "rfc5424" | "rfc5424micro";
}

type SyslogAddress = { kind: "unix"; path: string } | { kind: "udp" | "tcp"; hostname: string; port: number };

export const LOG_DRIVERS: readonly LogOptions["driver"][] = [
  ...(["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"] as const),
];

/** Docker's other drivers: they are refused as not supported, all others as unknown. */
const OTHER_DRIVERS: readonly string[] = ["awslogs", "etwlogs", "gcplogs", "logentries", "splunk"];

type FileOptions = Pick<LogOptions, "maxBytes" | "maxFiles" | "compress">;

/** Docker's defaults of `local`, and of the buffer for logs that are sent. */
const LOCAL: FileOptions = { maxBytes: 20_000_000, maxFiles: 5, compress: true };

/** The defaults by driver. Without a limit one container fills the disk; Docker has none for json-file. */
const DEFAULTS: Readonly<Record<LogOptions["driver"], FileOptions>> = {
  "json-file": { maxBytes: 10_000_000, maxFiles: 5, compress: false },
  local: LOCAL,
  none: { maxBytes: 0, maxFiles: 1, compress: false },
  syslog: LOCAL,
  journald: LOCAL,
  fluentd: LOCAL,
  gelf: LOCAL,
};

const ROTATION = ["max-size", "max-file", "compress"];
const ATTRIBUTES = ["labels", "labels-regex", "env", "env-regex", "tag"];
const MODE = ["mode", "max-buffer-size"];
const CACHE = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const SYSLOG = ["syslog-address", "syslog-facility", "syslog-format"];
const SYSLOG_TLS = ["syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"];

const KNOWN_OPTIONS: Readonly<Record<LogOptions["driver"], readonly string[]>> = {
  "json-file": [...ROTATION, ...ATTRIBUTES, ...MODE],
  local: [...ROTATION, ...MODE],
  none: [],
  syslog: [...SYSLOG, ...SYSLOG_TLS, ...ATTRIBUTES, ...MODE, ...CACHE],
  journald: [...ATTRIBUTES, ...MODE, ...CACHE],
  fluentd: [...FLUENTD_OPTIONS, ...ATTRIBUTES, ...MODE, ...CACHE],
  gelf: [...GELF_OPTIONS, ...ATTRIBUTES, ...MODE, ...CACHE],
};

/**
 * Reads HostConfig.LogConfig.
 * @throws LighterError "invalid", with Docker's texts; "not-supported"
 */
export function parseLogConfig(config: DockerHostConfig["LogConfig"]): LogOptions {
  const type = config?.Type || "json-file";
  const options = config?.Config ?? {};
  if (OTHER_DRIVERS.includes(type))
    throw notSupported(
      "HostConfig.LogConfig.Type",
      `failed to initialize logging driver: there is no ${type}, but ${LOG_DRIVERS.join(", ")}`,
    );
  const driver = LOG_DRIVERS.find((name) => name === type);
  if (driver === undefined)
    throw invalid(`error looking up logging plugin ${type}: plugin ${JSON.stringify(type)} not found`);
  const parsed: LogOptions = { driver, ...DEFAULTS[driver] };
  if (driver === "none") return parsed; // whatever its options are, as with Docker
  for (const [name, value] of Object.entries(options)) {
    if (!KNOWN_OPTIONS[driver].includes(name)) {
      const quoted = driver === "gelf" ? JSON.stringify(name) : `'${name}'`;
      throw invalid(`unknown log opt ${quoted} for ${driver} log driver`);
    }
    applyOption(parsed, name, value);
  }
  if (options["max-buffer-size"] !== undefined && options.mode !== "non-blocking")
    throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  checkCompression(parsed);
  if (driver === "syslog") parsed.syslog = parseSyslog(options);
  if (driver === "fluentd") parsed.fluentd = parseFluentd(options);
  if (driver === "gelf") parsed.gelf = parseGelf(options);
  compileTag(options.tag ?? "");
  for (const name of ["labels-regex", "env-regex"]) compileNames(name, options[name] ?? "");
  return parsed;
}

function applyOption(parsed: LogOptions, name: string, value: string): void {
  switch (name) {
    case "max-size":
    case "cache-max-size":
      parsed.maxBytes = value === "-1" ? 0 : parseSize(name, value);
      return;
    case "max-file":
    case "cache-max-file":
      parsed.maxFiles = parseCount(name, value);
      return;
    case "mode":
      // Output never waits for a log server here, so both modes are the same.
      if (!["", "blocking", "non-blocking"].includes(value))
        throw invalid(`logger: logging mode not supported: ${value}`);
      return;
    case "max-buffer-size":
      parseSize(name, value);
      return;
    case "compress":
    case "cache-compress":
      parsed.compress = parseBoolean(parsed.driver, value);
      return;
    case "cache-disabled":
      if (value !== "false") throw refused(name, "the cache is what is sent on");
      return;
    default:
      if (SYSLOG_TLS.includes(name)) throw refused(name, "there is no TLS to a syslog server");
  }
}

function parseBoolean(driver: LogOptions["driver"], text: string): boolean {
  const value = parseGoBoolean(text);
  if (value !== undefined) return value;
  const context = driver === "json-file" ? "" : "error reading compress log option: ";
  throw invalid(`${context}strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Refuses compression for a log of one file, which has none to compress. The buffer of a log that is sent may have one file. */
function checkCompression({ driver, maxBytes, maxFiles, compress }: LogOptions): void {
  if (!compress) return;
  if (driver === "json-file" && (maxFiles === 1 || maxBytes === 0))
    throw invalid("compress cannot be true when max-file is less than 2 or max-size is not set");
  if (driver === "local" && maxFiles === 1) throw invalid("compression cannot be enabled when max file count is 1");
}

function refused(option: string, why: string): Error {
  return notSupported("HostConfig.LogConfig.Config", `log option "${option}": ${why}`);
}

/** Parses a size such as "10m": in powers of 1000, as Docker has it for logs. */
function parseSize(name: string, text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  if (match === null) throw invalid(`invalid size: '${text}'`);
  const power = ["", "k", "m", "g", "t", "p"].indexOf(match[2]!.toLowerCase());
  const bytes = Math.floor(Number(match[1]) * 1000 ** power);
  if (bytes <= 0) throw invalid(`${name} must be a positive number`);
  if (!Number.isSafeInteger(bytes)) throw invalid(`invalid size: '${text}'`);
  return bytes;
}

function parseCount(name: string, text: string): number {
  if (!/^-?[0-9]{1,9}$/.test(text)) throw invalid(`${name} must be a number: '${text}'`);
  const count = Number(text);
  if (count < 1) throw invalid(`${name} cannot be less than 1`);
  if (count > LOG_MAX_FILES) throw invalid(`${name} cannot be more than ${LOG_MAX_FILES}`);
  return count;
}

/** The names of syslog's facilities, by number. Source: syslog.h(0P); the names are Docker's. */
const FACILITIES: readonly string[] =
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock local0 local1 local2 local3 local4 local5 local6 local7".split(
    " ",
  );
const SYSLOG_PORT = 514;

function parseSyslog(options: Readonly<Record<string, string>>): SyslogOptions {
  const format = options["syslog-format"] ?? "";
  if (format !== "" && format !== "rfc3164" && format !== "rfc5424" && format !== "rfc5424micro")
    throw invalid("Invalid syslog format");
  const name = options["syslog-facility"] || "daemon";
  const facility = /^\d{1,2}$/.test(name) ? Number(name) : FACILITIES.indexOf(name);
  if (facility < 0 || facility > 23) throw invalid("invalid syslog facility");
  return { address: parseSyslogAddress(options["syslog-address"] ?? ""), facility, format };
}

function parseSyslogAddress(text: string): SyslogAddress {
  if (text === "") return { kind: "unix", path: "/dev/log" };
  const [, scheme, rest = ""] = /^([a-z+]+):\/\/(.+)$/.exec(text) ?? [];
  if ((scheme === "unix" || scheme === "unixgram") && rest.startsWith("/")) return { kind: "unix", path: rest };
  if (scheme === "tcp+tls") throw refused("syslog-address", "there is no TLS to a syslog server");
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(rest) ?? [];
  const hostname = bracketed ?? plain;
  if ((scheme === "tcp" || scheme === "udp") && hostname !== undefined && Number(port ?? 0) <= 65535)
    return { kind: scheme, hostname, port: Number(port ?? SYSLOG_PORT) };
  throw invalid(`syslog-address should be in form proto://address, got ${text}`);
}

/** The facts about a container that its log tells. */
export interface LoggedContainer {
  id: string;
  name: string;
  imageName: string;
  /** The image's id, "sha256:…". */
  imageId: string;
  config: Pick<DockerContainerConfig, "Labels" | "Env">;
}

const TAG_FIELDS: Readonly<Record<string, (container: LoggedContainer) => string>> = {
  ID: ({ id }) => shortId(id),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageName: ({ imageName }) => imageName,
  ImageID: ({ imageId }) => shortId(imageId),
  ImageFullID: ({ imageId }) => imageId,
  DaemonName: () => "docker",
};

/**
 * Compiles a tag such as "{{.Name}}/{{.ID}}". Docker takes any Go template; these are its fields. @throws LighterError "invalid"
 */
function compileTag(template: string): (container: LoggedContainer) => string {
  const parts = template.split(/\{\{\s*(.*?)\s*\}\}/); // odd ones are what was in braces
  for (const [index, part] of parts.entries())
    if (index % 2 === 1 && !Object.hasOwn(TAG_FIELDS, part.slice(1)))
      throw invalid(
        `log opt tag: ${JSON.stringify(`{{${part}}}`)} is none of ${Object.keys(TAG_FIELDS)
          .map((name) => `{{.${name}}}`)
          .join(" ")}`,
      );
  return (container) =>
    parts.map((part, index) => (index % 2 === 1 ? TAG_FIELDS[part.slice(1)]!(container) : part)).join("");
}

/** Returns the tag of drivers that mark each message; the short id if the options have no `tag`. */
export function logTagOf(container: LoggedContainer, options: Readonly<Record<string, string>>): string {
  return compileTag(options.tag || "{{.ID}}")(container);
}

function compileNames(name: string, source: string): ((text: string) => boolean) | undefined {
  if (source === "") return undefined;
  const matches = compilePattern(source);
  if (matches === undefined) throw invalid(`log opt ${name}: ${JSON.stringify(source)} is not a regular expression`);
  return matches;
}

/** Returns the labels and variables that the options pick, and the tag if one is set: what `logs --details` shows. */
export function logAttributesOf(
  container: LoggedContainer,
  options: Readonly<Record<string, string>>,
): Record<string, string> {
  const variables = Object.fromEntries(
    (container.config.Env ?? []).flatMap((each) => {
      const at = each.indexOf("=");
      return at < 1 ? [] : [[each.slice(0, at), each.slice(at + 1)]];
    }),
  );
  const attributes = {
    ...pick(container.config.Labels ?? {}, options, "labels"),
    ...pick(variables, options, "env"),
  };
  return options.tag ? { ...attributes, tag: logTagOf(container, options) } : attributes;
}

function pick(values: Readonly<Record<string, string>>, options: Readonly<Record<string, string>>, kind: string) {
  const names = (options[kind] ?? "").split(",");
  const matches = compileNames(`${kind}-regex`, options[`${kind}-regex`] ?? "");
  return Object.fromEntries(
    Object.entries(values).filter(([name]) => names.includes(name) || matches?.(name) === true),
  );
}
