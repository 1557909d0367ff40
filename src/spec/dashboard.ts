/** What the dashboard's page and the daemon say to each other over `/lighter/watch`: JSON, one message each. */
import type { SolveStatus } from "./solve-status.ts";

/** Where measurements of a container are in its list. CPU: 100 is one CPU. Rates are bytes a second. */
export const MEASURED = ["cpu", "memory", "memoryLimit", "pids", "received", "sent", "read", "written"] as const;
export type Measured = Record<(typeof MEASURED)[number], number>;

/** What the host uses. Pressures are shares of the last ten seconds in percent; absent if the kernel does not tell. */
export interface HostUse {
  /** Percent of all CPUs. */
  cpu: number;
  cpuCount: number;
  load: number;
  memory: number;
  memoryTotal: number;
  swap: number;
  disk: number;
  diskTotal: number;
  received: number;
  sent: number;
  pressure?: { cpu: number; memory: number; io: number };
}

/** What the host uses in the order of `MEASURED`. */
export function measuredOf({ cpu, memory, memoryTotal, received, sent }: HostUse): number[] {
  return [cpu, memory, memoryTotal, 0, received, sent, 0, 0];
}

/** What a page wants to see from now on. Each message replaces what the last one of its topic asked for. */
export type PageRequest =
  | { topic: "stats"; ids: string[] }
  | { topic: "host"; on: boolean }
  | { topic: "events"; on: boolean }
  | { topic: "history"; id: string }
  /** What a build says; nothing any more if the id is "". */
  | { topic: "build"; id: string }
  /** No log any more if the id is "". */
  | { topic: "logs"; id: string; tail: number; since?: string };

/** An event of Docker's API, or of the type "build": it is "started", "ended" or "removed". */
export interface PageEvent {
  /** Milliseconds since 1970. */
  at: number;
  type: string;
  action: string;
  id: string;
  attributes: Readonly<Record<string, string>>;
}

interface PageLogEntry {
  /** RFC 3339. */
  time: string;
  error: boolean;
  text: string;
}

export type PageMessage =
  | { topic: "stats"; at: number; rows: [id: string, ...numbers: number[]][] }
  | { topic: "host"; at: number; use: HostUse }
  /** `past`, here and below: they replace all that the page has. */
  | { topic: "events"; past: boolean; events: PageEvent[] }
  /** The last hour of a container, or of the host if the id is "": a list for each moment, which begins with its time. */
  | { topic: "history"; id: string; rows: number[][] }
  /** The same of the last minutes, once for each that is shown from now on. */
  | { topic: "recent"; id: string; rows: number[][] }
  | { topic: "build"; id: string; past: boolean; statuses: readonly SolveStatus[] }
  /** The build has ended, or cannot be shown: then there is an error. */
  | { topic: "build"; id: string; end: string }
  | { topic: "logs"; id: string; past: boolean; entries: PageLogEntry[] }
  | { topic: "logs"; id: string; end: string };
