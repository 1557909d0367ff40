import { expect, test } from "bun:test";
import { formatTraceparent, parseTraceContext } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("a header names a trace, the caller's span, and whether the caller collects it", () => {
  const context = { traceId: TRACE, spanId: SPAN, state: "" };
  expect(parseTraceContext(`00-${TRACE}-${SPAN}-01`)).toEqual({ ...context, isSampled: true });
  expect(parseTraceContext(`00-${TRACE}-${SPAN}-00`)).toEqual({ ...context, isSampled: false });
  expect(parseTraceContext(`00-${TRACE}-${SPAN}-03`)).toEqual({ ...context, isSampled: true });
  expect(formatTraceparent({ ...context, isSampled: true })).toBe(`00-${TRACE}-${SPAN}-01`);
});

test("a later version may have more, which is not looked at", () => {
  expect(parseTraceContext(`cc-${TRACE}-${SPAN}-01-what-the-future-holds`)?.traceId).toBe(TRACE);
  expect(parseTraceContext(`cc-${TRACE}-${SPAN}-01.what`)).toBeUndefined();
});

test.each([
  ["nothing", undefined],
  ["no text", ""],
  ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ["no trace", `00-${"0".repeat(32)}-${SPAN}-01`],
  ["no span", `00-${TRACE}-${"0".repeat(16)}-01`],
  ["the version that is none", `ff-${TRACE}-${SPAN}-01`],
  ["more than version 00 has", `00-${TRACE}-${SPAN}-01-x`],
  ["a short id", `00-${TRACE.slice(1)}-${SPAN}-01`],
  ["two of them", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
  ["a long one", `cc-${TRACE}-${SPAN}-01-${"x".repeat(1000)}`],
])("%s begins a trace of its own", (_, header) => {
  expect(parseTraceContext(header)).toBeUndefined();
});

test("the state is passed on as it came, or left out as a whole", () => {
  const stateOf = (state: string) => parseTraceContext(`00-${TRACE}-${SPAN}-01`, state)?.state;
  expect(stateOf(" a=1,b=2 ")).toBe("a=1,b=2");
  expect(stateOf("a=1\r\nb: 2")).toBe("");
  expect(stateOf(`a=${"x".repeat(600)}`)).toBe("");
});
