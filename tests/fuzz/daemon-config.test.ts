import { expect, test } from "bun:test";
import { REFUSED, SETTINGS } from "../../src/api/config/settings.ts";
import { parseConfig } from "../../src/api/config/values.ts";
import { FrameDecoder, ProtocolError } from "../../src/api/streams/websocket.ts";
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

test("any bytes of a websocket are frames, or break the protocol", () => {
  const random = Random.fromEnvironment("websocket frames");
  let frames = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const decoder = new FrameDecoder();
    try {
      for (let chunk = random.below(8); chunk > 0; chunk--) {
        const bytes = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
        // A head that may be right, or all would end at the first byte.
        if (bytes.length > 1)
          bytes.set([random.pick([0x80, 0x81, 0x82, 0x89]), 0x80 | random.pick([0, 1, 5, 126, 127])]);
        frames += decoder.push(bytes).length;
      }
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
    }
  }
  expect(frames).toBeGreaterThan(ROUNDS / 100);
});
