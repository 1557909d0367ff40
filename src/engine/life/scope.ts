/** Has systemd make containers' cgroups, as scopes, change them, and forget them at the end. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import {
  applyReversibly,
  detectCgroupHost,
  planUpdate,
  readCurrentLimits,
  readFilesOf,
} from "../../linux/cgroup/mod.ts";
import { startScope, stopScope, updateScope } from "../../linux/systemd/scope.ts";
import { type Runtime, type StartRequest, withBuiltinDevices } from "../../runtime/mod.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { cgroupsPathOf, type PlacedContainer, scopeOf } from "../config/mod.ts";

/**
 * Starts a container in its scope, if it is to have one. systemd makes none without a process: one holds the place until the
 * container's own is born there. As long as it is there, one process more may be.
 */
export async function startInScope<T>(
  runtime: Runtime,
  record: PlacedContainer,
  request: StartRequest,
  start: (request: StartRequest) => Promise<T>,
): Promise<T> {
  if (!record.inScope) return await start(request);
  const { config } = request;
  const { pids } = config.linux?.resources ?? {};
  const isLimited = pids !== undefined && (pids.limit ?? 0) > 0;
  const more = isLimited ? { pids: { limit: pids.limit! + 1 } } : {};
  const resources = { ...config.linux?.resources, ...more };
  const holder = runtime.holdPlace();
  try {
    await startScope(scopeRequest(record, withBuiltinDevices(resources)), holder.pid, {});
    const held = { ...request, config: { ...config, linux: { ...config.linux, resources } }, placeHolder: holder.pid };
    const started = await start(held);
    await holder.release();
    if (isLimited) await withoutHolder(record, { pids });
    return started;
  } catch (error) {
    await holder.release();
    await endScope(record);
    throw error;
  }
}

/** The limit without the process that held the place. The container may have ended already, and its scope with it. */
async function withoutHolder(record: PlacedContainer, resources: OciResources): Promise<void> {
  const warn = (message: string) => log.warn(`limits of ${scopeOf(record).unit}: ${message}`);
  await changeLimits(record, resources, warn).catch((error) => warn(messageOf(error)));
}

/** Changes the limits of a container that runs: all of them, or nothing. @throws LighterError like `planUpdate` and `applyReversibly` */
export async function changeLimits(
  record: PlacedContainer,
  resources: OciResources,
  warn: (message: string) => void,
): Promise<void> {
  const path = cgroupsPathOf(record);
  const detected = detectCgroupHost();
  const host = { ...detected, interfaceFiles: readFilesOf(detected, path) };
  const { writes, warnings } = planUpdate(host, path, resources, readCurrentLimits(host, path));
  for (const warning of warnings) warn(warning);
  if (record.inScope) await updateScope(scopeRequest(record, resources), writes, warn);
  else applyReversibly(writes, warn);
}

/** Ends what is left of a scope after its container. A failure is logged: systemd finds out by itself that the cgroup has gone. */
export async function endScope(record: PlacedContainer): Promise<void> {
  if (!record.inScope) return;
  const scope = scopeOf(record);
  await stopScope(scope, false).catch((error) => log.warn(`stop scope ${scope.unit}: ${messageOf(error)}`));
}

function scopeRequest(record: PlacedContainer, resources: OciResources) {
  return { host: detectCgroupHost(), scope: scopeOf(record), user: false, resources };
}
