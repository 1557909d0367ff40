import { expect, test } from "bun:test";
import { formatNow, formatRfc3339, formatRfc3339Fixed, parseRfc3339, parseTimeNs, parseUnixTime } from "./time.ts";

test("formatRfc3339 leaves trailing zeros out and the point with them", () => {
  expect(formatRfc3339(1_795_477_792_138_207_770n)).toBe("2026-11-23T23:49:52.13820777Z");
  expect(formatRfc3339(1_795_477_792_000_000_000n)).toBe("2026-11-23T23:49:52Z");
  expect(formatRfc3339Fixed(1_795_477_792_000_000_001n)).toBe("2026-11-23T23:49:52.000000001Z");
});

test("parseRfc3339 undoes formatRfc3339 and knows zones", () => {
  for (const ns of [0n, 1n, 999_999_999n, 1_795_477_792_138_207_770n]) expect(parseRfc3339(formatRfc3339(ns))).toBe(ns);
  expect(parseRfc3339("1970-01-01T01:00:00+01:00")).toBe(0n);
  expect(parseRfc3339("1970-01-01")).toBeUndefined();
  expect(parseRfc3339("1970-13-01T00:00:00Z")).toBeUndefined();
});

test("parseUnixTime takes seconds with decimals and nothing else", () => {
  expect(parseUnixTime("12.5")).toBe(12_500_000_000n);
  expect(parseUnixTime("12.000000001")).toBe(12_000_000_001n);
  for (const bad of ["", "-1", "1e9", "abc", "1.", "0x10"]) expect(parseUnixTime(bad)).toBeUndefined();
});

test("parseTimeNs takes durations before now, Unix time, and dates with as much of a time as is given", () => {
  const nowMs = Date.parse("2024-01-02T03:04:05Z");
  const ns = BigInt(nowMs) * 1_000_000n;
  for (const [text, expected] of [
    ["42m", ns - 2_520_000_000_000n],
    ["-1s", ns + 1_000_000_000n],
    ["0", 0n],
    ["12.5", 12_500_000_000n],
    ["2024-01-02T03:04:05.5Z", ns + 500_000_000n],
    ["2024-01-02T05:04:05+02:00", ns],
    ["2024-01-02T03:04:05", ns],
    ["2024-01-02T03:04", ns - 5_000_000_000n],
    ["2024-01-02T03", ns - 245_000_000_000n],
    ["2024-01-02", ns - 11_045_000_000_000n],
    ["2024-01-02Z", ns - 11_045_000_000_000n],
  ] as const)
    expect([text, parseTimeNs(text, nowMs, "Z")]).toEqual([text, expected]);
  for (const bad of ["", "foo", "2024-13-01", "2024-01-02T", "2024-01-02 03:04", "1e9", "2024-01-02T03:04:05.Z"])
    expect([bad, parseTimeNs(bad, nowMs, "Z")]).toEqual([bad, undefined]);
  expect(parseTimeNs("2024-01-02", nowMs, "")).toBe(BigInt(new Date(2024, 0, 2).getTime()) * 1_000_000n);
});

test("formatNow is the present in the same form", () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const text = formatNow();
  expect(formatRfc3339(parseRfc3339(text)!)).toBe(text);
  expect(parseRfc3339(text)! >= before).toBe(true);
});
