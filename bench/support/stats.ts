/** The summary of a measurement's samples, in milliseconds. */
export interface Summary {
  runs: number;
  minMs: number;
  p50Ms: number;
  p99Ms: number;
}

export function summarize(samplesMs: readonly number[]): Summary {
  const sorted = [...samplesMs].sort((a, b) => a - b);
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? Number.NaN;
  return { runs: sorted.length, minMs: sorted[0] ?? Number.NaN, p50Ms: at(0.5), p99Ms: at(0.99) };
}

export function formatSummary({ minMs, p50Ms, p99Ms, runs }: Summary): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`.padStart(10);
  return `p50 ${ms(p50Ms)}   min ${ms(minMs)}   p99 ${ms(p99Ms)}   ${runs} runs`;
}
