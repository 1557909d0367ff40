import { expect, test } from "bun:test";
import { eventually } from "../../../tests/support/eventually.ts";
import { LoopDelay } from "./loop-delay.ts";

test("the event loop is measured while somebody reads, and not otherwise", async () => {
  const delay = new LoopDelay(0);
  expect(delay.isMeasuring).toBe(false);
  expect(delay.read()).toContain("lighter_event_loop_delay_seconds_count 0");
  expect(delay.isMeasuring).toBe(true);
  await eventually(() => expect(delay.isMeasuring).toBe(false));
  expect(delay.read()).toContain("lighter_event_loop_delay_seconds_count 1");
});
