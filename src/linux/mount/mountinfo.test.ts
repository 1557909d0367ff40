import { expect, test } from "bun:test";
import { parseMountinfo } from "./mountinfo.ts";

test("parseMountinfo unescapes paths and passes over any number of optional fields", () => {
  const text = "36 35 98:0 /a\\040b /c\\134d rw master:1 shared:2 - ext3 /dev/root rw,errors=continue\nnonsense\n";
  expect(parseMountinfo(text)).toEqual([
    {
      mountId: 36,
      parentId: 35,
      root: "/a b",
      mountPoint: "/c\\d",
      options: "rw",
      tags: ["master:1", "shared:2"],
      fsType: "ext3",
      source: "/dev/root",
      superOptions: "rw,errors=continue",
    },
  ]);
});
