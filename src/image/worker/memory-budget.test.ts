import { expect, test } from "bun:test";
import { MemoryBudget } from "./memory-budget.ts";

test("a budget is looked at after some megabytes of work, and named when it is spent", () => {
  const spent = new MemoryBudget(1);
  spent.spend(1);
  expect(() => spent.spend(8 * 1024 * 1024)).toThrow("takes more than 1 bytes of memory");
  new MemoryBudget(Number.MAX_SAFE_INTEGER).spend(8 * 1024 * 1024);
});
