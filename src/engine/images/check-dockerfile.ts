/** Checks a Dockerfile without building anything; facts about base images come from those in the store. */

import { LighterError } from "../../base/errors.ts";
import {
  type BaseImage,
  type BuildInputs,
  type CheckResult,
  checkDockerfile,
  describeCheck,
  describeOutline,
  describeTargets,
  formatCheck,
  formatOutline,
  formatTargets,
  outlineDockerfile,
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
  /** The question: "check", "outline" or "targets". */
  call: string;
  /** The name that is shown. */
  filename: string;
}

interface DockerfileAnswer {
  /** For people. */
  text: string;
  /** As BuildKit's clients read it. */
  description: object;
  /** Whether something is wrong. */
  failed: boolean;
}

/** Answers a question about a Dockerfile. @throws LighterError ("invalid"). */
export function lookAtDockerfile(images: ImageStore, request: DockerfileRequest): DockerfileAnswer {
  const { call, filename, dockerfile: text } = request;
  const source = { filename, text };
  switch (call) {
    case "targets": {
      const parsed = parse(text);
      return { text: formatTargets(parsed), description: describeTargets(parsed, source), failed: false };
    }
    case "outline": {
      const outline = outlineDockerfile(parse(text), inputsOf(request));
      return { text: formatOutline(outline), description: describeOutline(outline, source), failed: false };
    }
    case "check": {
      const result = checkInStore(images, request);
      const failed = result.warnings.length > 0 || result.error !== undefined;
      return { text: formatCheck(filename, text, result), description: describeCheck(result, source), failed };
    }
    default:
      throw new LighterError("invalid", `unknown call "${call}": use check, outline or targets`);
  }
}

function inputsOf({ buildArgs, platform, targetStage = "" }: CheckRequest): BuildInputs {
  const targetPlatform = platform === "" ? HOST_PLATFORM : parsePlatform(platform);
  return { buildArgs, buildPlatform: HOST_PLATFORM, targetPlatform, targetStage };
}

/** Checks a Dockerfile with what the store knows of its base images. */
export function checkInStore(images: ImageStore, request: CheckRequest): CheckResult {
  const { dockerfile, dockerignore } = request;
  return checkDockerfile(dockerfile, {
    ...inputsOf(request),
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
