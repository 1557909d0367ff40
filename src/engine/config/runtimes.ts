/** Runtimes that a container may name: ours, and those of a daemon.json that was written for Docker. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { MACHINE_RUNTIME } from "../../machine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";

/** The name of our only runtime, in `HostConfig.Runtime`. */
export const RUNTIME_NAME = "lighter";
/** All that is ours: machines are started by the same runtime. */
export const OWN_RUNTIMES: readonly string[] = [RUNTIME_NAME, MACHINE_RUNTIME];

export function isMachine({ Runtime }: Pick<DockerHostConfig, "Runtime">): boolean {
  return Runtime === MACHINE_RUNTIME;
}

/** An entry of `runtimes`. */
export interface RuntimeEntry {
  path?: string;
  runtimeArgs?: string[];
  runtimeType?: string;
  options?: object;
}

/** By name, without ours. */
export type RuntimeTable = Readonly<Record<string, RuntimeEntry>>;

/**
 * NVIDIA's runtimes are runc with a container's GPUs added. So they are ours, with what specs of the Container Device Interface say
 * of the GPUs.
 */
export function isNvidiaRuntime(name: string, table: RuntimeTable): boolean {
  if (!Object.hasOwn(table, name)) return false;
  return name === "nvidia" || posix.basename(table[name]?.path ?? "").startsWith("nvidia-container-runtime");
}

/** `field`: who names it. @throws LighterError "invalid", with Docker's text; "not-supported" for somebody else's program */
export function checkRuntime(field: string, name: string, table: RuntimeTable): void {
  if (OWN_RUNTIMES.includes(name) || isNvidiaRuntime(name, table)) return;
  if (!Object.hasOwn(table, name)) throw invalid(`unknown or invalid runtime name: ${name}`);
  throw new LighterError(
    "not-supported",
    `${field}: runtime ${JSON.stringify(name)} is not used: containers are started by ${RUNTIME_NAME} itself`,
  );
}
