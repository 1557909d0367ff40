/** `stats`: a table of what containers use, redrawn until a signal comes, or shown once. */
import { messageOf } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { computeUsage, type StatsSample, type Usage } from "../format/stats-sample.ts";
import { type Columns, renderRows } from "../format/table.ts";
import { formatBinarySize, formatSize } from "../format/units.ts";
import { type Client, encodeName, encodeQuery, parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { configuredFormat } from "../login/configured.ts";
import { stdout } from "../output.ts";

const flags = {
  all: boolFlag("Show all containers, not only running ones", { short: "a" }),
  format: stringFlag('Format: "table", "table TEMPLATE", "json" or a Go template'),
  "no-stream": boolFlag("Show one result and end"),
  "no-trunc": boolFlag("Do not shorten"),
};

export const command = defineCommand({
  name: "stats",
  usage: "[OPTIONS] [CONTAINER...]",
  summary: "Display a live stream of container(s) resource usage statistics",
  flags,
  args: { min: 0 },
  offers: "running",
  run,
});

/** Time between two redraws. The daemon has new numbers every second. */
const FRAME_MS = 500;
/** A container that was silent for this long is shown without numbers. */
const SILENCE_MAX_MS = 2000;
/** ECMA-48 ED and CUP: an empty screen, the cursor in its first cell. */
const CLEAR_SCREEN = "\x1b[2J\x1b[H";
const TABLE =
  "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/** A container that is watched, with what was last heard of it. */
interface Row {
  /** Name as the user gave it. */
  readonly container: string;
  id: string;
  name: string;
  /** Usage, or undefined if nothing is known now. */
  usage: Usage | undefined;
  heardMs: number;
  failure: unknown;
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const columns = usageColumns(values["no-trunc"]);
  const chosen = await configuredFormat(values.format, "statsFormat");
  const format = chosen === "" || chosen === "table" ? TABLE : chosen;
  const frame = (rows: readonly Row[]) =>
    stdout.text(renderRows(rows, columns, format, { type: "*container.statsContext" }));
  const watch = new Watch(client, !values["no-stream"]);
  if (args.length > 0) {
    await Promise.all(args.map((name) => watch.add(name)));
    if (watch.rows.some(({ failure }) => failure !== undefined)) throw failuresOf(watch.rows);
  } else await watch.addAll(values.all);
  if (values["no-stream"]) {
    await frame(watch.rows);
    return 0;
  }
  // Runs until the daemon or a signal ends it.
  for (;;) {
    await stdout.control(CLEAR_SCREEN);
    await frame(watch.rows);
    if (args.length > 0 && watch.rows.every(({ failure }) => failure !== undefined)) throw failuresOf(watch.rows);
    await Promise.race([Bun.sleep(FRAME_MS), watch.lost]);
    watch.silence(performance.now());
  }
}

function failuresOf(rows: readonly Row[]): CliError {
  const failures = rows.map(({ failure }) => failure).filter((failure) => failure !== undefined);
  return new CliError(failures.map(messageOf).join("\n"));
}

/** Watches containers; `rows` are the current ones, in the order in which they were added. */
class Watch {
  rows: Row[] = [];
  readonly #lost = Promise.withResolvers<never>();

  constructor(
    readonly client: Client,
    readonly live: boolean,
  ) {
    this.#lost.promise.catch(() => {}); // `run` awaits it when it shows something
  }

  /** Rejects when the daemon is gone. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Watches a container; settles when something is known of it. */
  async add(container: string): Promise<void> {
    if (this.rows.some((row) => row.container === container)) return;
    const row: Row = { container, id: "", name: "", usage: undefined, heardMs: performance.now(), failure: undefined };
    this.rows.push(row);
    const first = Promise.withResolvers<void>();
    void this.#follow(row, first.resolve).finally(first.resolve);
    await first.promise;
  }

  remove(container: string): void {
    this.rows = this.rows.filter((row) => row.container !== container);
  }

  /** Watches all containers, and those that start later. */
  async addAll(all: boolean): Promise<void> {
    if (this.live) {
      const query = encodeQuery({ filters: JSON.stringify({ type: { container: true } }) });
      const events = await this.client.request({ method: "GET", path: `/events${query}` });
      this.#followEvents(events, all).catch((error: unknown) => this.#lost.reject(error));
    }
    const list = await this.client.get<{ Id: string }[]>(
      `/containers/json${encodeQuery({ all: all ? "1" : undefined })}`,
    );
    await Promise.all(list.map(({ Id }) => this.add(shortId(Id))));
  }

  /** Forgets numbers that are too old. */
  silence(nowMs: number): void {
    for (const row of this.rows) if (nowMs - row.heardMs > SILENCE_MAX_MS) row.usage = undefined;
  }

  async #follow(row: Row, heard: () => void): Promise<void> {
    try {
      const path = `/containers/${encodeName(row.container)}/stats${encodeQuery({ stream: this.live ? "1" : "0" })}`;
      const response = await this.client.request({ method: "GET", path });
      for await (const text of readJsonValues(response)) {
        const sample = parseJson<StatsSample>(text);
        Object.assign(row, { id: sample.id ?? "", name: sample.name ?? "" });
        row.usage = computeUsage(sample);
        row.heardMs = performance.now();
        heard();
      }
    } catch (error) {
      row.failure = error;
      row.usage = undefined;
    }
  }

  async #followEvents(events: Response, all: boolean): Promise<void> {
    for await (const text of readJsonValues(events)) {
      const { Action, Actor } = parseJson<{ Action?: string; Actor?: { ID?: string } }>(text);
      const id = shortId(Actor?.ID ?? "");
      if (Action === "start" || (all && Action === "create")) void this.add(id);
      else if (Action === "destroy" || (!all && Action === "die")) this.remove(id);
    }
    throw new CliError("unexpected EOF");
  }
}

function usageColumns(whole: boolean): Columns<Row> {
  const pair = (a: string, b: string) => `${a} / ${b}`;
  const percent = (value: number) => `${value.toFixed(2)}%`;
  const known = (row: Row, show: (usage: Usage) => string) => (row.usage === undefined ? "--" : show(row.usage));
  return {
    BlockIO: {
      heading: "BLOCK I/O",
      value: (row) => known(row, (usage) => pair(formatSize(usage.readBytes, 3), formatSize(usage.writtenBytes, 3))),
    },
    CPUPerc: { heading: "CPU %", value: (row) => known(row, (usage) => percent(usage.cpuPercent)) },
    Container: { heading: "CONTAINER", value: (row) => row.container },
    ID: { heading: "CONTAINER ID", value: (row) => (whole ? row.id : shortId(row.id)) },
    MemPerc: { heading: "MEM %", value: (row) => known(row, (usage) => percent(usage.memoryPercent)) },
    MemUsage: {
      heading: "MEM USAGE / LIMIT",
      value: ({ usage }) =>
        usage === undefined
          ? "-- / --"
          : pair(formatBinarySize(usage.memoryBytes), formatBinarySize(usage.memoryLimitBytes)),
    },
    Name: { heading: "NAME", value: (row) => row.name.replace(/^\//, "") || "--" },
    NetIO: {
      heading: "NET I/O",
      value: (row) => known(row, (usage) => pair(formatSize(usage.receivedBytes, 3), formatSize(usage.sentBytes, 3))),
    },
    PIDs: { heading: "PIDS", value: (row) => known(row, (usage) => String(usage.processes)) },
  };
}
