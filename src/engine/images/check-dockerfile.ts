/** Checks a Dockerfile without building anything; facts about base images come from those in the store. */

import { LighterError } from "../../base/errors.ts";
import {
  type BaseImage,
  type CheckResult,
  checkDockerfile,
  formatCheck,
  formatTargets,
  parse,
} from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import { parseIgnoreFile } from "../../spec/docker-ignore.ts";
import { HOST_PLATFORM, parsePlatform } from "../../spec/platform.ts";

interface CheckRequest {
  dockerfile: string;
  /** The text of `.dockerignore`; undefined: there is none. */
  dockerignore?: string;
  buildArgs: ReadonlyMap<string, string>;
  /** The platform; empty: the host's. */
  platform: string;
  /** The stage that is meant; undefined: the last. */
  targetStage?: string;
}

interface DockerfileRequest extends CheckRequest {
  /** The question: "check" or "targets". */
  call: string;
  /** The name that is shown. */
  filename: string;
}

/** Returns a text for people, and whether something is wrong. @throws LighterError ("invalid"). */
export function lookAtDockerfile(images: ImageStore, request: DockerfileRequest): { text: string; failed: boolean } {
  const { call, dockerfile } = request;
  if (call === "targets") return { text: formatTargets(parse(dockerfile)), failed: false };
  if (call !== "check") throw new LighterError("invalid", `unknown call "${call}": use check or targets`);
  const result = checkInStore(images, request);
  const failed = result.warnings.length > 0 || result.error !== undefined;
  return { text: formatCheck(request.filename, dockerfile, result), failed };
}

/** Checks a Dockerfile with what the store knows of its base images. */
export function checkInStore(images: ImageStore, request: CheckRequest): CheckResult {
  const { dockerfile, dockerignore, buildArgs, platform, targetStage = "" } = request;
  return checkDockerfile(dockerfile, {
    buildArgs,
    buildPlatform: HOST_PLATFORM,
    targetPlatform: platform === "" ? HOST_PLATFORM : parsePlatform(platform),
    targetStage,
    baseOf: (image) => baseOf(images, image),
    ...(dockerignore === undefined ? {} : { ignore: parseIgnoreFile(dockerignore) }),
  });
}

function baseOf(images: ImageStore, image: string): BaseImage | undefined {
  try {
    const { document } = images.get(image);
    return {
      env: document.config.Env ?? [],
      hasShell: (document.config.Shell ?? []).length > 0,
      platform: { os: document.os, architecture: document.architecture },
    };
  } catch (error) {
    if (error instanceof LighterError) return undefined; // not in the store, or no name of an image
    throw error;
  }
}
