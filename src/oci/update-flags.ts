/** The flags of `update` that set limits. */
import { LighterError } from "../base/errors.ts";
import type { OciResources } from "../spec/oci-runtime.ts";
import type { Parsed } from "./flags.ts";

/**
 * The limits that the flags of `update` ask for. 0 and empty values count as not given.
 * @throws LighterError ("invalid") naming the flag
 */
export function flagResources(parsed: Parsed, warn: (message: string) => void): OciResources {
  for (const name of ["kernel-memory", "kernel-memory-tcp"])
    if (parsed.string(name)) warn(`Setting --${name} is ignored and will be removed`);

  const value = (name: string) => parsed.string(name) || undefined;
  const number = (name: string, isSigned: boolean) => {
    const digits = value(name);
    return digits === undefined ? undefined : parseNumber(digits, name, isSigned);
  };
  const bytes = (name: string) => {
    const size = value(name);
    return size === undefined ? undefined : parseBytes(size, name);
  };
  const pidsLimit = parsed.integer("pids-limit");
  const weight = parsed.integer("blkio-weight");
  return {
    memory: given({
      limit: bytes("memory"),
      swap: bytes("memory-swap"),
      reservation: bytes("memory-reservation"),
    }),
    cpu: given({
      shares: number("cpu-share", false),
      quota: number("cpu-quota", true),
      burst: number("cpu-burst", false),
      period: number("cpu-period", false),
      realtimeRuntime: number("cpu-rt-runtime", true),
      realtimePeriod: number("cpu-rt-period", false),
      idle: number("cpu-idle", true),
      cpus: value("cpuset-cpus"),
      mems: value("cpuset-mems"),
    }),
    ...(pidsLimit === undefined ? {} : { pids: { limit: pidsLimit } }),
    ...(weight ? { blockIO: { weight } } : {}),
  };
}

/** The fields that are not undefined. */
function given<T extends object>(fields: { [K in keyof T]: T[K] | undefined }): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

function parseNumber(digits: string, name: string, isSigned: boolean): number {
  const number = Number(digits);
  if (!(isSigned ? /^[+-]?\d+$/ : /^\d+$/).test(digits) || Math.abs(number) >= 2 ** 63)
    throw new LighterError("invalid", `invalid value for ${name}: ${JSON.stringify(digits)}: not a number`);
  return number;
}

const UNITS = "kmgtp";

/** Parses "64m", "1.5 GiB" or "-1". Source: Docker's go-units, RAMInBytes: a unit is always a power of 1024. */
function parseBytes(size: string, name: string): number {
  if (size === "-1") return -1;
  const match = /^(\d+(?:\.\d+)?) ?(?:([kmgtp])?(?:i?b)?)$/i.exec(size);
  if (match === null) throw new LighterError("invalid", `invalid value for ${name}: invalid size: '${size}'`);
  const power = match[2] === undefined ? 0 : UNITS.indexOf(match[2].toLowerCase()) + 1;
  return Math.trunc(Number(match[1]) * 1024 ** power);
}
