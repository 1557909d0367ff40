import { expect, test } from "bun:test";
import { residentBytes } from "../../engine/mod.ts";
import { createRest } from "./rest.ts";

const MIB = 1024 * 1024;

/** In many small pieces: what one of them is taken for, as some number on the stack looks like its address, is small. */
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
  expect(residentBytes().anonymous).toBeLessThan(most - 20 * MIB); // of some 70
  resolve(1);
  expect(await waiting).toBe(2);
});
