import { afterEach, expect, jest, test } from "bun:test";
import { Sampler } from "./sampler.ts";

afterEach(() => jest.useRealTimers());

test("one timer serves all who listen, and ends with the last", () => {
  jest.useFakeTimers();
  let count = 0;
  const sampler = new Sampler(() => ++count);
  const seen: string[] = [];
  const one = sampler.listen((sample) => seen.push(`one ${sample}`));
  const two = sampler.listen((sample) => seen.push(`two ${sample}`));
  expect(seen).toEqual(["one 1"]);
  jest.advanceTimersByTime(1000);
  expect(seen).toEqual(["one 1", "one 2", "two 2"]);
  one[Symbol.dispose]();
  jest.advanceTimersByTime(1000);
  expect(seen.at(-1)).toBe("two 3");
  two[Symbol.dispose]();
  jest.advanceTimersByTime(5000);
  expect(count).toBe(3);
  sampler.listen(() => {})[Symbol.dispose]();
  expect(count).toBe(4);
});
