import { expect, test } from "bun:test";
import { answerFrom } from "./answer.ts";
import { type Query, RecordType } from "./message.ts";
import type { NameSource } from "./types.ts";

const names: NameSource = {
  lookup: (name) =>
    ({
      web: { ipv4: ["172.18.0.2"], ipv6: ["fd00::2"] },
      v4: { ipv4: ["172.18.0.3"], ipv6: [] },
      many: { ipv4: ["10.0.0.1", "10.0.0.2", "10.0.0.3"], ipv6: [] },
    })[name],
  reverse: (address) =>
    ({ "172.18.0.2": "web.backend", "fd00::2": "web.backend", "172.18.0.9": "x".repeat(70) })[address],
};

function ask(name: string, type: number, klass = 1) {
  const query = { name, type, class: klass } as Query;
  return answerFrom(names, query)?.map(({ type, data }) => `${type} ${Buffer.from(data).toString("hex")}`);
}

test("answerFrom: addresses by family, both for ANY", () => {
  expect(ask("web", RecordType.a)).toEqual(["1 ac120002"]);
  expect(ask("web", RecordType.aaaa)).toEqual(["28 fd000000000000000000000000000002"]);
  expect(ask("web", RecordType.any)).toEqual(["1 ac120002", "28 fd000000000000000000000000000002"]);
});

test("answerFrom: a known name without such an address has none, and nobody else is asked", () => {
  expect(ask("v4", RecordType.aaaa)).toEqual([]);
  for (const type of [RecordType.mx, RecordType.https, RecordType.svcb]) expect(ask("web", type)).toEqual([]);
});

test("answerFrom: other names, types and classes are not ours", () => {
  expect(ask("nope", RecordType.a)).toBeUndefined();
  expect(ask("web", 16)).toBeUndefined();
  expect(ask("web", RecordType.a, 3)).toBeUndefined();
});

test("answerFrom: the order of several addresses changes, the addresses do not", () => {
  const orders = new Set<string>();
  for (let count = 0; count < 200; count++) orders.add(ask("many", RecordType.a)!.join());
  expect(orders.size).toBe(6);
  expect([...orders].map((order) => order.split(",").sort().join())).toEqual(
    new Array(6).fill("1 0a000001,1 0a000002,1 0a000003"),
  );
});

test("answerFrom: an address leads to the name in its network", () => {
  const name = "0377656207".concat(Buffer.from("backend").toString("hex"), "00");
  expect(ask("2.0.18.172.in-addr.arpa", RecordType.ptr)).toEqual([`12 ${name}`]);
  expect(ask(`2${".0".repeat(27)}.0.0.d.f.ip6.arpa`, RecordType.ptr)).toEqual([`12 ${name}`]);
  expect(ask("3.0.18.172.in-addr.arpa", RecordType.ptr)).toBeUndefined();
  expect(ask("web", RecordType.ptr)).toBeUndefined();
});

test("answerFrom: a name that is too long for DNS is not told", () => {
  expect(ask("9.0.18.172.in-addr.arpa", RecordType.ptr)).toEqual([]);
});
