import { expect, test } from "bun:test";
import { Companions } from "./companions.ts";

const never = new AbortController().signal;

/** Whether it has settled, once everything that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  await Promise.resolve();
  return (await Promise.race([promise, new Promise((resolve) => setImmediate(() => resolve(pending)))])) !== pending;
}

test("a start waits for both, whichever comes first", async () => {
  const companions = new Companions();
  const start = companions.both("a", never);
  companions.begin("a");
  companions.begin("b");
  companions.begin("b");
  expect(await isSettled(start)).toBe(false);
  companions.begin("a");
  await start;
  await companions.both("b", never); // they were there before it
});

test("a start whose client goes away is given up", async () => {
  const companions = new Companions();
  const client = new AbortController();
  const start = companions.both("a", client.signal);
  client.abort(new Error("gone"));
  expect(await start.catch((error: Error) => error.message)).toBe("gone");
});

test("names that nobody starts by are not kept without end, and then nobody waits for them", async () => {
  const companions = new Companions();
  for (let number = 0; number < 1000; number++) companions.begin(`${number}`);
  expect(await isSettled(companions.both("0", never))).toBe(false);
  await companions.both("999", never);
});
