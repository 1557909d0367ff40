/** Keeps the traces that their callers come for afterwards: `lighter run --trace`. */
import { KEPT_SPANS_MAX, KEPT_TRACES_MAX } from "../../base/limits.ts";
import type { TraceSpan } from "../../spec/trace.ts";
import type { LiveSpan, SpanReceiver } from "./tracer.ts";

export class KeptTraces implements SpanReceiver {
  readonly #traces = new Map<string, LiveSpan[]>();

  /** A trace with too many spans lacks the last ones; the oldest of too many traces is forgotten. */
  began(span: LiveSpan): void {
    let spans = this.#traces.get(span.traceId);
    if (spans === undefined) {
      const [oldest] = this.#traces.keys();
      if (this.#traces.size >= KEPT_TRACES_MAX && oldest !== undefined) this.#traces.delete(oldest);
      spans = [];
      this.#traces.set(span.traceId, spans);
    }
    if (spans.length < KEPT_SPANS_MAX) spans.push(span);
  }

  /** Gives a trace away. What has not ended yet is shown as if it ended now. Undefined if there is none. */
  take(traceId: string): TraceSpan[] | undefined {
    const spans = this.#traces.get(traceId);
    this.#traces.delete(traceId);
    const nowMs = Date.now();
    return spans?.map(({ id, parentId, name, beganMs, endedMs, attributes, error, isServer }) => ({
      ...{ id, parentId, name, beganMs, attributes },
      endedMs: endedMs || Math.max(nowMs, beganMs),
      ...(error === undefined ? {} : { error }),
      ...(isServer && { isServer }),
    }));
  }
}
