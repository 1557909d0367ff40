/** The platforms that a build is asked for. */
import { LighterError } from "../../base/errors.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform, HOST_PLATFORM, parsePlatform } from "../../spec/platform.ts";

/** BuildKit has no limit; each is a build of its own. */
const PLATFORMS_MAX = 32;

/**
 * The platforms of "linux/amd64,linux/arm64", each once; undefined for "". @throws LighterError "invalid" for what is none,
 * "not-supported" for other systems
 */
export function parseTargetPlatforms(text: string, max = PLATFORMS_MAX): Platform[] | undefined {
  if (text === "") return undefined;
  const platforms = new Map<string, Platform>();
  const parts = max === 1 ? [text] : text.split(",");
  if (parts.length > max) throw new LighterError("invalid", `a build is for at most ${max} platforms`);
  for (const part of parts) {
    const platform = parsePlatform(part);
    if (platform.os !== HOST_PLATFORM.os)
      throw new LighterError("not-supported", `building for ${part} is not supported yet`);
    platforms.set(formatPlatform(platform), platform);
  }
  return [...platforms.values()];
}
