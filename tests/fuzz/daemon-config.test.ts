import { expect, test } from "bun:test";
import { REFUSED, SETTINGS } from "../../src/api/config/settings.ts";
import { parseConfig } from "../../src/api/config/values.ts";
import { LighterError } from "../../src/base/errors.ts";
import { Random } from "../support/random.ts";

const keys = [...Object.keys(SETTINGS), ...Object.keys(REFUSED), "nonesuch", "__proto__", "constructor"];
const values = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 60,
  "",
  "x",
  "64m",
  "\0",
  [],
  ["a=b"],
  [1],
  {},
  { a: "b" },
  { a: true },
];
const ROUNDS = 20_000;

test("any daemon.json is read, or refused by an error that names the file", () => {
  const random = Random.fromEnvironment("daemon.json");
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const members = Array.from({ length: random.below(4) }, () => [random.pick(keys), random.pick(values)] as const);
    const whole = `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
    const text = random.below(4) === 0 ? whole.slice(0, random.below(whole.length)) : whole;
    try {
      for (const key of parseConfig(text, "here").keys()) expect(key in SETTINGS || key in REFUSED).toBe(true);
      accepted++;
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
      expect(error).toMatchObject({ code: "invalid", message: expect.stringMatching(/^here: /) });
    }
  }
  expect(accepted).toBeGreaterThan(ROUNDS / 50);
});
