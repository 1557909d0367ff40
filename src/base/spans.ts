/**
 * Spans: what the daemon does, for how long, and as a part of what. Whoever does something that may take long says so here; unless
 * somebody collects spans (`api/tracing`), that costs a comparison, and nothing is kept.
 */

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** A part that was measured elsewhere. Times are in milliseconds since 1970, with decimals. */
export interface MeasuredSpan {
  name: string;
  beganMs: number;
  endedMs: number;
  attributes?: Attributes;
}

export interface Span {
  name: string;
  set(attributes: Attributes): void;
  /** Adds a part that has ended. */
  add(part: MeasuredSpan): void;
  /** Whether somebody takes it: it need not be filled otherwise. */
  readonly isWanted: boolean;
  /** The span for another process that takes part, in the form of `TraceHeaders`. */
  readonly headers: TraceHeaders;
}

/** Where a caller's trace is, as W3C's "Trace Context" has it. Text of others, unchecked. */
export interface TraceHeaders {
  traceparent?: string | undefined;
  tracestate?: string | undefined;
}

/** Who asks for something from outside, and whether it comes for the trace afterwards. */
export interface Caller extends TraceHeaders {
  isKept?: boolean;
}

export interface SpanCollector {
  /**
   * Does `work` in a span that ends when it has settled, a part of the span in which this is called or of a caller's trace. The work
   * gets no span if nobody wants this one.
   */
  inSpan<T>(name: string, work: (span?: Span) => Promise<T>, caller?: Caller): Promise<T>;
  /** The span in which this is called. */
  current(): Span | undefined;
}

let collector: SpanCollector | undefined;

/** Sets who collects spans from now on. */
export function collectSpans(by: SpanCollector | undefined): void {
  collector = by;
}

/** Does as `SpanCollector.inSpan` says, or only the work if nobody collects spans. */
export function inSpan<T>(name: string, work: (span?: Span) => Promise<T>, caller?: Caller): Promise<T> {
  return collector === undefined ? work() : collector.inSpan(name, work, caller);
}

export function currentSpan(): Span | undefined {
  return collector?.current();
}
