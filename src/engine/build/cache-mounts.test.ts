import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { CacheMountRow } from "./cache-mount-table.ts";
import { CacheMounts } from "./cache-mounts.ts";

const signal = new AbortController().signal;

function stage() {
  const path = mkdtempSync(join(tmpdir(), "lighter-cache-mounts-"));
  let rows: CacheMountRow[] = [];
  const table = {
    all: () => rows,
    add: (directory: string, id: string) => {
      rows.push({ directory, id, size_bytes: 0, created_ms: 0, last_used_ms: 0, usage_count: 0 });
    },
    noteUse: () => {},
    setSize: () => {},
    delete: (directory: string) => {
      rows = rows.filter((row) => row.directory !== directory);
    },
  };
  const trash = { discard: async (gone: string) => rmSync(gone, { recursive: true }) };
  return {
    path,
    caches: new CacheMounts({ table, path, trash, measure: async () => 0 }),
    forgetRows: () => {
      rows = [];
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true }),
  };
}

const wish = (sharing: "shared" | "private" | "locked", id = "i") => ({
  ...{ id, sharing, mode: 0o750, uid: process.getuid!(), gid: process.getgid!() },
});

test("shared users have one directory, each id its own", async () => {
  using at = stage();
  const first = await at.caches.use(wish("shared"), signal);
  const second = await at.caches.use(wish("shared"), signal);
  const other = await at.caches.use(wish("shared", "other"), signal);
  expect([first.isNew, second.isNew, other.isNew]).toEqual([true, false, true]);
  expect(second.path).toBe(first.path);
  expect(other.path).not.toBe(first.path);
  expect(statSync(first.path).mode & 0o7777).toBe(0o750);
});

test("a private user has a directory to itself, and takes one that is free", async () => {
  using at = stage();
  const first = await at.caches.use(wish("private"), signal);
  const second = await at.caches.use(wish("private"), signal);
  expect(second.path).not.toBe(first.path);
  first[Symbol.dispose]();
  expect((await at.caches.use(wish("private"), signal)).path).toBe(first.path);
});

test("a locked user waits until nobody has the directory, or until it is given up", async () => {
  using at = stage();
  const first = await at.caches.use(wish("locked"), signal);
  const order: string[] = [];
  const second = at.caches.use(wish("locked"), signal).then((use) => {
    order.push("second");
    return use;
  });
  const aborter = new AbortController();
  const third = at.caches.use(wish("locked"), aborter.signal);
  aborter.abort(new Error("given up"));
  await expect(third).rejects.toThrow("given up");
  order.push("released");
  first[Symbol.dispose]();
  expect((await second).path).toBe(first.path);
  expect(order).toEqual(["released", "second"]);
});

test("what is in use is not removed, and says so", async () => {
  using at = stage();
  const used = await at.caches.use(wish("shared"), signal);
  (await at.caches.use(wish("shared", "other"), signal))[Symbol.dispose]();
  const records = at.caches.records();
  expect(records.map(({ description, isInUse }) => [description, isInUse])).toEqual([
    ["cached mount i", true],
    ["cached mount other", false],
  ]);
  await at.caches.remove(new Set(records.map(({ id }) => id)));
  expect(readdirSync(at.path)).toEqual([basename(used.path)]);
  expect(at.caches.records()).toHaveLength(1);
});

test("directories that no row names go, unless they are in use", async () => {
  using at = stage();
  const used = await at.caches.use(wish("shared"), signal);
  (await at.caches.use(wish("shared", "other"), signal))[Symbol.dispose]();
  at.forgetRows();
  await at.caches.recover();
  expect(readdirSync(at.path)).toEqual([basename(used.path)]);
});
