/**
 * Values of flags that describe devices, rates and limits. Error texts are those that users of the stock client know.
 */
import { posix } from "node:path";
import { parseCsvLine, parseRamBytes } from "../../base/value-syntax.ts";
import { parseGoInt } from "../format/go.ts";
import { pairsToObject } from "./env-file.ts";

/**
 * Parses `--cpus` ("1.5" or "3/2") into billionths of a CPU. Exact: finer digits are refused.
 * @throws Error
 */
export function parseNanoCpus(text: string): number {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?(?:\/(\d{1,18}))?$/.exec(text);
  const [, sign, whole = "", fraction = "", exponent = "0", divisor = "1"] = match ?? [];
  if (match === null || whole + fraction === "" || Number(divisor) === 0)
    throw new Error(`failed to parse ${text} as a rational number`);
  const shift = 9 - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction) * 10n ** BigInt(Math.max(shift, 0));
  const below = BigInt(divisor) * 10n ** BigInt(Math.max(-shift, 0));
  if (digits % below !== 0n) throw new Error("value is too precise");
  const nano = Number(digits / below);
  return sign === "-" ? -nano : nano;
}

/** Parses `--memory-swap`: a size, or -1 for no limit. */
export function parseMemorySwap(text: string): number {
  return text === "-1" ? -1 : parseRamBytes(text);
}

interface DeviceRate {
  readonly Path: string;
  readonly Rate: number;
}

function splitDevice(text: string): [path: string, value: string] {
  const colon = text.indexOf(":");
  if (colon === -1) throw new Error(`bad format: ${text}`);
  if (!text.startsWith("/dev/")) throw new Error(`bad format for device path: ${text}`);
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/** Parses `--device-read-bps`: "/dev/sda:1mb". */
export function parseDeviceBps(text: string): DeviceRate {
  const [path, value] = splitDevice(text);
  try {
    return { Path: path, Rate: parseRamBytes(value) };
  } catch {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. ` +
        "Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
    );
  }
}

/** Parses `--device-read-iops`: "/dev/sda:1000". */
export function parseDeviceIops(text: string): DeviceRate {
  const [path, value] = splitDevice(text);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`,
    );
  return { Path: path, Rate: Number(value) };
}

/** Parses `--blkio-weight-device`: "/dev/sda:100"; 0 switches it off. */
export function parseDeviceWeight(text: string): { Path: string; Weight: number } {
  const [path, value] = splitDevice(text);
  const weight = /^\d{1,5}$/.test(value) ? Number(value) : -1;
  if (weight !== 0 && (weight < 10 || weight > 1000)) throw new Error(`invalid weight for device: ${text}`);
  return { Path: path, Weight: weight };
}

export function parseDeviceCgroupRule(text: string): string {
  if (/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(text)) return text;
  throw new Error(`invalid device cgroup format '${text}'`);
}

interface DeviceMapping {
  readonly PathOnHost: string;
  readonly PathInContainer: string;
  readonly CgroupPermissions: string;
}

/** Parses `--device`: "host[:container][:rwm]". */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(":");
  const [host = "", second, third] = parts;
  if (parts.length > 3 || host === "") throw new Error(`bad format for path: ${text}`);
  const secondIsMode = parts.length === 2 && isDeviceMode(second ?? "");
  const inContainer = parts.length === 1 || secondIsMode ? host : (second ?? "");
  if (third !== undefined && !isDeviceMode(third)) throw new Error(`bad mode specified: ${third}`);
  if (!inContainer.startsWith("/")) throw new Error(`${inContainer} is not an absolute path`);
  const clean = (path: string) => (path.length > 1 ? posix.normalize(path).replace(/\/$/, "") : path);
  if (third !== undefined)
    return {
      PathOnHost: host,
      // "/a:r:w": the middle part reads as a mode too; it then means the same path with that mode
      PathInContainer: isDeviceMode(inContainer) ? host : inContainer,
      CgroupPermissions: third,
    };
  if (parts.length === 2 && !secondIsMode)
    return { PathOnHost: host, PathInContainer: clean(inContainer), CgroupPermissions: "rwm" };
  return {
    PathOnHost: clean(host),
    PathInContainer: clean(host),
    CgroupPermissions: secondIsMode ? (second ?? "") : "rwm",
  };
}

export interface DeviceRequest {
  Driver: string;
  /** Number of devices, -1 for all. */
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string> | null;
}

/** Parses `--gpus`, a line of CSV: "all", "2" or "device=0,capabilities=utility". */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: "", Count: 0, DeviceIDs: null, Capabilities: [["gpu"]], Options: {} };
  const seen = new Set<string>();
  for (const field of parseCsvLine(text)) {
    const equals = field.indexOf("=");
    const [key, value] = equals === -1 ? ["count", field] : [field.slice(0, equals), field.slice(equals + 1)];
    const shown = equals === -1 ? field : key;
    if (seen.has(shown)) throw new Error(`gpu request key '${shown}' can be specified only once`);
    seen.add(shown).add(key);
    if (key === "driver") request.Driver = value;
    else if (key === "count") request.Count = parseGpuCount(value);
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options") request.Options = pairsToObject(parseCsvLine(value));
    else throw new Error(`unexpected key '${key}' in '${field}'`);
  }
  if (!seen.has("count") && request.DeviceIDs === null) request.Count = 1;
  return request;
}

function parseGpuCount(text: string): number {
  if (text === "all") return -1;
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw new Error("count must be an integer: invalid syntax");
}

function isDeviceMode(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}

const ULIMITS = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

export interface Ulimit {
  readonly Name: string;
  readonly Hard: number;
  readonly Soft: number;
}

/** Parses `--ulimit`: "nofile=1024[:2048]"; -1 is no limit. */
export function parseUlimit(text: string): Ulimit {
  const equals = text.indexOf("=");
  if (equals === -1) throw new Error(`invalid ulimit argument: ${text}`);
  const name = text.slice(0, equals);
  if (!ULIMITS.has(name)) throw new Error(`invalid ulimit type: ${name}`);
  const values = text.slice(equals + 1).split(":");
  if (values.length > 2)
    throw new Error(
      `too many limit value arguments - ${text.slice(equals + 1)}, can only have up to two, \`soft[:hard]\``,
    );
  const [soft = 0, hard = soft] = values.map((value) => parseDecimal(value));
  if (hard !== -1 && soft === -1)
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: ${hard}`);
  if (hard !== -1 && soft > hard)
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return { Name: name, Hard: hard, Soft: soft };
}

/** Parses a decimal number: "010" is ten here, unlike in flags of type int. */
function parseDecimal(text: string): number {
  return parseGoInt(text.replace(/^([+-]?)0+(?=\d)/, "$1"));
}

const SYSCTLS = new Set(
  "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split(" ").map((name) => `kernel.${name}`),
);

/** Parses `--sysctl`: "net.ipv4.ip_forward=1". Only those of a namespace are allowed. */
export function parseSysctl(text: string): string {
  const name = text.split("=", 1)[0] ?? "";
  if (text.includes("=") && (SYSCTLS.has(name) || name.startsWith("net.") || name.startsWith("fs.mqueue.")))
    return text;
  throw new Error(`sysctl '${text}' is not allowed`);
}
