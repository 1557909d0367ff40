import { expect, test } from "bun:test";
import { cpuWeightFromShares, formatInteger, ioWeightFromBlkio, swapMaxFromMemsw } from "./convert.ts";

test("cpuWeightFromShares maps the ends and the default to theirs, and lies on runc's curve between", () => {
  // 2000 → 170 and 22000 → 1204 are values that runc 1.3.2 and youki were seen to write.
  const pairs: [number, number][] = [
    [1, 1],
    [2, 1],
    [1024, 100],
    [2000, 170],
    [22000, 1204],
    [262144, 10000],
    [300000, 10000],
  ];
  for (const [shares, weight] of pairs) expect([shares, cpuWeightFromShares(shares)]).toEqual([shares, weight]);
});

test("cpuWeightFromShares never falls and stays in range", () => {
  let last = 1;
  for (let shares = 2; shares <= 262144; shares++) {
    const weight = cpuWeightFromShares(shares);
    if (weight < last || weight > 10000) throw new Error(`${shares} shares give ${weight} after ${last}`);
    last = weight;
  }
  expect(last).toBe(10000);
});

test("ioWeightFromBlkio maps 10 to 1 and 1000 to 10000", () => {
  expect([10, 100, 500, 1000].map(ioWeightFromBlkio)).toEqual([1, 910, 4950, 10000]);
});

test("swapMaxFromMemsw subtracts memory, and leaves alone what was not asked for", () => {
  expect(swapMaxFromMemsw(300, 100)).toBe(200);
  expect(swapMaxFromMemsw(100, 100)).toBe(0);
  expect(swapMaxFromMemsw(-1, 100)).toBe(-1);
  expect(swapMaxFromMemsw(undefined, 100)).toBeUndefined();
  expect(swapMaxFromMemsw(undefined, -1)).toBe(-1);
});

test("formatInteger writes all digits, and no number above the largest of 64 bits", () => {
  expect([2 ** 63, 1e21, -1, 0].map(formatInteger)).toEqual(["9223372036854775808", "18446744073709551615", "-1", "0"]);
});
