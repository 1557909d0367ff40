import { expect, test } from "bun:test";
import type { Digest } from "../../base/ids.ts";
import type { Descriptor } from "../../spec/oci-image.ts";
import { parsePlatform } from "../../spec/platform.ts";
import { choosePlatform, rankPlatform, requirePlatform } from "./platform.ts";

test("a variant left out is the usual one; an older one serves, a newer one does not", () => {
  const rank = (wanted: string, offered: string) => rankPlatform(parsePlatform(wanted), parsePlatform(offered));
  expect(rank("linux/arm64", "linux/arm64/v8")).toBe(0);
  expect(rank("linux/amd64/v1", "linux/amd64")).toBe(0);
  expect(rank("linux/amd64", "linux/amd64/v3")).toBeUndefined();
  expect(rank("linux/arm/v7", "linux/arm/v6")).toBe(1);
  expect(rank("linux/arm/v6", "linux/arm/v7")).toBeUndefined();
  expect(rank("linux/arm64", "linux/arm/v7")).toBeGreaterThan(0);
  expect(rank("linux/amd64", "linux/386")).toBeUndefined();
  expect(rank("linux/amd64", "windows/amd64")).toBeUndefined();
});

test("of an index the best platform is chosen, never an attestation", () => {
  const descriptor = (platform: string | undefined, annotations?: Record<string, string>): Descriptor => ({
    mediaType: "",
    digest: `sha256:${platform}` as Digest,
    size: 1,
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
    ...(annotations === undefined ? {} : { annotations }),
  });
  const [v6, v7] = [descriptor("linux/arm/v6"), descriptor("linux/arm/v7")];
  const anonymous = descriptor(undefined);
  expect(choosePlatform([v6, v7], parsePlatform("linux/arm/v7"))).toBe(v7);
  expect(choosePlatform([v6, v7], parsePlatform("linux/arm/v6"))).toBe(v6);
  expect(choosePlatform([anonymous, v7], parsePlatform("linux/arm64"))).toBe(v7);
  expect(choosePlatform([anonymous, v7], parsePlatform("linux/amd64"))).toBe(anonymous);
  const attestation = descriptor("linux/arm/v7", { "vnd.docker.reference.type": "attestation-manifest" });
  expect(choosePlatform([descriptor("unknown/unknown"), attestation], parsePlatform("linux/arm/v7"))).toBeUndefined();
});

test("an image is refused for a platform that it does not serve; without a variant it serves all", () => {
  const require = (wanted: string, offered: ReturnType<typeof parsePlatform>) => () =>
    requirePlatform("a:1", offered, parsePlatform(wanted));
  expect(require("linux/arm/v6", { os: "linux", architecture: "arm" })).not.toThrow();
  expect(require("linux/arm/v7", { os: "linux", architecture: "arm", variant: "v6" })).not.toThrow();
  expect(require("linux/arm/v6", { os: "linux", architecture: "arm", variant: "v7" })).toThrow(
    "image with reference a:1 was found but does not match the specified platform: wanted linux/arm/v6, actual: linux/arm/v7",
  );
});
