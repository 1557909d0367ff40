import { expect, test } from "bun:test";
import { planOverlayOptions } from "./overlay-options.ts";

test("what the host has on for every overlay, and what would break a commit, is turned off", () => {
  expect(planOverlayOptions(() => "N\n")).toEqual([]);
  expect(planOverlayOptions(() => "Y\n")).toEqual(["redirect_dir=off", "metacopy=off"]);
  expect(planOverlayOptions((name) => (name === "metacopy" ? "Y\n" : "N\n"))).toEqual(["metacopy=off"]);
});
