import { expect, test } from "bun:test";
import { addressOfReverseName } from "./reverse-name.ts";

test("addressOfReverseName: RFC 1035 §3.5, RFC 3596 §2.5", () => {
  expect(addressOfReverseName("2.0.18.172.in-addr.arpa")).toBe("172.18.0.2");
  const nibbles = `2${".0".repeat(23)}.7.7.0.0.0.0.d.f`.split(".");
  expect(nibbles).toHaveLength(32);
  expect(addressOfReverseName(`${nibbles.join(".")}.ip6.arpa`)).toBe("fd00:77::2");
});

test("addressOfReverseName: other names have no address", () => {
  const names = ["web", "in-addr.arpa", "0.18.172.in-addr.arpa", "256.0.18.172.in-addr.arpa", "1.2.3.4.5.in-addr.arpa"];
  for (const name of [...names, "02.0.18.172.in-addr.arpa", "1.ip6.arpa", "2.0.18.172.ip6.arpa", "x.in-addr.arpa"])
    expect(addressOfReverseName(name), name).toBeUndefined();
});
