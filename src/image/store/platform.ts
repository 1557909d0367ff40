/** Chooses the image that serves a platform best, as containerd does. Source: the doc of github.com/containerd/platforms. */
import { LighterError } from "../../base/errors.ts";
import type { Descriptor, Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";

/** The variant that is meant if none is named. */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm64: "v8", amd64: "v1", arm: "v7" };

function variantOf({ architecture, variant }: Platform): string {
  if (variant !== undefined && variant !== "") return architecture === "arm64" && variant === "8" ? "v8" : variant;
  return DEFAULT_VARIANTS[architecture] ?? "";
}

/**
 * How well an image for `offered` serves where `wanted` runs: 0 is best, undefined not at all. A machine also runs what is for an
 * older variant of it, and 64-bit ARM what is for 32-bit.
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

/**
 * Refuses an image that does not serve the wanted platform. One that names no variant serves all. `name`: the image, as the error is to
 * name it. @throws LighterError "not-found", with Docker's text
 */
export function requirePlatform(name: string, { os, architecture, variant }: Platform, wanted: Platform): void {
  const offered = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const isSame = os === wanted.os && architecture === wanted.architecture;
  if ((isSame && variant === undefined) || rankPlatform(wanted, offered) !== undefined) return;
  throw new LighterError(
    "not-found",
    `image with reference ${name} was found but does not match the specified platform: ` +
      `wanted ${formatPlatform(wanted)}, actual: ${formatPlatform(offered)}`,
  );
}

/** Whether a manifest is an attestation: BuildKit lists provenance beside the image, for the platform "unknown/unknown". */
export function isAttestation(descriptor: Descriptor): boolean {
  return descriptor.platform?.os === "unknown" || descriptor.annotations?.["vnd.docker.reference.type"] !== undefined;
}

/** The index's manifest that serves the platform best. Of equals it is the first; one that names no platform comes last. */
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
