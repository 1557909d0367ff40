/** Runtimes that a container may name: ours, and those of a daemon.json that was written for Docker. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { MACHINE_RUNTIME } from "../../machine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";

/** The name of our only runtime, in `HostConfig.Runtime`. */
export const RUNTIME_NAME = "lighter";
/** The names of our runtimes: machines are started by the same one. */
export const OWN_RUNTIMES: readonly string[] = [RUNTIME_NAME, MACHINE_RUNTIME];
/** Ours by any name: files and scripts that ask for the usual runtime call it as Docker does, and get ours. */
export const BUILT_IN_RUNTIMES: readonly string[] = [...OWN_RUNTIMES, "runc", "io.containerd.runc.v2"];

export function isMachine({ Runtime }: Pick<DockerHostConfig, "Runtime">): boolean {
  return Runtime === MACHINE_RUNTIME;
}

/** An entry of `runtimes` in daemon.json. */
export interface RuntimeEntry {
  path?: string;
  runtimeArgs?: string[];
  runtimeType?: string;
  options?: object;
}

/** The runtimes of daemon.json by name, without ours. */
export type RuntimeTable = Readonly<Record<string, RuntimeEntry>>;

/**
 * Tells whether a runtime is one of NVIDIA's, which are runc with a container's GPUs added. Ours does the same with what specs of
 * the Container Device Interface say of the GPUs.
 */
export function isNvidiaRuntime(name: string, table: RuntimeTable): boolean {
  if (!Object.hasOwn(table, name)) return false;
  return name === "nvidia" || posix.basename(table[name]?.path ?? "").startsWith("nvidia-container-runtime");
}

/**
 * Checks the name of a runtime. `field`: where it is named. @throws LighterError "invalid", with Docker's text; "not-supported"
 * for somebody else's program
 */
export function checkRuntime(field: string, name: string, table: RuntimeTable): void {
  if (BUILT_IN_RUNTIMES.includes(name) || isNvidiaRuntime(name, table)) return;
  if (!Object.hasOwn(table, name)) throw invalid(`unknown or invalid runtime name: ${name}`);
  throw new LighterError(
    "not-supported",
    `${field}: runtime ${JSON.stringify(name)} is not used: containers are started by ${RUNTIME_NAME} itself`,
  );
}
