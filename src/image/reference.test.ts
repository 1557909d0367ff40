import { expect, test } from "bun:test";
import { LighterError } from "../base/errors.ts";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  withDefaultTag,
  withTag,
} from "./reference.ts";

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

test("what is no reference is refused in Docker's words", () => {
  const cases: [text: string, message: string][] = [
    ["", "invalid reference format"],
    ["a b", "invalid reference format"],
    ["-x", "invalid reference format"],
    ["x:", "invalid reference format"],
    ["x@", "invalid reference format"],
    ["x//y", "invalid reference format"],
    ["a___b", "invalid reference format"],
    [`x:${"t".repeat(129)}`, "invalid reference format"],
    ["../etc/passwd", "invalid reference format"],
    ["x\n", "invalid reference format"],
    ["Hello", "invalid reference format: repository name (library/Hello) must be lowercase"],
    ["a.io/Hello:T", "invalid reference format: repository name (Hello) must be lowercase"],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    [`x@md5:${hex}`, "unsupported digest algorithm"],
    [`x@sha256:${hex.slice(1)}`, "invalid checksum digest length"],
    [`x@sha256:${hex.toUpperCase()}`, "invalid checksum digest format"],
    ["a".repeat(256), "repository name must not be more than 255 characters"],
    ["a".repeat(1_000_000), "invalid reference format"],
  ];
  for (const [text, message] of cases) {
    const error = (() => {
      try {
        return parseReference(text);
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(LighterError);
    expect((error as LighterError).message).toBe(message);
    expect((error as LighterError).code).toBe("invalid");
  }
});

test("withTag replaces tag and digest and refuses what is no tag", () => {
  expect(formatReference(withTag(parseReference(`x:a@sha256:${hex}`), "b"))).toBe("docker.io/library/x:b");
  expect(() => withTag(parseReference("x"), "-b")).toThrow("invalid tag format");
});
