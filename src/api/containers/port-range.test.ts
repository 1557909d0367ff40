import { expect, test } from "bun:test";
import { isInRange, parsePortRange } from "./port-range.ts";

test.each([
  ["80", { first: 80, last: 80, protocol: "tcp" }],
  ["53/udp", { first: 53, last: 53, protocol: "udp" }],
  ["8000-8010/TCP", { first: 8000, last: 8010, protocol: "tcp" }],
])("%s", (text, range) => {
  expect(parsePortRange("expose", text)).toEqual(range);
});

test.each([
  ["x", 'error while looking up for expose x: strconv.ParseUint: parsing "x": invalid syntax'],
  ["80-x", 'error while looking up for expose 80-x: strconv.ParseUint: parsing "x": invalid syntax'],
  ["70000", 'error while looking up for expose 70000: strconv.ParseUint: parsing "70000": value out of range'],
])("%s is no port", (text, message) => {
  expect(() => parsePortRange("expose", text)).toThrow(message);
});

test("a port is in the range of its protocol", () => {
  const range = parsePortRange("expose", "80-90");
  expect(["79/tcp", "80/tcp", "90/tcp", "91/tcp", "85/udp", "85"].map((port) => isInRange(port, range))).toEqual([
    false,
    true,
    true,
    false,
    false,
    true,
  ]);
});
