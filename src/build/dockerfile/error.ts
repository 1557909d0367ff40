/** What is wrong with a Dockerfile, and in which lines. Messages are BuildKit's. */
import { LighterError } from "../../base/errors.ts";
import type { SourceRange } from "./types.ts";

export class DockerfileError extends LighterError {
  constructor(
    message: string,
    /** Empty: it is about the file as a whole. */
    readonly ranges: readonly SourceRange[],
  ) {
    super("invalid", message);
  }
}

export function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

/** What `run` gives; its failure is told with the lines it is about. */
export function located<T>(range: SourceRange, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof LighterError) || error instanceof DockerfileError) throw error;
    throw new DockerfileError(error.message, [range]);
  }
}
