import { expect, test } from "bun:test";
import { encodeTracesAsJson, encodeTracesAsProtobuf, type OtlpSpan, tracesType } from "./otlp.ts";

const source = { resource: { "service.name": "lighter" }, scope: { name: "lighter", version: "1" } };
const span: OtlpSpan = {
  ...{
    traceId: "0af7651916cd43dd8448eb211c80319c",
    traceState: "a=1",
    id: "b7ad6b7169203331",
    parentId: "00f067aa0ba902b7",
  },
  ...{ name: "start", beganMs: 1_800_000_000_000.25, endedMs: 1_800_000_000_001, isServer: true },
  attributes: { text: "", yes: false, count: 0, part: 0.5 },
  error: "it failed",
};

test("JSON has ids in hexadecimal digits, and times and integers as text", () => {
  expect(JSON.parse(encodeTracesAsJson(source, [span]))).toEqual({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "lighter" } }] },
        scopeSpans: [
          {
            scope: source.scope,
            spans: [
              {
                ...{ traceId: span.traceId, spanId: span.id, parentSpanId: span.parentId, traceState: "a=1" },
                ...{ name: "start", kind: 2, status: { code: 2, message: "it failed" } },
                ...{ startTimeUnixNano: "1800000000000250000", endTimeUnixNano: "1800000000001000000" },
                attributes: [
                  { key: "text", value: { stringValue: "" } },
                  { key: "yes", value: { boolValue: false } },
                  { key: "count", value: { intValue: "0" } },
                  { key: "part", value: { doubleValue: 0.5 } },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
});

test("protocol buffers say the same, and values that are empty are there", () => {
  const [resourceSpans] = tracesType.decode(encodeTracesAsProtobuf(source, [span])).resourceSpans;
  const [decoded] = resourceSpans!.scopeSpans[0]!.spans;
  expect(Buffer.from(decoded!.traceId).toString("hex")).toBe(span.traceId);
  expect(Buffer.from(decoded!.spanId).toString("hex")).toBe(span.id);
  expect(Buffer.from(decoded!.parentSpanId).toString("hex")).toBe(span.parentId);
  expect(decoded).toMatchObject({ name: "start", kind: 2, status: { code: 2, message: "it failed" } });
  expect(decoded!.startTimeUnixNano).toBe(1_800_000_000_000_250_000n);
  expect(decoded!.attributes.map(({ value }) => value)).toMatchObject([
    { stringValue: "" },
    { boolValue: false },
    { intValue: 0n },
    { doubleValue: 0.5 },
  ]);
});
