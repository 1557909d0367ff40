/** The health check of a container: merged with its image's, and checked. */
import type { DockerContainerConfig, DockerHealthConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";

const MIN_NS = 1e6;

/** Merges the image's check with what the container says itself; undefined if neither says anything. */
export function mergeHealthcheck(
  own: DockerHealthConfig | null | undefined,
  image: DockerHealthConfig | null | undefined,
): DockerHealthConfig | undefined {
  if (own == null) return image ?? undefined;
  if (image == null) return own;
  const merged = { ...own };
  if ((own.Test ?? []).length === 0 && image.Test != null) merged.Test = image.Test;
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"] as const)
    if (!own[field] && image[field]) merged[field] = image[field];
  return merged;
}

/** Checks a health check. @throws LighterError "invalid", with Docker's texts */
export function validateHealthcheck({ Healthcheck: check }: DockerContainerConfig): void {
  if (check == null) return;
  const validateTime = (field: "Interval" | "Timeout" | "StartPeriod" | "StartInterval") => {
    const value = check[field] ?? 0;
    if (value !== 0 && value < MIN_NS) throw invalid(`${field} in Healthcheck cannot be less than 1ms`);
  };
  validateTime("Interval");
  validateTime("Timeout");
  if ((check.Retries ?? 0) < 0) throw invalid("Retries in Healthcheck cannot be negative");
  validateTime("StartPeriod");
  validateTime("StartInterval");
}
