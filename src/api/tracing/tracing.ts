/** Tracing in the daemon: begins when it is told where spans go, or when a client first asks for a trace. */
import { LighterError } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { collectSpans } from "../../base/spans.ts";
import type { Trace } from "../../spec/trace.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { KeptTraces } from "./kept-traces.ts";
import { Tracer } from "./tracer.ts";

const keeper = new KeptTraces();
let isTracing = false;

/** Begins to send spans if the settings or the environment say where to. */
export async function beginTracing(endpoint: string | undefined): Promise<void> {
  const [{ readTracingSettings }, { Exporter }] = await Promise.all([import("./settings.ts"), import("./exporter.ts")]);
  const settings = readTracingSettings(endpoint, process.env, (what) => log.warn(`traces: ${what}`));
  if (settings === undefined) return;
  isTracing = true;
  collectSpans(new Tracer({ exporter: new Exporter(settings), isSampled: settings.isSampled, keeper }));
}

/** Sees to it that somebody collects spans. */
export function keepTraces(): void {
  if (isTracing) return;
  isTracing = true;
  collectSpans(new Tracer({ keeper }));
}

/** GET /lighter/traces/{id}: gives the spans of a trace away that its requests asked to be kept. */
export function takeTrace({ parameter, response }: AnswerCall): void {
  const id = parameter("id");
  const spans = keeper.take(id);
  if (spans === undefined) throw new LighterError("not-found", `there is no trace "${id}", or not any more`);
  sendJson(response, 200, { spans } satisfies Trace);
}
