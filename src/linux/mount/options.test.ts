import { describe, expect, test } from "bun:test";
import { ATTR, parseMountOptions, propagationOf } from "./options.ts";

/** Source: runtime-spec config.md#linux-mount-options. */
const ATTRIBUTES: readonly [name: string, set: number, clear: number][] = [
  ["ro", ATTR.RDONLY, 0],
  ["rw", 0, ATTR.RDONLY],
  ["nosuid", ATTR.NOSUID, 0],
  ["suid", 0, ATTR.NOSUID],
  ["nodev", ATTR.NODEV, 0],
  ["dev", 0, ATTR.NODEV],
  ["noexec", ATTR.NOEXEC, 0],
  ["exec", 0, ATTR.NOEXEC],
  ["noatime", ATTR.NOATIME, ATTR.ATIME_MASK],
  ["atime", 0, ATTR.ATIME_MASK],
  ["relatime", 0, ATTR.ATIME_MASK],
  ["norelatime", ATTR.STRICTATIME, ATTR.ATIME_MASK],
  ["strictatime", ATTR.STRICTATIME, ATTR.ATIME_MASK],
  ["nostrictatime", 0, ATTR.ATIME_MASK],
  ["nodiratime", ATTR.NODIRATIME, 0],
  ["diratime", 0, ATTR.NODIRATIME],
  ["nosymfollow", ATTR.NOSYMFOLLOW, 0],
  ["symfollow", 0, ATTR.NOSYMFOLLOW],
];
const MS = { unbindable: 1 << 17, private: 1 << 18, slave: 1 << 19, shared: 1 << 20 } as const;

const parse = (...options: string[]) => parseMountOptions(options, "mounts[0]");
const NONE = parse();

describe("parseMountOptions", () => {
  test("without options changes nothing", () => {
    expect(NONE).toEqual({
      set: 0,
      clear: 0,
      recursiveSet: 0,
      recursiveClear: 0,
      bind: false,
      recursive: false,
      remount: false,
      copyUp: false,
      parameters: [],
    });
  });

  test("knows every attribute, plain and recursive", () => {
    for (const [name, set, clear] of ATTRIBUTES) {
      expect(parse(name)).toEqual({ ...NONE, set, clear });
      // "relatime" with an r in front is no option; all others are.
      expect(parse(`r${name}`)).toEqual({ ...NONE, recursiveSet: set, recursiveClear: clear });
    }
  });

  test("of two contrary attributes the last one wins, for every pair", () => {
    for (const [first, firstSet, firstClear] of ATTRIBUTES)
      for (const [second, set, clear] of ATTRIBUTES) {
        const { set: bits, clear: cleared } = parse(first, second);
        // The last option's own bits are as it says.
        expect(bits & (set | clear)).toBe(set);
        expect(cleared & set & ~clear).toBe(0);
        expect(cleared & clear).toBe(clear);
        // Bits that only the first option touches are as that one says.
        const others = (firstSet | firstClear) & ~(set | clear);
        expect(bits & others).toBe(firstSet & others);
        expect(cleared & others & ~firstSet).toBe(firstClear & others & ~firstSet);
        // mount_setattr(2) refuses bits to set that are to be cleared, but for the access-time mode.
        expect(bits & cleared & ~ATTR.ATIME_MASK).toBe(0);
      }
  });

  test("an access-time mode is set with the whole mode cleared, as mount_setattr(2) wants it", () => {
    for (const name of ["noatime", "strictatime", "relatime"])
      expect(parse("noatime", name).clear & ATTR.ATIME_MASK).toBe(ATTR.ATIME_MASK);
    expect(parse("noatime", "relatime").set).toBe(0);
    expect(parse("strictatime", "noatime").set).toBe(ATTR.NOATIME);
  });

  test("knows bind and rbind, in any order", () => {
    expect(parse("bind")).toEqual({ ...NONE, bind: true });
    expect(parse("rbind")).toEqual({ ...NONE, bind: true, recursive: true });
    expect(parse("rbind", "bind")).toEqual({ ...NONE, bind: true, recursive: true });
    expect(parse("bind", "rbind")).toEqual({ ...NONE, bind: true, recursive: true });
  });

  test("knows all eight propagations", () => {
    for (const [name, flag] of Object.entries(MS)) {
      expect(propagationOf(name)).toEqual({ flag, recursive: false });
      expect(propagationOf(`r${name}`)).toEqual({ flag, recursive: true });
      expect(parse("shared", `r${name}`).propagation).toEqual({ flag, recursive: true });
    }
    for (const name of ["", "r", "rr", "rrprivate", "Private"]) expect(propagationOf(name)).toBeUndefined();
  });

  test("leaves out what is for mount(8), and keeps what is for the file system, in order", () => {
    expect(
      parse("defaults", "async", "nofail", "_netdev", "auto", "noauto", "silent", "loud", "noiversion", "nomand"),
    ).toEqual(NONE);
    expect(parse("mode=755", "size=64k", "newinstance", "a=b=c", "sync", "lazytime", "empty=").parameters).toEqual([
      { key: "mode", value: "755" },
      { key: "size", value: "64k" },
      { key: "newinstance" },
      { key: "a", value: "b=c" },
      { key: "sync" },
      { key: "lazytime" },
      { key: "empty", value: "" },
    ]);
  });

  test("tells tmpcopyup, remount and idmap apart", () => {
    expect(parse("tmpcopyup")).toEqual({ ...NONE, copyUp: true });
    expect(parse("remount", "ro")).toEqual({ ...NONE, remount: true, set: ATTR.RDONLY });
    expect(parse("idmap")).toEqual({ ...NONE, idmap: "idmap" });
    expect(parse("ridmap")).toEqual({ ...NONE, idmap: "ridmap" });
  });

  test("refuses what only a file system could take for a bind mount, by name", () => {
    for (const option of ["size=1k", "sync", "nonsense"])
      expect(() => parse("rbind", option)).toThrow(
        expect.objectContaining({ code: "invalid", message: expect.stringContaining(`"${option.split("=")[0]}"`) }),
      );
  });
});
