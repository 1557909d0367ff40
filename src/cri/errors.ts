/** Failures in the words and with the codes that kubelet knows. */
import { LighterError } from "../base/errors.ts";

export function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

export function noSuchSandbox(id: string): LighterError {
  return new LighterError("not-found", `an error occurred when try to find sandbox ${JSON.stringify(id)}: not found`);
}

export function noSuchContainer(id: string): LighterError {
  return new LighterError("not-found", `an error occurred when try to find container ${JSON.stringify(id)}: not found`);
}

/** The message, or a failure that names what is missing. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw invalid(`${what} is missing`);
  return value;
}

/** What `work` resolves with, or `otherwise` if what it is about is not there. */
export async function unlessMissing<T>(work: () => Promise<T> | T, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-found") return otherwise;
    throw error;
  }
}
