import { expect, test } from "bun:test";
import { STEP_OUTPUT_BYTES_PER_SECOND, STEP_OUTPUT_MAX_BYTES } from "../../base/limits.ts";
import { OutputClip } from "./clip-output.ts";

const STDOUT = 1;
const STDERR = 2;

function printer() {
  const clip = new OutputClip();
  return (byteCount: number, nowMs: number, { vertex = "a", stream = STDOUT } = {}) => {
    const { logs = [] } = clip.clip({ logs: [{ vertex, stream, message: Buffer.alloc(byteCount, "x") }] }, nowMs);
    return logs
      .map(({ message }) =>
        Buffer.from(message!)
          .toString()
          .replace(/x+/, (text) => `${text.length}`),
      )
      .join();
  };
}

test("OutputClip passes so much of each stream in a second, and says once that it clips", () => {
  const print = printer();
  const half = STEP_OUTPUT_BYTES_PER_SECOND / 2;
  expect(print(half, 0)).toBe(`${half}`);
  expect(print(half + 1, 10)).toBe(`${half}\n[output clipped, log limit 200KiB/s reached]\n`);
  expect(print(1, 20)).toBe("");
  expect(print(1, 20, { stream: STDERR })).toBe("1");
  expect(print(1, 20, { vertex: "b" })).toBe("1");
  expect(print(half, 1000)).toBe(`${half}`);
});

test("OutputClip passes so much of each stream at all", () => {
  const print = printer();
  const hour = 3_600_000;
  expect(print(1, 0)).toBe("1");
  expect(print(STEP_OUTPUT_MAX_BYTES, hour)).toBe(
    `${STEP_OUTPUT_MAX_BYTES - 1}\n[output clipped, log limit 2048KiB reached]\n`,
  );
  expect(print(1, 2 * hour)).toBe("");
});

test("OutputClip leaves alone what is no output", () => {
  const event = { vertexes: [{ digest: "sha256:a", name: "a" }] };
  expect(new OutputClip().clip(event)).toBe(event);
});
