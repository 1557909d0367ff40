import { constants, fstatSync, openSync, statSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { writePoint } from "../../base/write-point.ts";
import type { StandInPlan } from "../../runtime/mod.ts";
import { cgroupHost } from "../cgroup.ts";
import type { OciCommand, OciContext } from "../command.ts";
import { finishFlag, standInPlan, TERMINAL_ATTACH, waitForRecord, waitInForeground } from "../foreground.ts";
import { isUsual } from "../later.ts";
import { openRuntime, type Prepared, prepare, writePidFile } from "../launch.ts";
import { createInit, destroy, killAndWait, startInit } from "../lifecycle.ts";
import { directoryOf, lockStateByForce, STATE_FILE, type StateHandle } from "../state.ts";
import { PROGRAM } from "../version.ts";
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
    finishFlag,
  ],
  failure: { prefix: `${PROGRAM} run failed`, code: 1 },
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    const unfinished = parsed.string("finish");
    if (unfinished !== undefined) return await finish(context, parsed.arg(0), unfinished, parsed.boolean("keep"));
    const detach = parsed.boolean("detach");
    const prepared = prepare(context, parsed.arg(0), parsed, { detach });
    using _lock = prepared.handle;
    return detach
      ? await runDetached(context, prepared, parsed.string("pid-file"))
      : await runForeground(context, prepared, parsed.string("pid-file"), parsed.boolean("keep"));
  },
};

async function runDetached(context: OciContext, prepared: Prepared, pidFile: string | undefined): Promise<number> {
  const { handle } = prepared;
  const runtime = await openRuntime();
  const created = await createInit(context, runtime, prepared);
  try {
    writePidFile(pidFile, created.pid);
    writePoint("wrote pid file");
    await created.release();
    writePoint("released init");
    await startInit(context, async () => runtime, handle);
  } catch (error) {
    await created.abandon();
    await killAndWait(handle);
    await destroy(context, handle);
    throw error;
  }
  return 0;
}

async function runForeground(
  context: OciContext,
  prepared: Prepared,
  pidFile: string | undefined,
  keep: boolean,
): Promise<number> {
  const { handle, request } = prepared;
  const runtime = await openRuntime();
  const waiting = request.stdio.terminal
    ? { attach: [TERMINAL_ATTACH] }
    : isUsual(handle)
      ? { standIn: () => standInForRun(context, handle, keep) }
      : {};
  const created = await createInit(context, runtime, { ...prepared, request: { ...request, ...waiting } });
  try {
    writePidFile(pidFile, created.pid);
    await startInit(
      context,
      async () => runtime,
      handle,
      () => created.start(),
    );
    writePoint("started in foreground");
  } catch (error) {
    await created.abandon();
    await destroy(context, handle);
    throw error;
  }
  handle[Symbol.dispose](); // others may exec in it, and kill it
  created.standIn();
  try {
    return await waitInForeground(created);
  } finally {
    writePoint("ended in foreground");
    const { pid, pidStartTime } = handle.state;
    const isSame = ({ state }: StateHandle) => state.pid === pid && state.pidStartTime === pidStartTime;
    if (!keep) await destroyOnce(context, handle.state.id, isSame);
  }
}

/** Deletes the container as `destroyOnce` does. Its directory, and no other of that name, is open from now on. */
function standInForRun(context: OciContext, { directory, state }: StateHandle, keep: boolean): StandInPlan {
  const stateFd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const { cgroupsPath, id } = state;
  const container = { directory, stateFile: STATE_FILE, cgroups: cgroupHost(), cgroupsPath };
  const end: StandInPlan["end"] = keep ? { kind: "nothing", stateFd } : { kind: "container", container, stateFd };
  const command = ["run", `--finish=${fstatSync(stateFd).ino}`, `--keep=${keep}`, "--", id];
  return standInPlan(context, end, command);
}

/** What a stand-in could not do: the rest of `runForeground`. `inode`: of the container's directory. */
async function finish(context: OciContext, id: string, inode: string, keep: boolean): Promise<number> {
  const directory = directoryOf(context.root, id);
  const isThere = () => String(statSync(directory, { throwIfNoEntry: false })?.ino) === inode;
  if (!isThere()) throw new LighterError("not-found", "container does not exist");
  try {
    return await waitForRecord(directory);
  } finally {
    if (!keep && isThere()) await destroyOnce(context, id, isThere);
  }
}

/** Unless somebody else has deleted it meanwhile, and may have made another one of its name. */
async function destroyOnce(context: OciContext, id: string, isSame: (handle: StateHandle) => boolean): Promise<void> {
  using handle = lockStateByForce(context.root, id);
  if (handle === undefined || !isSame(handle)) return;
  await killAndWait(handle); // it lives where its supervisor was killed
  await destroy(context, handle);
}
