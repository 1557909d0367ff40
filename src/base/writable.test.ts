import { expect, test } from "bun:test";
import { Writable } from "node:stream";
import { writable } from "./writable.ts";

/** Takes one chunk and is full until `take` is called. */
function slowWritable() {
  let take = () => {};
  const output = new Writable({
    highWaterMark: 1,
    write: (_chunk, _encoding, done) => {
      take = done;
    },
  });
  return { output, take: () => take() };
}

test("a slow reader is waited for, as often as it takes, and no listener is left", async () => {
  const { output, take } = slowWritable();
  const before = output.eventNames();
  for (let round = 0; round < 20; round += 1) {
    expect(output.write("more")).toBe(false);
    const waited = writable(output);
    take();
    await waited;
  }
  expect(output.eventNames()).toEqual(before);
});

test("a reader that goes away, or has gone, ends the wait", async () => {
  const { output } = slowWritable();
  output.write("more");
  const waited = writable(output);
  output.destroy();
  await waited;
  await writable(output);
  expect(output.listenerCount("drain")).toBe(0);
  expect(output.listenerCount("close")).toBe(0);
});
