import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { containerRecord } from "../../../tests/support/container-record.ts";
import { ZERO_TIME } from "../../base/time.ts";
import type { ContainerRecord } from "./record.ts";
import { Store } from "./store.ts";

const directories: string[] = [];

function temporaryPath(): string {
  const directory = mkdtempSync(join(tmpdir(), "lighter-store-"));
  directories.push(directory);
  return join(directory, "lighter.db");
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const networking = {
  endpoints: [{ networkId: "", networkName: "bridge", wish: { aliases: ["web"] } }],
  ports: [],
};
const record = (id: string, name: string): ContainerRecord => containerRecord(id, name, { networking });

test("a container's row survives closing and opening, oldest first", () => {
  const path = temporaryPath();
  const health = { status: "healthy" as const, failingStreak: 0, log: [] };
  {
    using store = new Store(path);
    store.insert(record("b", "first"));
    store.insert(record("a", "second"));
    store.update("a", {
      status: "running",
      pid: 42,
      startedAt: "2026-01-02T03:04:06Z",
      restartCount: 1,
      manuallyStopped: false,
      health,
      networking: { endpoints: [], ports: [] },
    });
    store.updateOrLater("a", { paused: true });
    store.updateOrLater("b", { manuallyStopped: true });
    store.update("a", { hostConfig: { Memory: 7 } });
    store.updateOrLater("b", {
      status: "exited",
      exitCode: 137,
      error: "lost",
      oomKilled: true,
      startedAt: ZERO_TIME,
      finishedAt: "2026-01-02T03:04:07Z",
    });
  }
  using store = new Store(path);
  expect(store.all()).toEqual([
    {
      ...record("b", "first"),
      status: "exited",
      exitCode: 137,
      error: "lost",
      oomKilled: true,
      finishedAt: "2026-01-02T03:04:07Z",
      manuallyStopped: true,
    },
    {
      ...record("a", "second"),
      status: "running",
      pid: 42,
      startedAt: "2026-01-02T03:04:06Z",
      restartCount: 1,
      paused: true,
      hostConfig: { Memory: 7 },
      health,
      networking: { endpoints: [], ports: [] },
    },
  ]);
});

test("a container that is being removed has freed its name", () => {
  using store = new Store(temporaryPath());
  store.insert(record("a", "web"));
  store.updateOrLater("a", { status: "removing", removeVolumes: true });
  store.insert(record("b", "web"));
  expect(store.all().map(({ id, name, status, removeVolumes }) => [id, name, status, removeVolumes])).toEqual([
    ["a", "", "removing", true],
    ["b", "web", "created", false],
  ]);
  store.delete("a");
  expect(store.all().map(({ id }) => id)).toEqual(["b"]);
});

test("a second daemon cannot open the database of the first", () => {
  const path = temporaryPath();
  using _first = new Store(path);
  expect(() => new Store(path)).toThrow(expect.objectContaining({ code: "conflict" }));
});

test("a database of a newer schema is refused and not touched", () => {
  const path = temporaryPath();
  const db = new Database(path, { create: true });
  db.run("PRAGMA user_version = 999");
  db.close();
  expect(() => new Store(path)).toThrow(expect.objectContaining({ code: "not-supported" }));
});

test("a database of the first schema is brought up to the present one", () => {
  const path = temporaryPath();
  {
    using store = new Store(path);
    store.insert(record("a", "old"));
    store.update("a", { hostConfig: { NetworkMode: "default" } });
  }
  const db = new Database(path);
  const added = [
    "remove_volumes",
    "paused",
    "manually_stopped",
    "health",
    "id_mappings",
    "networking",
    "machine_end",
    "pod",
    "in_scope",
  ];
  for (const column of added) db.run(`ALTER TABLE container DROP COLUMN ${column}`);
  for (const table of ["volume", "network"]) db.run(`DROP TABLE ${table}`);
  db.run("PRAGMA user_version = 1");
  db.close();
  using store = new Store(path);
  // It is in the network of its mode, and has no wishes there.
  const networking = { endpoints: [{ networkId: "", networkName: "bridge", wish: {} }], ports: [] };
  expect(store.all()).toEqual([{ ...record("a", "old"), hostConfig: { NetworkMode: "default" }, networking }]);
});

test("only root may read the database: environments hold secrets", () => {
  const path = temporaryPath();
  using _store = new Store(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
