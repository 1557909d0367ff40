import { expect, test } from "bun:test";
import { buildQuery, readMessage } from "../../../tests/support/dns-message.ts";
import {
  answerCode,
  encodeAnswer,
  encodeFailure,
  encodeName,
  encodeRefusal,
  parseQuery,
  type Query,
  Rcode,
  withId,
} from "./message.ts";

function parsed(message: Uint8Array): Query {
  const query = parseQuery(message);
  if (typeof query !== "object") throw new Error(`refused: ${query}`);
  return query;
}

test("parseQuery reads name, type and class, in small letters", () => {
  const query = parsed(buildQuery({ id: 0xabcd, name: "Web.Back-End", type: 28 }));
  expect(query).toMatchObject({ id: 0xabcd, name: "web.back-end", type: 28, class: 1, edns: false, udpMaxBytes: 512 });
});

test("parseQuery: the root has no name", () => {
  expect(parsed(buildQuery({ name: "", type: 2 })).name).toBe("");
});

test("parseQuery: a dot inside a label is not one between labels", () => {
  expect(parsed(buildQuery({ labels: ["web.backend"], type: 1 })).name).toBe("web\\.backend");
});

test("parseQuery reads names in UTF-8", () => {
  expect(parsed(buildQuery({ name: "grün", type: 1 })).name).toBe("grün");
});

test("parseQuery takes the size of datagrams from EDNS, and no less than 512", () => {
  expect(parsed(buildQuery({ name: "a", type: 1, ednsBytes: 4096 }))).toMatchObject({ edns: true, udpMaxBytes: 4096 });
  expect(parsed(buildQuery({ name: "a", type: 1, ednsBytes: 100 }))).toMatchObject({ edns: true, udpMaxBytes: 512 });
});

test("parseQuery takes names of 255 bytes and labels of 63, and not one byte more", () => {
  const label = "x".repeat(63);
  const longest = [label, label, label, "x".repeat(61)];
  expect(parsed(buildQuery({ labels: longest, type: 1 })).name).toHaveLength(253);
  expect(parseQuery(buildQuery({ labels: [label, label, label, "x".repeat(62)], type: 1 }))).toBe(Rcode.formatError);
  expect(parseQuery(buildQuery({ labels: ["x".repeat(64)], type: 1 }))).toBe(Rcode.formatError);
});

test("parseQuery refuses a compressed name, which could lead nowhere but into itself", () => {
  const message = buildQuery({ name: "a", type: 1 });
  message.set([0xc0, 12], 12);
  expect(parseQuery(message)).toBe(Rcode.formatError);
});

test("parseQuery refuses two questions, none, a second OPT record, what is cut off and what follows", () => {
  const message = buildQuery({ name: "web", type: 1, ednsBytes: 1232 });
  const changed = (change: (copy: Uint8Array) => void) => {
    const copy = new Uint8Array(message);
    change(copy);
    return parseQuery(copy);
  };
  expect(changed((copy) => copy.set([0, 2], 4))).toBe(Rcode.formatError);
  expect(changed((copy) => copy.set([0, 0], 4))).toBe(Rcode.formatError);
  expect(changed((copy) => copy.set([0, 2], 10))).toBe(Rcode.formatError);
  expect(parseQuery(buildQuery({ name: "web", type: 1, ednsBytes: 1232, opts: 2 }))).toBe(Rcode.formatError);
  for (let length = 12; length < message.length; length++)
    expect(parseQuery(message.subarray(0, length)), `${length} bytes`).toBe(Rcode.formatError);
  expect(parseQuery(Buffer.concat([message, Buffer.from([0])]))).toBe(Rcode.formatError);
});

test("parseQuery gives no answer to answers and to what has no head; other operations are not implemented", () => {
  const answer = buildQuery({ name: "a", type: 1, flags: 0x8180 });
  expect(parseQuery(answer)).toBeUndefined();
  expect(parseQuery(new Uint8Array(11))).toBeUndefined();
  expect(parseQuery(buildQuery({ name: "a", type: 1, flags: 0x2800 }))).toBe(Rcode.notImplemented);
});

test("encodeAnswer: Docker's flags and time to live, the question as it was asked", () => {
  const query = parsed(buildQuery({ id: 7, name: "WeB", type: 1 }));
  const message = encodeAnswer(query, [{ type: 1, data: Uint8Array.of(172, 18, 0, 2) }], 512);
  expect(readMessage(message)).toEqual({
    id: 7,
    flags: 0x8180,
    questions: [{ name: "WeB", type: 1, class: 1 }],
    answers: [{ name: "WeB", type: 1, class: 1, ttl: 600, data: "ac120002" }],
    additional: [],
  });
});

test("encodeAnswer: a query with EDNS gets an OPT record back, also with a failure", () => {
  const query = parsed(buildQuery({ name: "web", type: 1, ednsBytes: 4096 }));
  const opt = { name: "", type: 41, class: 1232, ttl: 0, data: "" };
  expect(readMessage(encodeAnswer(query, [], 512)).additional).toEqual([opt]);
  expect(readMessage(encodeFailure(query, Rcode.serverFailure))).toMatchObject({ flags: 0x8102, additional: [opt] });
});

test("encodeAnswer leaves out what does not fit, says so, and fits", () => {
  const query = parsed(buildQuery({ name: "web", type: 1, ednsBytes: 512 }));
  const records = Array.from({ length: 100 }, (_, index) => ({ type: 1, data: Uint8Array.of(10, 0, 0, index) }));
  const message = encodeAnswer(query, records, 512);
  const read = readMessage(message);
  expect(read.flags).toBe(0x8380);
  expect(message.length).toBeLessThanOrEqual(512);
  expect(message.length + 16).toBeGreaterThan(512);
  expect(read.additional).toHaveLength(1);
  expect(readMessage(encodeAnswer(query, records, 65535)).answers).toHaveLength(100);
});

test("encodeRefusal has the query's id and nothing else of it", () => {
  const message = buildQuery({ id: 9, name: "a", type: 1, flags: 0x2910 });
  expect(readMessage(encodeRefusal(message, Rcode.notImplemented))).toEqual({
    id: 9,
    flags: 0xa914,
    questions: [],
    answers: [],
    additional: [],
  });
});

test("answerCode knows its answer by id and question, whatever the case", () => {
  const query = parsed(buildQuery({ id: 1, name: "Web", type: 1 }));
  const answer = buildQuery({ id: 5, name: "wEB", type: 1, flags: 0x8183 });
  expect(answerCode(answer, 5, query)).toBe(3);
  expect(answerCode(answer, 6, query)).toBeUndefined();
  expect(answerCode(buildQuery({ id: 5, name: "web", type: 1 }), 5, query)).toBeUndefined();
  expect(answerCode(buildQuery({ id: 5, name: "web", type: 28, flags: 0x8180 }), 5, query)).toBeUndefined();
  expect(answerCode(buildQuery({ id: 5, name: "wet", type: 1, flags: 0x8180 }), 5, query)).toBeUndefined();
  const head = (flags: number) => Uint8Array.of(0, 5, flags >> 8, flags & 0xff, 0, 0, 0, 0, 0, 0, 0, 0);
  expect(answerCode(head(0x8181), 5, query)).toBe(Rcode.formatError);
  expect(answerCode(head(0x8180), 5, query)).toBeUndefined();
});

test("withId changes a copy", () => {
  const message = buildQuery({ id: 1, name: "a", type: 1 });
  expect(readMessage(withId(message, 0xfffe)).id).toBe(0xfffe);
  expect(readMessage(message).id).toBe(1);
});

test("encodeName: labels with their lengths; no name is made longer than names are", () => {
  expect(encodeName("web.net")).toEqual(Uint8Array.of(3, 119, 101, 98, 3, 110, 101, 116, 0));
  expect(encodeName("x".repeat(64))).toBeUndefined();
  expect(encodeName("a..b")).toBeUndefined();
  expect(encodeName(new Array(128).fill("a").join("."))).toBeUndefined();
  expect(encodeName(new Array(127).fill("a").join("."))).toHaveLength(255);
});
