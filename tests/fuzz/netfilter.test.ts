import { expect, test } from "bun:test";
import { errnoOf, LighterError } from "../../src/base/errors.ts";
import { type Connection, parseConnection, parseCount } from "../../src/linux/conntrack/messages.ts";
import { type Attribute, attr, encodeMessage, type Message, parseMessages } from "../../src/linux/netlink/mod.ts";
import { isAboutTable, parseBaseChain } from "../../src/linux/nftables/mod.ts";
import { Random } from "../support/random.ts";

/** What the kernel says of connections and tables: each message is read, or refused as EBADMSG. */

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);
const TABLE = { family: "inet", name: "lighter" } as const;

const bytes = (random: Random, length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, () => random.below(256));

interface Ends {
  source: Uint8Array;
  destination: Uint8Array;
  protocol: number;
  destinationPort: number;
}

function anyEnds(random: Random, isIpv4: boolean): Ends {
  const length = isIpv4 ? 4 : 16;
  return {
    source: bytes(random, length),
    destination: bytes(random, length),
    protocol: random.pick([6, 17, 132]),
    destinationPort: random.below(65536),
  };
}

function tuple(type: number, { source, destination, protocol, destinationPort }: Ends): Attribute {
  const first = source.length === 4 ? 1 : 3;
  return attr.nested(type, [
    attr.nested(1, [attr.bytes(first, source), attr.bytes(first + 1, destination)]),
    attr.nested(2, [attr.u8(1, protocol), attr.be16(2, 1), attr.be16(3, destinationPort)]),
  ]);
}

function message(type: number, family: number, attributes: readonly Attribute[]): Uint8Array<ArrayBuffer> {
  return encodeMessage({ type, flags: 0, header: Uint8Array.of(family, 0, 0, 0), attributes });
}

const parseOne = (encoded: Uint8Array): Message => parseMessages(encoded)[0]!;

/** False: refused. */
function isRead(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!(error instanceof LighterError) || errnoOf(error) !== "EBADMSG") throw error;
    return false;
  }
}

test("connections and changes of tables read back as written; broken ones are refused, and nothing else happens", () => {
  const random = Random.fromEnvironment("netfilter");
  let refused = 0;
  for (const end = performance.now() + BUDGET_MS; performance.now() < end; ) {
    const isIpv4 = random.below(2) === 0;
    const [original, reply] = [anyEnds(random, isIpv4), anyEnds(random, isIpv4)];
    const status = random.u32();
    const id = bytes(random, 4);
    const family = isIpv4 ? 2 : 10;
    const connection = message(0x100, family, [
      ...[tuple(1, original), tuple(2, reply), attr.be32(3, status), attr.bytes(12, id)],
    ]);
    expect(parseConnection(parseOne(connection))).toMatchObject({
      ...{ family, original, reply, isPlain: (status & 0x30) === 0, identity: { id } },
    } satisfies Omit<Connection, "identity"> & { identity: object });
    const name = random.pick(["lighter", "lighter-2", "", "l"]);
    const change = message(0x0a00 | random.below(16), random.pick([0, 1, 2]), [attr.text(1, name)]);
    const parsed = parseOne(change);
    const isOurs = parsed.payload[0] === 1 && name === "lighter" && (parsed.type & 0xff) !== 15;
    expect(isAboutTable(parsed, TABLE)).toBe(isOurs);

    const drops = random.below(2) === 0;
    const hook = random.u32();
    const parts = [attr.text(1, name), attr.text(3, "c"), attr.nested(4, [attr.be32(1, hook), attr.be32(2, 0)])];
    const chain = message(0x0a03, 1, [...parts, attr.be32(5, drops ? 0 : 1)]);
    expect(parseBaseChain(parseOne(chain))).toEqual({ family: "inet", table: name, name: "c", hook, drops });

    for (const encoded of [connection, change, chain]) {
      const broken = encoded.slice();
      for (let count = 1 + random.below(4); count > 0; count--)
        broken[4 + random.below(broken.length - 4)] = random.pick([0, 1, 4, 0x7f, 0xff, random.below(256)]);
      const cut = broken.subarray(0, random.below(4) === 0 ? 16 + random.below(broken.length - 15) : broken.length);
      new DataView(cut.buffer).setUint32(0, cut.length, true);
      const read = [
        isRead(() => parseConnection(parseOne(cut))),
        isRead(() => parseCount(parseOne(cut))),
        isRead(() => isAboutTable(parseOne(cut), TABLE)),
        isRead(() => parseBaseChain(parseOne(cut))),
      ];
      refused += read.filter((each) => !each).length;
    }
  }
  expect(refused).toBeGreaterThan(0);
});
