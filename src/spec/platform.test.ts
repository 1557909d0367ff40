import { expect, test } from "bun:test";
import { mutateText } from "../../tests/support/mutate.ts";
import { Random, rounds } from "../../tests/support/random.ts";
import { LighterError } from "../base/errors.ts";
import { formatPlatform, HOST_PLATFORM, parsePlatform } from "./platform.ts";

test.each([
  ["linux/amd64", "linux/amd64"],
  ["Linux/AMD64", "linux/amd64"],
  ["macos/arm64", "darwin/arm64"],
  ["linux/x86_64", "linux/amd64"],
  ["linux/arm64/v8", "linux/arm64/v8"],
  ["linux/aarch64", "linux/arm64"],
  ["linux/armhf", "linux/arm/v7"],
  ["linux/armel/v5", "linux/arm/v5"],
  ["windows(10.0.17763)/amd64", "windows/amd64"],
  ["arm64", "linux/arm64"],
  ["x86-64", "linux/amd64"],
  ["ppc", "linux/ppc"],
  ["linux", formatPlatform(HOST_PLATFORM)],
  ["linux/nonesuch", "linux/nonesuch"],
])("%s is the platform %s", (text, formatted) => {
  expect(formatPlatform(parsePlatform(text))).toBe(formatted);
});

test.each([
  ["a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'],
  ["nonesuch", '"nonesuch": unknown operating system or architecture: invalid argument'],
  ["constructor", '"constructor": unknown operating system or architecture: invalid argument'],
  ["linux/$", '"$" is an invalid component of "linux/$": platform specifier component must match "^[A-Za-z0-9_-]+$"'],
  ["", '"" is an invalid OS component of "": OSAndVersion specifier component must match'],
  ["linux/", '"" is an invalid component of "linux/"'],
  ["linux/amd 64", '"amd 64" is an invalid component of "linux/amd 64"'],
  ["linux/amd64(1)", '"amd64(1)" is an invalid component of "linux/amd64(1)"'],
])("%p is no platform", (text, message) => {
  expect(() => parsePlatform(text)).toThrow(message);
});

test("any text is a platform that means the same when it is written, or is refused", () => {
  const random = Random.fromEnvironment("platforms");
  for (let round = 0; round < rounds(3000); round++) {
    const text = mutateText(random, random.pick(["linux/arm/v7", "arm64", "windows(10.0)/amd64", "a/b"]));
    try {
      const platform = parsePlatform(text);
      expect(parsePlatform(formatPlatform(platform))).toEqual(platform);
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
      expect((error as LighterError).code).toBe("invalid");
    }
  }
});
