/** What `GET /lighter/use` answers: what the host and its containers use, a line of JSON for each moment. */
import type { HostUse } from "./dashboard.ts";

export interface UseOfAll {
  /** Milliseconds since 1970. */
  at: number;
  host: HostUse;
  containers: ContainerUse[];
}

/** CPU: 100 is one CPU. Rates are bytes a second. */
export interface ContainerUse {
  id: string;
  name: string;
  image: string;
  isMachine: boolean;
  cpu: number;
  memory: number;
  /** The machine's memory without a limit of its own. */
  memoryLimit: number;
  pids: number;
  received: number;
  sent: number;
  read: number;
  written: number;
  /** Shares of the last ten seconds in percent in which some of its tasks waited. On cgroup v2 only. */
  pressure?: { cpu: number; memory: number; io: number };
}
