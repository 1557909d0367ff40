/**
 * Runs the hooks of containers' configs, which specs of devices add: the engine calls them, as a runtime's command line does
 * elsewhere.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { SIGKILL } from "../../base/signals.ts";
import { EARLY_HOOKS, hasEarlyHooks } from "../../runtime/early-hooks.ts";
import { type HookName, type HookTarget, runHooks } from "../../runtime/hooks.ts";
import type { Runtime, StartRequest, Supervised } from "../../runtime/mod.ts";
import type { OciConfig } from "../../spec/oci-runtime.ts";

/**
 * Starts like `Runtime.start`, with the config's hooks, for which the run directory is a bundle: it has a config.json.
 * @param rootPath where the container's root is before pivot_root(2), in its mount namespace
 */
export async function startWithHooks(runtime: Runtime, request: StartRequest, rootPath: string): Promise<Supervised> {
  const { config, id, runDirectory } = request;
  if (config.hooks === undefined) return await runtime.start(request);
  const bundled = { ...config, root: { ...config.root, path: rootPath } };
  mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
  writeFileSync(bundleConfigPath(runDirectory), JSON.stringify(bundled), { mode: 0o600 });
  const target = { id, config: bundled, bundle: runDirectory, rootfs: rootPath, directory: runDirectory };
  const run = (name: HookName, pid: number, status: "creating" | "created" | "running") =>
    runHooks(runtime, { ...target, pid }, name, status);
  const beforePivot = async (pid: number) => {
    await request.beforePivot?.(pid);
    for (const name of EARLY_HOOKS) await run(name, pid, "creating");
  };
  try {
    const created = await runtime.create(hasEarlyHooks(config) ? { ...request, beforePivot } : request);
    try {
      await run("startContainer", created.pid, "created");
    } catch (error) {
      await created.abandon();
      throw error;
    }
    await created.start();
    try {
      await run("poststart", created.pid, "running");
    } catch (error) {
      await created.signal(SIGKILL);
      await created.gone;
      throw error;
    }
    return created;
  } catch (error) {
    await runPoststopHooks(runtime, id, runDirectory);
    throw error;
  }
}

/** Runs the hooks for the end of a run whose run directory still exists. A failure is logged. */
export async function runPoststopHooks(runtime: Runtime, id: string, runDirectory: string): Promise<void> {
  const config = readBundleConfig(runDirectory);
  if (config?.hooks?.poststop === undefined) return;
  const rootfs = config.root?.path ?? "";
  const target: HookTarget = { id, pid: 0, config, bundle: runDirectory, rootfs, directory: runDirectory };
  await runHooks(runtime, target, "poststop", "stopped").catch((error) =>
    log.error(`after container ${id}: ${messageOf(error)}`),
  );
}

function bundleConfigPath(runDirectory: string): string {
  return join(runDirectory, "config.json");
}

/** Reads the config; undefined if the container had no hooks, or its start was cut off. */
function readBundleConfig(runDirectory: string): OciConfig | undefined {
  try {
    return JSON.parse(readFileSync(bundleConfigPath(runDirectory), "utf8"));
  } catch {
    return undefined;
  }
}
