import { expect, test } from "bun:test";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { defaultDeviceRules } from "../cgroup/device-rules.ts";
import { annotationProperties, cpuBits, type Manager, type Property, resourceProperties } from "./properties.ts";

const PROC_DEVICES = "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n  8 sd\n";
const v2: Manager = { cgroupVersion: 2, systemdVersion: 257, procDevices: PROC_DEVICES };

/** "MemoryMax t 1024". */
function listing(properties: readonly Property[]): string[] {
  return properties.map(([name, { signature, value }]) => `${name} ${signature} ${JSON.stringify(value, bigintText)}`);
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}

const LIMITS: OciResources = {
  memory: { limit: 1000, swap: 3000, reservation: 500 },
  cpu: { shares: 1024, quota: 25000, period: 50000, cpus: "0-2,9", mems: "0" },
  pids: { limit: -1 },
};

test("resourceProperties on v2: systemd is told what it would else overwrite", () => {
  expect(listing(resourceProperties(LIMITS, v2))).toEqual([
    'MemoryMax t "1000"',
    'MemoryLow t "500"',
    'MemorySwapMax t "2000"',
    'CPUWeight t "100"',
    'CPUQuotaPeriodUSec t "50000"',
    'CPUQuotaPerSecUSec t "500000"',
    'TasksMax t "18446744073709551615"',
    "AllowedCPUs ay [7,2]",
    "AllowedMemoryNodes ay [1]",
  ]);
});

test("resourceProperties on v1 has v1's names, and an old systemd gets only what it knows", () => {
  expect(listing(resourceProperties(LIMITS, { ...v2, cgroupVersion: 1, systemdVersion: 239 }))).toEqual([
    'MemoryLimit t "1000"',
    'CPUShares t "1024"',
    'CPUQuotaPerSecUSec t "500000"',
    'TasksMax t "18446744073709551615"',
  ]);
});

test("resourceProperties rounds a quota up to whole percents, and no limit is infinity", () => {
  const quota = (cpu: OciResources["cpu"]) => listing(resourceProperties({ cpu: cpu! }, v2)).at(-1);
  expect(quota({ quota: 15001, period: 100000 })).toBe('CPUQuotaPerSecUSec t "160000"');
  expect(quota({ quota: 100 })).toBe('CPUQuotaPerSecUSec t "10000"');
  expect(quota({ quota: -1 })).toBe('CPUQuotaPerSecUSec t "18446744073709551615"');
  expect(quota({ idle: 1 })).toBe('CPUWeight t "0"');
});

test("resourceProperties translates unified files that systemd has a word for, and leaves the others", () => {
  const unified = {
    "memory.high": "max",
    "pids.max": "12",
    "cpu.weight": "50 ",
    "cpu.max": "max 100000",
    "cpuset.cpus": "1",
    "io.max": "8:0 rbps=1",
  };
  expect(listing(resourceProperties({ unified }, v2))).toEqual([
    'MemoryHigh t "18446744073709551615"',
    'TasksMax t "12"',
    'CPUWeight t "50"',
    'CPUQuotaPeriodUSec t "100000"',
    'CPUQuotaPerSecUSec t "18446744073709551615"',
    "AllowedCPUs ay [2]",
  ]);
  expect(() => resourceProperties({ unified: { "pids.max": "many" } }, v2)).toThrow('unified["pids.max"]');
});

test("resourceProperties makes devices an allow list, with names as systemd has them", () => {
  const properties = resourceProperties({ devices: defaultDeviceRules() }, v2);
  expect(properties.slice(0, 2).map(([name, { value }]) => [name, value])).toEqual([
    ["DevicePolicy", "strict"],
    ["DeviceAllow", []],
  ]);
  const allowed = properties[2]![1].value;
  expect(allowed).toContainEqual(["/dev/char/1:3", "rwm"]);
  expect(allowed).toContainEqual(["char-pts", "rwm"]);
  expect(allowed).toContainEqual(["block-*", "m"]);
});

test("resourceProperties lets systemd allow all where all is allowed, and cannot deny some on v1", () => {
  const allowAll = { allow: true, access: "rwm" };
  expect(listing(resourceProperties({ devices: [allowAll] }, v2))).toEqual([
    'DevicePolicy s "auto"',
    "DeviceAllow a(ss) []",
  ]);
  const devices = [allowAll, { allow: false, type: "c", major: 1, minor: 1, access: "rwm" }];
  expect(listing(resourceProperties({ devices }, v2))).toHaveLength(2);
  expect(() => resourceProperties({ devices }, { ...v2, cgroupVersion: 1 })).toThrow(
    expect.objectContaining({ code: "not-supported" }),
  );
});

test("cpuBits refuses what is no list, and numbers that no machine has", () => {
  for (const bad of ["", "a", "3-1", "1,,2", "-1", "99999", "0-8192"])
    expect(() => cpuBits(bad, "cpu.cpus")).toThrow(expect.objectContaining({ code: "invalid" }));
});

test("annotationProperties reads the values that people write", () => {
  const read = (name: string, value: string) =>
    listing(annotationProperties({ [`org.systemd.property.${name}`]: value, other: "x" }));
  expect(read("TimeoutStopUSec", "uint64 10000000")).toEqual(['TimeoutStopUSec t "10000000"']);
  expect(read("TimeoutStopSec", "7")).toEqual(['TimeoutStopUSec t "7000000"']);
  expect(read("TimeoutStopSec", "double 0.5")).toEqual(['TimeoutStopUSec t "500000"']);
  expect(read("KillSignal", "int32 15")).toEqual(["KillSignal i 15"]);
  expect(read("SendSIGHUP", "true")).toEqual(["SendSIGHUP b true"]);
  expect(read("CollectMode", "'inactive-or-failed'")).toEqual(['CollectMode s "inactive-or-failed"']);
  expect(read("After", "['a.service', \"b\"]")).toEqual(['After as ["a.service","b"]']);
});

test("annotationProperties refuses names and values that are none", () => {
  for (const [name, value] of [
    ["a", "true"],
    ["Slice=", "true"],
    ["KillSignal", "SIGTERM"],
    ["KillSignal", "int32 99999999999"],
    ["KillSignal", "float 1"],
    ["KillSignal", "uint32 1.5"],
    ["CollectMode", "'open"],
    ["CollectMode", "'a' 'b'"],
    ["After", "['a' junk]"],
    ["TimeoutStopSec", "'a'"],
  ] as const)
    expect(() => annotationProperties({ [`org.systemd.property.${name}`]: value })).toThrow(
      expect.objectContaining({ code: "invalid" }),
    );
});
