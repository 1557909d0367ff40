import { expect, test } from "bun:test";
import { parseIdMap, parseMounts } from "./anatomy.ts";

test("mounts are told with their sources, whatever their names", () => {
  const text =
    "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n" +
    "37 35 0:5 / /proc rw - proc proc rw\nnonsense\n";
  expect(parseMounts(text)).toEqual([
    { target: "/mnt 2", type: "ext3", source: "/dev/root", root: "/mnt1", options: "rw,noatime" },
    { target: "/proc", type: "proc", source: "proc", root: "/", options: "rw" },
  ]);
  expect(parseMounts("")).toEqual([]);
});

test("id maps are told range by range", () => {
  expect(parseIdMap("uid", "         0     100000      65536\n     65536          0          1\n")).toEqual([
    { kind: "uid", inside: 0, outside: 100_000, count: 65_536 },
    { kind: "uid", inside: 65_536, outside: 0, count: 1 },
  ]);
  expect(parseIdMap("gid", "")).toEqual([]);
});
