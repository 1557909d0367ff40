/** Remembers the last builds with all that they have said. */
import type { Database } from "bun:sqlite";
import { deflateSync, inflateSync } from "node:zlib";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { BUILD_LOG_MAX_BYTES, BUILDS_MAX } from "../../base/limits.ts";
import { writeIfRoom } from "../../base/wal.ts";
import type { BuildFailure, SolveStatus } from "../../spec/solve-status.ts";
import { failureText } from "./step-failed.ts";

/** A build that has ended. */
export interface PastBuild {
  id: string;
  /** Its first name, or that of its Dockerfile. */
  name: string;
  startedMs: number;
  endedMs: number;
  /** The image's id, or why there is none. */
  image: string;
  error: string;
  steps: number;
  cachedSteps: number;
}

interface PastBuildLog extends PastBuild {
  statuses: SolveStatus[];
  failure: BuildFailure;
}

interface Row {
  id: string;
  name: string;
  started_ms: number;
  ended_ms: number;
  image: string;
  error: string;
  steps: number;
  cached_steps: number;
}

const ID_DIGITS = 12;
const COLUMNS = "id, name, started_ms, ended_ms, image, error, steps, cached_steps";

export class BuildHistory {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  begin(name: string): BuildRecord {
    return new BuildRecord(name, (record, log) => {
      const { id, startedMs, endedMs, image, error, steps, cachedSteps } = record;
      const text = deflateSync(JSON.stringify(log));
      writeIfRoom(this.#db, () => {
        this.#db
          .query("INSERT INTO build VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
          .run(id, name, startedMs, endedMs, image, error, steps, cachedSteps, text);
        this.#db
          .query("DELETE FROM build WHERE id NOT IN (SELECT id FROM build ORDER BY ended_ms DESC LIMIT ?)")
          .run(BUILDS_MAX);
      });
    });
  }

  /** The builds, the last one first. */
  list(): PastBuild[] {
    const rows = this.#db.query(`SELECT ${COLUMNS} FROM build ORDER BY ended_ms DESC, rowid DESC`).all() as Row[];
    return rows.map(presentRow);
  }

  /** Finds a build by its id or the beginning of it. @throws LighterError "not-found" */
  get(id: string): PastBuildLog {
    const build = this.list().find((each) => id !== "" && each.id.startsWith(id));
    if (build === undefined) throw new LighterError("not-found", `No such build: ${id}`);
    const { log } = this.#db.query("SELECT log FROM build WHERE id = ?").get(build.id) as { log: Uint8Array };
    return { ...build, ...(JSON.parse(inflateSync(log).toString()) as Pick<PastBuildLog, "statuses" | "failure">) };
  }
}

function presentRow(row: Row): PastBuild {
  const { id, name, image, error, steps } = row;
  return {
    ...{ id, name, image, error, steps },
    ...{ startedMs: row.started_ms, endedMs: row.ended_ms, cachedSteps: row.cached_steps },
  };
}

type Save = (build: PastBuild, log: Pick<PastBuildLog, "statuses" | "failure">) => void;

/** Listens to a build under way. What it says beyond a limit is not kept. */
class BuildRecord {
  readonly #save: Save;
  readonly #name: string;
  readonly #startedMs = Date.now();
  readonly #statuses: SolveStatus[] = [];
  /** Whether each step is cached. */
  readonly #steps = new Map<string, boolean>();
  #failure: BuildFailure = {};
  #bytes = 0;

  constructor(name: string, save: Save) {
    this.#name = name;
    this.#save = save;
  }

  hear(status: SolveStatus): void {
    for (const { digest, inputs, cached, completed } of status.vertexes ?? [])
      if (completed !== undefined && inputs !== undefined) this.#steps.set(digest, cached === true);
    if (status.statuses?.every(({ completed }) => completed === undefined) === true) return;
    const logged = (status.logs ?? []).reduce((sum, { data }) => sum + data.length, 0);
    if (logged > 0 && this.#bytes + logged > BUILD_LOG_MAX_BYTES) return;
    this.#bytes += logged;
    this.#statuses.push(status);
  }

  fail(failure: BuildFailure): void {
    this.#failure = failure;
  }

  /** Keeps the record. `outcome` is the image's id, or the error. */
  end(outcome: { image: string } | { error: unknown }): void {
    const cached = [...this.#steps.values()].filter(Boolean).length;
    this.#save(
      {
        id: randomId().slice(0, ID_DIGITS),
        name: this.#name,
        startedMs: this.#startedMs,
        endedMs: Date.now(),
        image: "image" in outcome ? outcome.image : "",
        error: "error" in outcome ? failureText(outcome.error) : "",
        ...{ steps: this.#steps.size, cachedSteps: cached },
      },
      { statuses: this.#statuses, failure: this.#failure },
    );
  }
}
