/** Errors of the engine that have a wording users of Docker know. */
import { LighterError } from "../base/errors.ts";

export function noSuchContainer(ref: string): LighterError {
  return new LighterError("not-found", `No such container: ${ref}`);
}

export function noSuchExec(id: string): LighterError {
  return new LighterError("not-found", `No such exec instance: ${id}`);
}

export function notRunning(id: string): LighterError {
  return new LighterError("conflict", `container ${id} is not running`);
}

export function markedForRemoval(id: string): LighterError {
  return new LighterError("conflict", `removal of container ${id} is already in progress`);
}

export function nameInUse(name: string, id: string): LighterError {
  return new LighterError(
    "conflict",
    `Conflict. The container name "/${name}" is already in use by container "${id}". ` +
      "You have to remove (or rename) that container to be able to reuse that name.",
  );
}

/** `error` with a beginning that says what was being done. */
export function withContext(context: string, error: LighterError): LighterError {
  return new LighterError(error.code, `${context}: ${error.message}`, { ...error.detail, cause: error });
}
