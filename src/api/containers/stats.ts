/** Streams a container's statistics. */
import { STATS_BACKLOG_MAX_BYTES } from "../../base/limits.ts";
import { type Container, listenToStats, type StatsSample, samplePressure, sampleStats } from "../../engine/mod.ts";
import { COMMON_HEADERS, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { describePressure, describeStats } from "./stats-view.ts";

/**
 * GET /containers/{id}/stats: sends one sample after another until the client or the container goes, or a single sample with its
 * time span. With `pressure`, which Docker does not have, each sample also says how long tasks had to wait.
 */
export async function stats(call: AnswerCall): Promise<void> {
  const { daemon, query, response } = call;
  const container = daemon.engine.find(call.parameter("id"));
  const isStream = !query.has("stream") || query.boolean("stream");
  const wantsPressure = query.boolean("pressure");
  const describe = (sample: StatsSample | undefined, previous: StatsSample | undefined) => ({
    ...describeStats(container.record, sample, previous),
    ...(wantsPressure && sample && { pressure_stats: describePressure(samplePressure(container)) }),
  });
  if (!isStream && !container.isRunning) return sendJson(response, 200, describe(undefined, undefined));
  if (!isStream && query.boolean("one-shot"))
    return sendJson(response, 200, describe(sampleStats(container), undefined));
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
  response.flushHeaders();
  let previous: StatsSample | undefined;
  // For a single answer, the first sample only serves to be compared with the second.
  let isFirst = !isStream;
  const listening = listenToStats(container, (sample) => {
    if (isRemoved(container)) return end();
    // A client that does not read misses some samples: the next one is as complete.
    if (!isFirst && response.writableLength < STATS_BACKLOG_MAX_BYTES)
      response.write(`${JSON.stringify(describe(sample, previous))}\n`);
    previous = sample;
    if (!isStream && !isFirst) end();
    isFirst = false;
  });
  response.on("close", end);
  await ended;
  listening[Symbol.dispose]();
  response.end();
}

function isRemoved({ record }: Container): boolean {
  return record.status === "removing";
}
