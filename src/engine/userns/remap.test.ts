import { describe, expect, test } from "bun:test";
import type { LighterError } from "../../base/errors.ts";
import { ID_END, idTranslations, mapFromZero } from "./id-mappings.ts";
import { allocate, isWithin, without } from "./id-pool.ts";
import { type AccountFiles, parseRemap } from "./remap.ts";
import { parseSubordinateIds } from "./subordinate-ids.ts";

const files = (more: Partial<AccountFiles> = {}): AccountFiles => ({
  passwd: "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n",
  group: "root:x:0:\nalice:x:1001:\nstaff:x:50:\n",
  subuid: "alice:100000:65536\n1001:400000:10\nbob:165536:65536\n",
  subgid: "alice:200000:65536\n",
  ...more,
});

const FIRST = 0x7000_0000;

describe("subordinate ids", () => {
  test("are OWNER:FIRST:COUNT, and a line that is none gives nobody any", () => {
    const lines = [
      "a:1:2",
      "# b:1:2",
      "c:1",
      "d:-1:5",
      "e:1:0",
      `f:${ID_END}:1`,
      "g:1:2:3",
      " h:9:1 ",
      "i:9:99999999999",
      "",
    ];
    expect(parseSubordinateIds(lines.join("\n"))).toEqual([
      { owner: "a", first: 1, count: 2 },
      { owner: "h", first: 9, count: 1 },
    ]);
  });
});

describe("userns-remap", () => {
  const mapped = (value: string, more?: Partial<AccountFiles>) => {
    const { defaultMode } = parseRemap(value, files(more));
    return defaultMode.kind === "mapped" ? defaultMode.mappings : defaultMode.kind;
  };

  test("without a value is the host's ids, and so it is for root", () => {
    expect(mapped("")).toBe("host");
    expect(mapped("root", { subuid: "root:1:1\n", subgid: "root:1:1\n" })).toBe("host");
    expect(mapped("auto")).toBe("auto");
  });

  test("of a user, by name or number, is all that the user has, one after the other", () => {
    const wanted = {
      uids: [
        { containerID: 0, hostID: 100_000, size: 65536 },
        { containerID: 65536, hostID: 400_000, size: 10 },
      ],
      gids: [{ containerID: 0, hostID: 200_000, size: 65536 }],
    };
    for (const value of ["alice", "1001", "alice:staff", "1001:50", "alice:1001"])
      expect(mapped(value)).toEqual(wanted);
  });

  test("default is one range that nobody else has", () => {
    const range = (first: number) => [{ containerID: 0, hostID: first, size: 65536 }];
    expect(mapped("default")).toEqual({ uids: range(FIRST), gids: range(FIRST) });
    expect(mapped("default", { subuid: `x:${FIRST}:100\n` })).toEqual({ uids: range(FIRST + 100), gids: range(FIRST) });
    const own = { subuid: "lighter:300000:200000\n", subgid: "lighter:600000:200000\n" };
    expect(mapped("default", own)).toEqual({ uids: range(300_000), gids: range(600_000) });
    // What is left is for containers that get a range of their own.
    expect(parseRemap("default", files(own)).pool).toEqual({
      uids: [{ first: 365_536, count: 134_464 }],
      gids: [{ first: 665_536, count: 134_464 }],
    });
  });

  test.each([
    ["nobody-here", 'userns-remap: no user "nobody-here" in /etc/passwd'],
    ["77", 'userns-remap: no user "77" in /etc/passwd'],
    ["alice:nogroup", 'userns-remap: no group "nogroup" in /etc/group'],
    ["a:b:c", 'userns-remap: invalid user/group specification "a:b:c"'],
    ["root:staff", undefined],
  ])("%s", (value, message) => {
    if (message === undefined) expect(mapped(value)).toBe("host");
    else expect(() => mapped(value)).toThrow(expect.objectContaining({ code: "invalid", message }));
  });

  test("is refused where owners cannot be mapped, and so are ids of a container's own", () => {
    const message = "userns-remap: this daemon is itself in a user namespace, and cannot map owners of files";
    for (const value of ["auto", "alice"])
      expect(() => parseRemap(value, files(), false)).toThrow(expect.objectContaining({ code: "invalid", message }));
    expect(() => allocate(parseRemap("", files(), false).pool, [], 65536)).toThrow(
      expect.objectContaining({ code: "unavailable", detail: { hint: expect.stringContaining("--userns=host") } }),
    );
  });

  test("of a user without subordinate ids names the file", () => {
    expect(() => mapped("alice", { subgid: "" })).toThrow(
      expect.objectContaining({ message: 'userns-remap: no subgid ranges found for user "alice" in /etc/subgid' }),
    );
    expect(() => mapped("default", { subuid: "lighter:1:10\n" })).toThrow(
      expect.objectContaining({ message: 'userns-remap: no subgid ranges found for user "lighter" in /etc/subgid' }),
    );
  });
});

describe("a pool of ids", () => {
  const pool = {
    uids: [
      { first: 100, count: 25 },
      { first: 500, count: 10 },
    ],
    gids: [{ first: 1000, count: 100 }],
  };
  const of = (uid: number, gid: number, count = 10) => ({
    uids: mapFromZero([{ first: uid, count }]),
    gids: mapFromZero([{ first: gid, count }]),
  });

  test("gives the first that are free in one piece, until there are none", () => {
    const taken: ReturnType<typeof allocate>[] = [];
    for (const [uid, gid] of [
      [100, 1000],
      [110, 1010],
      [500, 1020],
    ] as const) {
      const next = allocate(pool, taken, 10);
      expect(next).toEqual(of(uid, gid));
      taken.push(next);
    }
    expect(() => allocate(pool, taken, 10)).toThrow(
      expect.objectContaining({ code: "unavailable", message: expect.stringContaining("no 10 free uids in a row") }),
    );
    expect(allocate(pool, taken, 5)).toEqual(of(120, 1030, 5));
    expect(allocate(pool, taken.slice(1), 10)).toEqual(of(100, 1000));
  });

  test("never gives the same id twice, whatever sizes are asked for", () => {
    const taken: ReturnType<typeof allocate>[] = [];
    const whole = { uids: [{ first: 7, count: 1000 }], gids: [{ first: 5000, count: 1000 }] };
    for (let round = 0; round < 200; round++) {
      if (round % 3 === 2) taken.splice((round * 7) % taken.length, 1);
      try {
        taken.push(allocate(whole, taken, 1 + ((round * 37) % 60)));
      } catch (error) {
        expect(error).toMatchObject({ code: "unavailable" } satisfies Partial<LighterError>);
      }
      for (const kind of ["uids", "gids"] as const) {
        const used = taken.flatMap((each) => each[kind].map(({ hostID, size }) => [hostID, hostID + size] as const));
        used.sort(([a], [b]) => a - b);
        for (const [index, [first]] of used.entries())
          expect(first).toBeGreaterThanOrEqual(used[index - 1]?.[1] ?? whole[kind][0]!.first);
      }
    }
    expect(taken.length).toBeGreaterThan(10);
  });

  test("knows what is its own", () => {
    expect(isWithin(of(100, 1000), pool)).toBe(true);
    expect(isWithin(of(120, 1000), pool)).toBe(false);
    expect(isWithin(of(100, 999), pool)).toBe(false);
  });

  test("has holes where others have ids", () => {
    expect(
      without(
        [{ first: 0, count: 10 }],
        [
          { first: 3, count: 2 },
          { first: 8, count: 5 },
        ],
      ),
    ).toEqual([
      { first: 0, count: 3 },
      { first: 5, count: 3 },
    ]);
    expect(without([{ first: 0, count: 10 }], [{ first: 0, count: 10 }])).toEqual([]);
    expect(without([{ first: 0, count: 10 }], [{ first: 10, count: 10 }])).toEqual([{ first: 0, count: 10 }]);
  });
});

test("ids of a container and of the host are each other's reverse, and those it has not are nobody's", () => {
  const mappings = {
    uids: mapFromZero([
      { first: 100, count: 5 },
      { first: 50, count: 5 },
    ]),
    gids: mapFromZero([{ first: 9, count: 1 }]),
  };
  const { toHost, toContainer } = idTranslations(mappings)!;
  expect([0, 4, 5, 9].map(toHost.uid)).toEqual([100, 104, 50, 54]);
  expect([100, 104, 50, 54, 99, 105].map(toContainer.uid)).toEqual([0, 4, 5, 9, 65534, 65534]);
  expect(() => toHost.gid(1)).toThrow(expect.objectContaining({ code: "invalid" }));
  expect(idTranslations(null)).toBeUndefined();
});
