import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { parseUsernsMode } from "../../src/engine/config/userns-mode.ts";
import { ID_END, overlaps } from "../../src/engine/userns/id-mappings.ts";
import { allocate } from "../../src/engine/userns/id-pool.ts";
import { parseRemap } from "../../src/engine/userns/remap.ts";
import { entryForContainer, entryForHost, type IdTranslations } from "../../src/image/tar/id-translation.ts";
import { Random } from "../support/random.ts";

const ROUNDS = 20_000;
const WORDS = [
  "lighter",
  "root",
  "x",
  "0",
  "1",
  "77",
  "65536",
  "4294967295",
  "99999999999",
  ":",
  ":",
  ":",
  "\n",
  "\n",
  " ",
  "#",
  "-",
  "\0",
  "é",
];

test("any files of accounts give ids that exist, or an error that says what is missing", () => {
  const random = Random.fromEnvironment("account files");
  const text = () => Array.from({ length: random.below(40) }, () => random.pick(WORDS)).join("");
  let mapped = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const files = { passwd: text(), group: text(), subuid: text(), subgid: text() };
    try {
      const value = random.pick(["", "auto", "default", "x", "77", "root:x", text()]);
      const { defaultMode, pool } = parseRemap(value, files);
      const ranges = [...pool.uids, ...pool.gids];
      if (defaultMode.kind === "mapped") {
        mapped++;
        for (const { hostID, size } of [...defaultMode.mappings.uids, ...defaultMode.mappings.gids])
          ranges.push({ first: hostID, count: size });
      }
      for (const { first, count } of ranges) expect(first >= 0 && count > 0 && first + count <= ID_END).toBe(true);
      const { uids } = allocate(pool, [], 1 + random.below(100));
      expect(pool.uids.some((range) => overlaps(range, { first: uids[0]!.hostID, count: uids[0]!.size }))).toBe(true);
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
      expect(["invalid", "unavailable"]).toContain((error as LighterError).code);
    }
  }
  expect(mapped).toBeGreaterThan(ROUNDS / 20);
});

test("any UsernsMode is one of three, or refused", () => {
  const random = Random.fromEnvironment("user namespace modes");
  const parts = ["auto", "host", ":", "size", "=", "1", "0", "65536", ",", "keep-id", "ns:/proc/1/ns/user", "\n"];
  for (let round = 0; round < ROUNDS; round++) {
    const mode = Array.from({ length: random.below(7) }, () => random.pick(parts)).join("");
    try {
      const parsed = parseUsernsMode(mode);
      if (parsed.kind === "auto") expect(parsed.count ?? 1).toBeGreaterThan(0);
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(invalid|not-supported)$/) });
    }
  }
});

test("any attributes of a file survive the way to the host and back", () => {
  const random = Random.fromEnvironment("xattrs");
  const ids: IdTranslations = {
    toHost: { uid: (id) => (id + 1000) >>> 0, gid: (id) => (id + 2000) >>> 0 },
    toContainer: { uid: (id) => (id - 1000) >>> 0, gid: (id) => (id - 2000) >>> 0 },
  };
  for (let round = 0; round < ROUNDS; round++) {
    const name = random.pick(["system.posix_acl_access", "system.posix_acl_default", "security.capability", "user.x"]);
    const value = Uint8Array.from({ length: random.pick([0, 3, 4, 12, 20, 24, 28, 44]) }, () => random.below(256));
    if (name === "security.capability") value[3] = 2; // another version's root is not ours to change
    const entry = { uid: random.below(1000), gid: random.below(1000), xattrs: [{ name, value }] };
    expect(entryForContainer(entryForHost(entry, ids), ids)).toEqual(entry);
  }
});
