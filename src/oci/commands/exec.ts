import { rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { SIGKILL } from "../../base/signals.ts";
import { writePoint } from "../../base/write-point.ts";
import { connectUnixFd } from "../../linux/sys/unix-socket.ts";
import type { ExecRequest, HandOver } from "../../runtime/mod.ts";
import type { OciProcess, OciUser } from "../../spec/oci-runtime.ts";
import { readProcess } from "../bundle.ts";
import { cgroupHost, cgroupsPathOf } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { type Parsed, UsageError } from "../flags.ts";
import { standInFlags, standInPlan, TERMINAL_ATTACH, waitForRecord, waitInForeground } from "../foreground.ts";
import { withHome } from "../home.ts";
import {
  checkConsole,
  checkPreserved,
  effectiveConfig,
  openRuntime,
  prepareFilter,
  rethrowAsStartFailure,
  sendPidfd,
  stdioOf,
  told,
  writePidFile,
} from "../launch.ts";
import { awaitSupervisor } from "../lifecycle.ts";
import { directoryOf, openState, type StateHandle, statusOf } from "../state.ts";
import { subCgroups } from "../sub-cgroups.ts";

/** The number of hexadecimal digits in the id of an exec. */
const EXEC_ID_LENGTH = 16;

/** The largest user id. Source: setuid(2): (uid_t) -1 means "no change". */
const ID_MAX = 0xfffffffe;

export const command: OciCommand = {
  name: "exec",
  usage: "[command options] <container-id> <command> [command options]  || -p process.json <container-id>",
  summary: "execute new process inside the container",
  flags: [
    { name: "console-socket", kind: "string", help: "path of a unix socket that receives the terminal's master" },
    { name: "cwd", kind: "string", help: "current working directory in the container" },
    { name: "env", short: "e", kind: "list", help: "set an environment variable" },
    { name: "tty", short: "t", kind: "boolean", help: "allocate a terminal" },
    { name: "user", short: "u", kind: "string", help: "UID (format: <uid>[:<gid>])" },
    { name: "additional-gids", short: "g", kind: "list", help: "additional group ids" },
    { name: "process", short: "p", kind: "string", help: "path of a process.json" },
    { name: "detach", short: "d", kind: "boolean", help: "do not wait for the process to end" },
    { name: "pidfd-socket", kind: "string", help: "path of a unix socket that receives a pidfd of the process" },
    { name: "cgroup", kind: "list", help: "cgroup below the container's to run in: [<controller>[,…]:]<path>" },
    { name: "pid-file", kind: "string", help: "file to write the process id to" },
    { name: "process-label", kind: "string", help: "SELinux label of the process" },
    { name: "apparmor", kind: "string", help: "AppArmor profile of the process" },
    { name: "no-new-privs", kind: "boolean", help: "set the no_new_privs attribute" },
    { name: "cap", short: "c", kind: "list", help: "add a capability to the bounding set" },
    { name: "preserve-fds", kind: "integer", help: "pass so many more file descriptors (stdio + n)" },
    { name: "ignore-paused", kind: "boolean", help: "exec in a paused container, too" },
    ...standInFlags,
  ],
  failure: { prefix: "exec failed", named: false, code: 255 },
  positionals: { min: 1 },
  rawFrom: 1,
  async run(context, parsed) {
    const { root } = context;
    const unfinished = parsed.string("finish");
    if (unfinished !== undefined) return await finish(runDirectoryOf(directoryOf(root, parsed.arg(0)), unfinished));
    const handle = openState(root, parsed.arg(0));
    const failed = parsed.string("again");
    if (failed !== undefined) await forget(runDirectoryOf(handle.directory, failed));
    checkRunning(handle, parsed.boolean("ignore-paused"));
    const process = await withHome(processOf(handle, parsed), `/proc/${handle.state.pid}/root`);
    const detach = parsed.boolean("detach");
    const consoleSocket = parsed.string("console-socket");
    const terminal = process.terminal ?? false;
    checkConsole(terminal, consoleSocket, detach);
    const handOver: HandOver = consoleSocket ? { consoleSocketFd: connectUnixFd(resolve(consoleSocket)) } : {};
    const cgroups = parsed.list("cgroup");
    const id = randomId().slice(0, EXEC_ID_LENGTH);
    const runDirectory = runDirectoryOf(handle.directory, id);
    const runtime = await openRuntime();
    const request: ExecRequest = {
      id: `${handle.state.id}.${id}`,
      containerPid: handle.state.pid,
      container: { id: handle.state.id, bundle: handle.state.bundle },
      config: effectiveConfig(handle),
      process,
      runDirectory,
      stdio: stdioOf(terminal, !detach),
      preserveFds: checkPreserved(parsed.integer("preserve-fds") ?? 0),
      attach: terminal && !detach ? [TERMINAL_ATTACH] : [],
      ...(cgroups.length > 0 ? { cgroup: subCgroups(cgroupHost(), cgroupsPathOf(handle), cgroups) } : {}),
      ...told(context),
      ...(detach ? { handOver } : {}),
    };
    await prepareFilter(root, request.config);
    const isNotified = request.config.linux?.seccomp?.listenerPath !== undefined; // even while it waits for its start
    // If a stand-in fails, everything is done a second time. That must not read a FIFO a second time, nor send a pidfd twice.
    const isOnce = parsed.given("pidfd-socket") || !isFile(parsed.string("process"));
    if (failed === undefined && !terminal && !detach && !isNotified && !isOnce)
      return await runtime
        .standIn(request, () => {
          const end = { kind: "exec", directory: runDirectory } as const;
          return standInPlan(context, { command: "exec", parsed, request, name: id, end });
        })
        .catch(rethrowAsStartFailure);
    const pidFile = parsed.string("pid-file");
    const supervised = await runtime.exec(request).catch((error: unknown) => {
      if (failed !== undefined && pidFile !== undefined) rmSync(pidFile, { force: true }); // the first try has written it
      rethrowAsStartFailure(error);
    });
    try {
      writePoint("started exec");
      await sendPidfd(parsed.string("pidfd-socket"), supervised.pid);
      writePidFile(pidFile, supervised.pid);
      if (!detach) return await waitInForeground(supervised);
      await supervised.release();
      writePoint("released exec");
      return 0;
    } catch (error) {
      await supervised.signal(SIGKILL);
      throw error;
    } finally {
      rmSync(runDirectory, { recursive: true, force: true });
    }
  },
};

/** Whether the path is a regular file, or none is given. */
function isFile(path: string | undefined): boolean {
  return path === undefined || (statSync(path, { throwIfNoEntry: false })?.isFile() ?? false);
}

/** The run directory of an exec. `directory`: the container's. */
function runDirectoryOf(directory: string, id: string): string {
  if (!/^[0-9a-f]+$/.test(id) || id.length !== EXEC_ID_LENGTH) throw new UsageError(`invalid exec ID: ${id}`);
  return join(directory, `exec-${id}`);
}

/** Does what a stand-in could not do. */
async function finish(runDirectory: string): Promise<number> {
  try {
    return await waitForRecord(runDirectory);
  } finally {
    rmSync(runDirectory, { recursive: true, force: true });
  }
}

/** Removes what a failed start left. */
async function forget(runDirectory: string): Promise<void> {
  await awaitSupervisor(runDirectory);
  rmSync(runDirectory, { recursive: true, force: true });
}

function checkRunning(handle: StateHandle, ignorePaused: boolean): void {
  const status = statusOf(handle);
  if (status === "stopped") throw new LighterError("conflict", "cannot exec in a stopped container");
  if (status === "paused" && !ignorePaused)
    throw new LighterError("conflict", "cannot exec in a paused container (use --ignore-paused to override)");
  if (status === "creating") throw new LighterError("conflict", "cannot exec in a container that is being created");
}

/** The process to run: the file's, or the container's own process as changed by flags. */
function processOf(handle: StateHandle, parsed: Parsed): OciProcess {
  const file = parsed.string("process");
  if (file !== undefined) return readProcess(file);
  const args = parsed.args.slice(1);
  if (args.length === 0) throw new UsageError("exec args cannot be empty");
  const base = handle.config.process;
  if (base === undefined) throw new LighterError("invalid", "the container's config has no process");
  const { apparmorProfile, selinuxLabel, cwd, env = [], user, noNewPrivileges } = base;
  const label = parsed.string("process-label") ?? selinuxLabel;
  const profile = parsed.string("apparmor") ?? apparmorProfile;
  return {
    ...base,
    args,
    cwd: parsed.string("cwd") ?? cwd,
    env: [...env, ...parsed.list("env")],
    terminal: parsed.boolean("tty"),
    user: userOf(user, parsed),
    noNewPrivileges: parsed.given("no-new-privs") ? parsed.boolean("no-new-privs") : (noNewPrivileges ?? false),
    capabilities: capabilitiesOf(base, parsed.list("cap")),
    ...(label ? { selinuxLabel: label } : {}),
    ...(profile ? { apparmorProfile: profile } : {}),
  };
}

function userOf(base: OciUser = { uid: 0, gid: 0 }, parsed: Parsed): OciUser {
  const text = parsed.string("user");
  const gids = parsed.list("additional-gids").map((gid) => parseUserId(gid, "additional-gids"));
  const user = { ...base, additionalGids: [...(base.additionalGids ?? []), ...gids] };
  if (text === undefined) return user;
  const [uid = "", gid, ...more] = text.split(":");
  if (more.length > 0) throw new UsageError(`--user ${JSON.stringify(text)}: want <uid>[:<gid>]`);
  return {
    ...user,
    uid: parseUserId(uid, "user"),
    ...(gid === undefined ? {} : { gid: parseUserId(gid, "user") }),
  };
}

/** Parses digits alone: "0x10", "-1" and names are refused, not taken for another user. */
function parseUserId(text: string, flag: string): number {
  const id = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(id <= ID_MAX)) throw new UsageError(`--${flag}: ${JSON.stringify(text)} is not an id from 0 to ${ID_MAX}`);
  return id;
}

/**
 * The process's capabilities. As with runc, none is inheritable, and ambient ones are set only if the container's process has
 * inheritable ones.
 */
function capabilitiesOf(
  { capabilities = {} }: OciProcess,
  added: readonly string[],
): OciProcess["capabilities"] & object {
  if (added.length === 0) return capabilities;
  const names = added.map((name) => {
    const upper = name.toUpperCase();
    return upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  });
  const { bounding = [], effective = [], permitted = [], inheritable = [], ambient = [] } = capabilities;
  const withAdded = (set: string[]) => [...new Set([...set, ...names])];
  return {
    bounding: withAdded(bounding),
    effective: withAdded(effective),
    permitted: withAdded(permitted),
    inheritable,
    ambient: inheritable.length > 0 ? withAdded(ambient) : ambient,
  };
}
