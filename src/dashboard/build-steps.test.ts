import { expect, test } from "bun:test";
import { BuildSteps } from "./build-steps.ts";

const log = (vertex: string, bytes: Uint8Array) => ({
  logs: [{ vertex, stream: 1, data: Buffer.from(bytes).toString("base64"), timestamp: "" }],
});

test("steps are in the order in which they began, those that have not begun last, with what they have printed", () => {
  const steps = new BuildSteps();
  steps.apply({ vertexes: [{ digest: "c", name: "third" }] });
  steps.apply({ vertexes: [{ digest: "b", name: "second", started: "2026-12-03T08:00:01.5Z" }] });
  steps.apply({ vertexes: [{ digest: "a", name: "first", started: "2026-12-03T08:00:01.000000001Z", cached: true }] });
  const text = new TextEncoder().encode("grün\n");
  steps.apply(log("b", text.subarray(0, 3))); // in the middle of a character
  steps.apply(log("b", text.subarray(3)));
  steps.apply({ vertexes: [{ digest: "b", name: "second", started: "2026-12-03T08:00:01.5Z", error: "it broke" }] });
  const seen = steps.list().map(({ name, isCached, error, text }) => [name, isCached, error, text]);
  expect(seen).toEqual([
    ["first", true, "", ""],
    ["second", false, "it broke", "grün\n"],
    ["third", false, "", ""],
  ]);
  expect(steps.list()[1]!.startedMs! - steps.list()[0]!.startedMs!).toBe(500);
});
