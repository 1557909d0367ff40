import { expect, test } from "bun:test";
import { randomId, shortId } from "./ids.ts";

test("shortId is the first twelve digits of an id or a digest; other texts keep what stands before a colon", () => {
  const id = randomId();
  const digits = id.slice(0, 12);
  expect([id, `sha256:${id}`, `sha512:${id}${id}`, digits, ""].map(shortId)).toEqual([
    digits,
    digits,
    digits,
    digits,
    "",
  ]);
  expect(shortId("busybox:1.36.1")).toBe("busybox:1.36");
});
