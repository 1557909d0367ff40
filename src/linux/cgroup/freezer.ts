/** Freezes and signals all processes of a cgroup. */
import { errnoOf, LighterError } from "../../base/errors.ts";
import { FREEZE_BURST, FREEZE_PAUSE_MAX_MS, FREEZE_PAUSE_MIN_MS, FREEZE_TIMEOUT_MS } from "../../base/limits.ts";
import { SIGKILL } from "../../base/signals.ts";
import { CGROUP_GONE } from "./gone.ts";
import type { CgroupHost } from "./host.ts";
import { locateController, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import { signalProcesses } from "./signal-processes.ts";
import { parseFlatKeyed, readPids } from "./stats.ts";
import { writeCgroupFile } from "./write-file.ts";

/*
 * Stopping, waking and signalling all processes of a cgroup and the cgroups below it.
 *
 *   v1 freezer: freezer.state   FROZEN ->  FREEZING … FROZEN     a fork at the wrong moment keeps it FREEZING for ever,
 *                                                                so it is written again, and thawed now and then
 *   v2:         cgroup.freeze   1      ->  cgroup.events: frozen 1
 *
 * A frozen process dies of SIGKILL on v2 only; on v1 it must thaw first.
 * Sources: Linux Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst "cgroup.freeze".
 */

interface Freezer {
  version: 1 | 2;
  directory: string;
}

/** Finds the freezer. @throws LighterError ("not-supported") if no hierarchy can freeze */
function locateFreezer(host: CgroupHost, cgroupsPath: string): Freezer {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const v1 = locateController(host, "freezer");
  if (v1?.version === 1) return { version: 1, directory: `${v1.mountPoint}/${path}` };
  if (host.v2 !== undefined) return { version: 2, directory: `${host.v2.mountPoint}/${path}` };
  throw new LighterError("not-supported", 'this host has no cgroup controller "freezer"', {
    hint: "mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer",
  });
}

/** The file that says 1 if the cgroup itself was frozen, else 0; undefined if no hierarchy can freeze. */
export function selfFreezingFile(host: CgroupHost, cgroupsPath: string): string | undefined {
  const freezer = findFreezer(host, cgroupsPath);
  return freezer && selfFreezing(freezer);
}

function selfFreezing({ version, directory }: Freezer): string {
  return `${directory}/${version === 1 ? "freezer.self_freezing" : "cgroup.freeze"}`;
}

/** Whether the cgroup itself was frozen, not just one above it. False if the cgroup has gone. */
export function isFrozen(host: CgroupHost, cgroupsPath: string): boolean {
  return readHostText(selfFreezing(locateFreezer(host, cgroupsPath)))?.trim() === "1";
}

/**
 * Stops every process of the cgroup; resolves when all have stopped. If that fails, all run again.
 * @throws LighterError ("unavailable") if some process does not stop in time (one in an uninterruptible system call, or
 *   on v1 a fork bomb), "kernel" with the errno of a write, "not-supported" without a freezer
 */
export async function freezeCgroup(host: CgroupHost, cgroupsPath: string): Promise<void> {
  const freezer = locateFreezer(host, cgroupsPath);
  let frozen = false;
  try {
    frozen = await freeze(freezer);
  } finally {
    if (!frozen) thawQuietly(freezer);
  }
  if (!frozen)
    throw new LighterError("unavailable", `freeze cgroup "${cgroupsPath}": not all of its processes stopped`);
}

/** Lets the processes of the cgroup run. A cgroup that has gone has none. */
export function thawCgroup(host: CgroupHost, cgroupsPath: string): void {
  thaw(locateFreezer(host, cgroupsPath));
}

async function freeze(freezer: Freezer): Promise<boolean> {
  const deadline = performance.now() + FREEZE_TIMEOUT_MS;
  let pauseMs = FREEZE_PAUSE_MIN_MS;
  if (freezer.version === 2) writeCgroupFile(`${freezer.directory}/cgroup.freeze`, "1", "freeze the cgroup");
  while (performance.now() < deadline) {
    if (freezer.version === 2 ? isAllFrozenV2(freezer) : freezeRoundV1(freezer)) return true;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pauseMs * 2, FREEZE_PAUSE_MAX_MS);
  }
  return false;
}

function isAllFrozenV2({ directory }: Freezer): boolean {
  return parseFlatKeyed(readHostText(`${directory}/cgroup.events`) ?? "frozen 1").frozen === 1;
}

/** Writing repeatedly catches what was forked meanwhile; a thaw between the bursts frees what got stuck. */
function freezeRoundV1({ directory }: Freezer): boolean {
  const file = `${directory}/freezer.state`;
  for (let attempt = 0; attempt < FREEZE_BURST; attempt++) {
    writeCgroupFile(file, "FROZEN", "freeze the cgroup");
    if (readHostText(file)?.trim() === "FROZEN") return true;
  }
  writeCgroupFile(file, "THAWED", "thaw the cgroup");
  return false;
}

function thaw({ version, directory }: Freezer): void {
  const [file, value] = version === 1 ? ["freezer.state", "THAWED"] : ["cgroup.freeze", "0"];
  try {
    writeCgroupFile(`${directory}/${file}`, value!, "thaw the cgroup");
  } catch (error) {
    if (!CGROUP_GONE.includes(errnoOf(error))) throw error;
  }
}

function thawQuietly(freezer: Freezer): void {
  try {
    thaw(freezer);
  } catch {
    // The failure to freeze is on its way to the caller and says more.
  }
}

/**
 * Sends a signal to every process of the cgroup and the cgroups below it, forks included: they are frozen meanwhile, or killed by
 * cgroup.kill (v2, since Linux 5.14). A cgroup that was frozen stays frozen, unless the signal is SIGKILL. Returns false if there
 * was no process; a missing cgroup has none.
 * @throws LighterError as `freezeCgroup`, but not if the host has no freezer: then it signals as well as it can
 */
export async function signalCgroup(host: CgroupHost, cgroupsPath: string, signal: number): Promise<boolean> {
  const directory = processDirectory(host, cgroupsPath);
  if (readPids(directory).length === 0) return false;
  const freezer = findFreezer(host, cgroupsPath);
  const wasFrozen = freezer !== undefined && isFrozen(host, cgroupsPath);
  const killFile =
    host.v2 === undefined ? undefined : `${host.v2.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}/cgroup.kill`;
  try {
    if (signal === SIGKILL && killFile !== undefined && killAtOnce(killFile)) return true;
    if (freezer !== undefined && !wasFrozen) await freezeCgroup(host, cgroupsPath);
    signalProcesses(directory, signal);
  } finally {
    if (freezer !== undefined && (!wasFrozen || signal === SIGKILL)) thaw(freezer);
  }
  return true;
}

/** The directory to read processes from: v2's if there is one, for it has cgroup.kill; otherwise any will do. */
function processDirectory(host: CgroupHost, cgroupsPath: string): string {
  return `${(host.v2 ?? host.v1[0])?.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}`;
}

function findFreezer(host: CgroupHost, cgroupsPath: string): Freezer | undefined {
  try {
    return locateFreezer(host, cgroupsPath);
  } catch (error) {
    if (error instanceof LighterError && error.code === "not-supported") return undefined;
    throw error;
  }
}

function killAtOnce(killFile: string): boolean {
  try {
    writeCgroupFile(killFile, "1", "kill the cgroup's processes");
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENODEV") return true; // the cgroup was removed after its file was opened
    if (["ENOENT", "EOPNOTSUPP"].includes(errnoOf(error))) return false; // before 5.14; a threaded cgroup
    throw error;
  }
}
