import { expect, test } from "bun:test";
import { parseAnsi } from "./ansi.ts";

test("colours become classes, and everything else that a terminal obeys disappears", () => {
  expect(parseAnsi("a\u001b[31;1mb\u001b[0mc\u001b[2K\u001b]0;title\u0007d\r\n")).toEqual([
    { text: "a", style: "" },
    { text: "b", style: "c1 bold" },
    { text: "c", style: "" },
    { text: "d", style: "" },
  ]);
  expect(parseAnsi("\u001b[38;5;196mx\u001b[38;2;1;2;3my\u001b[92mz")).toEqual([
    { text: "x", style: "" },
    { text: "y", style: "" },
    { text: "z", style: "c10" },
  ]);
});

test("text that turns around or never ends does no harm", () => {
  expect(parseAnsi("a\u202eb\u0000c\u001b")).toEqual([{ text: "a·b·c·", style: "" }]);
  expect(parseAnsi("x".repeat(20_000))[0]!.text).toHaveLength(10_001);
  expect(parseAnsi("\u001b[".repeat(20_000)).length).toBeLessThan(5_001);
  expect(parseAnsi("")).toEqual([]);
});
