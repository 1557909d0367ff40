import { expect, test } from "bun:test";
import { signalInit } from "./lifecycle.ts";
import type { StateHandle } from "./state.ts";

test("a container whose create was cut off before it had an init has none to signal", () => {
  const handle = { locked: true, creating: false, state: { pid: 0, pidStartTime: 0, cgroupsPath: "" } };
  for (const signal of [0, 15, 9]) expect(signalInit(handle as unknown as StateHandle, signal)).toBe(false);
});
