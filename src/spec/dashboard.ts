/** What the dashboard's page and the daemon say to each other over `/lighter/watch`: JSON, one message each. */

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

/** What a page wants to see from now on. Each message replaces what the last one of its topic asked for. */
export type PageRequest =
  | { topic: "stats"; ids: string[] }
  | { topic: "host"; on: boolean }
  | { topic: "events"; on: boolean }
  | { topic: "history"; id: string }
  /** No log any more if the id is "". */
  | { topic: "logs"; id: string; tail: number; since?: string };

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
  /** `past`: they replace all that the page has. */
  | { topic: "events"; past: boolean; events: PageEvent[] }
  /** The last hour of a container, or of the host if the id is "": a list for each moment, which begins with its time. */
  | { topic: "history"; id: string; rows: number[][] }
  | { topic: "logs"; id: string; entries: PageLogEntry[] }
  | { topic: "logs"; id: string; end: string };
