import { expect, test } from "bun:test";
import { constants } from "node:os";
import { parseSignal, SIGNALS } from "./signals.ts";

test("signal numbers are those of this machine", () => {
  for (const [name, number] of Object.entries(constants.signals))
    expect([name, parseSignal(name)]).toEqual([name, number]);
  expect(Object.keys(SIGNALS).length).toBe(Object.keys(constants.signals).length + 1); // Node has no SIGCLD
});

test("a signal is given by number or name, in any case, with or without SIG", () => {
  for (const text of ["15", "TERM", "term", "SIGTERM", "sigTerm"])
    expect([text, parseSignal(text)]).toEqual([text, 15]);
});

test("real-time signals count from 34 up and from 64 down", () => {
  for (const [text, number] of [
    ["RTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["rtmin+30", 64],
    ["RTMAX", 64],
    ["RTMAX-14", 50],
  ] as const)
    expect([text, parseSignal(text)]).toEqual([text, number]);
});

test("what is no signal is undefined", () => {
  for (const text of [
    "",
    "0",
    "65",
    "-1",
    "1.5",
    " 9",
    "SIG",
    "SIGSIGTERM",
    "RTMIN+31",
    "RTMAX-31",
    "RTMIN-1",
    "toString",
  ])
    expect([text, parseSignal(text)]).toEqual([text, undefined]);
});
