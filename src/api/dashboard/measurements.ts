/**
 * What containers and the host use. Only what a page shows is measured every two seconds; while a dashboard is on, everything that
 * runs is measured every ten, for the history.
 */
import { DASHBOARD_HISTORIES_MAX } from "../../base/limits.ts";
import {
  type Container,
  type HostSample,
  type StatsSample,
  sampleHost,
  sampleStats,
  workingSetBytes,
} from "../../engine/mod.ts";
import { type HostUse, MEASURED, measuredOf } from "../../spec/dashboard.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { HISTORY_STEP_MS, Ring } from "./ring.ts";

const TICK_MS = 2000;
/** Containers that are measured in one go, so that requests do not wait. */
export const CONTAINERS_AT_ONCE = 20;

/** One who is shown measurements. */
export interface Viewer {
  readonly ids: ReadonlySet<string>;
  readonly wantsHost: boolean;
  showStats(atMs: number, rows: [id: string, ...numbers: number[]][]): void;
  showHost(atMs: number, use: HostUse): void;
}

/** Rates of a shorter time say nothing. */
const RATE_MIN_MS = 1000;

interface Last {
  atMs: number;
  row: number[];
  sample: StatsSample;
}

export class Measurements implements Disposable {
  readonly #daemon: Daemon;
  readonly #viewers = new Set<Viewer>();
  readonly #last = new Map<string, Last>();
  readonly #histories = new Map<string, Ring>();
  readonly #hostHistory = new Ring(MEASURED.length + 1);
  #lastHost: { atMs: number; sample: HostSample } | undefined;
  #kept = Number.NEGATIVE_INFINITY;
  #isBusy = false;
  readonly #timer: NodeJS.Timeout;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
    this.#timer = setInterval(() => void this.measure(), TICK_MS).unref();
    void this.measure();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Shows `viewer` what it wants to see, from the next measurement on, until the result is disposed of. */
  show(viewer: Viewer): Disposable {
    this.#viewers.add(viewer);
    return { [Symbol.dispose]: () => void this.#viewers.delete(viewer) };
  }

  /** The last hour of a container, or of the host if the id is "". */
  historyOf(id: string): number[][] {
    return (id === "" ? this.#hostHistory : this.#histories.get(id))?.rows() ?? [];
  }

  /** Measures what is due. A measurement that takes longer than a tick delays the next. */
  async measure(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      const isKept = performance.now() - this.#kept >= HISTORY_STEP_MS;
      if (isKept) this.#kept = performance.now();
      this.#measureHost(isKept);
      await this.#measureContainers(isKept);
    } finally {
      this.#isBusy = false;
    }
  }

  #measureHost(isKept: boolean): void {
    const viewers = [...this.#viewers].filter(({ wantsHost }) => wantsHost);
    if (viewers.length === 0 && !isKept) return;
    const [atMs, sample] = [Date.now(), sampleHost(this.#daemon.engine.paths.dataRoot)];
    const use = describeHost(sample, this.#lastHost?.sample, atMs - (this.#lastHost?.atMs ?? atMs));
    this.#lastHost = { atMs, sample };
    if (isKept) this.#hostHistory.push([atMs, ...measuredOf(use)]);
    for (const viewer of viewers) viewer.showHost(atMs, use);
  }

  async #measureContainers(isKept: boolean): Promise<void> {
    const running = this.#daemon.engine.list().filter(({ isRunning }) => isRunning);
    if (isKept) this.#forgetOthers(running);
    const shown = new Set([...this.#viewers].flatMap(({ ids }) => [...ids]));
    const due = isKept ? running : running.filter(({ id }) => shown.has(id));
    const rows = new Map<string, number[]>();
    for (const [index, container] of due.entries()) {
      if (index % CONTAINERS_AT_ONCE === CONTAINERS_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
      const row = this.#measureContainer(container, isKept);
      if (row !== undefined) rows.set(container.id, row);
    }
    const atMs = Date.now();
    for (const viewer of this.#viewers) {
      const wanted = [...viewer.ids].flatMap((id) => {
        const row = rows.get(id);
        return row === undefined ? [] : [[id, ...row] as [string, ...number[]]];
      });
      if (wanted.length > 0) viewer.showStats(atMs, wanted);
    }
  }

  #measureContainer(container: Container, isKept: boolean): number[] | undefined {
    const [atMs, last] = [Date.now(), this.#last.get(container.id)];
    const elapsedMs = atMs - (last?.atMs ?? 0);
    if (last !== undefined && elapsedMs >= 0 && elapsedMs < RATE_MIN_MS) return last.row;
    const sample = sampleStats(container);
    if (sample === undefined) return undefined;
    const row = describeUse(sample, last?.sample, elapsedMs);
    this.#last.set(container.id, { atMs, row, sample });
    if (isKept && last !== undefined) this.#historyFor(container.id)?.push([atMs, ...row]);
    return row;
  }

  #historyFor(id: string): Ring | undefined {
    let ring = this.#histories.get(id);
    if (ring === undefined && this.#histories.size < DASHBOARD_HISTORIES_MAX) {
      ring = new Ring(MEASURED.length + 1);
      this.#histories.set(id, ring);
    }
    return ring;
  }

  /** Forgets what no longer exists. The history of a container that has ended stays until it is removed. */
  #forgetOthers(running: readonly Container[]): void {
    const there = new Set(this.#daemon.engine.list().map(({ id }) => id));
    for (const id of this.#histories.keys()) if (!there.has(id)) this.#histories.delete(id);
    const runs = new Set(running.map(({ id }) => id));
    for (const id of this.#last.keys()) if (!runs.has(id)) this.#last.delete(id);
  }
}

/** How much something has grown in a second; 0 without an earlier sample. */
function ratesOf<Sample>(now: Sample, before: Sample | undefined, elapsedMs: number) {
  const seconds = elapsedMs / 1000;
  return (of: (sample: Sample) => number) =>
    before === undefined || seconds <= 0 ? 0 : Math.max(0, Math.round((of(now) - of(before)) / seconds));
}

/** The numbers of `MEASURED`. */
export function describeUse(now: StatsSample, before: StatsSample | undefined, elapsedMs: number): number[] {
  const rate = ratesOf(now, before, elapsedMs);
  const { memory, pids } = now.cgroup;
  const sumOf = (list: readonly Record<string, unknown>[], name: string) =>
    list.reduce((sum, each) => sum + Number(each[name] ?? 0), 0);
  const network = (name: string) => rate(({ interfaces = [] }) => sumOf(interfaces as never, name));
  const io = (name: string) => rate(({ cgroup }) => sumOf(cgroup.io as never, name));
  return [
    rate(({ cgroup }) => cgroup.cpu.usageNs) / 1e7,
    workingSetBytes(memory),
    Math.min(memory.limitBytes ?? Number.POSITIVE_INFINITY, now.memoryTotalBytes),
    pids.current,
    ...[network("rxBytes"), network("txBytes"), io("readBytes"), io("writeBytes")],
  ];
}

export function describeHost(now: HostSample, before: HostSample | undefined, elapsedMs: number): HostUse {
  const rate = ratesOf(now, before, elapsedMs);
  const ticks = now.cpu.allTicks - (before?.cpu.allTicks ?? 0);
  return {
    cpu: ticks <= 0 ? 0 : (100 * (now.cpu.busyTicks - (before?.cpu.busyTicks ?? 0))) / ticks,
    cpuCount: now.cpu.count,
    load: now.load,
    memory: now.memory.usedBytes,
    memoryTotal: now.memory.totalBytes,
    swap: now.memory.swapBytes,
    disk: now.disk.usedBytes,
    diskTotal: now.disk.totalBytes,
    received: rate(({ network }) => network.rxBytes),
    sent: rate(({ network }) => network.txBytes),
    ...(now.pressure === undefined ? {} : { pressure: now.pressure }),
  };
}
