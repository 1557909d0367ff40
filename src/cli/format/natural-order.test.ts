import { expect, test } from "bun:test";
import { compareNatural } from "./natural-order.ts";

test("numbers in names count as numbers", () => {
  const sorted = ["", "2", "02", "10", " ", "-x", "a", "a1", "a2b", "a10", "a10b2", "a10b10", "a b", "a/b", "b"];
  expect([...sorted].reverse().sort(compareNatural)).toEqual(sorted);
});
