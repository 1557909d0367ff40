/** Tells what is doubtful in a Dockerfile that is being built. */
import { DOCKERFILE_MAX_CHARS } from "../../base/limits.ts";
import { DockerfileError, type Warning } from "../../build/mod.ts";
import type { ImageStore } from "../../image/mod.ts";
import type { VertexWarning } from "../../spec/solve-status.ts";
import { checkInStore } from "../images/check-dockerfile.ts";
import type { BuildRequest } from "./build-request.ts";

/** Checks the Dockerfile, of whose stages the base images are there. @throws LighterError if it says that warnings are errors. */
export function checkBuilt(
  images: ImageStore,
  dockerfile: string,
  { buildArgs, target }: BuildRequest,
  vertex: string,
): VertexWarning[] {
  if (dockerfile.length > DOCKERFILE_MAX_CHARS) return [];
  const { warnings, error } = checkInStore(images, { dockerfile, buildArgs, targetStage: target, platform: "" });
  if (error !== undefined) throw new DockerfileError(error.message, error.ranges);
  return warnings.map((warning) => vertexWarning(warning, vertex));
}

function vertexWarning({ rule, message, description, url, ranges }: Warning, vertex: string): VertexWarning {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return {
    vertex,
    level: 1,
    short: base64(`${rule}: ${message}`),
    detail: [base64(description)],
    url,
    range: ranges.map(({ start, end }) => ({ start: { line: start }, end: { line: end } })),
  };
}
