import { expect, test } from "bun:test";
import { Turns } from "./turns.ts";

/** Records who got a turn, in order. */
function taking(turns: Turns): { taken: string[]; take(name: string, signal?: AbortSignal): Promise<void> } {
  const taken: string[] = [];
  return { taken, take: async (name, signal) => turns.take(signal).then(() => void taken.push(name)) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("turns go to those who wait, in the order they came", async () => {
  const turns = new Turns(2);
  const { taken, take } = taking(turns);
  const all = ["a", "b", "c", "d"].map((name) => take(name));
  await settled();
  expect(taken).toEqual(["a", "b"]);
  expect(turns.areTaken).toBe(true);
  turns.giveBack();
  await settled();
  expect(taken).toEqual(["a", "b", "c"]);
  turns.giveBack();
  await Promise.all(all);
  turns.giveBack();
  expect(turns.areTaken).toBe(false);
});

test("who gives up leaves the queue with the signal's reason, and takes no turn", async () => {
  const turns = new Turns(1);
  const { taken, take } = taking(turns);
  await take("a");
  const aborter = new AbortController();
  const given = take("b", aborter.signal);
  const last = take("c");
  aborter.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  await expect(take("d", aborter.signal)).rejects.toThrow("enough");
  turns.giveBack();
  await last;
  turns.giveBack();
  expect(taken).toEqual(["a", "c"]);
  expect(turns.areTaken).toBe(false);
});

test("a signal that comes when the turn has been given takes nothing back", async () => {
  const turns = new Turns(1);
  await turns.take();
  const aborter = new AbortController();
  const waiting = turns.take(aborter.signal);
  turns.giveBack();
  aborter.abort(new Error("too late"));
  await waiting;
  expect(turns.areTaken).toBe(true);
});

test("a new limit lets more in at once, or fewer from then on", async () => {
  const turns = new Turns(1);
  const { taken, take } = taking(turns);
  const all = ["a", "b", "c", "d"].map((name) => take(name));
  turns.maxCount = 3;
  await settled();
  expect(taken).toEqual(["a", "b", "c"]);
  turns.maxCount = 1;
  turns.giveBack();
  turns.giveBack();
  await settled();
  expect(taken).toEqual(["a", "b", "c"]);
  turns.giveBack();
  await Promise.all(all);
});
