import { expect, test } from "bun:test";
import { mergeHealthcheck, validateHealthcheck } from "./health.ts";

test("what the container does not say is the image's", () => {
  const image = { Test: ["CMD", "image"], Interval: 5e9, Retries: 2 };
  expect(mergeHealthcheck(undefined, image)).toEqual(image);
  expect(mergeHealthcheck({ Timeout: 1e9 }, image)).toEqual({ ...image, Timeout: 1e9 });
  expect(mergeHealthcheck({ Test: ["NONE"] }, image)).toEqual({ ...image, Test: ["NONE"] });
  expect(mergeHealthcheck({ Test: ["CMD", "own"], Interval: 7e9 }, undefined)).toEqual({
    Test: ["CMD", "own"],
    Interval: 7e9,
  });
  expect(mergeHealthcheck(null, null)).toBeUndefined();
});

test.each([
  [{ Interval: 5 }, "Interval in Healthcheck cannot be less than 1ms"],
  [{ Timeout: -1e9 }, "Timeout in Healthcheck cannot be less than 1ms"],
  [{ StartPeriod: 999_999 }, "StartPeriod in Healthcheck cannot be less than 1ms"],
  [{ StartInterval: 1 }, "StartInterval in Healthcheck cannot be less than 1ms"],
  [{ Retries: -1 }, "Retries in Healthcheck cannot be negative"],
])("%j is refused", (Healthcheck, message) => {
  expect(() => validateHealthcheck({ Healthcheck })).toThrow(message);
});

test("zeros and a millisecond are taken", () => {
  validateHealthcheck({});
  validateHealthcheck({ Healthcheck: { Interval: 0, Timeout: 1e6, Retries: 0 } });
});
