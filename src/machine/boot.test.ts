import { expect, test } from "bun:test";
import { bootGroups, parseBootPlace } from "./boot.ts";

const item = (name: string, order: number, ...needs: number[]) => ({ name, order, needs });
const names = (...items: ReturnType<typeof item>[]) =>
  bootGroups(items).map((group) => group.map(({ name }) => name).join(""));

test("bootGroups: those of one order start together, lower orders first", () => {
  expect(names()).toEqual([]);
  expect(names(item("a", 0), item("b", 0), item("c", 0))).toEqual(["abc"]);
  expect(names(item("a", 5), item("b", -1), item("c", 5), item("d", 0))).toEqual(["b", "d", "ac"]);
});

test("bootGroups: what is needed comes first, even if its own order is later", () => {
  expect(names(item("a", 0, 1), item("b", 0, 2), item("c", 0), item("d", 0))).toEqual(["cd", "b", "a"]);
  expect(names(item("a", 0, 1), item("b", 7), item("c", 9), item("d", 3))).toEqual(["d", "b", "a", "c"]);
  expect(names(item("a", 9, 1), item("b", 7))).toEqual(["b", "a"]);
});

test("bootGroups: a circle of needs is broken somewhere, and nothing is left out", () => {
  expect(names(item("a", 0, 1), item("b", 0, 2), item("c", 0, 0)).join("")).toHaveLength(3);
  expect(names(item("a", 0, 0))).toEqual(["a"]);
});

test("parseBootPlace reads the labels, and refuses what is none", () => {
  expect(parseBootPlace({})).toEqual({ order: 0, delayS: 0, after: [] });
  const of = (name: string, value: string) => parseBootPlace({ [`io.lighter.machine.boot.${name}`]: value });
  expect(of("order", "-3").order).toBe(-3);
  expect(of("delay", "90").delayS).toBe(90);
  expect(of("after", "db, cache,,").after).toEqual(["db", "cache"]);
  for (const [name, value] of [
    ["order", "first"],
    ["order", "1e3"],
    ["order", "99999999"],
    ["delay", "-1"],
    ["delay", "1h"],
    ["delay", "3601"],
  ] as const)
    expect(() => of(name, value)).toThrow("is not a whole number");
});
