/** The directories that kubelet reads logs in. */
import { mkdirSync } from "node:fs";
import { LighterError, messageOf } from "../base/errors.ts";
import { invalid } from "./errors.ts";

/** Makes a directory, and those above it. @throws LighterError "invalid" for what cannot be one */
export function makeLogDirectory(path: string): void {
  if (!/^\/[^\0]*$/.test(path)) throw invalid(`the log directory ${JSON.stringify(path)} is not an absolute path`);
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new LighterError("unavailable", `make the log directory ${JSON.stringify(path)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
