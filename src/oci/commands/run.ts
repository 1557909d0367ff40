import { writePoint } from "../../base/write-point.ts";
import type { OciCommand, OciContext } from "../command.ts";
import { TERMINAL_ATTACH, waitInForeground } from "../foreground.ts";
import { openRuntime, type Prepared, prepare, writePidFile } from "../launch.ts";
import { createInit, destroy, killAndWait, startInit } from "../lifecycle.ts";
import { lockStateByForce, type StateHandle } from "../state.ts";
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
  ],
  failure: { prefix: `${PROGRAM} run failed`, code: 1 },
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
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
  const attach = request.stdio.terminal ? [TERMINAL_ATTACH] : [];
  const created = await createInit(context, runtime, { ...prepared, request: { ...request, attach } });
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
  try {
    return await waitInForeground(created);
  } finally {
    writePoint("ended in foreground");
    if (!keep) await destroyOnce(context, handle);
  }
}

/** Unless somebody else has deleted it meanwhile, and may have made another one of its name. */
async function destroyOnce(context: OciContext, created: StateHandle): Promise<void> {
  const { state } = created;
  using handle = lockStateByForce(context.root, state.id);
  if (handle?.state.pid !== state.pid || handle.state.pidStartTime !== state.pidStartTime) return;
  handle.knowConfig(created.config);
  await killAndWait(handle); // it lives where its supervisor was killed
  await destroy(context, handle);
}
