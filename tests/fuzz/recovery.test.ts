/** What a failing disk has left of the copies of a lost database: all of it is taken back or put aside, and nothing ends the daemon. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../src/engine/recovery/open-store.ts";
import { EnginePaths } from "../../src/engine/state/paths.ts";
import { containerRecord } from "../support/container-record.ts";
import { mutateText, mutateValue } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

let directory: string;
let paths: EnginePaths;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "lighter-recovery-"));
  paths = new EnginePaths(join(directory, "data"), join(directory, "run"));
});

afterEach(() => rmSync(directory, { recursive: true }));

const record = (id: string) => containerRecord(id, `name-${id}`, { status: "exited", exitCode: 3 });

function writeCopy(id: string, text: string): void {
  const { directory, copy } = paths.container(id);
  mkdirSync(directory, { recursive: true });
  writeFileSync(copy, text);
}

test("copies that are damaged are put aside, those that are not are taken back", () => {
  const random = Random.fromEnvironment("copies of rows");
  const objects = {
    id: "i",
    networks: [{ id: "n", name: "own" }],
    volumes: [{ name: "v", createdAt: "", labels: {}, options: {} }],
  };
  for (let round = 0; round < 40; round++) {
    rmSync(paths.dataRoot, { recursive: true, force: true });
    mkdirSync(join(paths.volumes, "v"), { recursive: true });
    writeCopy("whole", JSON.stringify(record("whole")));
    for (let index = 0; index < 10; index++) {
      const whole = record(`c${index}`);
      const text =
        random.below(2) === 0 ? mutateText(random, JSON.stringify(whole)) : JSON.stringify(mutateValue(random, whole));
      writeCopy(whole.id, text ?? "");
    }
    writeFileSync(paths.objects, mutateText(random, JSON.stringify(objects)));
    using store = openStore(paths, { recover: true });
    const ids = store.all().map(({ id }) => id);
    expect(ids).toContain("whole");
    for (let index = 0; index < 10; index++)
      expect(existsSync(join(paths.dataRoot, "lost", `c${index}`))).toBe(!ids.includes(`c${index}`));
    expect(store.volumes.all().map(({ record }) => record.name)).toEqual(["v"]);
  }
});

test("what a power cut has cost is taken back unasked, and nothing else is", () => {
  mkdirSync(paths.dataRoot);
  {
    using store = openStore(paths, {});
    store.setSetting("id", "known");
  }
  writeCopy("late", JSON.stringify(record("late")));
  mkdirSync(paths.runDirectory("other"), { recursive: true });
  expect(() => openStore(paths, {})).toThrow("does not know 1 container, 1 running container");
  rmSync(paths.execRoot, { recursive: true }); // as a boot does
  {
    using store = openStore(paths, {});
    expect(store.all().map(({ id, exitCode }) => [id, exitCode])).toEqual([["late", 3]]);
  }
  rmSync(paths.database);
  rmSync(`${paths.database}-wal`, { force: true });
  expect(() => openStore(paths, {})).toThrow("does not know 1 container of");
});
