import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import type { DbusValue, Message } from "../../src/linux/systemd/wire.ts";
import { decodeMessage, encodeMessage, messageBytes } from "../../src/linux/systemd/wire.ts";
import { Random } from "../support/random.ts";

/** Messages from a bus are somebody else's bytes: each is read, or refused as "unavailable". */

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 2000);

const NUMBERS = ["y", "n", "q", "i", "u", "x", "t", "b"] as const;
const RANGES = {
  y: [0n, 8n],
  n: [-1n, 16n],
  q: [0n, 16n],
  i: [-1n, 32n],
  u: [0n, 32n],
  x: [-1n, 64n],
  t: [0n, 64n],
} as const;

/** A random type with a random value of it. */
function anyValue(random: Random, depth: number): [string, DbusValue] {
  const choice = random.below(depth > 3 ? 3 : 6);
  if (choice === 0) return [random.pick(["s", "o"]), random.pick(["", "/a/b", "grüße", "x".repeat(300)])];
  if (choice === 1) return ["g", random.pick(["", "a{sv}", "(ii)"])];
  if (choice === 2) return anyNumber(random);
  const [signature, value] = anyValue(random, depth + 1);
  if (choice === 3) return ["v", { signature, value }];
  if (choice === 4) return [`a${signature}`, Array.from({ length: random.below(4) }, () => value)];
  const [second, other] = anyValue(random, depth + 1);
  return [`(${signature}${second})`, [value, other]];
}

function anyNumber(random: Random): [string, DbusValue] {
  const type = random.pick(NUMBERS);
  if (type === "b") return [type, random.below(2) === 1];
  const [sign, bits] = RANGES[type];
  const raw = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  const value = sign === 0n ? BigInt.asUintN(Number(bits), raw) : BigInt.asIntN(Number(bits), raw);
  return [type, bits === 64n ? value : Number(value)];
}

function anyMessage(random: Random): Message {
  const values = Array.from({ length: random.below(4) }, () => anyValue(random, 0));
  return {
    type: 1 + random.below(4),
    serial: random.u32(),
    path: "/a",
    ...(random.below(2) === 0 ? { replySerial: random.u32(), errorName: "a.b" } : { sender: ":1.1" }),
    signature: values.map(([signature]) => signature).join(""),
    body: values.map(([, value]) => value),
  };
}

test("D-Bus messages read back as written; broken ones are refused, and nothing else happens", () => {
  const random = Random.fromEnvironment("dbus");
  let refused = 0;
  for (const end = performance.now() + BUDGET_MS; performance.now() < end; ) {
    const message = anyMessage(random);
    const bytes = encodeMessage(message);
    expect(decodeMessage(bytes)).toEqual(message);
    for (let change = random.below(4); change >= 0; change--)
      bytes[random.below(bytes.length)] = random.pick([0, 1, 0x28, 0x61, 0x76, 0x7f, 0xff, random.below(256)]);
    const broken = random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    try {
      if (messageBytes(broken) !== undefined) decodeMessage(broken);
    } catch (error) {
      if (!(error instanceof LighterError) || error.code !== "unavailable") throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(0);
});
