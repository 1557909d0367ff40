import { fstatSync, statSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { writePoint } from "../../base/write-point.ts";
import type { StandInPlan } from "../../runtime/mod.ts";
import { cgroupHost } from "../cgroup.ts";
import type { OciCommand, OciContext } from "../command.ts";
import type { Parsed } from "../flags.ts";
import { standInFlags, standInPlan, TERMINAL_ATTACH, waitForRecord, waitInForeground } from "../foreground.ts";
import { isUsual } from "../later.ts";
import { openRuntime, type Prepared, prepare, rethrowAsStartFailure, sendPidfd, writePidFile } from "../launch.ts";
import {
  awaitSupervisor,
  createInit,
  destroy,
  killAndWait,
  runInPlace,
  runPoststart,
  startInit,
} from "../lifecycle.ts";
import { directoryOf, lockStateByForce, STATE_FILE, type StateHandle } from "../state.ts";
import { createFlags } from "./create.ts";

export const command: OciCommand = {
  name: "run",
  usage: "[command options] <container-id>",
  summary: "create and run a container",
  flags: [
    ...createFlags,
    { name: "detach", short: "d", kind: "boolean", help: "do not wait for the container's process to end" },
    { name: "keep", kind: "boolean", help: "do not delete the container when its process has ended" },
    { name: "no-subreaper", kind: "boolean", help: "accepted for compatibility" },
    ...standInFlags,
  ],
  failure: { prefix: "run failed", named: true, code: 1 },
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    const id = parsed.arg(0);
    const unfinished = parsed.string("finish");
    if (unfinished !== undefined) return await finish(context, id, unfinished, parsed.boolean("keep"));
    const failed = parsed.string("again");
    if (failed !== undefined) await forget(context, id, failed);
    const detach = parsed.boolean("detach");
    const prepared = prepare(context, id, parsed, { detach, keep: parsed.boolean("keep") });
    using handle = prepared.handle;
    if (detach) return await runDetached(context, prepared, parsed);
    if (failed === undefined && isUsual(handle) && !prepared.request.stdio.terminal && !parsed.given("pidfd-socket"))
      return await runInPlace(context, await openRuntime(), prepared, () => planOf(context, prepared, parsed));
    return await runForeground(context, prepared, parsed);
  },
};

async function runDetached(context: OciContext, prepared: Prepared, parsed: Parsed): Promise<number> {
  const { handle } = prepared;
  const runtime = await openRuntime();
  const created = await createInit(context, runtime, prepared);
  try {
    await sendPidfd(parsed.string("pidfd-socket"), created.pid);
    writePidFile(parsed.string("pid-file"), created.pid);
    writePoint("wrote pid file");
    await created.release();
    writePoint("released init");
    await startInit(context, async () => runtime, handle);
    await runPoststart(context, async () => runtime, handle);
  } catch (error) {
    await created.abandon();
    await killAndWait(handle);
    await destroy(context, handle);
    throw error;
  }
  return 0;
}

async function runForeground(context: OciContext, prepared: Prepared, parsed: Parsed): Promise<number> {
  const { handle, request } = prepared;
  const runtime = await openRuntime();
  const attach = request.stdio.terminal ? [TERMINAL_ATTACH] : [];
  const created = await createInit(context, runtime, { ...prepared, request: { ...request, attach } });
  try {
    await sendPidfd(parsed.string("pidfd-socket"), created.pid);
    writePidFile(parsed.string("pid-file"), created.pid);
    await startInit(
      context,
      async () => runtime,
      handle,
      () => created.start().catch(rethrowAsStartFailure),
    );
    await runPoststart(context, async () => runtime, handle);
    writePoint("started in foreground");
  } catch (error) {
    await created.abandon();
    await destroy(context, handle);
    throw error;
  }
  handle[Symbol.dispose](); // releases the lock: others may exec in the container, and kill it
  try {
    return await waitInForeground(created);
  } finally {
    writePoint("ended in foreground");
    const { pid, pidStartTime } = handle.state;
    const isSame = ({ state }: StateHandle) => state.pid === pid && state.pidStartTime === pidStartTime;
    if (!parsed.boolean("keep")) await destroyOnce(context, handle.state.id, isSame);
  }
}

function planOf(context: OciContext, { handle, request }: Prepared, parsed: Parsed): StandInPlan {
  const { directory, state, lockFd, textsAroundPid } = handle;
  const keep = parsed.boolean("keep");
  const container = { directory, stateFile: STATE_FILE, cgroups: cgroupHost(), cgroupsPath: state.cgroupsPath };
  return standInPlan(context, {
    ...{ command: "run", parsed, request },
    name: String(fstatSync(lockFd).ino),
    finish: [`--keep=${keep}`],
    state: { fd: lockFd, file: STATE_FILE, texts: textsAroundPid },
    end: keep ? { kind: "nothing" } : { kind: "container", container },
  });
}

/** Does what a stand-in could not do: the rest of `runForeground`. `inode`: that of the container's directory. */
async function finish(context: OciContext, id: string, inode: string, keep: boolean): Promise<number> {
  const directory = directoryOf(context.root, id);
  if (!isInode(directory, inode)) throw new LighterError("not-found", "container does not exist");
  try {
    return await waitForRecord(directory);
  } finally {
    if (!keep && isInode(directory, inode)) await destroyOnce(context, id, () => isInode(directory, inode));
  }
}

/**
 * Removes what a failed start left. The cgroup is removed only if the start got as far as having one: the start may have failed
 * because the cgroup is another container's. If somebody has deleted the container meanwhile, it does not come back.
 */
async function forget(context: OciContext, id: string, inode: string): Promise<void> {
  const directory = directoryOf(context.root, id);
  const deleted = () => new LighterError("conflict", "the container was deleted while it was being created");
  if (!isInode(directory, inode)) {
    if (statSync(directory, { throwIfNoEntry: false }) === undefined) throw deleted();
    return; // another container of this name exists, which is reported when this one is created
  }
  using handle = lockStateByForce(context.root, id);
  if (handle === undefined || !isInode(directory, inode)) throw deleted();
  if (handle.state.pid !== 0) {
    await killAndWait(handle);
    await destroy(context, handle);
  } else {
    await awaitSupervisor(directory);
    handle.remove();
  }
}

function isInode(path: string, inode: string): boolean {
  return String(statSync(path, { throwIfNoEntry: false })?.ino) === inode;
}

/** Destroys the container, unless somebody else has deleted it meanwhile and may have created another one of its name. */
async function destroyOnce(context: OciContext, id: string, isSame: (handle: StateHandle) => boolean): Promise<void> {
  using handle = lockStateByForce(context.root, id);
  if (handle === undefined || !isSame(handle)) return;
  await killAndWait(handle); // init is alive if its supervisor was killed
  await destroy(context, handle);
}
