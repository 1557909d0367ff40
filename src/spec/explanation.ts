/** What `POST /lighter/explain?format=json` answers: the program that would start a container, op by op. */

export interface Explanation extends Listing {
  /** Long values of this container, the longest first, with short names for those who read. */
  names: ShortName[];
}

export interface Listing {
  ops: ExplainedOp[];
  /** What the supervisor does once the process runs. */
  supervise: string[];
}

export interface ShortName {
  /** A word that begins with "@". */
  name: string;
  value: string;
  what: string;
}

export type ExplainedSection = "host" | "init" | "cleanup";

/** What a part of a start is about. */
export type ExplainedPhase =
  | "streams"
  | "limits"
  | "namespaces"
  | "network"
  | "root"
  | "mounts"
  | "identity"
  | "execve"
  | "cleanup";

export interface ExplainedOp {
  /** The number that an error names. */
  index: number;
  /** Who plays it: the launcher before and after the clone, the new process, or the launcher at the end. */
  section: ExplainedSection;
  phase: ExplainedPhase;
  /** The system call, or the name of an op of several calls. */
  call: string;
  /** The arguments by symbolic names. */
  args: string;
  /** The slot of the result. */
  out?: string;
  /** It is played only if this slot is set. */
  guard?: string;
  /** It is left out if this slot is set. */
  unless?: string;
  /** The errors that count as success. */
  tolerated?: string[];
  why: string;
  /** In a real start: when it began, counted from the first op, and how long it took. */
  beganNs?: number;
  tookNs?: number;
}
