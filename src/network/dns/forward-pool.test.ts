import { expect, test } from "bun:test";
import { DNS_FORWARDS_ASSURED, DNS_FORWARDS_MAX, DNS_FORWARDS_MAX_TOTAL } from "../../base/limits.ts";
import { ForwardPool, type ForwardShare } from "./forward-pool.ts";

/** Begins as many queries as are allowed and returns how many. */
function fill(share: ForwardShare): number {
  let count = 0;
  while (share.begin()) count++;
  return count;
}

test("a container that asks alone has as many as it may have, and those that have ended again", () => {
  const share = new ForwardPool().share();
  expect(fill(share)).toBe(DNS_FORWARDS_MAX);
  share.end();
  expect(fill(share)).toBe(1);
});

test("containers that never stop asking come to have the same, and the next has as much", () => {
  const pool = new ForwardPool();
  const hostile = Array.from({ length: 7 }, () => ({ share: pool.share(), own: 0 }));
  for (let round = 0; round < 2000; round++)
    for (const each of hostile) {
      each.own += fill(each.share);
      for (let ended = Math.ceil(each.own / 10); ended > 0; ended--, each.own--) each.share.end();
    }
  const fair = DNS_FORWARDS_MAX_TOTAL / (hostile.length + 1);
  for (const { own } of hostile) expect(Math.abs(own - fair)).toBeLessThan(fair / 4);
  expect(fill(pool.share())).toBeGreaterThan(fair / 4);
});

test("a few are everybody's, however many others have", () => {
  const pool = new ForwardPool();
  for (let others = 0; others < 100; others++) fill(pool.share());
  expect(fill(pool.share())).toBe(DNS_FORWARDS_ASSURED);
});
