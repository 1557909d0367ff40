/** Errors of Dockerfiles, and of definitions, that cannot be built. */
import { LighterError } from "../../base/errors.ts";

export function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

export function needsBuildKit(what: string): LighterError {
  return new LighterError("not-supported", `${what} needs BuildKit, which is not supported yet`);
}

export function notSupported(what: string): LighterError {
  return new LighterError("not-supported", `${what} is not supported yet`);
}
