/** `events`: prints what the daemon reports, one line for each event. */
import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { compileTemplate, nameType } from "../format/template.ts";
import { formatRfc3339Nano, parseTimestamp } from "../format/time.ts";
import { ofTexts } from "../format/zero-values.ts";
import { encodeQuery, parseExactJson, parseJson } from "../http/client.ts";
import { printLine } from "../output.ts";
import { encodeFilters, parseFilter } from "../values/filters.ts";

const flags = {
  filter: listFlag("Show only events that match (name=value)", { short: "f", type: "filter", item: parseFilter }),
  format: stringFlag('Format: "json" or a Go template'),
  since: stringFlag("Begin with the events since this time (2013-01-02T13:23:37Z, or 42m ago)"),
  until: stringFlag("End at this time"),
};

export const command = defineCommand({
  name: "events",
  usage: "[OPTIONS]",
  summary: "Get real time events from the server",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** EX_USAGE of sysexits.h(3head), as the stock client has it. */
const EXIT_BAD_TEMPLATE = 64;

/** The API's EventMessage. */
interface EventMessage {
  readonly Type?: string;
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> | null };
  readonly scope?: string;
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
  readonly time?: number;
  readonly timeNano?: number;
}

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const format = chooseFormat(values.format);
  const nowMs = Date.now();
  const query = encodeQuery({
    filters: encodeFilters(values.filter),
    since: values.since === "" ? undefined : parseTimestamp(values.since, nowMs),
    until: values.until === "" ? undefined : parseTimestamp(values.until, nowMs),
  });
  const response = await client.request({ method: "GET", path: `/events${query}` });
  for await (const text of readJsonValues(response)) await printLine(format(text));
  return 0;
}

/** Returns a function that formats one event's JSON text. */
function chooseFormat(source: string): (json: string) => string {
  if (source === "") return formatEvent;
  if (source === "json") return (json) => json.trim();
  try {
    const template = compileTemplate(source);
    template(goFields({})); // finds a wrong field before the first event
    return (json) => template(goFields(parseExactJson(json)));
  } catch (error) {
    throw new CliError(`Error parsing format: ${nameType(messageOf(error), "*events.Message")}`, EXIT_BAD_TEMPLATE);
  }
}

/** Returns the fields under the names of the stock client's type; {{json .}} uses those of the API. */
function goFields(event: EventMessage): object {
  const {
    Type = "",
    Action = "",
    Actor = {},
    scope = "",
    status = "",
    id = "",
    from = "",
    time = 0,
    timeNano = 0,
  } = event;
  const texts = ofTexts({ ...Actor.Attributes });
  const named = { Type, Action, Actor: { ID: "", ...Actor, Attributes: texts }, Scope: scope, Status: status };
  const fields = { ...named, ID: id, From: from, Time: time, TimeNano: timeNano };
  const hidden = Object.entries(fields).map(([name, value]) => [name, { value, enumerable: name in event }]);
  return Object.defineProperties({ ...event }, Object.fromEntries(hidden));
}

/** Formats an event: "2026-11-24T00:04:26.123456789Z container start ID (image=…, name=…)". */
export function formatEvent(json: string): string {
  const { Type = "", Action = "", Actor, time = 0 } = parseJson<EventMessage>(json);
  // JavaScript's numbers cannot hold nanoseconds since 1970.
  const seconds = Number.isSafeInteger(time) ? BigInt(time) : 0n;
  const nanoseconds = BigInt(/"timeNano":(\d{1,19})/.exec(json)?.[1] ?? seconds * 1_000_000_000n);
  const when = nanoseconds === 0n ? "" : `${formatRfc3339Nano(nanoseconds)} `;
  const attributes = Object.entries(Actor?.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  const detail = attributes.length === 0 ? "" : ` (${attributes.join(", ")})`;
  return `${when}${Type} ${Action} ${Actor?.ID ?? ""}${detail}`;
}
