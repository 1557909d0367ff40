import { LighterError } from "../../src/base/errors.ts";

/** The error that `action` throws. @throws Error if it throws none; what it throws if that is none of ours */
export function failure(action: () => unknown): LighterError {
  try {
    action();
  } catch (error) {
    if (error instanceof LighterError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
