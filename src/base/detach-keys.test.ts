import { expect, test } from "bun:test";
import { Random } from "../../tests/support/random.ts";
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

test("parseDetachKeys knows characters, ctrl- keys and DEL, as Docker spells them", () => {
  expect(parseDetachKeys("ctrl-p,ctrl-q")).toEqual(DEFAULT_DETACH_KEYS);
  const keys = Uint8Array.of(97, 0, 26, 27, 28, 29, 30, 31, 127, 88);
  expect(parseDetachKeys("a,ctrl-@,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL,X")).toEqual(keys);
  for (const bad of ["", "ab", "ctrl-", "ctrl-ä", "ctrl-1", "ctrl-P", "CTRL-p", "ctrl-ab", "a,,b", "é", "del", "\n\n"])
    expect(parseDetachKeys(bad)).toBeUndefined();
});

test("however typed input is cut, what comes before the keys passes, and nothing of it is lost", () => {
  const random = Random.fromEnvironment("detach keys");
  const alphabet = ["a", "b", "c"];
  const text = (maxLength: number) =>
    Array.from({ length: random.below(maxLength) }, () => random.pick(alphabet)).join("");
  for (let round = 0; round < 3000; round++) {
    const keys = `${random.pick(alphabet)}${text(4)}`;
    const chunks = Array.from({ length: random.below(6) }, () => text(5));
    const typed = chunks.join("");
    const end = typed.indexOf(keys);
    const expected = { output: end < 0 ? typed : typed.slice(0, end), detached: end >= 0 };
    expect({ keys, chunks, ...scan(Buffer.from(keys), chunks) }).toEqual({ keys, chunks, ...expected });
  }
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
  const keys = parseDetachKeys("a,a,b")!;
  expect(scan(keys, ["xaaab!"])).toEqual({ output: "xa", detached: true });
  expect(scan(keys, ["aaac"])).toEqual({ output: "aaac", detached: false });
});

test("without keys nothing detaches", () => {
  expect(scan(new Uint8Array(), ["\x10\x11"])).toEqual({ output: "\x10\x11", detached: false });
});
