/** The file from which a daemon that comes back knows an exec. */
import { LighterError, messageOf } from "../../base/errors.ts";
import type { ExecRequestOptions } from "./exec.ts";

/** The facts about an exec that a daemon that comes back needs. */
export interface ExecFile {
  id: string;
  containerId: string;
  options: ExecRequestOptions;
  hasStarted: boolean;
}

const ID = /^[0-9a-f]{64}$/;

/**
 * Parses the file. We wrote it, into a directory that is root's only; so its shape is checked, and not every value. @throws
 * LighterError "invalid"
 */
export function parseExecFile(text: string): ExecFile {
  let value: Partial<Record<keyof ExecFile, unknown>> | null;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new LighterError("invalid", `not JSON: ${messageOf(error)}`);
  }
  const { id, containerId, options, hasStarted } = value ?? {};
  const isId = (given: unknown): given is string => typeof given === "string" && ID.test(given);
  const command = (options as { Cmd?: unknown } | null | undefined)?.Cmd;
  const isCommand = Array.isArray(command) && command.length > 0 && command.every((word) => typeof word === "string");
  if (!isId(id) || !isId(containerId) || typeof hasStarted !== "boolean" || !isCommand)
    throw new LighterError("invalid", "not an exec's file");
  return { id, containerId, options: options as ExecRequestOptions, hasStarted };
}
