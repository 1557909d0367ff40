import { writePoint } from "../../base/write-point.ts";
import type { OciCommand } from "../command.ts";
import type { Flag } from "../flags.ts";
import { rememberLater } from "../later.ts";
import { openRuntime, prepare, sendPidfd, writePidFile } from "../launch.ts";
import { createInit } from "../lifecycle.ts";

/** The flags that `create` and `run` share. */
export const createFlags: readonly Flag[] = [
  { name: "bundle", short: "b", kind: "string", help: "path of the bundle's directory (default: the current one)" },
  { name: "console-socket", kind: "string", help: "path of a unix socket that receives the terminal's master" },
  { name: "pidfd-socket", kind: "string", help: "path of a unix socket that receives a pidfd of the process" },
  { name: "pid-file", kind: "string", help: "file to write the process id to" },
  { name: "no-pivot", kind: "boolean", help: "do not use pivot_root(2): for a rootfs on a ramdisk" },
  { name: "no-new-keyring", kind: "boolean", help: "keep the session keyring of the caller" },
  { name: "preserve-fds", kind: "integer", help: "pass so many more file descriptors (stdio + n)" },
];

export const command: OciCommand = {
  name: "create",
  usage: "[command options] <container-id>",
  summary: "create a container",
  flags: createFlags,
  failure: { prefix: "create failed", named: true, code: 1 },
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    const runtime = await openRuntime();
    const prepared = prepare(context, parsed.arg(0), parsed, { detach: true });
    using _lock = prepared.handle;
    const created = await createInit(context, runtime, prepared);
    try {
      await rememberLater(context, prepared.handle);
      await sendPidfd(parsed.string("pidfd-socket"), created.pid);
      writePidFile(parsed.string("pid-file"), created.pid);
      writePoint("wrote pid file");
      await created.release();
      writePoint("released init");
    } catch (error) {
      await created.abandon();
      prepared.handle.remove();
      throw error;
    }
    return 0;
  },
};
