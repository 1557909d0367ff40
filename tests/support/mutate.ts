/** Makes documents that are nearly right, for fuzz tests of JSON readers. */
import type { Random } from "./random.ts";

const TOKENS = [
  ...["{", "}", "[", "]", ":", ",", '"', "null", "true", '""', "\\u0000", "\ud800", "\0"],
  ...["-1", "1e400", "18446744073709551616", "-9223372036854775809", "0.5", "9".repeat(400)],
  ...['"__proto__"', '"constructor"', '"path"', '"args"', '"type"', '"linux"'],
];

/** The text with pieces removed, doubled or replaced by tokens, or with its end cut off. */
export function mutateText(random: Random, json: string): string {
  let text = json;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(text.length + 1);
    const removed = random.pick([0, 1, 3, 40]);
    text = text.slice(0, at) + random.pick(TOKENS) + text.slice(at + removed);
  }
  return random.below(8) === 0 ? text.slice(0, random.below(text.length + 1)) : text;
}

const STRANGE: readonly unknown[] = [
  ...[null, true, false, -1, 0, 7, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 2 ** 64, -(2 ** 63), 1e300],
  ...["", "x", "/", "..", "../..", "a\0b", "/proc/self/fd/0", "\ud800", "x".repeat(5000)],
  ...[[], {}, [null], [[]], [1], ["x"], { path: "/" }, { type: "x" }, Array(70_000).fill("x")],
];

/** The document with one value replaced by a strange one, removed, or moved to another key. */
export function mutateValue(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return random.pick(STRANGE);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(STRANGE);
  const key = random.pick(keys);
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
  if (random.below(10) === 0) delete copy[key];
  else copy[random.below(12) === 0 ? random.pick(keys) : key] = mutateValue(random, copy[key]);
  return copy;
}
