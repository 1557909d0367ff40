import { expect, test } from "bun:test";
import { residentBytes } from "../../engine/mod.ts";
import { createRest } from "./rest.ts";

const MIB = 1024 * 1024;

/** Leaves garbage in many small pieces: if a number on the stack looks like one's address, only that small piece is kept. */
function leaveGarbage(): number {
  const pieces = Array.from({ length: 2000 }, () => Array.from({ length: 500 }, (_, i) => ({ i, more: { i } })));
  return residentBytes().anonymous + 0 * pieces.length;
}

test("garbage is given back after the second pause, and what waits goes on", async () => {
  const rest = createRest();
  const { promise, resolve } = Promise.withResolvers<number>();
  const waiting = (async () => (await promise) + 1)();
  const most = leaveGarbage();
  rest(0);
  rest(1);
  expect(residentBytes().anonymous).toBeLessThan(most - 20 * MIB); // out of some 70
  resolve(1);
  expect(await waiting).toBe(2);
});
