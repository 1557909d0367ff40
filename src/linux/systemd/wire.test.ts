import { expect, test } from "bun:test";
import type { Message } from "./wire.ts";
import { decodeMessage, encodeMessage, MESSAGE_TYPE, messageBytes, splitSignature } from "./wire.ts";

const hello: Message = {
  type: MESSAGE_TYPE.call,
  serial: 1,
  path: "/a",
  member: "Hi",
  signature: "su",
  body: ["yes", 7],
};

/** Bytes written by hand from the specification. */
const HELLO_BYTES = [
  ...[0x6c, 1, 0, 1, 12, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0], // little endian, call; 12 bytes of body, 40 of fields
  ...[1, 1, 0x6f, 0, 2, 0, 0, 0, 0x2f, 0x61, 0, 0, 0, 0, 0, 0], // path: o "/a", pad to 8
  ...[3, 1, 0x73, 0, 2, 0, 0, 0, 0x48, 0x69, 0, 0, 0, 0, 0, 0], // member: s "Hi", pad to 8
  ...[8, 1, 0x67, 0, 2, 0x73, 0x75, 0], // signature: g "su"; no padding: 56 is a multiple of 8
  ...[3, 0, 0, 0, 0x79, 0x65, 0x73, 0, 7, 0, 0, 0], // "yes", 7
];

test("encodeMessage writes the bytes of the specification, and decodeMessage reads them", () => {
  expect([...encodeMessage(hello)]).toEqual(HELLO_BYTES);
  expect(decodeMessage(new Uint8Array(HELLO_BYTES))).toEqual(hello);
  expect(messageBytes(new Uint8Array(HELLO_BYTES).subarray(0, 15))).toBeUndefined();
  expect(messageBytes(new Uint8Array(HELLO_BYTES).subarray(0, 16))).toBe(HELLO_BYTES.length);
});

test("decodeMessage reads big-endian messages", () => {
  const bytes = [0x42, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 7, 8, 1, 0x67, 0, 1, 0x75, 0, 0, 0, 0, 1, 2];
  expect(decodeMessage(new Uint8Array(bytes))).toEqual({ type: 4, serial: 9, signature: "u", body: [258] });
});

test("what is encoded reads back the same, whatever its type", () => {
  const cases: [string, Message["body"]][] = [
    ["ybnqiuxtd", [255, true, -2, 65535, -3, 4294967295, -(2n ** 63n), 2n ** 64n - 1n, 0.5]],
    ["sog", ["grüße", "/a/b", "a{sv}"]],
    ["a(sv)aay", [[["Slice", { signature: "s", value: "a.slice" }]], [[], [1, 2]]]],
    ["ssa(sv)a(sa(sv))", ["a", "b", [["X", { signature: "a(ss)", value: [["/dev/null", "rw"]] }]], []]],
    ["a{st}v", [[["k", 1n]], { signature: "v", value: { signature: "at", value: [] } }]],
  ];
  for (const [signature, body] of cases)
    expect(decodeMessage(encodeMessage({ ...hello, signature, body })).body).toEqual(body);
});

test("splitSignature separates complete types, and refuses what is none", () => {
  expect(splitSignature("ssa(sv)a(sa(sv))")).toEqual(["s", "s", "a(sv)", "a(sa(sv))"]);
  for (const bad of ["a", "(", "(s", "()", "z", "a{", "s)", "a".repeat(100)])
    expect(() => splitSignature(bad)).toThrow(expect.objectContaining({ code: "unavailable" }));
});

test("decodeMessage refuses lengths that lie", () => {
  const broken = (change: (bytes: Uint8Array) => void) => () => {
    const bytes = new Uint8Array(HELLO_BYTES);
    change(bytes);
    decodeMessage(bytes);
  };
  for (const [at, value, message] of [
    [0, 0x6d, "begins with"],
    [3, 2, "protocol version 2"],
    [4, 13, "another length"],
    [7, 1, "a message of"], // 16 MiB
    [12, 41, ""],
    [16 + 4, 200, "ends too early"],
    [56, 200, "ends too early"],
  ] as const)
    expect(broken((bytes) => (bytes[at] = value))).toThrow(
      expect.objectContaining({ code: "unavailable", message: expect.stringContaining(message) }),
    );
});
