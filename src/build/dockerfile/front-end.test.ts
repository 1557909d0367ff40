import { expect, test } from "bun:test";
import { foreignFrontEnd } from "./front-end.ts";

test.each([
  ["FROM a", undefined, undefined],
  ["# syntax=docker/dockerfile:1.7-labs\nFROM a", undefined, undefined],
  ["#syntax = docker.io/docker/dockerfile@sha256:abc\nFROM a", undefined, undefined],
  ["# syntax=docker/dockerfile-upstream:master\nFROM a", undefined, undefined],
  ["# syntax=docker/dockerfile2\nFROM a", undefined, "docker/dockerfile2"],
  ["# syntax=example.com/f:1 --some args\nFROM a", undefined, "example.com/f:1"],
  ["FROM a\n# syntax=example.com/f:1\n", undefined, undefined],
  ["# syntax=example.com/f:1\nFROM a", "docker/dockerfile:1", undefined],
  ["FROM a", "example.com/g", "example.com/g"],
])("%p, with %p wanted, asks for %p", (text, wanted, expected) => {
  expect(foreignFrontEnd(text, wanted)?.image).toBe(expected);
});
