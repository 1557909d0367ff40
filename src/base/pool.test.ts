import { expect, test } from "bun:test";
import { Pool } from "./pool.ts";

class Helper {
  readonly killed = Promise.withResolvers<void>();
  isKilled = false;

  kill(): void {
    this.isKilled = true;
    this.killed.resolve();
  }
}

const LONG_MS = 1_000_000;

function withHelpers(count: number, idleMs = LONG_MS): [Pool<Helper>, ...Helper[]] {
  const pool = new Pool<Helper>(idleMs);
  const helpers = Array.from({ length: count }, () => new Helper());
  for (const helper of helpers) pool.add(helper);
  return [pool, ...helpers];
}

test("the helper that worked last works next", () => {
  const [pool, one, other] = withHelpers(2);
  expect(pool.take()).toBeUndefined();
  pool.giveBack(one!);
  pool.giveBack(other!);
  expect([pool.take(), pool.take(), pool.take()]).toEqual([other!, one!, undefined]);
});

test("a helper that stays idle is killed", async () => {
  const [pool, helper] = withHelpers(1, 1);
  expect(pool.isEmpty).toBe(false);
  pool.giveBack(helper!);
  await helper!.killed.promise;
  expect(pool.isEmpty).toBe(true);
  expect(pool.take()).toBeUndefined();
});

test("a helper that was discarded does not come back", () => {
  const [pool, helper] = withHelpers(1);
  pool.discard(helper!);
  pool.giveBack(helper!);
  expect(pool.take()).toBeUndefined();
});

test("the end kills all, idle or at work, and what is given back after it", async () => {
  const [pool, idle, busy] = withHelpers(2);
  pool.giveBack(idle!);
  await pool.close();
  expect([idle!.isKilled, busy!.isKilled]).toEqual([true, true]);
  const late = new Helper();
  pool.add(late);
  pool.giveBack(late);
  expect(late.isKilled).toBe(true);
});
