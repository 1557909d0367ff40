/** Errors of the engine that have a wording users of Docker know. */
import { LighterError } from "../base/errors.ts";
import type { Container } from "./container.ts";

export function noSuchContainer(ref: string): LighterError {
  return new LighterError("not-found", `No such container: ${ref}`);
}

export function noSuchExec(id: string): LighterError {
  return new LighterError("not-found", `No such exec instance: ${id}`);
}

export function notRunning(id: string): LighterError {
  return new LighterError("conflict", `container ${id} is not running`);
}

/** Makes the error, with Docker's status. */
export function cannotJoinPids(id: string): LighterError {
  return new LighterError("internal", `failed to join PID namespace: container ${id} is not running`);
}

export function cannotJoinIpc(id: string): LighterError {
  return withContext("failed to join IPC namespace", notRunning(id));
}

export function cannotJoinNetwork(id: string): LighterError {
  return new LighterError("conflict", `cannot join network of a non running container: ${id}`);
}

export function containerPaused(id: string): LighterError {
  return new LighterError("conflict", `Container ${id} is paused, unpause the container before exec`);
}

export function containerRestarting(id: string): LighterError {
  return new LighterError("conflict", `Container ${id} is restarting, wait until the container is running`);
}

export function markedForRemoval(id: string): LighterError {
  return new LighterError("conflict", `removal of container ${id} is already in progress`);
}

export function cannotRemove({ record, state }: Container): LighterError {
  const advice =
    state === "paused" ? " and must be unpaused first" : ": stop the container before removing or force remove";
  return new LighterError("conflict", `cannot remove container "/${record.name}": container is ${state}${advice}`);
}

export function nameInUse(name: string, id: string): LighterError {
  return new LighterError(
    "conflict",
    `Conflict. The container name "/${name}" is already in use by container "${id}". ` +
      "You have to remove (or rename) that container to be able to reuse that name.",
  );
}

/** Puts a beginning before an error that says what was being done. */
export function withContext(context: string, error: LighterError): LighterError {
  return new LighterError(error.code, `${context}: ${error.message}`, { ...error.detail, cause: error });
}

/** Runs `act`; its LighterError gets a beginning. */
export function inContext<T>(context: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof LighterError ? withContext(context, error) : error;
  }
}
