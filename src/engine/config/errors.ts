import { LighterError } from "../../base/errors.ts";

/** A value that can never work. Where Docker refuses it too, `message` is Docker's. */
export function invalid(message: string, hint?: string): LighterError {
  return new LighterError("invalid", message, hint === undefined ? {} : { hint });
}

/** A field of the create body that Lighter cannot honour, named as on the wire. */
export function notSupported(path: string, why: string): LighterError {
  return new LighterError("not-supported", `${path}: not supported: ${why}`);
}
