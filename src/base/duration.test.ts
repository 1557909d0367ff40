import { expect, test } from "bun:test";
import { mutateText } from "../../tests/support/mutate.ts";
import { Random } from "../../tests/support/random.ts";
import { parseDuration, parseDurationIf } from "./duration.ts";
import { LighterError } from "./errors.ts";

test.each<[string, bigint]>([
  ["0", 0n],
  ["-0", 0n],
  ["5s", 5_000_000_000n],
  ["+2s", 2_000_000_000n],
  ["1h10m", 4_200_000_000_000n],
  ["1h30m", 5_400_000_000_000n],
  ["-1.5s", -1_500_000_000n],
  ["10ms5us", 10_005_000n],
  [".5s", 500_000_000n],
  ["1.s", 1_000_000_000n],
  ["1.5ms", 1_500_000n],
  ["100us", 100_000n],
  ["1µs1μs", 2000n],
  ["0.4ns", 0n],
  ["0.3333333333333333333333h", 1_200_000_000_000n - 1n],
  [`${"0".repeat(100)}1s`, 1_000_000_000n],
  ["1m0s", 60_000_000_000n],
  ["3000h", 10_800_000_000_000_000n],
  ["9223372036854775807ns", 2n ** 63n - 1n],
  ["-9223372036854775808ns", -(2n ** 63n)],
  ["2562047h47m16.854775807s", 2n ** 63n - 1n],
])("parseDuration reads %p as %p ns", (text, ns) => {
  expect(parseDuration(text)).toBe(ns);
});

test.each([
  ["", 'time: invalid duration ""'],
  ["-", 'time: invalid duration "-"'],
  ["x", 'time: invalid duration "x"'],
  ["s", 'time: invalid duration "s"'],
  ["--1s", 'time: invalid duration "--1s"'],
  [".s", 'time: invalid duration ".s"'],
  ["3", 'time: missing unit in duration "3"'],
  ["1s2", 'time: missing unit in duration "1s2"'],
  ["1.2.3s", 'time: missing unit in duration "1.2.3s"'],
  ["3d", 'time: unknown unit "d" in duration "3d"'],
  ["5 s", 'time: unknown unit " s" in duration "5 s"'],
  ["5sx", 'time: unknown unit "sx" in duration "5sx"'],
  ["5constructor", 'time: unknown unit "constructor" in duration "5constructor"'],
  ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'],
  ["2562048h", 'time: invalid duration "2562048h"'],
  [`${"9".repeat(1_000_000)}h`, "time: invalid duration"],
])("parseDuration refuses %.40p in Go's words", (text, message) => {
  expect(() => parseDuration(text)).toThrow(message);
  expect(parseDurationIf(text)).toBeUndefined();
});

test("a duration is the sum of its parts, in any units, and other texts are refused or are a sum too", () => {
  const random = Random.fromEnvironment("durations");
  const units: [string, bigint][] = [
    ["ns", 1n],
    ["us", 1000n],
    ["ms", 1_000_000n],
    ["s", 1_000_000_000n],
    ["m", 60_000_000_000n],
    ["h", 3_600_000_000_000n],
  ];
  for (let round = 0; round < 2000; round++) {
    const parts = Array.from({ length: 1 + random.below(4) }, () => [random.below(1000), random.pick(units)] as const);
    const text = parts.map(([count, [unit]]) => `${count}${unit}`).join("");
    const sum = parts.reduce((total, [count, [, ns]]) => total + BigInt(count) * ns, 0n);
    expect([text, parseDuration(text), parseDuration(`-${text}`)]).toEqual([text, sum, -sum]);
    try {
      const ns = parseDuration(mutateText(random, text));
      expect(ns).toBe(BigInt.asIntN(64, ns));
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
    }
  }
});
