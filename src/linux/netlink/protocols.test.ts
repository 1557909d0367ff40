import { expect, test } from "bun:test";
import { isProtocolServed } from "./protocols.ts";

test("a protocol is served where the kernel has a socket of it", () => {
  const list = [
    "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode",
    "000000001de63198 0   0          00000000 0        0        0     2        0        4       ",
    "00000000f79967cf 4   1312       00000000 0        0        0     2        0        565     ",
    "00000000a36fa42a 12  0          00000000 0        0        0     2        0        566     ",
    "",
  ].join("\n");
  expect([0, 4, 12, 1].filter((protocol) => isProtocolServed(protocol, list))).toEqual([0, 12]);
});
