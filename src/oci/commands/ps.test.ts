import { expect, test } from "bun:test";
import { selectLines } from "./ps.ts";

test("selectLines keeps the heading and the lines of the processes, wherever the PID column is", () => {
  const table = "UID   PID  PPID CMD\nroot    1     0 init 7\nroot    7     1 sleep 1\nroot   77     7 sh\n";
  expect(selectLines(table, new Set([7]))).toBe("UID   PID  PPID CMD\nroot    7     1 sleep 1\n");
  expect(selectLines("  PID CMD\n    1 a\n", new Set())).toBe("  PID CMD\n");
});

test("selectLines needs the column", () => {
  expect(() => selectLines("CMD\nsh\n", new Set([1]))).toThrow("couldn't find PID field in ps output");
});
