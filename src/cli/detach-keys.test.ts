import { expect, test } from "bun:test";
import { text, utf8 } from "../base/bytes.ts";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "./detach-keys.ts";

/** What is passed on of keys typed in the given pieces. "D": detached. */
function typed(pieces: readonly string[], keys = DEFAULT_DETACH_KEYS): string {
  const scanner = new DetachScanner(keys);
  let out = "";
  for (const piece of pieces) {
    const { pass, detached } = scanner.scan(utf8(piece));
    out += text(pass);
    if (detached) return `${out}D`;
  }
  return out;
}

test("the sequence detaches however it is split, and is not passed on", () => {
  expect(typed(["abc\x10\x11def"])).toBe("abcD");
  expect(typed(["abc\x10", "\x11def"])).toBe("abcD");
});

test("its beginning is held back until the next key decides", () => {
  expect(typed(["a\x10"])).toBe("a");
  expect(typed(["a\x10", "b"])).toBe("a\x10b");
  expect(typed(["\x10\x10\x11"])).toBe("\x10D");
  expect(typed(["\x11\x10"])).toBe("\x11");
});

test("other keys", () => {
  expect(parseDetachKeys("ctrl-p,ctrl-q")).toEqual([16, 17]);
  expect(parseDetachKeys("ctrl-@,a,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_")).toEqual([0, 97, 27, 28, 29, 30, 31]);
  for (const bad of ["", "ctrl-", "ctrl-1", "ab", "a,,b"]) expect(parseDetachKeys(bad)).toBeUndefined();
  expect(typed(["abc"], parseDetachKeys("b"))).toBe("aD");
});
