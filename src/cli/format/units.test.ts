import { expect, test } from "bun:test";
import { formatDuration } from "../../base/duration.ts";
import { parseRamBytes } from "../../base/value-syntax.ts";
import { formatBinarySize, formatG, formatSize } from "./units.ts";

test.each([
  ["0", 0],
  ["512", 512],
  ["10b", 10],
  ["1k", 1024],
  ["1K", 1024],
  ["1kb", 1024],
  ["1KiB", 1024],
  ["512m", 512 * 2 ** 20],
  ["1.5g", 1.5 * 2 ** 30],
  ["64 MB", 64 * 2 ** 20],
  ["1t", 2 ** 40],
  ["1p", 2 ** 50],
  ["1.00001k", 1024],
])("parseRamBytes reads %p as %p bytes", (text, bytes) => {
  expect(parseRamBytes(text)).toBe(bytes);
});

test.each(["", "x", "3x", "3kx", "3kibb", "-1", "3  m", "1e3", "0x10", "+3m", " 3", "m3"])(
  "parseRamBytes refuses %p, naming it",
  (text) => {
    expect(() => parseRamBytes(text)).toThrow(new RegExp(`^invalid size: '${text.replace("+", "\\+")}'$`));
  },
);

test("parseRamBytes names a number that is none", () => {
  expect(() => parseRamBytes("3.5.2m")).toThrow('strconv.ParseFloat: parsing "3.5.2": invalid syntax');
});

test.each([
  [0, "0B"],
  [999, "999B"],
  [1000, "1kB"],
  [2_026_000, "2.03MB"],
  [999_999, "1e+03kB"],
  [1_500_000_000, "1.5GB"],
])("formatSize shows %p bytes with three digits as %p", (bytes, text) => {
  expect(formatSize(bytes, 3)).toBe(text);
});

test("sizes have four digits where a table has not asked for three", () => {
  expect(formatSize(2_026_000)).toBe("2.026MB");
  expect(formatBinarySize(25_276_502_016)).toBe("23.54GiB");
});

test.each([
  [0.5, "Less than a second"],
  [1, "1 second"],
  [59.9, "59 seconds"],
  [60, "About a minute"],
  [119, "About a minute"],
  [120, "2 minutes"],
  [3599, "59 minutes"],
  [3600, "About an hour"],
  [5400, "2 hours"],
  [47 * 3600, "47 hours"],
  [48 * 3600, "2 days"],
  [13 * 86400, "13 days"],
  [14 * 86400, "2 weeks"],
  [60 * 86400, "2 months"],
  [729 * 86400, "24 months"],
  [730 * 86400, "2 years"],
])("formatDuration shows %p seconds as %p", (seconds, text) => {
  expect(formatDuration(seconds * 1000)).toBe(text);
});

test.each([
  [0, 3, "0"],
  [100, 3, "100"],
  [1234, 3, "1.23e+03"],
  [0.0001, 3, "0.0001"],
  [0.00001234, 3, "1.23e-05"],
  [9.999, 3, "10"],
])("formatG(%p, %p) is %p", (value, precision, text) => {
  expect(formatG(value, precision)).toBe(text);
});
