/** `stats`: a table of what containers use, redrawn until a signal comes, or shown once. */
import { messageOf } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { computeUsage, type PressureKind, type StatsSample, type Usage } from "../format/stats-sample.ts";
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
  history: boolFlag("Print each measurement as a line of JSON with its time, one below the other"),
  pressure: boolFlag("Show how long tasks wait for CPU, memory and I/O: of some, and of all at once, in the last 10 s"),
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

/** The columns that a table has with `--pressure`, and what in a template names one. */
const PRESSURE_TABLE = "\t{{.CPUPressure}}\t{{.MemPressure}}\t{{.IOPressure}}";
const PRESSURE = /\.(CPU|Mem|IO)Pressure\b/;

/** Prints a row with the time at which it was measured. */
async function printMoment(row: Row, columns: Columns<Row>): Promise<void> {
  const json = renderRows([row], columns, "json");
  await stdout.text(json.replace("{", `{"Time":${JSON.stringify(row.readAt)},`));
}

/** A container that is watched, with what was last heard of it. */
interface Row {
  /** Name as the user gave it. */
  readonly container: string;
  id: string;
  name: string;
  /** Usage, or undefined if nothing is known now. */
  usage: Usage | undefined;
  heardMs: number;
  /** The time of the last measurement, as the daemon has it. */
  readAt: string;
  failure: unknown;
}

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  if (values.history && values.format !== "" && values.format !== "json")
    throw new CliError("--history has lines of JSON, and no other format");
  const chosen = values.history ? "json" : await configuredFormat(values.format, "statsFormat");
  const isTable = chosen === "" || chosen === "table";
  const hasPressure = values.pressure || PRESSURE.test(chosen);
  const own = usageColumns(values["no-trunc"]);
  const columns = hasPressure ? inOrder({ ...own, ...pressureColumns }) : own;
  const format = isTable ? `${TABLE}${hasPressure ? PRESSURE_TABLE : ""}` : chosen;
  const frame = (rows: readonly Row[]) =>
    stdout.text(renderRows(rows, columns, format, { type: "*container.statsContext" }));
  const watch = new Watch(client, { isLive: !values["no-stream"], hasPressure });
  if (values.history) watch.onSample = (row) => printMoment(row, columns);
  if (args.length > 0) {
    await Promise.all(args.map((name) => watch.add(name)));
    if (watch.rows.some(({ failure }) => failure !== undefined)) throw failuresOf(watch.rows);
  } else await watch.addAll(values.all);
  if (values["no-stream"]) {
    if (!values.history) await frame(watch.rows);
    return 0;
  }
  // Runs until the daemon or a signal ends it.
  for (;;) {
    if (!values.history) {
      await stdout.control(CLEAR_SCREEN);
      await frame(watch.rows);
    }
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
  /** Called with a row for each measurement of it. */
  onSample: (row: Row) => Promise<void> = async () => {};
  readonly #lost = Promise.withResolvers<never>();

  constructor(
    readonly client: Client,
    readonly what: { isLive: boolean; hasPressure: boolean },
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
    const unknown = { id: "", name: "", usage: undefined, heardMs: performance.now(), readAt: "", failure: undefined };
    const row: Row = { container, ...unknown };
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
    if (this.what.isLive) {
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
      const { isLive, hasPressure } = this.what;
      const query = encodeQuery({ stream: isLive ? "1" : "0", pressure: hasPressure ? "1" : undefined });
      const path = `/containers/${encodeName(row.container)}/stats${query}`;
      const response = await this.client.request({ method: "GET", path });
      for await (const text of readJsonValues(response)) {
        const sample = parseJson<StatsSample>(text);
        Object.assign(row, { id: sample.id ?? "", name: sample.name ?? "", readAt: sample.read ?? "" });
        row.usage = computeUsage(sample);
        row.heardMs = performance.now();
        await this.onSample(row);
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

function inOrder(columns: Columns<Row>): Columns<Row> {
  return Object.fromEntries(Object.entries(columns).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const pressureColumns: Columns<Row> = {
  CPUPressure: { heading: "CPU WAIT some/all", value: (row) => waitOf(row, "cpu") },
  MemPressure: { heading: "MEM WAIT some/all", value: (row) => waitOf(row, "memory") },
  IOPressure: { heading: "I/O WAIT some/all", value: (row) => waitOf(row, "io") },
};

function waitOf({ usage }: Row, kind: PressureKind): string {
  const wait = usage?.waits?.[kind];
  return wait === undefined ? "-- / --" : `${wait.some.toFixed(2)}% / ${wait.full.toFixed(2)}%`;
}
