/** Catches the error that a test expects. */
import { LighterError } from "../../src/base/errors.ts";

/** The error that `action` throws. @throws Error if it throws none; rethrows any error that is no LighterError */
export function failure(action: () => unknown): LighterError {
  try {
    action();
  } catch (error) {
    if (error instanceof LighterError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
