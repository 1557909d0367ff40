/** Checks names of volumes. */
import { LighterError } from "../base/errors.ts";
import { VOLUME_NAME_MAX_LENGTH } from "../base/limits.ts";

/**
 * Checks a name: it is one component of a host path, so it can hold no slash and not begin with a dot. @throws LighterError
 * "invalid"
 */
export function checkVolumeName(name: string): void {
  if (name.length === 1)
    throw new LighterError(
      "invalid",
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) || name.length > VOLUME_NAME_MAX_LENGTH)
    throw new LighterError(
      "invalid",
      `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
}
