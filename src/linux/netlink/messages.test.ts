import { expect, test } from "bun:test";
import { utf8 } from "../../base/bytes.ts";
import { errnoOf } from "../../base/errors.ts";
import { Attributes, attr } from "./attributes.ts";
import {
  attributesOf,
  encodeMessage,
  joinMessages,
  NLM_F,
  NLMSG,
  parseAcknowledgement,
  parseMessages,
} from "./messages.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function errnoFrom(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return errnoOf(error);
  }
  return "";
}

test("a message is header, family's header and attributes, each at a multiple of 4", () => {
  const message = encodeMessage({
    type: 0x10,
    flags: NLM_F.ACK,
    header: Uint8Array.of(7, 0),
    attributes: [attr.u8(1, 0xff), attr.nested(2, [attr.text(3, "lo"), attr.be16(4, 0x1234)]), attr.flag(5)],
  });
  expect(hex(message)).toBe(
    ["34000000", "1000", "0500", "00000000", "00000000", "07000000"]
      .concat(["0500", "0100", "ff000000"])
      .concat(["1400", "0280", "0700", "0300", "6c6f0000", "0600", "0400", "12340000"])
      .concat(["0400", "0500"])
      .join(""),
  );
});

test("numbers of every width are read as they were written", () => {
  const attributes = [
    ...[attr.u8(1, 0xfe), attr.u16(2, 0xfedc), attr.u32(3, 0xfedcba98), attr.u64(4, 0xfedcba9876543210n)],
    ...[attr.be16(5, 0xfedc), attr.be32(6, 0xfedcba98), attr.be64(7, 0xfedcba9876543210n)],
  ];
  const read = attributesOf(
    parseMessages(encodeMessage({ type: 16, flags: 0, header: new Uint8Array(4), attributes }))[0]!,
    4,
  );
  expect([read.u8(1), read.u16(2), read.u32(3), read.u64(4)]).toEqual([0xfe, 0xfedc, 0xfedcba98, 0xfedcba9876543210n]);
  expect([read.be16(5), read.be32(6), read.be64(7)]).toEqual([0xfedc, 0xfedcba98, 0xfedcba9876543210n]);
  expect(read.u16(5)).toBe(0xdcfe);
  expect(read.u32(8)).toBeUndefined();
  expect(errnoFrom(() => read.u32(2))).toBe("EBADMSG");
});

test("of two attributes of a type the last one counts, and a list has both", () => {
  const list = attr.nested(9, [attr.nested(1, [attr.u8(1, 1)]), attr.nested(1, [attr.u8(1, 2)])]);
  const bytes = encodeMessage({ type: 16, flags: 0, header: new Uint8Array(0), attributes: [list] });
  const read = attributesOf(parseMessages(bytes)[0]!, 0);
  expect(read.nested(9)?.nested(1)?.u8(1)).toBe(2);
  expect(read.list(9).map((entry) => entry.u8(1))).toEqual([1, 2]);
  expect(read.list(8)).toEqual([]);
});

test("an attribute of more than 65535 bytes is a bug", () => {
  const attributes = [attr.bytes(1, new Uint8Array(0xffff - 3))];
  expect(() => encodeMessage({ type: 16, flags: 0, header: new Uint8Array(0), attributes })).toThrow(
    "bug: attribute 1 has 65536 bytes",
  );
});

test("messages sent together have numbers that follow one another", () => {
  const message = encodeMessage({ type: 16, flags: 0, header: new Uint8Array(4) });
  const sent = parseMessages(joinMessages([message, message], 0xffffffff));
  expect(sent.map(({ sequence }) => sequence)).toEqual([0xffffffff, 0]);
});

test("bytes that end too early, or say so, are refused", () => {
  for (const bytes of [[1], [16, 0, 0, 0], [15, 0, 0, 0, ...Array(12).fill(0)], [17, 0, 0, 0, ...Array(12).fill(0)]])
    expect(errnoFrom(() => parseMessages(Uint8Array.from(bytes)))).toBe("EBADMSG");
  for (const bytes of [[1], [4, 0, 1], [3, 0, 1, 0], [5, 0, 1, 0], [4, 0, 1, 0, 9]])
    expect(errnoFrom(() => new Attributes(Uint8Array.from(bytes)))).toBe("EBADMSG");
});

function acknowledgement(type: number, flags: number, payload: number[]) {
  return parseAcknowledgement({ type, flags, sequence: 1, portId: 1, payload: Uint8Array.from(payload) });
}

test("an acknowledgement has errno, text and place, whether it repeats the request or not", () => {
  const words = [8, 0, 1, 0, ...utf8("bad\0"), 8, 0, 2, 0, 20, 0, 0, 0];
  const request = [20, 0, 0, 0, ...Array(12).fill(0)];
  const said = { errno: 22, text: "bad", attributeOffset: 20 };
  const einval = [0xea, 0xff, 0xff, 0xff];
  expect(acknowledgement(NLMSG.ERROR, NLM_F.CAPPED | NLM_F.ACK_TLVS, [...einval, ...request, ...words])).toEqual(said);
  expect(acknowledgement(NLMSG.ERROR, NLM_F.ACK_TLVS, [...einval, ...request, 1, 2, 3, 4, ...words])).toEqual(said);
  expect(acknowledgement(NLMSG.DONE, NLM_F.ACK_TLVS, [...einval, ...words])).toEqual(said);
  expect(acknowledgement(NLMSG.ERROR, NLM_F.CAPPED, [0, 0, 0, 0, ...request])).toEqual({ errno: 0 });
  expect(errnoFrom(() => acknowledgement(NLMSG.ERROR, NLM_F.ACK_TLVS, [...einval, ...request]))).toBe("EBADMSG");
  expect(errnoFrom(() => acknowledgement(NLMSG.ERROR, 0, [1, 2, 3]))).toBe("EBADMSG");
});
