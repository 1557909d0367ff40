/** A build's progress as BuildKit's API sends it. */
import { NS_PER_MS, NS_PER_SECOND, parseRfc3339 } from "../../base/time.ts";
import type { BuildStatus } from "../../spec/buildkit.ts";
import type { SolveStatus } from "../../spec/solve-status.ts";

interface Timestamp {
  seconds: bigint;
  nanos: number;
}

export function statusMessage({ vertexes = [], statuses = [], logs = [], warnings = [] }: SolveStatus): BuildStatus {
  return {
    vertexes: vertexes.map((vertex) => ({
      ...vertex,
      started: timestamp(vertex.started),
      completed: timestamp(vertex.completed),
    })),
    statuses: statuses.map(({ total = 0, ...status }) => ({
      ...status,
      current: BigInt(status.current),
      total: BigInt(total),
      timestamp: timestamp(status.timestamp),
      started: timestamp(status.started),
      completed: timestamp(status.completed),
    })),
    logs: logs.map(({ data, ...log }) => ({ ...log, message: bytesOf(data), timestamp: timestamp(log.timestamp) })),
    warnings: warnings.map(({ short, detail = [], range = [], ...warning }) => ({
      ...warning,
      short: bytesOf(short),
      detail: detail.map(bytesOf),
      ranges: range,
    })),
  };
}

function bytesOf(base64: string): Uint8Array {
  return Buffer.from(base64, "base64");
}

function timestamp(rfc3339: string | undefined): Timestamp | undefined {
  const ns = rfc3339 === undefined ? undefined : parseRfc3339(rfc3339);
  return ns === undefined ? undefined : timestampOfNs(ns);
}

export function timestampOfMs(ms: number): Timestamp {
  return timestampOfNs(BigInt(ms) * NS_PER_MS);
}

function timestampOfNs(ns: bigint): Timestamp {
  return { seconds: ns / NS_PER_SECOND, nanos: Number(ns % NS_PER_SECOND) };
}
