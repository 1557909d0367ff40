/** Turns resources of the runtime-spec into properties of a systemd unit. */
import { LighterError } from "../../base/errors.ts";
import { CPUSET_MAX_NUMBER } from "../../base/limits.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { CPU_PERIOD_DEFAULT_US, cpuWeightFromShares, swapMaxFromMemsw, withPlainNumbers } from "../cgroup/convert.ts";
import type { DeviceException } from "../cgroup/device-rules.ts";
import { compileDeviceRules, DEVICE_ACCESS } from "../cgroup/device-rules.ts";
import type { Variant } from "./wire.ts";

/** A property of a unit as D-Bus has it: name and value. */
export type Property = [string, Variant];

/** What systemd calls "no limit". */
const INFINITY = 2n ** 64n - 1n;
const MICROSECONDS = 1_000_000;
/** The precision of a quota in systemd, whole percents of a CPU, in microseconds per second. */
const CPU_QUOTA_STEP_US = 10_000;

/** The facts besides the resources that the properties depend on. */
export interface Manager {
  cgroupVersion: 1 | 2;
  /** systemd's version. What that one does not know yet is set by the cgroup's files only. */
  systemdVersion: number;
  /** The text of /proc/devices. */
  procDevices: string;
}

/**
 * The limits that systemd must know of, since it writes its own over ours whenever it applies a unit's settings anew
 * (daemon-reload). The cgroup's files get all of them as well, exactly.
 * Source: systemd.resource-control(5); which of them runc sets.
 * @throws LighterError ("invalid") for a malformed value
 */
export function resourceProperties(asked: OciResources, manager: Manager): Property[] {
  const { memory = {}, cpu = {}, pids, unified, devices } = withPlainNumbers(asked);
  const { cgroupVersion, systemdVersion } = manager;
  const isV2 = cgroupVersion === 2;
  const properties: Property[] = [];
  const add = (name: string, signature: string, value: Variant["value"]) =>
    properties.push([name, { signature, value }]);

  if (devices !== undefined) properties.push(...deviceProperties(devices, manager));
  if (memory.limit) add(isV2 ? "MemoryMax" : "MemoryLimit", "t", limit(memory.limit));
  if (memory.reservation && isV2) add("MemoryLow", "t", limit(memory.reservation));
  if (isV2 && memory.swap && (memory.limit || memory.swap === -1)) {
    const swapMax = swapMaxFromMemsw(memory.swap, memory.limit);
    if (swapMax !== undefined) add("MemorySwapMax", "t", limit(swapMax));
  }
  if (cpu.shares) {
    if (isV2) add("CPUWeight", "t", BigInt(cpuWeightFromShares(cpu.shares)));
    else add("CPUShares", "t", BigInt(cpu.shares));
  }
  if (isV2 && cpu.idle === 1 && systemdVersion >= 252) add("CPUWeight", "t", 0n);
  if (cpu.quota || cpu.period) addCpuQuota(properties, cpu.quota ?? -1, cpu.period ?? 0, systemdVersion);
  if (pids?.limit) add("TasksMax", "t", limit(pids.limit));
  if (systemdVersion >= 244)
    for (const [field, name] of [
      ["cpus", "AllowedCPUs"],
      ["mems", "AllowedMemoryNodes"],
    ] as const)
      if (cpu[field]) add(name, "ay", cpuBits(cpu[field], `cpu.${field}`));
  for (const [file, value] of Object.entries(unified ?? {})) addUnified(properties, file, value.trim(), systemdVersion);
  return properties;
}

function limit(value: number): bigint {
  return value < 0 ? INFINITY : BigInt(value);
}

function addCpuQuota(properties: Property[], quotaUs: number, periodUs: number, systemdVersion: number): void {
  if (periodUs !== 0 && systemdVersion >= 242)
    properties.push(["CPUQuotaPeriodUSec", { signature: "t", value: BigInt(periodUs) }]);
  const perSecondUs = (quotaUs * MICROSECONDS) / (periodUs || CPU_PERIOD_DEFAULT_US);
  // Rounded up, so that it is never less than the exact value in the cgroup's file.
  const value = quotaUs <= 0 ? INFINITY : BigInt(Math.ceil(perSecondUs / CPU_QUOTA_STEP_US) * CPU_QUOTA_STEP_US);
  properties.push(["CPUQuotaPerSecUSec", { signature: "t", value }]);
}

const UNIFIED_LIMITS: Readonly<Record<string, string>> = {
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.max": "MemoryMax",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
};

/** Adds the property for a raw cgroup file. Files without a property are set in the cgroup only. */
function addUnified(properties: Property[], file: string, value: string, systemdVersion: number): void {
  const number = (text: string | undefined): number => {
    if (text === undefined || !/^\d+$/.test(text))
      throw new LighterError("invalid", `resources.unified["${file}"] is ${JSON.stringify(value)}`);
    return Number(text);
  };
  const property = UNIFIED_LIMITS[file];
  if (property !== undefined) {
    const bytes = value === "max" ? INFINITY : BigInt(number(value));
    properties.push([property, { signature: "t", value: bytes }]);
  } else if (file === "cpu.weight") {
    properties.push(["CPUWeight", { signature: "t", value: BigInt(number(value)) }]);
  } else if (file === "cpu.max") {
    const [quota, period = String(CPU_PERIOD_DEFAULT_US)] = value.split(/\s+/);
    addCpuQuota(properties, quota === "max" ? -1 : number(quota), number(period), systemdVersion);
  } else if ((file === "cpuset.cpus" || file === "cpuset.mems") && systemdVersion >= 244) {
    const name = file === "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes";
    properties.push([name, { signature: "ay", value: cpuBits(value, `unified["${file}"]`) }]);
  }
}

/** Encodes "0-2,8" with a bit for each number, the lowest in the first byte. @throws LighterError ("invalid") */
export function cpuBits(list: string, what: string): number[] {
  const bytes: number[] = [];
  for (const range of list.split(",")) {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(range);
    const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (match === null || last < first || last > CPUSET_MAX_NUMBER)
      throw new LighterError("invalid", `resources.${what} ${JSON.stringify(list)} is not a list like 0-3,6`);
    for (let bit = first; bit <= last; bit++) {
      while (bytes.length <= bit >> 3) bytes.push(0);
      bytes[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  return bytes;
}

/**
 * The properties for device rules. systemd knows lists of allowed devices only. Everything else is left to our own filter: on v2
 * a systemd filter beside it would get in its way; on v1 systemd would open all devices again.
 * @throws LighterError ("not-supported") for exceptions to "allow" on v1
 */
function deviceProperties(rules: NonNullable<OciResources["devices"]>, manager: Manager): Property[] {
  const { defaultAllow, exceptions } = compileDeviceRules(rules);
  if (defaultAllow && exceptions.length > 0 && manager.cgroupVersion === 1)
    throw new LighterError("not-supported", "resources.devices: systemd knows no denied devices among allowed ones");
  const allowed = defaultAllow ? [] : exceptions.flatMap((each) => deviceNames(each, manager.procDevices));
  return [
    ["DevicePolicy", { signature: "s", value: defaultAllow ? "auto" : "strict" }],
    ["DeviceAllow", { signature: "a(ss)", value: [] }], // empties the list
    ...(allowed.length === 0 ? [] : ([["DeviceAllow", { signature: "a(ss)", value: allowed }]] as Property[])),
  ];
}

/**
 * systemd's names for devices: "/dev/char/1:3", "char-pts" (all of a driver), "char-*". Source: systemd.resource-control(5),
 * DeviceAllow=.
 */
function deviceNames({ type, major, minor, access }: DeviceException, procDevices: string): [string, string][] {
  const kind = type === "c" ? "char" : "block";
  const permissions = (["r", "w", "m"] as const).filter((letter) => (access & DEVICE_ACCESS[letter]) !== 0).join("");
  if (major === undefined) return minor === undefined ? [[`${kind}-*`, permissions]] : [];
  if (minor !== undefined) return [[`/dev/${kind}/${major}:${minor}`, permissions]];
  return driversOf(kind, major, procDevices).map((name) => [`${kind}-${name}`, permissions]);
}

/**
 * The drivers of a major number in /proc/devices: "Character devices:", then lines like "136 pts"; a blank line; "Block
 * devices:".
 */
function driversOf(kind: "char" | "block", major: number, procDevices: string): string[] {
  const section = procDevices.split("\n\n").find((each) => each.startsWith(kind === "char" ? "Character" : "Block"));
  const lines = (section ?? "").split("\n").map((line) => /^\s*(\d+) (.+)$/.exec(line));
  return lines.flatMap((match) => (Number(match?.[1]) === major && match ? [match[2]!] : []));
}

const ANNOTATION = "org.systemd.property.";

/**
 * The properties that annotations ask for: "org.systemd.property.TimeoutStopUSec" = "uint64 123". A name that ends with "Sec" is
 * in seconds, as in unit files, and becomes microseconds, as on D-Bus.
 * Source: runc docs/systemd.md, "Auxiliary properties".
 * @throws LighterError ("invalid")
 */
export function annotationProperties(annotations: Readonly<Record<string, string>>): Property[] {
  return Object.entries(annotations).flatMap(([key, text]): Property[] => {
    if (!key.startsWith(ANNOTATION)) return [];
    const name = key.slice(ANNOTATION.length);
    if (!/^[A-Za-z]{3,}$/.test(name)) throw new LighterError("invalid", `annotation "${key}" names no property`);
    const variant = parseVariant(text);
    if (variant === undefined)
      throw new LighterError("invalid", `annotation "${key}" has no value that D-Bus knows: ${JSON.stringify(text)}`);
    if (!/[a-z]Sec$/.test(name)) return [[name, variant]];
    if (typeof variant.value !== "number" && typeof variant.value !== "bigint")
      throw new LighterError("invalid", `annotation "${key}" is not a number: ${JSON.stringify(text)}`);
    const value = BigInt(Math.round(Number(variant.value) * MICROSECONDS));
    return [[name.replace(/Sec$/, "USec"), { signature: "t", value }]];
  });
}

const NUMBERS: Readonly<Record<string, { signature: string; min: bigint; max: bigint }>> = {
  byte: { signature: "y", min: 0n, max: 2n ** 8n - 1n },
  int16: { signature: "n", min: -(2n ** 15n), max: 2n ** 15n - 1n },
  uint16: { signature: "q", min: 0n, max: 2n ** 16n - 1n },
  int32: { signature: "i", min: -(2n ** 31n), max: 2n ** 31n - 1n },
  uint32: { signature: "u", min: 0n, max: 2n ** 32n - 1n },
  int64: { signature: "x", min: -(2n ** 63n), max: 2n ** 63n - 1n },
  uint64: { signature: "t", min: 0n, max: 2n ** 64n - 1n },
};

/**
 * Parses the part of GVariant's text format that properties need: true, 'text', 12, uint64 12, double 0.5, ['a', 'b'].
 * Source: GLib "GVariant Text Format".
 */
function parseVariant(text: string): Variant | undefined {
  const trimmed = text.trim();
  if (trimmed === "true" || trimmed === "false") return { signature: "b", value: trimmed === "true" };
  const quoted = parseQuoted(trimmed);
  if (quoted !== undefined) return { signature: "s", value: quoted };
  const list = /^\[(.*)\]$/s.exec(trimmed)?.[1];
  if (list !== undefined) return parseStrings(list);
  const [, type = "int32", digits] = /^(?:([a-z0-9]+)\s+)?([+-]?\d+(?:\.\d+)?)$/.exec(trimmed) ?? [];
  if (digits === undefined) return undefined;
  if (type === "double") return { signature: "d", value: Number(digits) };
  const number = NUMBERS[type];
  if (number === undefined || digits.includes(".")) return undefined;
  const value = BigInt(digits.replace(/^\+/, ""));
  if (value < number.min || value > number.max) return undefined;
  return { signature: number.signature, value: "xt".includes(number.signature) ? value : Number(value) };
}

function parseQuoted(text: string): string | undefined {
  const inner = /^'((?:[^'\\]|\\['"\\])*)'$/s.exec(text) ?? /^"((?:[^"\\]|\\['"\\])*)"$/s.exec(text);
  return inner?.[1]?.replace(/\\(.)/g, "$1");
}

function parseStrings(list: string): Variant | undefined {
  const items = list.match(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/gs) ?? [];
  const values = items.map(parseQuoted);
  const rest = items.reduce((left, item) => left.replace(item, ""), list);
  if (!/^[\s,]*$/.test(rest) || values.includes(undefined) || values.length === 0) return undefined;
  return { signature: "as", value: values as string[] };
}
