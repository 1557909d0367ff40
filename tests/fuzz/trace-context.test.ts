/** Headers that name traces, broken at random: each names one that can be passed on, or none. */
import { expect, test } from "bun:test";
import { formatTraceparent, parseTraceContext } from "../../src/spec/trace-context.ts";
import { Random } from "../support/random.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const CHARS = [..."0123456789abcdefABFgz-=, \t\n\0ü", "", "00", "-".repeat(300), "0".repeat(32)];

/** The text with up to three characters replaced, or cut off. */
function mutate(random: Random, text: string): string {
  let mutated = text;
  for (let count = random.below(4); count > 0; count--) {
    const at = random.below(mutated.length + 1);
    mutated = mutated.slice(0, at) + random.pick(CHARS) + mutated.slice(at + 1);
  }
  return random.below(20) === 0 ? mutated.slice(0, random.below(mutated.length + 1)) : mutated;
}

test("whatever is understood is passed on as something that is understood, and fits a header and a variable", () => {
  const random = Random.fromEnvironment("trace contexts");
  const counts = { understood: 0, refused: 0 };
  for (let round = 0; round < 20_000; round++) {
    const context = parseTraceContext(mutate(random, PARENT), mutate(random, "vendor=value,other@x=1"));
    if (context === undefined) {
      counts.refused++;
      continue;
    }
    counts.understood++;
    expect(parseTraceContext(formatTraceparent(context), context.state)).toEqual(context);
    expect(context.state).toMatch(/^[\t\x20-\x7e]{0,512}$/);
  }
  expect(counts.understood).toBeGreaterThan(0);
  expect(counts.refused).toBeGreaterThan(0);
});
