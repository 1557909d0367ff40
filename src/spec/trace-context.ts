/** Which trace a request belongs to. Source: W3C, "Trace Context", levels 1 and 2. */

interface TraceContext {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** 16 hexadecimal digits. */
  spanId: string;
  /** Whether the caller collects this trace. */
  isSampled: boolean;
  /** What tracing systems add; passed on as it came. */
  state: string;
}

/** The least that has to be passed on. A longer state is left out as a whole: cutting it could tear an entry. */
const STATE_MAX_CHARS = 512;
/** The largest header that is looked at: those of later versions may be longer than ours. */
const PARENT_MAX_CHARS = 256;
const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** Parses the headers' texts. Undefined unless they name a trace: then the request begins one, as if there were no header. */
export function parseTraceContext(traceparent: string | undefined, tracestate = ""): TraceContext | undefined {
  if (traceparent === undefined || traceparent.length > PARENT_MAX_CHARS) return undefined;
  const [, version, traceId, spanId, flags, more] = PARENT.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  // Version ff is none; only later versions have more fields.
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  const isPlain = tracestate.length <= STATE_MAX_CHARS && /^[\t\x20-\x7e]*$/.test(tracestate);
  const isSampled = (Number.parseInt(flags!, 16) & SAMPLED) !== 0;
  return { traceId, spanId, isSampled, state: isPlain ? tracestate.trim() : "" };
}

export function formatTraceparent({ traceId, spanId, isSampled }: Omit<TraceContext, "state">): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}
