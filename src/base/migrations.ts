/** Brings a database to the schema of this version, step by step. */
import { LighterError } from "./errors.ts";

/** The part of an SQLite database that is used here. */
interface Database {
  query(sql: string): { get(): unknown };
  run(sql: string): unknown;
  transaction(work: () => void): () => void;
}

/** The number of steps that the database has taken. */
export function schemaOf(db: Database): number {
  return (db.query("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** Takes the missing steps, each in a transaction. @throws LighterError "not-supported" if there are more than we know */
export function applyMigrations(db: Database, path: string, migrations: readonly string[]): void {
  const version = schemaOf(db);
  if (version > migrations.length)
    throw new LighterError("not-supported", `"${path}" was written by a newer lighter (schema ${version})`);
  for (const [index, sql] of migrations.entries()) {
    if (index < version) continue;
    db.transaction(() => {
      db.run(sql);
      db.run(`PRAGMA user_version = ${index + 1}`);
    })();
  }
}
