/** What starts and execs do, as text. `GOLDEN=update bun test tests/golden/programs.test.ts` rewrites; review the diff. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listProgram } from "../../src/linux/program/list.ts";
import { OP_KINDS } from "../../src/linux/program/op.ts";
import { PROGRAM_CASES } from "../support/program-cases.ts";

const folder = join(import.meta.dirname, "programs");

for (const { name, program } of PROGRAM_CASES)
  test(`the program is as it was: ${name}`, () => {
    const path = join(folder, `${name}.txt`);
    const listing = listProgram(program);
    if (process.env.GOLDEN === "update") writeFileSync(path, listing);
    expect(listing).toBe(readFileSync(path, "utf8"));
  });

test("every golden file belongs to a case", () => {
  expect(readdirSync(folder).sort()).toEqual(PROGRAM_CASES.map(({ name }) => `${name}.txt`).sort());
});

test("the cases use every kind of op", () => {
  const used = new Set(
    PROGRAM_CASES.flatMap(({ program }) => [...program.host, ...program.init, ...program.cleanup]).map(
      ({ kind }) => kind,
    ),
  );
  expect(OP_KINDS.filter((kind) => !used.has(kind))).toEqual([]);
});

test("what kills a cgroup does not mind that it is gone, be it before or after its file is opened", () => {
  const kills = PROGRAM_CASES.flatMap(({ name, program }) =>
    listProgram(program)
      .split("\n")
      .filter((line) => /^\d+ +write +\S+\/cgroup\.kill /.test(line))
      .map((line) => `${name}: ${line}`),
  );
  expect(kills).not.toBeEmpty();
  expect(kills.filter((line) => !line.includes("(ENOENT, ENODEV is fine)"))).toEqual([]);
});
