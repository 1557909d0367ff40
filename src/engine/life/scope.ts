/** Has systemd make containers' cgroups, as scopes, change them, and forget them at the end. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { applyReversibly, type CgroupWrite, detectCgroupHost } from "../../linux/cgroup/mod.ts";
import { startScope, stopScope, updateScope } from "../../linux/systemd/scope.ts";
import { type Runtime, type StartRequest, withBuiltinDevices } from "../../runtime/mod.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { type PlacedContainer, scopeOf } from "../config/mod.ts";

/**
 * Starts a container in its scope, if it is to have one. systemd makes none without a process: one holds the place until the
 * container's own is born there.
 */
export async function startInScope<T>(
  runtime: Runtime,
  record: PlacedContainer,
  request: StartRequest,
  start: (request: StartRequest) => Promise<T>,
): Promise<T> {
  if (!record.inScope) return await start(request);
  const holder = runtime.holdPlace();
  try {
    const resources = withBuiltinDevices(request.config.linux?.resources);
    await startScope(scopeRequest(record, resources), holder.pid, {});
    const started = await start({ ...request, placeHolder: holder.pid });
    await holder.release();
    return started;
  } catch (error) {
    await holder.release();
    await endScope(record);
    throw error;
  }
}

/** Changes the limits of a container that runs: all of `writes`, or nothing. */
export async function changeLimits(
  record: PlacedContainer,
  resources: OciResources,
  writes: readonly CgroupWrite[],
  warn: (message: string) => void,
): Promise<void> {
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
