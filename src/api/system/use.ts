/** Tells what the host and all that runs on it use: `lighter top`. */
import { STATS_BACKLOG_MAX_BYTES } from "../../base/limits.ts";
import {
  type Container,
  type HostSample,
  isMachine,
  type StatsSample,
  sampleHost,
  samplePressure,
  sampleStats,
} from "../../engine/mod.ts";
import type { ContainerUse, UseOfAll } from "../../spec/use.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { CONTAINERS_AT_ONCE, describeHost, describeUse } from "../dashboard/measurements.ts";
import { COMMON_HEADERS } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";

const STEP_MS = 1000;

/**
 * GET /lighter/use: a measurement a second, the first at once, without rates. With `stream=0` one that has them, a second later. Nothing is
 * measured when nobody asks.
 */
export async function use({ daemon, query, response }: AnswerCall): Promise<void> {
  const isStream = !query.has("stream") || query.boolean("stream");
  const gone = Promise.withResolvers<"gone">();
  response.on("close", () => gone.resolve("gone"));
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": "application/json" });
  response.flushHeaders();
  const meter = new Meter(daemon);
  for (let isFirst = true; ; isFirst = false) {
    const measured = await meter.measure();
    // A client that does not read misses some: the next one is as complete.
    const isShown = (isStream || !isFirst) && response.writableLength < STATS_BACKLOG_MAX_BYTES;
    if (isShown) response.write(`${JSON.stringify(measured)}\n`);
    if (!isStream && !isFirst) break;
    const due = Promise.withResolvers<"due">();
    const timer = setTimeout(() => due.resolve("due"), STEP_MS);
    const what = await Promise.race([due.promise, gone.promise]);
    clearTimeout(timer);
    if (what === "gone") return;
  }
  response.end();
}

/** Measures, and compares with the last time. */
class Meter {
  #last = new Map<string, { atMs: number; sample: StatsSample }>();
  #lastHost: { atMs: number; sample: HostSample } | undefined;

  constructor(readonly daemon: Daemon) {}

  async measure(): Promise<UseOfAll> {
    const { engine } = this.daemon;
    const [at, hostSample] = [Date.now(), sampleHost(engine.paths.dataRoot)];
    const host = describeHost(hostSample, this.#lastHost?.sample, at - (this.#lastHost?.atMs ?? at));
    this.#lastHost = { atMs: at, sample: hostSample };
    const [before, containers] = [this.#last, [] as ContainerUse[]];
    this.#last = new Map();
    for (const [index, container] of engine.list().entries()) {
      if (index % CONTAINERS_AT_ONCE === CONTAINERS_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
      const sample = sampleStats(container);
      if (sample === undefined) continue;
      const [atMs, last] = [Date.now(), before.get(container.id)];
      this.#last.set(container.id, { atMs, sample });
      containers.push(useOf(container, describeUse(sample, last?.sample, atMs - (last?.atMs ?? atMs))));
    }
    return { at, host, containers };
  }
}

function useOf(container: Container, numbers: readonly number[]): ContainerUse {
  const { id, record } = container;
  const [cpu, memory, memoryLimit, pids, received, sent, read, written] = numbers as Numbers;
  const waits = samplePressure(container);
  return {
    ...{ id, name: record.name, image: record.image, isMachine: isMachine(record.hostConfig) },
    ...{ cpu, memory, memoryLimit, pids, received, sent, read, written },
    ...(waits && { pressure: { cpu: waits.cpu.some.avg10, memory: waits.memory.some.avg10, io: waits.io.some.avg10 } }),
  };
}

type Numbers = [number, number, number, number, number, number, number, number];
