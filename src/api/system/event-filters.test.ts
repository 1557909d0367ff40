import { expect, test } from "bun:test";
import type { EngineEvent } from "../../engine/mod.ts";
import { Filters } from "../http/filters.ts";
import { matchesEvent } from "./event-filters.ts";

const container: EngineEvent = {
  type: "container",
  action: "exec_create: ls /",
  id: "abc123",
  attributes: { name: "web", image: "busybox:latest", tier: "front" },
  timeNs: 1n,
};
const volume: EngineEvent = {
  type: "volume",
  action: "create",
  id: "data",
  attributes: { driver: "local" },
  timeNs: 2n,
};

function matches(event: EngineEvent, filters: Record<string, string[]>): boolean {
  return matchesEvent(Filters.parseAny(JSON.stringify(filters)), event);
}

test.each([
  [{}, true],
  [{ nonesuch: ["x"] }, true],
  [{ type: ["container"] }, true],
  [{ type: ["image", "volume"] }, false],
  [{ container: ["we"] }, true],
  [{ container: ["abc"] }, true],
  [{ container: ["other"] }, false],
  [{ image: ["busybox"] }, true],
  [{ image: ["busybox:latest"] }, true],
  [{ image: ["busybox:other"] }, false],
  [{ label: ["tier=front"] }, true],
  [{ label: ["tier", "more"] }, false],
  [{ event: ["exec_create"] }, true],
  [{ event: ["exec"] }, false],
  [{ event: ["start", "exec_create: ls /"] }, true],
  [{ scope: ["swarm"] }, false],
])("filters %j", (filters: Record<string, string[]>, expected) => {
  expect(matches(container, filters)).toBe(expected);
});

test("a volume is filtered by its name, also where a container is asked for", () => {
  expect(matches(volume, { volume: ["da"] })).toBe(true);
  expect(matches(volume, { container: ["web"] })).toBe(false);
});
