import { expect, test } from "bun:test";
import { IMAGE_REFERENCES } from "../../tests/support/image-references.ts";
import { LighterError } from "../base/errors.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  parseUnlessId,
  withDefaultTag,
  withTag,
} from "./image-reference.ts";

const hex = "0123456789abcdef".repeat(4);

test("familiar names become full references and back", () => {
  const cases: [text: string, full: string, familiar: string][] = [
    ["hello", "docker.io/library/hello:latest", "hello:latest"],
    ["hello:1.2", "docker.io/library/hello:1.2", "hello:1.2"],
    ["user/repo", "docker.io/user/repo:latest", "user/repo:latest"],
    ["docker.io/hello", "docker.io/library/hello:latest", "hello:latest"],
    ["docker.io/library/hello", "docker.io/library/hello:latest", "hello:latest"],
    ["index.docker.io/hello", "docker.io/library/hello:latest", "hello:latest"],
    ["library/hello", "docker.io/library/hello:latest", "hello:latest"],
    ["localhost/x", "localhost/x:latest", "localhost/x:latest"],
    ["localhost:5000/x/y:t", "localhost:5000/x/y:t", "localhost:5000/x/y:t"],
    ["ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest"],
    ["HOST/x", "HOST/x:latest", "HOST/x:latest"],
    ["[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"],
    [`x@sha256:${hex}`, `docker.io/library/x@sha256:${hex}`, `x@sha256:${hex}`],
    [`x:t@sha256:${hex}`, `docker.io/library/x:t@sha256:${hex}`, `x:t@sha256:${hex}`],
    ["a__b/c--d/e.f:_x", "docker.io/a__b/c--d/e.f:_x", "a__b/c--d/e.f:_x"],
  ];
  for (const [text, full, familiar] of cases) {
    const reference = withDefaultTag(parseReference(text));
    expect(formatReference(reference)).toBe(full);
    expect(familiarReference(reference)).toBe(familiar);
    expect(withDefaultTag(parseReference(full))).toEqual(reference);
  }
  expect(familiarName(parseReference("docker.io/library/a/b"))).toBe("library/a/b");
});

test.each(IMAGE_REFERENCES)("%j is read as Docker reads it", (text, outcome) => {
  const result = outcomeOf(text);
  if (result instanceof LighterError) expect([result.code, result.message]).toEqual(["invalid", outcome]);
  else expect(result).toBe(outcome);
});

test("an empty text and one of a megabyte are refused", () => {
  for (const text of ["", "a".repeat(1_000_000)])
    expect(outcomeOf(text)).toEqual(new LighterError("invalid", "invalid reference format"));
});

test("parseUnlessId takes a full id for no name", () => {
  expect(parseUnlessId(hex)).toBeUndefined();
  expect(parseUnlessId(`sha256:${hex}`)).toBeUndefined();
  expect(parseUnlessId("hello")).toEqual({ domain: "docker.io", path: "library/hello", tag: "latest" });
  expect(() => parseUnlessId("sha256:0")).not.toThrow();
});

function outcomeOf(text: string): string | LighterError {
  try {
    return formatReference(withDefaultTag(parseReference(text)));
  } catch (error) {
    if (error instanceof LighterError) return error;
    throw error;
  }
}

test("withTag replaces tag and digest and refuses what is no tag", () => {
  expect(formatReference(withTag(parseReference(`x:a@sha256:${hex}`), "b"))).toBe("docker.io/library/x:b");
  expect(() => withTag(parseReference("x"), "-b")).toThrow("invalid tag format");
});
