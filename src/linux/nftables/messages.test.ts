import { expect, test } from "bun:test";
import { compare, lookup, meta, nat, verdict } from "./expressions.ts";
import { encodeBatch, type Table } from "./messages.ts";
import { deleteTable, newChain, newRule, newTable, PRIORITY } from "./objects.ts";
import { type Element, newElements, newSet } from "./sets.ts";
import { interfaceName, portNumber } from "./values.ts";

const TABLE: Table = { family: "inet", name: "t" };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Shows a message's bytes: type and flags, then what follows the netlink header, whose other fields are set when it is sent. */
const shown = (bytes: Uint8Array) => [hex(bytes.subarray(4, 8)), hex(bytes.subarray(16))];
const joined = (...parts: string[]) => parts.join("").replaceAll(" ", "");

test("a batch is between its marks, and its last message asks for an acknowledgement", () => {
  expect(encodeBatch([newTable(TABLE), deleteTable(TABLE)]).map(shown)).toEqual([
    ["10000100", "0000000a"],
    ["000a0104", joined("01000000", "0600 0100 74000000", "0800 0200 00000000")],
    ["020a0500", joined("01000000", "0600 0100 74000000")],
    ["11000100", "0000000a"],
  ]);
});

test("a batch does not change the messages that it is made of", () => {
  const message = newTable(TABLE);
  const before = hex(message);
  encodeBatch([message]);
  expect(hex(message)).toBe(before);
});

test("a base chain has a hook, a priority of either sign, and lets pass what it does not decide", () => {
  const chain = newChain(TABLE, "c", { type: "nat", hook: "output", priority: PRIORITY.dstnat });
  expect(shown(chain)).toEqual([
    "030a0104",
    joined(
      ...["01000000", "0600 0100 74000000", "0600 0300 63000000"],
      ...["1400 0480", "0800 0100 00000003", "0800 0200 ffffff9c"],
      ...["0800 0500 00000001", "0800 0700 6e617400"],
    ),
  ]);
});

test("a rule is a list of expressions with names and data", () => {
  const expressions = [meta("nfproto", 0), compare(0, "!=", Uint8Array.of(2)), verdict("drop")];
  expect(shown(newRule(TABLE, "c", expressions))).toEqual([
    "060a010c",
    joined(
      ...["01000000", "0600 0100 74000000", "0600 0200 63000000", "8400 0480"],
      ...["2400 0180", "0900 0100 6d65746100000000", "1400 0280", "0800 0100 00000008", "0800 0200 0000000f"],
      ...["2c00 0180", "0800 0100 636d7000", "2000 0280", "0800 0100 00000008", "0800 0200 00000001"],
      ...["0c00 0380", "0500 0100 02000000"],
      ...["3000 0180", "0e00 0100 696d6d656469617465000000", "1c00 0280", "0800 0100 00000000"],
      ...["1000 0280", "0c00 0280", "0800 0100 00000000"],
    ),
  ]);
});

test("a lookup in a map has a register for what it finds, and nat takes it from there", () => {
  expect(hex(newRule(TABLE, "c", [lookup("m", 1, 2), nat("dnat", "ip6", { address: 2, port: 6 })]))).toEndWith(
    joined(
      ...["2c00 0180", "0b00 0100 6c6f6f6b75700000", "1c00 0280"],
      ...["0600 0100 6d000000", "0800 0200 00000009", "0800 0300 0000000a"],
      ...["3000 0180", "0800 0100 6e617400", "2400 0280", "0800 0100 00000001", "0800 0200 0000000a"],
      ...["0800 0300 0000000a", "0800 0500 0000000e"],
    ),
  );
});

test("a set of ranges of several fields says how long each is", () => {
  const set = { name: "s", key: ["ifname", "ipv4_addr"], interval: true } as const;
  expect(shown(newSet(TABLE, set, 7))).toEqual([
    "090a0104",
    joined(
      ...["01000000", "0600 0100 74000000", "0600 0200 73000000", "0800 0300 00000084"],
      ...["0800 0400 00000a47", "0800 0500 00000014", "0800 0a00 00000007"],
      ...["2000 0980", "1c00 0280", "0c00 0180 0800 0100 00000010", "0c00 0180 0800 0100 00000004"],
    ),
  ]);
});

test("a map's element has key and value, each field padded", () => {
  const map = { name: "m", key: ["inet_proto", "inet_service"], data: ["ipv4_addr", "inet_service"] } as const;
  const element = { key: [Uint8Array.of(6), portNumber(8080)], data: [Uint8Array.of(10, 0, 0, 1), portNumber(80)] };
  const [message, ...more] = newElements(TABLE, map, [element]);
  expect(more).toEqual([]);
  expect(shown(message!)).toEqual([
    "0c0a0104",
    joined(
      ...["01000000", "0600 0100 74000000", "0600 0200 6d000000", "2800 0380", "2400 0180"],
      ...["1000 0180 0c00 0100 06000000 1f900000"],
      ...["1000 0280 0c00 0100 0a000001 00500000"],
    ),
  ]);
});

test("a range of one field is its first key, and an end behind its last; the last of all needs none", () => {
  const set = { name: "s", key: ["ipv4_addr"], interval: true } as const;
  const list = (element: Element) => hex(newElements(TABLE, set, [element])[0]!).slice(2 * 36);
  expect(list({ key: [Uint8Array.of(10, 0, 0, 0)], last: [Uint8Array.of(10, 0, 255, 255)] })).toBe(
    joined(
      ...["2c00 0380", "1000 0180 0c00 0180 0800 0100 0a000000"],
      ...["1800 0180 0c00 0180 0800 0100 0a010000", "0800 0300 00000001"],
    ),
  );
  expect(list({ key: [Uint8Array.of(255, 0, 0, 0)], last: [Uint8Array.of(255, 255, 255, 255)] })).toBe(
    joined("1400 0380", "1000 0180 0c00 0180 0800 0100 ff000000"),
  );
});

test("a range where the set has none, or none where it has ranges, is a bug", () => {
  const key = [interfaceName("lo")];
  expect(() => newElements(TABLE, { name: "s", key: ["ifname"] }, [{ key, last: key }])).toThrow("takes no intervals");
  expect(() => newElements(TABLE, { name: "s", key: ["ifname"], interval: true }, [{ key }])).toThrow(
    "takes intervals",
  );
});

test("many elements go in several messages", () => {
  const elements = Array.from({ length: 1100 }, (_, index) => ({ key: [portNumber(index)] }));
  const messages = newElements(TABLE, { name: "s", key: ["inet_service"] }, elements);
  expect(messages).toHaveLength(3);
});

test("an interface's name is 16 bytes and one that does not fit is a bug", () => {
  expect(hex(interfaceName("br-0123456789ab"))).toBe(`${Buffer.from("br-0123456789ab").toString("hex")}00`);
  expect(() => interfaceName("br-0123456789abc")).toThrow("too long");
});
