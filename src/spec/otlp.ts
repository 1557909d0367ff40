/**
 * Spans for an OpenTelemetry collector, as JSON or Protocol Buffers. Source: opentelemetry-proto 1.3, trace/v1 and common/v1; the OTLP
 * specification, "JSON Protobuf Encoding".
 */
import { bytes, fixed64, integer, MessageType, message, messages, oneOf, string } from "./protobuf.ts";
import type { TraceSpan } from "./trace.ts";

/** A span with the trace that it belongs to. */
export interface OtlpSpan extends TraceSpan {
  traceId: string;
  traceState: string;
}

type Attributes = TraceSpan["attributes"];

const KIND = { internal: 1, server: 2 };
const STATUS_ERROR = 2;

const attributeType = new MessageType({
  key: string(1),
  value: message(
    2,
    new MessageType({
      stringValue: oneOf.string(1),
      boolValue: oneOf.boolean(2),
      intValue: oneOf.int64(3),
      doubleValue: oneOf.double(4),
    }),
  ),
});
const spanType = new MessageType({
  traceId: bytes(1),
  spanId: bytes(2),
  traceState: string(3),
  parentSpanId: bytes(4),
  name: string(5),
  kind: integer(6),
  startTimeUnixNano: fixed64(7),
  endTimeUnixNano: fixed64(8),
  attributes: messages(9, attributeType),
  status: message(15, new MessageType({ message: string(2), code: integer(3) })),
});
/** The body of a request to a collector. */
export const tracesType = new MessageType({
  resourceSpans: messages(
    1,
    new MessageType({
      resource: message(1, new MessageType({ attributes: messages(1, attributeType) })),
      scopeSpans: messages(
        2,
        new MessageType({
          scope: message(1, new MessageType({ name: string(1), version: string(2) })),
          spans: messages(2, spanType),
        }),
      ),
    }),
  ),
});

/** Where spans come from. */
interface OtlpSource {
  resource: Attributes;
  scope: { name: string; version: string };
}

export function encodeTracesAsProtobuf({ resource, scope }: OtlpSource, spans: readonly OtlpSpan[]): Uint8Array {
  return tracesType.encode({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource, BigInt) },
        scopeSpans: [
          {
            scope,
            spans: spans.map((span) => ({
              ...common(span, BigInt),
              traceId: Buffer.from(span.traceId, "hex"),
              spanId: Buffer.from(span.id, "hex"),
              parentSpanId: Buffer.from(span.parentId, "hex"),
              startTimeUnixNano: nsOf(span.beganMs),
              endTimeUnixNano: nsOf(span.endedMs),
            })),
          },
        ],
      },
    ],
  });
}

export function encodeTracesAsJson({ resource, scope }: OtlpSource, spans: readonly OtlpSpan[]): string {
  const shown = spans.map((span) => ({
    ...common(span, String),
    traceId: span.traceId,
    spanId: span.id,
    ...(span.parentId === "" ? {} : { parentSpanId: span.parentId }),
    startTimeUnixNano: String(nsOf(span.beganMs)),
    endTimeUnixNano: String(nsOf(span.endedMs)),
  }));
  return JSON.stringify({
    resourceSpans: [
      { resource: { attributes: attributesOf(resource, String) }, scopeSpans: [{ scope, spans: shown }] },
    ],
  });
}

/** The fields that both encodings spell alike. */
function common<T>({ name, traceState, isServer, attributes, error }: OtlpSpan, integerOf: (value: number) => T) {
  return {
    name,
    ...(traceState === "" ? {} : { traceState }),
    kind: isServer ? KIND.server : KIND.internal,
    attributes: attributesOf(attributes, integerOf),
    ...(error === undefined ? {} : { status: { message: error, code: STATUS_ERROR } }),
  };
}

function attributesOf<T>(attributes: Attributes, integerOf: (value: number) => T) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValueOf(value, integerOf) }));
}

function anyValueOf<T>(value: string | number | boolean, integerOf: (value: number) => T) {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: integerOf(value) } : { doubleValue: value };
}

/** Nanoseconds; our times are exact to a microsecond. */
function nsOf(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}
