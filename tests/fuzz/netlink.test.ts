import { expect, test } from "bun:test";
import { errnoOf } from "../../src/base/errors.ts";
import type { Attribute } from "../../src/linux/netlink/attributes.ts";
import { Attributes } from "../../src/linux/netlink/attributes.ts";
import { describeMessages } from "../../src/linux/netlink/describe.ts";
import {
  attributesOf,
  encodeMessage,
  joinMessages,
  parseAcknowledgement,
  parseMessages,
} from "../../src/linux/netlink/messages.ts";
import { Random } from "../support/random.ts";

/** What the kernel sends is read as it was written, or refused with EBADMSG. */

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 2000);

function anyAttribute(random: Random, depth: number): Attribute {
  const type = random.below(0x4000);
  if (depth < 4 && random.below(3) === 0)
    return { type, value: Array.from({ length: random.below(4) }, () => anyAttribute(random, depth + 1)) };
  return { type, value: Uint8Array.from({ length: random.pick([0, 1, 2, 4, 7, 8, 300]) }, () => random.below(256)) };
}

function anyMessage(random: Random) {
  return {
    type: random.below(0x10000),
    flags: random.below(0x10000),
    header: new Uint8Array(random.pick([0, 4, 8, 16])),
    attributes: Array.from({ length: random.below(5) }, () => anyAttribute(random, 0)),
  };
}

/** What was read, with nested attributes where `written` has them. */
function reread(read: Attributes, written: readonly Attribute[]): Attribute[] {
  return read.entries.map(({ type, value }, index) => {
    const nested = written[index]?.value;
    return nested === undefined || nested instanceof Uint8Array
      ? { type, value }
      : { type, value: reread(new Attributes(value), nested) };
  });
}

/** Everything that is asked of a message. */
function readAll(bytes: Uint8Array): void {
  for (const message of parseMessages(bytes)) {
    parseAcknowledgement(message);
    for (const { type, value } of attributesOf(message, 4).entries) {
      const attributes = new Attributes(value);
      attributes.text(type);
      attributes.list(attributes.entries[0]?.type ?? 0);
      attributes.u32(attributes.entries[0]?.type ?? 0);
    }
  }
}

test("netlink messages read back as written; broken ones are refused, and nothing else happens", () => {
  const random = Random.fromEnvironment("netlink");
  let refused = 0;
  for (const end = performance.now() + BUDGET_MS; performance.now() < end; ) {
    const written = Array.from({ length: 1 + random.below(3) }, () => anyMessage(random));
    const bytes = joinMessages(
      written.map((message) => encodeMessage(message)),
      random.u32(),
    );
    for (const [index, message] of parseMessages(bytes).entries()) {
      const { type, flags, header, attributes } = written[index]!;
      expect(message).toMatchObject({ type, flags: flags | 1 });
      expect(reread(attributesOf(message, header.length), attributes)).toEqual(attributes);
    }
    for (let change = random.below(4); change >= 0; change--)
      bytes[random.below(bytes.length)] = random.pick([0, 1, 3, 4, 5, 16, 0x7f, 0xff, random.below(256)]);
    for (const protocol of ["route", "netfilter"] as const) expect(describeMessages(protocol, bytes)).toBeString(); // whatever they are
    try {
      readAll(random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes);
    } catch (error) {
      if (errnoOf(error) !== "EBADMSG") throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(0);
});
