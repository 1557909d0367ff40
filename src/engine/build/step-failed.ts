/** The failure of a command in the Dockerfile. */
import { LighterError, messageOf } from "../../base/errors.ts";

/** Carries what the classic builder says, and what BuildKit says. */
export class StepFailed extends LighterError {
  constructor(
    readonly exitCode: number,
    readonly command: string,
  ) {
    super("invalid", `The command '${command}' returned a non-zero code: ${exitCode}`);
  }

  /** What BuildKit says in place of the classic builder's text. */
  get processText(): string {
    return `process "${this.command}" did not complete successfully: exit code: ${this.exitCode}`;
  }
}

/** The failure of a build in BuildKit's words. */
export function failureText(error: unknown): string {
  return error instanceof StepFailed ? error.processText : messageOf(error);
}
