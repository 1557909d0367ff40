import { expect, test } from "bun:test";
import { realTimeNs } from "../linux/sys/clock.ts";
import { type EngineEvent, EventBus } from "./events.ts";

test("a listener gets what is published until it is disposed of", () => {
  const bus = new EventBus(() => 5n);
  const seen: EngineEvent[] = [];
  const listening = bus.subscribe((event) => seen.push(event));
  expect(bus.clientCount).toBe(1);
  bus.publish("container", "start", "c1", { name: "web" });
  listening[Symbol.dispose]();
  bus.publish("container", "die", "c1");
  expect(bus.clientCount).toBe(0);
  expect(seen).toEqual([{ type: "container", action: "start", id: "c1", attributes: { name: "web" }, timeNs: 5n }]);
});

test("no two events have the same time, and a clock that is set back far is believed", () => {
  const times = [1000n, 1000n, 999n, 5_000_000_000n, 1_000_000_000n];
  const bus = new EventBus(() => times.shift()!);
  for (const _ of [...times]) bus.publish("volume", "create", "v");
  expect(bus.past().map(({ timeNs }) => timeNs)).toEqual([1000n, 1001n, 1002n, 5_000_000_000n, 1_000_000_000n]);
});

test("events have the time at which they happen, to the nanosecond", () => {
  const bus = new EventBus();
  const times = [realTimeNs()];
  for (let count = 0; count < 10; count++) {
    bus.publish("volume", "create", "v");
    times.push(bus.past().at(-1)!.timeNs, realTimeNs());
  }
  expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(Math.abs(Number(times[0]! / 1_000_000n) - Date.now())).toBeLessThan(60_000);
});

test("the last 256 events are kept", () => {
  const bus = new EventBus();
  for (let index = 0; index < 300; index++) bus.publish("image", "tag", `sha256:${index}`);
  const past = bus.past();
  expect(past).toHaveLength(256);
  expect([past[0]!.id, past[255]!.id]).toEqual(["sha256:44", "sha256:299"]);
});
