/** Platforms as containerd reads and matches them. Source: the doc of github.com/containerd/platforms. */
import { LighterError } from "../base/errors.ts";
import type { Descriptor, Platform } from "../spec/oci-image.ts";

export const HOST_PLATFORM: Platform = {
  os: "linux",
  architecture: process.arch === "x64" ? "amd64" : process.arch,
};

/** Other names of an architecture, some with what they say of the variant. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
  i386: ["386"],
};

/** What a word alone may mean. Source: Go's list of ports; containerd platforms/database.go. */
const SYSTEMS: readonly string[] = [
  ...["aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "netbsd", "openbsd"],
  ...["plan9", "solaris", "wasip1", "windows", "zos"],
];
const KNOWN_ARCHITECTURES: readonly string[] = [
  ...["386", "amd64", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64"],
  ...["ppc64le", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"],
];

/** The variant that is meant where none is named. */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm64: "v8", amd64: "v1", arm: "v7" };

/** "OS", "ARCHITECTURE" or "OS/ARCHITECTURE[/VARIANT]"; what is not named is the host's. @throws LighterError ("invalid"). */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3)
    throw new LighterError("invalid", `"${text.slice(0, 100)}": cannot parse platform specifier: invalid argument`);
  for (const part of parts)
    if (!/^[a-z0-9_-]{1,64}$/.test(part))
      throw new LighterError(
        "invalid",
        `"${part.slice(0, 100)}" is an invalid component of "${text.slice(0, 100)}": platform specifier component ` +
          'must match "^[A-Za-z0-9_.-]+(?:\\\\(([A-Za-z0-9_.-]+)\\\\))?$": invalid argument',
      );
  const [first = "", second, third] = parts;
  if (second === undefined && SYSTEMS.includes(first)) return { ...HOST_PLATFORM, os: first };
  if (second === undefined && !KNOWN_ARCHITECTURES.includes(first) && !Object.hasOwn(ARCHITECTURES, first))
    throw new LighterError(
      "invalid",
      `"${text.slice(0, 100)}": unknown operating system or architecture: invalid argument`,
    );
  const [name, os] = second === undefined ? [first, HOST_PLATFORM.os] : [second, first];
  const [architecture, implied] = ARCHITECTURES[name] ?? [name];
  const variant = third ?? implied;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}

function variantOf({ architecture, variant }: Platform): string {
  if (variant !== undefined && variant !== "") return architecture === "arm64" && variant === "8" ? "v8" : variant;
  return DEFAULT_VARIANTS[architecture] ?? "";
}

/**
 * How well an image for `offered` serves where `wanted` runs: 0 is best, undefined not at all. A machine runs what is
 * for an older variant of it, and 64-bit ARM what is for 32-bit.
 */
export function rankPlatform(wanted: Platform, offered: Platform): number | undefined {
  if (wanted.os !== offered.os) return undefined;
  const level = (variant: string): number | undefined =>
    /^v\d{1,2}$/.test(variant) ? Number(variant.slice(1)) : undefined;
  const [want, offer] = [variantOf(wanted), variantOf(offered)];
  if (wanted.architecture === offered.architecture) {
    if (want === offer) return 0;
    const [wantLevel, offerLevel] = [level(want), level(offer)];
    if (wantLevel === undefined || offerLevel === undefined || offerLevel > wantLevel) return undefined;
    return wantLevel - offerLevel;
  }
  const offerLevel = level(offer);
  if (wanted.architecture === "arm64" && offered.architecture === "arm" && offerLevel !== undefined && offerLevel <= 8)
    return 100 - offerLevel;
  return undefined;
}

/** BuildKit lists provenance beside the image as a manifest for the platform "unknown/unknown". */
export function isAttestation(descriptor: Descriptor): boolean {
  return descriptor.platform?.os === "unknown" || descriptor.annotations?.["vnd.docker.reference.type"] !== undefined;
}

/** The manifest of an index that serves the platform best: of equals the first, and one that names no platform last. */
export function choosePlatform(manifests: readonly Descriptor[], wanted: Platform): Descriptor | undefined {
  let best: { descriptor: Descriptor; rank: number } | undefined;
  for (const descriptor of manifests) {
    if (isAttestation(descriptor)) continue;
    const { platform } = descriptor;
    const rank = platform === undefined ? 1000 : rankPlatform(wanted, platform);
    if (rank !== undefined && (best === undefined || rank < best.rank)) best = { descriptor, rank };
  }
  return best?.descriptor;
}
