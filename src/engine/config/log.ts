import { LOG_MAX_FILES } from "../../base/limits.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";

/** Where a container's output goes. */
export interface LogOptions {
  driver: "json-file" | "none";
  /** Rotate when the file is larger; 0: never. */
  maxBytes: number;
  /** Files kept, the current one included. */
  maxFiles: number;
}

/** Docker's other drivers, so that a known one is refused and an unknown one is wrong. */
const OTHER_DRIVERS: readonly string[] = [
  "awslogs",
  "etwlogs",
  "fluentd",
  "gcplogs",
  "gelf",
  "journald",
  "local",
  "logentries",
  "splunk",
  "syslog",
];

/** What json-file knows beside max-size and max-file; each changes the log, so none is ignored. */
const OTHER_OPTIONS: readonly string[] = [
  "cache-compress",
  "cache-disabled",
  "cache-max-file",
  "cache-max-size",
  "env",
  "env-regex",
  "labels",
  "labels-regex",
  "max-buffer-size",
  "tag",
];

/**
 * Reads HostConfig.LogConfig.
 * @throws LighterError "invalid", with Docker's texts; "not-supported"
 */
export function parseLogConfig(config: DockerHostConfig["LogConfig"]): LogOptions {
  const type = config?.Type || "json-file";
  const options = config?.Config ?? {};
  const parsed: LogOptions = { driver: "json-file", maxBytes: 0, maxFiles: 1 };
  if (type === "none") return { ...parsed, driver: "none" };
  if (OTHER_DRIVERS.includes(type))
    throw notSupported("HostConfig.LogConfig.Type", `log driver "${type}"; there are json-file and none`);
  if (type !== "json-file")
    throw invalid(`error looking up logging plugin ${type}: plugin ${JSON.stringify(type)} not found`);
  for (const [name, value] of Object.entries(options)) {
    if (name === "max-size") parsed.maxBytes = parseSize(value);
    else if (name === "max-file") parsed.maxFiles = parseCount(value);
    else if (name === "mode") {
      if (value !== "blocking" && value !== "" && value !== "non-blocking")
        throw invalid(`logger: logging mode not supported: ${value}`);
      if (value === "non-blocking") throw refused(name);
    } else if (name === "compress") {
      if (value !== "false") throw refused(name);
    } else if (OTHER_OPTIONS.includes(name)) throw refused(name);
    else throw invalid(`unknown log opt '${name}' for json-file log driver`);
  }
  return parsed;
}

function refused(option: string): Error {
  return notSupported("HostConfig.LogConfig.Config", `log option "${option}"`);
}

/** "10m": powers of 1000, as Docker has it for logs. */
function parseSize(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  if (match === null) throw invalid(`invalid size: '${text}'`);
  const power = ["", "k", "m", "g", "t", "p"].indexOf(match[2]!.toLowerCase());
  const bytes = Math.floor(Number(match[1]) * 1000 ** power);
  if (bytes <= 0) throw invalid("max-size must be a positive number");
  if (!Number.isSafeInteger(bytes)) throw invalid(`invalid size: '${text}'`);
  return bytes;
}

function parseCount(text: string): number {
  if (!/^-?[0-9]{1,9}$/.test(text)) throw invalid(`max-file must be a number: '${text}'`);
  const count = Number(text);
  if (count < 1) throw invalid("max-file cannot be less than 1");
  if (count > LOG_MAX_FILES) throw invalid(`max-file cannot be more than ${LOG_MAX_FILES}`);
  return count;
}
