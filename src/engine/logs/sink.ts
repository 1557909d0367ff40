/** The interface of log drivers that send output away. */
import type { LogEntry } from "./log-entry.ts";

/** A receiver of a container's output, outside of our files. */
export interface LogSink {
  /**
   * Sends an entry; settles when it is handed over, as far as can be known. @throws what is in the way; another attempt may
   * succeed
   */
  send(entry: LogEntry): Promise<void>;
  close(): void;
}
