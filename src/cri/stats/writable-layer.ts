/** How much containers have written: kubelet asks every ten seconds, and a walk through all files may take longer. */
import { nowNs } from "../../base/time.ts";
import { type Container, measureUsage } from "../../engine/mod.ts";
import type { Cri } from "../cri.ts";

interface Measured {
  timestamp: bigint;
  bytes: number;
  inodes: number;
}

/** How old an answer may become, and how many times longer than it took. */
const FRESH_MS = 30_000;
const REST_FACTOR = 50;

/** The last measurement of a container, and when the next one may begin. */
interface Entry {
  last: Measured | undefined;
  nextMs: number;
  running: Promise<void> | undefined;
}

const entries = new WeakMap<Container, Entry>();

/** The usage of each container's own files. Only the first answer waits for a walk; undefined where the file system does not answer. */
export async function writableLayers(cri: Cri, containers: readonly Container[]) {
  const due = containers.filter((container) => isDue(container));
  if (due.length > 0) begin(cri, due);
  const unknown = containers.flatMap((container) => {
    const { last, running } = entries.get(container) ?? {};
    return last === undefined && running !== undefined ? [running] : [];
  });
  await Promise.all(unknown);
  return containers.map((container) => describe(cri, entries.get(container)?.last));
}

function isDue(container: Container): boolean {
  const entry = entries.get(container);
  return entry === undefined || (entry.running === undefined && performance.now() >= entry.nextMs);
}

function begin({ engine }: Cri, containers: readonly Container[]): void {
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

function describe({ engine }: Cri, measured: Measured | undefined) {
  if (measured === undefined) return undefined;
  const { timestamp, bytes, inodes } = measured;
  return {
    timestamp,
    fsId: { mountpoint: engine.paths.dataRoot },
    usedBytes: { value: bytes },
    inodesUsed: { value: inodes },
  };
}
