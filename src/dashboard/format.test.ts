import { expect, test } from "bun:test";
import { formatAge, formatBytes, formatPercent, formatSeconds, plain, shortId, shortly } from "./format.ts";

test("sizes have a unit that people can read", () => {
  expect([0, 1023, 1024, 1536, 150 * 1024 ** 2, 3.5 * 1024 ** 3].map(formatBytes)).toEqual([
    ...["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "150 MiB", "3.5 GiB"],
  ]);
  expect(formatBytes(Number.POSITIVE_INFINITY)).toBe("–");
});

test("times are given in their largest unit", () => {
  expect([0, 1, 59, 60, 7200, 86_400 * 3, 86_400 * 60, 86_400 * 800].map(formatAge)).toEqual([
    ...["0 seconds", "1 second", "59 seconds", "1 minute", "2 hours", "3 days", "2 months", "2 years"],
  ]);
});

test("durations have two units at most", () => {
  expect([0, 0.34, 12.9, 59.9, 200, 7320].map(formatSeconds)).toEqual([
    ...["0.0 s", "0.3 s", "12 s", "59 s", "3 min 20 s", "2 h 2 min"],
  ]);
});

test("how long something has lasted fits into a column", () => {
  expect(
    ["Up 34 seconds", "Up Less than a second", "Up About a minute", "Exited (3) About an hour ago", "Created"].map(
      shortly,
    ),
  ).toEqual([...["Up 34 s", "Up 0 s", "Up 1 min", "Exited (3) 1 h ago", "Created"]]);
  expect(shortly("Exited (0) 2 weeks ago")).toBe("Exited (0) 2 wk ago");
});

test("shares are short", () => {
  expect([0, 0.24, 9.96, 42.4, 180].map(formatPercent)).toEqual(["0 %", "0.2 %", "10.0 %", "42 %", "180 %"]);
});

test("outside text has no control characters, nor those that turn text around, and an end", () => {
  expect(plain("a\u001b[31mb\nc\u202ed\u200be")).toBe("a·[31mb·c·d·e");
  expect(plain("x".repeat(1000), 10)).toBe(`${"x".repeat(9)}…`);
  expect(shortId(`sha256:${"ab".repeat(32)}`)).toBe("abababababab");
});
