import { expect, test } from "bun:test";
import { Writable } from "node:stream";
import { writable, writeAll } from "./writable.ts";

/** A stream that takes one chunk and is full until `take` is called. */
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

test("all of a source is written at the taker's pace, and no listener is left of the waiting", async () => {
  let taken = 0;
  let mostListeners = 0;
  const output = new Writable({
    highWaterMark: 1,
    write: (chunk: Uint8Array, _encoding, done) => {
      taken += chunk.length;
      mostListeners = Math.max(mostListeners, output.listenerCount("close"), output.listenerCount("error"));
      setImmediate(done);
    },
  });
  const source = (async function* () {
    for (let count = 0; count < 100; count++) yield new Uint8Array(10);
  })();
  await writeAll(source, output);
  expect([taken, output.writableEnded]).toEqual([1000, true]);
  expect(mostListeners).toBeLessThan(3);
});

test("what goes away takes nothing more of a source, and is no failure", async () => {
  const output = new Writable({ highWaterMark: 1, write: () => output.destroy() });
  const source = (async function* () {
    for (;;) yield new Uint8Array(10);
  })();
  await writeAll(source, output);
});
