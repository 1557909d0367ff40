/** The `platform` parameter of requests about images. */
import { LighterError } from "../../base/errors.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { parsePlatform } from "../../spec/platform.ts";

/** Parses `platform` of save and load: JSON of an OCI platform. @throws LighterError "invalid" */
export function parsePlatformJson(text: string | undefined): Platform | undefined {
  if (text === undefined) return undefined;
  const value = parseObject(text);
  const { os, architecture, variant } = value;
  if (typeof os !== "string" || typeof architecture !== "string" || os === "" || architecture === "")
    throw new LighterError("invalid", "both OS and Architecture must be provided");
  if (variant !== undefined && typeof variant !== "string")
    throw new LighterError("invalid", "failed to parse platform: the variant is not a string");
  return { os, architecture, ...(variant ? { variant } : {}) };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // falls through to the error for text that is no object
  }
  throw new LighterError("invalid", "failed to parse platform");
}

/** Parses `platform` of import: "linux/arm64[/v8]", "linux" or "arm64". @throws LighterError "invalid" with Docker's words */
export function parsePlatformText(text: string | undefined, host: Platform): Platform {
  if (text === undefined) return host;
  const platform = parsePlatform(text);
  if (platform.os !== "linux") throw new LighterError("invalid", "operating system is not supported");
  return platform;
}
