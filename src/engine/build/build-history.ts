/** Remembers the last builds with all that they have said. */
import type { Database } from "bun:sqlite";
import { deflateSync, inflateSync } from "node:zlib";
import { LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { BUILD_LOG_MAX_BYTES, BUILDS_MAX } from "../../base/limits.ts";
import { counter, histograms } from "../../base/metrics.ts";
import { writeIfRoom } from "../../base/wal.ts";
import type { BuildFailure, SolveStatus } from "../../spec/solve-status.ts";
import { failureText } from "./step-failed.ts";

/** Why builds fail: Docker's words for the two that are told apart. */
const CANCELED = "build_canceled";
const FAILED = "error_processing_commands_error";
const triggered = counter("builder_builds_triggered_total", "Number of triggered image builds");
const failed = counter("builder_builds_failed_total", "Number of failed image builds", "reason", [CANCELED, FAILED]);
const times = histograms("lighter_build_seconds", "The time that builds take", [0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800]);

/** A build under way. */
export interface RunningBuild {
  id: string;
  /** Its first name, or that of its Dockerfile. */
  name: string;
  startedMs: number;
}

/** A build that has ended. */
export interface PastBuild extends RunningBuild {
  endedMs: number;
  /** The image's id, or why there is none. */
  image: string;
  error: string;
  steps: number;
  cachedSteps: number;
  /** Whether it stays when others have to go. */
  isPinned: boolean;
}

/** What happens to a record: a build begins, ends, and is forgotten. */
export type HistoryEvent = { kind: "started"; build: RunningBuild } | { kind: "ended" | "removed"; build: PastBuild };

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
  pinned: number;
}

const ID_DIGITS = 12;
const COLUMNS = "id, name, started_ms, ended_ms, image, error, steps, cached_steps, pinned";
/** Those that are kept but for the pinned ones. */
const KEPT = "SELECT id FROM build WHERE pinned = 0 ORDER BY ended_ms DESC LIMIT ?";

export class BuildHistory {
  readonly #db: Database;
  readonly #running = new Set<BuildRecord>();
  readonly #listeners = new Set<(event: HistoryEvent) => void>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Begins a record. `id` is what the client calls its build, if it does. */
  begin(name: string, id = randomId().slice(0, ID_DIGITS)): BuildRecord {
    const build: RunningBuild = { id, name, startedMs: Date.now() };
    const record = new BuildRecord(build, (ended, log) => {
      this.#running.delete(record);
      this.#save(ended, log);
      this.#tell({ kind: "ended", build: ended });
    });
    this.#running.add(record);
    triggered.add();
    this.#tell({ kind: "started", build });
    return record;
  }

  #save({ id, name, ...record }: PastBuild, log: Pick<PastBuildLog, "statuses" | "failure">): void {
    const { startedMs, endedMs, image, error, steps, cachedSteps } = record;
    const text = deflateSync(JSON.stringify(log));
    writeIfRoom(this.#db, () => {
      this.#db
        .query(`INSERT OR REPLACE INTO build (${COLUMNS}, log) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`)
        .run(id, name, startedMs, endedMs, image, error, steps, cachedSteps, text);
      this.#db.query(`DELETE FROM build WHERE pinned = 0 AND id NOT IN (${KEPT})`).run(BUILDS_MAX);
    });
  }

  #tell(event: HistoryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Hears what happens from now on, until it is disposed. */
  listen(listener: (event: HistoryEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** The builds under way, the first one first. */
  running(): RunningBuild[] {
    return [...this.#running].map(({ build }) => build);
  }

  /**
   * Yields what a build has said and, while it runs, what it says from then on.
   * @throws LighterError "not-found"
   */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<readonly SolveStatus[]> {
    const record = [...this.#running].find(({ build }) => id !== "" && build.id.startsWith(id));
    if (record === undefined) yield this.get(id).statuses;
    else yield* record.follow(signal);
  }

  /** Forgets a build. @throws LighterError "not-found" */
  remove(id: string): void {
    const build = this.#find(id);
    this.#db.query("DELETE FROM build WHERE id = ?").run(build.id);
    this.#tell({ kind: "removed", build });
  }

  /** Keeps a build when others have to go, or not any more. @throws LighterError "not-found" */
  setPinned(id: string, isPinned: boolean): void {
    const build = this.#find(id);
    this.#db.query("UPDATE build SET pinned = ? WHERE id = ?").run(Number(isPinned), build.id);
    this.#tell({ kind: "ended", build: { ...build, isPinned } });
  }

  has(id: string): boolean {
    return this.#db.query("SELECT 1 FROM build WHERE id = ?").get(id) !== null;
  }

  /** The builds, the last one first. */
  list(): PastBuild[] {
    const rows = this.#db.query(`SELECT ${COLUMNS} FROM build ORDER BY ended_ms DESC, rowid DESC`).all() as Row[];
    return rows.map(presentRow);
  }

  /** Finds a build by its id or the beginning of it. @throws LighterError "not-found" */
  get(id: string): PastBuildLog {
    const build = this.#find(id);
    const { log } = this.#db.query("SELECT log FROM build WHERE id = ?").get(build.id) as { log: Uint8Array };
    return { ...build, ...(JSON.parse(inflateSync(log).toString()) as Pick<PastBuildLog, "statuses" | "failure">) };
  }

  #find(id: string): PastBuild {
    const build = this.list().find((each) => id !== "" && each.id.startsWith(id));
    if (build === undefined) throw new LighterError("not-found", `No such build: ${id}`);
    return build;
  }
}

function presentRow(row: Row): PastBuild {
  const { id, name, image, error, steps } = row;
  return {
    ...{ id, name, image, error, steps },
    ...{ startedMs: row.started_ms, endedMs: row.ended_ms, cachedSteps: row.cached_steps },
    isPinned: row.pinned !== 0,
  };
}

type Save = (build: PastBuild, log: Pick<PastBuildLog, "statuses" | "failure">) => void;

/** Listens to a build under way. What it says beyond a limit is not kept. */
class BuildRecord {
  readonly #save: Save;
  readonly build: RunningBuild;
  readonly #statuses: SolveStatus[] = [];
  #changed = Promise.withResolvers<void>();
  #isEnded = false;
  /** Whether each step is cached. */
  readonly #steps = new Map<string, boolean>();
  #failure: BuildFailure = {};
  #bytes = 0;

  constructor(build: RunningBuild, save: Save) {
    this.build = build;
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
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async *follow(signal: AbortSignal): AsyncGenerator<readonly SolveStatus[]> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    for (let at = 0; !signal.aborted; ) {
      const news = this.#statuses.slice(at);
      at += news.length;
      if (news.length > 0) yield news;
      if (at < this.#statuses.length) continue;
      if (this.#isEnded) return;
      await Promise.race([this.#changed.promise, aborted]);
    }
  }

  fail(failure: BuildFailure): void {
    this.#failure = failure;
  }

  /** Keeps the record. `outcome` is the image's id, or the error. */
  end(outcome: { image: string } | { error: unknown }): void {
    times.observe((Date.now() - this.build.startedMs) / 1000, { result: "error" in outcome ? "failed" : "built" });
    if ("error" in outcome) failed.add(/context canceled|aborted/.test(messageOf(outcome.error)) ? CANCELED : FAILED);
    const cached = [...this.#steps.values()].filter(Boolean).length;
    this.#save(
      {
        ...this.build,
        endedMs: Date.now(),
        image: "image" in outcome ? outcome.image : "",
        error: "error" in outcome ? failureText(outcome.error) : "",
        ...{ steps: this.#steps.size, cachedSteps: cached, isPinned: false },
      },
      { statuses: this.#statuses, failure: this.#failure },
    );
    this.#isEnded = true;
    this.#wake();
  }
}
