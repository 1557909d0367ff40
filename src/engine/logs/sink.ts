import type { LogEntry } from "./log-entry.ts";

/** Something that takes a container's output, outside of our files. */
export interface LogSink {
  /** Settles when it is handed over, as far as can be known. @throws what is in the way; another attempt may succeed */
  send(entry: LogEntry): Promise<void>;
  close(): void;
}
