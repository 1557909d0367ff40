import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { RowWriter } from "./row-writer.ts";

/** A database that takes no more than a few pages, as on a full disk. */
function fullDatabase() {
  const db = new Database(":memory:");
  db.run("CREATE TABLE note (seq INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT) STRICT");
  const setPages = (count: number) => db.query(`PRAGMA max_page_count = ${count}`).get();
  setPages(4);
  return {
    db,
    insert: db.query("INSERT INTO note (text) VALUES (?)"),
    setPages,
    notes: () =>
      (db.query("SELECT text FROM note ORDER BY seq").all() as { text: string }[]).map(({ text }) => text[0]!),
  };
}

const large = (letter: string) => letter.repeat(100_000);
const NO_ROOM = expect.objectContaining({ code: "kernel", detail: expect.objectContaining({ errno: "ENOSPC" }) });

test("a row that a full disk refuses is an error that writes nothing, or is written later", () => {
  const { db, insert, notes } = fullDatabase();
  using rows = new RowWriter(db, () => false);
  expect(() => rows.run(insert, large("a"))).toThrow(NO_ROOM);
  expect(rows.runOrLater(insert, large("b"))).toBe(false);
  expect(notes()).toEqual([]);
});

test("what is late is written first, in its order, as soon as there is room", () => {
  const { db, insert, setPages, notes } = fullDatabase();
  using rows = new RowWriter(db, () => false);
  for (const letter of ["a", "b"]) rows.runOrLater(insert, large(letter));
  expect(() => rows.run(insert, "c")).toThrow(NO_ROOM); // there would be room for it, but not before the others
  setPages(1000);
  rows.run(insert, "d");
  expect(notes()).toEqual(["a", "b", "d"]);
});

test("room is made as often as it takes; a transaction is written as one, or not at all", () => {
  const { db, insert, setPages, notes } = fullDatabase();
  let pieces = 0;
  using rows = new RowWriter(db, () => {
    pieces++;
    setPages(4 + 20 * pieces);
    return pieces <= 3;
  });
  rows.together(() => {
    rows.run(insert, large("a"));
    rows.run(insert, large("b"));
  });
  expect([notes(), pieces]).toEqual([["a", "b"], 3]);
  const both = () =>
    rows.together(() => {
      rows.run(insert, "c");
      rows.run(insert, "d".repeat(10_000_000));
    });
  expect(both).toThrow(NO_ROOM);
  expect(notes()).toEqual(["a", "b"]);
});
