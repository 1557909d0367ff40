import { expect, test } from "bun:test";
import { parseName, randomName } from "./names.ts";

test("parseName takes Docker's names, with or without the leading slash", () => {
  expect(parseName("web-1.a_b")).toBe("web-1.a_b");
  expect(parseName("/web")).toBe("web");
});

test("parseName refuses what could be a flag, a path or too short, in Docker's words", () => {
  for (const bad of ["", "x", "-web", "a b", "a/b", "//web", ".web", "wéb", "web\n"])
    expect(() => parseName(bad)).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: `Invalid container name (${bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
      }),
    );
});

test("randomName makes valid names and avoids the taken ones however many there are", () => {
  const taken = new Set<string>();
  for (let i = 0; i < 30_000; i++) {
    const name = randomName((candidate) => taken.has(candidate));
    expect(taken.has(name)).toBe(false);
    expect(parseName(name)).toBe(name);
    taken.add(name);
  }
});
