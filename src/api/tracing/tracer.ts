/** Makes spans of what is done, and gives them to whoever wants the trace. */
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { messageOf } from "../../base/errors.ts";
import { SPAN_ATTRIBUTE_MAX_CHARS } from "../../base/limits.ts";
import type { Attributes, Caller, MeasuredSpan, Span, SpanCollector, TraceHeaders } from "../../base/spans.ts";
import type { OtlpSpan } from "../../spec/otlp.ts";
import { formatTraceparent, parseTraceContext } from "../../spec/trace-context.ts";

/** Who takes a trace's spans. */
export interface SpanReceiver {
  began?(span: LiveSpan): void;
  ended?(span: LiveSpan): void;
}

/** Decides about a trace that begins here, or at a caller who has decided already. */
export type Sampler = (traceId: string, isCallerSampled: boolean | undefined) => boolean;

/** What all spans of a trace share. */
interface SharedTrace {
  id: string;
  state: string;
  isSampled: boolean;
  receivers: readonly SpanReceiver[];
}

interface TracerOptions {
  /** Who takes the sampled traces. */
  exporter?: SpanReceiver | undefined;
  isSampled?: Sampler | undefined;
  /** Who takes the traces that their callers want to have kept. */
  keeper: SpanReceiver;
}

const asCaller: Sampler = (_, isCallerSampled) => isCallerSampled ?? true;
const SPAN_ID_BYTES = 8;
const TRACE_ID_BYTES = 16;

export class Tracer implements SpanCollector {
  readonly #active = new AsyncLocalStorage<LiveSpan>();

  constructor(readonly options: TracerOptions) {}

  current(): Span | undefined {
    return this.#active.getStore();
  }

  async inSpan<T>(name: string, work: (span?: Span) => Promise<T>, caller?: Caller): Promise<T> {
    const span = this.#begin(name, caller);
    if (span === undefined) return await work();
    try {
      return await this.#active.run(span, () => work(span));
    } catch (error) {
      span.error = messageOf(error);
      throw error;
    } finally {
      span.end();
    }
  }

  /** Begins a span; undefined if nobody wants it. */
  #begin(name: string, caller: Caller | undefined): LiveSpan | undefined {
    const parent = this.#active.getStore();
    if (caller === undefined && parent !== undefined) return parent.isWanted ? parent.child(name) : undefined;
    const { exporter, isSampled: sample = asCaller, keeper } = this.options;
    const context = parseTraceContext(caller?.traceparent, caller?.tracestate);
    const id = context?.traceId ?? randomBytes(TRACE_ID_BYTES).toString("hex");
    const isSampled = exporter !== undefined && sample(id, context?.isSampled);
    const receivers = [...(isSampled ? [exporter] : []), ...(caller?.isKept ? [keeper] : [])];
    if (receivers.length === 0 && exporter === undefined) return undefined;
    const trace = { id, state: context?.state ?? "", isSampled, receivers };
    const span = new LiveSpan(trace, name, context?.spanId ?? "");
    if (caller !== undefined) span.isServer = true;
    return span;
  }
}

/** A span from its beginning on. */
export class LiveSpan implements Span, OtlpSpan {
  readonly id = randomBytes(SPAN_ID_BYTES).toString("hex");
  readonly attributes: Record<string, string | number | boolean> = {};
  beganMs = clock.nowMs();
  endedMs = 0;
  error?: string;
  isServer?: true;
  readonly #trace: SharedTrace;

  constructor(
    trace: SharedTrace,
    public name: string,
    readonly parentId: string,
  ) {
    this.#trace = trace;
    for (const receiver of trace.receivers) receiver.began?.(this);
  }

  get traceId(): string {
    return this.#trace.id;
  }

  get traceState(): string {
    return this.#trace.state;
  }

  get isWanted(): boolean {
    return this.#trace.receivers.length > 0;
  }

  get headers(): TraceHeaders {
    const { id: traceId, isSampled, state } = this.#trace;
    const traceparent = formatTraceparent({ traceId, spanId: this.id, isSampled });
    return { traceparent, tracestate: state || undefined };
  }

  set(attributes: Attributes): void {
    for (const [name, value] of Object.entries(attributes))
      if (value !== undefined)
        this.attributes[name] = typeof value === "string" ? value.slice(0, SPAN_ATTRIBUTE_MAX_CHARS) : value;
  }

  child(name: string): LiveSpan {
    return new LiveSpan(this.#trace, name, this.id);
  }

  add({ name, beganMs, endedMs, attributes = {} }: MeasuredSpan): void {
    const part = this.child(name);
    part.beganMs = beganMs;
    part.set(attributes);
    part.end(endedMs);
  }

  end(endedMs = clock.nowMs()): void {
    this.endedMs = Math.max(endedMs, this.beganMs);
    for (const receiver of this.#trace.receivers) receiver.ended?.(this);
  }
}

/**
 * The real time with the decimals of the monotonic clock. `Date.now()` is the time rounded down to a millisecond, so what it is ahead of
 * the other clock is at least the most that was seen, and less than a millisecond more; a real time that was set is seen by that.
 */
class Clock {
  #aheadMs = performance.timeOrigin;

  nowMs(): number {
    const monotonicMs = performance.now();
    const leastMs = Date.now() - monotonicMs;
    if (leastMs > this.#aheadMs || leastMs < this.#aheadMs - 1) this.#aheadMs = leastMs;
    return this.#aheadMs + monotonicMs;
  }
}

const clock = new Clock();
