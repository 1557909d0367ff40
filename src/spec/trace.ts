/** What `GET /lighter/traces/{id}` answers: what the daemon has done for the requests of one trace. */

/** A request with this header is traced, and the daemon keeps its spans for a while, whether or not it sends them elsewhere. */
export const KEEP_TRACE_HEADER = "lighter-trace";

export interface Trace {
  spans: TraceSpan[];
}

export interface TraceSpan {
  /** 16 hexadecimal digits. */
  id: string;
  /** "" if it is part of nothing. */
  parentId: string;
  name: string;
  /** Milliseconds since 1970, with decimals. */
  beganMs: number;
  endedMs: number;
  attributes: Readonly<Record<string, string | number | boolean>>;
  /** Why it has failed. */
  error?: string;
  /** True for the spans of requests and the like, which come from outside. */
  isServer?: true;
}
