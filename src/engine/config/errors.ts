/** Errors for requests that cannot be honoured. */
import { LighterError } from "../../base/errors.ts";

/** Makes the error for a value that can never work. Where Docker refuses it too, `message` is Docker's. */
export function invalid(message: string, hint?: string): LighterError {
  return new LighterError("invalid", message, hint === undefined ? {} : { hint });
}

/** Makes the error for a field of the create body that Lighter cannot honour, named as on the wire. */
export function notSupported(path: string, why: string): LighterError {
  return new LighterError("not-supported", `${path}: not supported: ${why}`);
}
