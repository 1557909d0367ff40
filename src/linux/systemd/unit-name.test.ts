import { expect, test } from "bun:test";
import { parseScopePath } from "./unit-name.ts";

test("parseScopePath takes slice:prefix:name, and knows where the scope will be", () => {
  expect(parseScopePath("machine-a-b.slice:libpod:c1", "x")).toEqual({
    slice: "machine-a-b.slice",
    unit: "libpod-c1.scope",
    cgroupsPath: "/machine.slice/machine-a.slice/machine-a-b.slice/libpod-c1.scope",
  });
  expect(parseScopePath("-.slice:p:n", "x").cgroupsPath).toBe("/p-n.scope");
});

test("parseScopePath without a path or a slice takes the manager's usual slice", () => {
  expect(parseScopePath(undefined, "c1").cgroupsPath).toBe("/system.slice/lighter-c1.scope");
  expect(parseScopePath("", "c1", true).cgroupsPath).toBe("/user.slice/lighter-c1.scope");
  expect(parseScopePath(":p:n", "c1").slice).toBe("system.slice");
});

test("parseScopePath refuses what systemd would, before there is a process", () => {
  for (const bad of [
    "/docker/abc",
    "a:b",
    "a.slice:b:c:d",
    "a.slice:b:",
    "a.slice:b:c/d",
    "a.slice:b:c d",
    "a.slice:b:c.slice",
    "a:b:c",
    "../a.slice:b:c",
    "a--b.slice:b:c",
    "-a.slice:b:c",
    ".slice:b:c",
    `a.slice:b:${"c".repeat(250)}`,
  ])
    expect(() => parseScopePath(bad, "x")).toThrow(expect.objectContaining({ code: "invalid" }));
});
