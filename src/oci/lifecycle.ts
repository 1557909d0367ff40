/** The steps in a container's life that several commands share: creation, start, signals, destruction. */

import { closeSync, constants, existsSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { OCI_KILL_PAUSE_MS, OCI_KILL_TIMEOUT_MS, OCI_START_TIMEOUT_MS } from "../base/limits.ts";
import { SIGKILL } from "../base/signals.ts";
import { writePoint } from "../base/write-point.ts";
import { emptyCgroup, isFrozen, signalCgroup, thawCgroup } from "../linux/cgroup/mod.ts";
import { waitForReadersGone } from "../linux/sys/fifo.ts";
import { openPidfd, signalPidfd } from "../linux/sys/pidfd.ts";
import { EARLY_HOOKS, hasEarlyHooks } from "../runtime/early-hooks.ts";
import type { Created, Runtime, StandInPlan, StartRequest } from "../runtime/mod.ts";
import { runFiles } from "../runtime/run-files.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { cgroupHost } from "./cgroup.ts";
import type { OciContext } from "./command.ts";
import { withHome } from "./home.ts";
import { openRuntime, type Prepared, prepareFilter, recordPid, removeScope, rethrowAsStartFailure } from "./launch.ts";
import { type StateHandle, statusOf } from "./state.ts";

/**
 * Starts init up to the point where it waits, with its pid written down. After a failure nothing is left, and poststop hooks have
 * run.
 * @throws LighterError
 */
export async function createInit(
  context: OciContext,
  runtime: Runtime,
  { handle, request, close }: Prepared,
): Promise<Created> {
  const isHooked = hasEarlyHooks(request.config);
  const beforePivot = async (pid: number) => {
    recordPid(handle, pid);
    const { runHooks } = await import("./hooks.ts");
    for (const name of EARLY_HOOKS) await runHooks(context, runtime, handle, name, "creating");
  };
  try {
    const homed = await completed(context, handle, request);
    const created = await runtime.create(isHooked ? { ...homed, beforePivot } : homed).catch(rethrowAsStartFailure);
    writePoint("created init");
    try {
      recordPid(handle, created.pid);
    } catch (error) {
      await created.abandon();
      throw error;
    }
    return created;
  } catch (error) {
    if (handle.state.systemdCgroup && handle.state.pid !== 0) await cleanUp(handle).catch(() => {}); // the start's error matters more
    if (isHooked) await runPoststop(context, handle);
    handle.remove();
    throw error;
  } finally {
    close();
  }
}

/** Starts a usual container, with the launcher doing all that remains, in this process. @throws LighterError */
export async function runInPlace(
  context: OciContext,
  runtime: Runtime,
  { handle, request, close }: Prepared,
  plan: () => StandInPlan,
): Promise<never> {
  try {
    return await runtime.standIn(await completed(context, handle, request), plan).catch(rethrowAsStartFailure);
  } catch (error) {
    handle.remove();
    throw error;
  } finally {
    close();
  }
}

async function completed(context: OciContext, { state }: StateHandle, request: StartRequest): Promise<StartRequest> {
  const { config } = request;
  const process = await withHome(config.process!, state.rootfs, config.mounts); // `prepare` has checked the process
  await prepareFilter(context.root, config);
  return { ...request, config: { ...config, process }, ...(await netDeviceAddresses(config)) };
}

async function netDeviceAddresses({ linux }: OciConfig): Promise<Pick<StartRequest, "netDeviceAddresses">> {
  const names = Object.keys(linux?.netDevices ?? {});
  if (names.length === 0) return {};
  const { RouteSocket } = await import("../linux/netlink/mod.ts");
  using socket = new RouteSocket();
  const lasting = socket.addresses().filter(({ scope }) => scope === "global");
  const of = (name: string) => {
    const index = socket.findLink(name)?.index;
    return lasting.filter((each) => each.index === index);
  };
  return { netDeviceAddresses: Object.fromEntries(names.map((name) => [name, of(name)])) };
}

/** Lets a created container's init execute its program. Returns when the program runs, or has ended. */
export async function startInit(
  context: OciContext,
  open: () => Promise<Runtime>,
  handle: StateHandle,
  go: () => void | Promise<void> = () => releaseFifo(handle),
): Promise<void> {
  const { hooks = {} } = handle.config;
  if (hooks.startContainer?.length) {
    const { runHooks } = await import("./hooks.ts");
    try {
      await runHooks(context, await open(), handle, "startContainer", "created");
    } catch (error) {
      signalInit(handle, SIGKILL); // runtime-spec runtime.md#lifecycle, step 8
      throw error;
    }
  }
  context.log.debug(`init, process ${handle.state.pid}, goes on to its program`);
  await go();
}

/** Runs the poststart hooks when the program runs. If one fails, the container must be destroyed, as with runc. */
export async function runPoststart(
  context: OciContext,
  open: () => Promise<Runtime>,
  handle: StateHandle,
): Promise<void> {
  if (!handle.config.hooks?.poststart?.length) return;
  const { runHooks } = await import("./hooks.ts");
  await runHooks(context, await open(), handle, "poststart", "running");
}

function releaseFifo(handle: StateHandle): void {
  const path = handle.execFifoPath;
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENXIO") throw new LighterError("conflict", "cannot start a container that has stopped");
    throw error;
  }
  try {
    writePoint("start init");
    writeSync(fd, "0");
    writePoint("started init");
    waitForReadersGone(fd, OCI_START_TIMEOUT_MS); // execve(2) closes the FIFO
    rmSync(path, { force: true });
    writePoint("removed FIFO");
  } finally {
    closeSync(fd);
  }
}

/**
 * Sends a signal to init. Returns false if the process has ended. The caller holds the lock, so that nobody deletes the container
 * meanwhile.
 */
export function signalInit(handle: StateHandle, signal: number): boolean {
  if (statusOf(handle) === "stopped") return false;
  let pidfd: number | undefined;
  try {
    pidfd = openPidfd(handle.state.pid);
    if (statusOf(handle) === "stopped") return false; // otherwise the pid is init's, and the pidfd now holds it
    signalPidfd(pidfd, signal);
  } catch (error) {
    if (errnoOf(error) === "ESRCH") return false;
    throw error;
  } finally {
    if (pidfd !== undefined) closeSync(pidfd);
  }
  if (signal === SIGKILL) thawForKill(handle);
  return true;
}

/** Thaws the cgroup, because a frozen process does not die (cgroup v1). */
function thawForKill({ state }: StateHandle): void {
  if (state.cgroupsPath === "") return;
  try {
    const host = cgroupHost();
    if (isFrozen(host, state.cgroupsPath)) thawCgroup(host, state.cgroupsPath);
  } catch (error) {
    if (!(error instanceof LighterError && error.code === "not-supported")) throw error;
  }
}

/** Sends a signal to every process of the container. Resolves with false if there was none. */
export async function signalAll(handle: StateHandle, signal: number): Promise<boolean> {
  const { cgroupsPath } = handle.state;
  if (cgroupsPath === "") return signalInit(handle, signal);
  return await signalCgroup(cgroupHost(), cgroupsPath, signal);
}

/** Kills init and waits until it has ended. @throws LighterError ("unavailable") if it does not end in time */
export async function killAndWait(handle: StateHandle): Promise<void> {
  const deadline = performance.now() + OCI_KILL_TIMEOUT_MS;
  signalInit(handle, SIGKILL);
  while (statusOf(handle) !== "stopped") {
    if (performance.now() > deadline) throw new LighterError("unavailable", "container init still running");
    await new Promise((resolve) => setTimeout(resolve, OCI_KILL_PAUSE_MS));
  }
}

/** Removes all that is left of a container whose init has ended, then runs the poststop hooks, and removes the state last. */
export async function destroy(context: OciContext, handle: StateHandle): Promise<void> {
  const { cgroupsPath } = handle.state;
  if (cgroupsPath !== "") context.log.debug(`kill what is left in the cgroup ${cgroupsPath}, and remove it`);
  await cleanUp(handle);
  await removeRdtGroup(context, handle);
  await awaitSupervisor(handle.directory);
  writePoint("cleaned up");
  await runPoststop(context, handle);
  context.log.debug(`remove the state, ${handle.directory}`);
  handle.remove();
}

async function cleanUp(handle: StateHandle): Promise<void> {
  if (handle.state.cgroupsPath !== "") await signalCgroup(cgroupHost(), handle.state.cgroupsPath, SIGKILL);
  writePoint("killed all");
  if (handle.state.systemdCgroup) await removeScope(handle);
  if (handle.state.cgroupsPath !== "") await emptyCgroup(cgroupHost(), handle.state.cgroupsPath);
}

/** Removes the resctrl group, as `runtime.cleanup` does beside the cgroup. A failure is logged, and stops nothing. */
async function removeRdtGroup(context: OciContext, handle: StateHandle): Promise<void> {
  try {
    const { id } = handle.state;
    const { linux = {}, ...config } = handle.config;
    if (!linux.intelRdt) return;
    const { cgroupsPath: _, ...withoutCgroup } = linux;
    const runDirectory = join(handle.directory, "none");
    await (await openRuntime()).cleanup({ id, config: { ...config, linux: withoutCgroup }, runDirectory });
  } catch (error) {
    context.log.warn(messageOf(error));
  }
}

/** Waits for the supervisor that a killed `run` left in the foreground: its last acts must not hit the next container. */
export async function awaitSupervisor(directory: string): Promise<void> {
  if (!existsSync(runFiles(directory).socket)) return;
  const found = await (await openRuntime()).reconnect(directory);
  if (found === "lost" || !("gone" in found)) return;
  await found.signal(SIGKILL);
  await found.gone;
}

/** Runs the poststop hooks. Failures are logged, and stop nothing. */
async function runPoststop(context: OciContext, handle: StateHandle): Promise<void> {
  try {
    if (!handle.config.hooks?.poststop?.length) return;
    const { runHooks } = await import("./hooks.ts");
    await runHooks(context, await openRuntime(), handle, "poststop", "stopped");
  } catch (error) {
    context.log.warn(messageOf(error));
  }
}
