import { describe, expect, test } from "bun:test";
import { isUserNamespace, readRights } from "./rights.ts";

const reading =
  (uids?: string, gids = uids) =>
  (path: string) =>
    ({ "/proc/self/uid_map": uids, "/proc/self/gid_map": gids, "/proc/self/oom_score_adj": "200\n" })[path];

describe("readRights", () => {
  test.each([
    ["without user namespaces", undefined],
    ["in the first of them", "         0          0 4294967295\n"],
  ])("the host's root may do everything, %s", (_, map) => {
    expect(readRights(reading(map))).toEqual({
      inUserNamespace: false,
      uids: 2 ** 32 - 1,
      gids: 2 ** 32 - 1,
      deviceFilters: true,
      deviceNodes: true,
      idmappedMounts: true,
      overlayAttributes: "trusted",
      appArmorProfiles: true,
      oomScoreMin: -1000,
    });
  });

  test("root of a namespace has its own ids, as far as they go in one piece, and none of the host's rights", () => {
    const rights = readRights(reading("0 1000 1\n1 100000 65536\n", "1 100000 10\n0 1000 1\n100 200000 5\n"));
    expect(rights).toEqual({
      inUserNamespace: true,
      uids: 65537,
      gids: 11,
      deviceFilters: false,
      deviceNodes: false,
      idmappedMounts: false,
      overlayAttributes: "user",
      appArmorProfiles: false,
      oomScoreMin: 200,
    });
  });

  test.each([
    ["0 0 65536", true],
    ["0 1879048192 65536", true],
    ["0 0 4294967295", false],
    ["", true], // nobody is mapped yet
  ])("a map of %p is one of a namespace: %p", (map, expected) => {
    expect(isUserNamespace(reading(map))).toBe(expected);
  });
});
