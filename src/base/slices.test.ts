import { expect, test } from "bun:test";
import { atOnce, inSlices, type Steps } from "./slices.ts";

function* count(to: number, seen: string[]): Steps<number> {
  for (let number = 1; number <= to; number++) {
    seen.push(`${number}`);
    yield;
  }
  return to;
}

test("steps that are done at once leave nobody a turn", () => {
  const seen: string[] = [];
  setImmediate(() => seen.push("other"));
  expect(atOnce(count(3, seen))).toBe(3);
  expect(seen).toEqual(["1", "2", "3"]);
});

test("between slices others have a turn, and the result is the work's", async () => {
  const seen: string[] = [];
  setImmediate(() => seen.push("other"));
  expect(await inSlices(count(3, seen), 0)).toBe(3);
  expect(seen).toEqual(["1", "other", "2", "3"]);
});

test("a failure of the work ends it", async () => {
  function* failing(): Steps<never> {
    yield;
    throw new Error("no more");
  }
  await expect(inSlices(failing(), 0)).rejects.toThrow("no more");
  expect(() => atOnce(failing())).toThrow("no more");
});
