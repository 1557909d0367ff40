import { expect, test } from "bun:test";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "./detach-keys.ts";

function scan(keys: Uint8Array, chunks: string[]): { output: string; detached: boolean } {
  const scanner = new DetachScanner(keys);
  let output = "";
  for (const chunk of chunks) {
    const result = scanner.push(Buffer.from(chunk, "latin1"));
    output += Buffer.from(result.output).toString("latin1");
    if (result.detached) return { output, detached: true };
  }
  return { output: output + Buffer.from(scanner.flush()).toString("latin1"), detached: false };
}

test("parseDetachKeys knows letters, ctrl- letters and ctrl- punctuation", () => {
  expect([...parseDetachKeys("ctrl-p,ctrl-q")]).toEqual([...DEFAULT_DETACH_KEYS]);
  expect([...parseDetachKeys("a,ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_")]).toEqual([97, 0, 27, 28, 29, 30, 31]);
  for (const bad of ["", "ab", "ctrl-", "ctrl-ä", "ctrl-1", "a,,b", "é"])
    expect(() => parseDetachKeys(bad)).toThrow(expect.objectContaining({ code: "invalid" }));
});

test("the sequence detaches, in one chunk or split, and what came before it passes", () => {
  expect(scan(DEFAULT_DETACH_KEYS, ["ls\r\x10\x11more"])).toEqual({ output: "ls\r", detached: true });
  expect(scan(DEFAULT_DETACH_KEYS, ["ls\r\x10", "\x11more"])).toEqual({ output: "ls\r", detached: true });
});

test("a sequence that is not completed passes unchanged", () => {
  for (const chunks of [["\x10a"], ["\x10", "a"], ["a\x10"], ["\x10", "\x10", "a"], ["\x11\x10"]])
    expect(scan(DEFAULT_DETACH_KEYS, chunks)).toEqual({ output: chunks.join(""), detached: false });
});

test("the first key twice and then the rest detaches", () => {
  expect(scan(DEFAULT_DETACH_KEYS, ["\x10\x10\x11"])).toEqual({ output: "\x10", detached: true });
});

test("a sequence that begins like itself is found after a false start", () => {
  const keys = parseDetachKeys("a,a,b");
  expect(scan(keys, ["xaaab!"])).toEqual({ output: "xa", detached: true });
  expect(scan(keys, ["aaac"])).toEqual({ output: "aaac", detached: false });
});

test("without keys nothing detaches", () => {
  expect(scan(new Uint8Array(), ["\x10\x11"])).toEqual({ output: "\x10\x11", detached: false });
});
