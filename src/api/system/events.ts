/** Streams the daemon's events. */
import { LighterError } from "../../base/errors.ts";
import { EVENT_BACKLOG_MAX_BYTES } from "../../base/limits.ts";
import { nowNs, parseRfc3339, parseUnixTime } from "../../base/time.ts";
import { timerMs } from "../../base/timer.ts";
import type { EngineEvent } from "../../engine/mod.ts";
import { jsonInteger } from "../../spec/json.ts";
import { Filters } from "../http/filters.ts";
import { COMMON_HEADERS } from "../http/protocol.ts";
import type { AnswerCall, Call } from "../http/router.ts";
import { matchesEvent } from "./event-filters.ts";

/** The event in Docker's form: beside today's fields it has those of the first API, for the objects that had them. */
function describeEvent({ type, action, id, attributes, timeNs }: EngineEvent): object {
  const isOld = type === "container" || type === "image";
  return {
    ...(isOld ? { status: action, id } : {}),
    ...(type === "container" && attributes.image !== undefined ? { from: attributes.image } : {}),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: sortKeys(attributes) },
    scope: "local",
    time: Number(timeNs / 1_000_000_000n),
    timeNano: jsonInteger(timeNs),
  };
}

function sortKeys(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The time in a parameter. @throws LighterError "invalid" */
function timeOf({ query }: Call, name: string): bigint | undefined {
  const text = query.text(name);
  if (text === undefined) return undefined;
  const ns = parseUnixTime(text) ?? parseRfc3339(text);
  if (ns === undefined) throw new LighterError("invalid", `invalid time in "${name}": ${text}`);
  return ns;
}

/** GET /events: sends the stored events since a time, then new ones, until a time or until the client goes. */
export function events(call: AnswerCall): Promise<void> {
  const { daemon, query, response } = call;
  const [since, until] = [timeOf(call, "since"), timeOf(call, "until")];
  if (since !== undefined && until !== undefined && since > until)
    throw new LighterError(
      "invalid",
      `\`since\` time (${query.text("since")}) cannot be after \`until\` time (${query.text("until")})`,
    );
  const filters = Filters.parseAny(query.text("filters"));
  const { events: bus } = daemon.engine;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
  response.flushHeaders();
  const send = (event: EngineEvent) => {
    if (until !== undefined && event.timeNs > until) return;
    if (!matchesEvent(filters, event)) return;
    // A client that does not read is cut off: its events must not fill the memory, nor may it miss some without a sign.
    if (response.writableLength > EVENT_BACKLOG_MAX_BYTES) response.destroy();
    else response.write(`${JSON.stringify(describeEvent(event))}\n`);
  };
  // Past and new events follow without a gap, because nothing else runs in between.
  if (since !== undefined || until !== undefined)
    for (const event of bus.past()) if (event.timeNs >= (since ?? 0n)) send(event);
  const listening = bus.subscribe(send);
  const timer = until === undefined ? undefined : setTimeout(end, timerMs(Number((until - nowNs()) / 1_000_000n)));
  response.on("close", end);
  return ended.then(() => {
    clearTimeout(timer);
    listening[Symbol.dispose]();
    response.end();
  });
}
