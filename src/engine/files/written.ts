/** How much containers have written. They are asked that every few seconds, and a walk through all files may take longer. */
import { nowNs } from "../../base/time.ts";
import { measureUsage } from "../../files/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";

export interface Written {
  /** When the walk has ended, in nanoseconds since 1970. */
  timestamp: bigint;
  bytes: number;
  inodes: number;
}

/** How old an answer may become, and how many times longer than it took. */
const FRESH_MS = 30_000;
const REST_FACTOR = 50;

/** The last measurement of a container, and when the next one may begin. */
interface Entry {
  last: Written | undefined;
  nextMs: number;
  running: Promise<void> | undefined;
}

const entries = new WeakMap<Container, Entry>();

/** The usage of each container's own files. Only the first answer waits for a walk; undefined where the file system does not answer. */
export async function writtenBy(engine: Engine, containers: readonly Container[]): Promise<(Written | undefined)[]> {
  measureDue(engine, containers);
  const unknown = containers.flatMap((container) => {
    const { last, running } = entries.get(container) ?? {};
    return last === undefined && running !== undefined ? [running] : [];
  });
  await Promise.all(unknown);
  return containers.map(lastWritten);
}

/** The usage as it was measured last; undefined if it was not yet. */
export function lastWritten(container: Container): Written | undefined {
  return entries.get(container)?.last;
}

/** Begins a walk for those whose last one is too long ago. */
export function measureDue(engine: Engine, containers: readonly Container[]): void {
  const due = containers.filter((container) => isDue(container));
  if (due.length > 0) begin(engine, due);
}

function isDue(container: Container): boolean {
  const entry = entries.get(container);
  return entry === undefined || (entry.running === undefined && performance.now() >= entry.nextMs);
}

function begin(engine: Engine, containers: readonly Container[]): void {
  const startMs = performance.now();
  const paths = containers.map(({ id }) => engine.paths.container(id).upper);
  const running = measureUsage(engine.workers, paths)
    .then(
      (usages) => {
        for (const [index, container] of containers.entries()) {
          const { bytes = -1, inodes = -1 } = usages[index] ?? {};
          if (bytes >= 0) entries.get(container)!.last = { timestamp: nowNs(), bytes, inodes };
        }
      },
      () => {}, // a worker that could not be started: the answers are as old as they are
    )
    .then(() => {
      const nowMs = performance.now();
      const nextMs = nowMs + Math.max(FRESH_MS, (nowMs - startMs) * REST_FACTOR);
      for (const container of containers) Object.assign(entries.get(container)!, { nextMs, running: undefined });
    });
  for (const container of containers)
    entries.set(container, { last: entries.get(container)?.last, nextMs: Number.POSITIVE_INFINITY, running });
}
