/** Makes, prepares, changes and removes cgroups as planned. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import type { CgroupHost } from "./host.ts";
import { words } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";
import type { CgroupPlan, ParentStep } from "./plan.ts";
import { childDirectories, parsePids } from "./stats.ts";
import { writeCgroupFile, writeFile } from "./write-file.ts";
import type { CgroupWrite } from "./write-list.ts";

/** The child of a container's top v2 cgroup to which the processes in that one are moved. */
const EVACUATED = "init";
/** How often processes are moved: each round catches what forked during the one before. */
const EVACUATION_ROUNDS_MAX = 16;

/**
 * Makes the shared parent directories of `plan` and prepares them. Idempotent, and only a few file operations if all is done. It
 * is needed once for each `cgroupsPath` parent, and again after someone removed that.
 *
 * In a container (the v2 mount is not the hierarchy's root) the processes of the top cgroup, ours included, are moved to its
 * child "init" if they are in the way: processes and children with controllers cannot be in one cgroup.
 * @throws LighterError ("kernel") naming the step and the errno.
 */
export function setupCgroupParents(host: CgroupHost, plan: CgroupPlan): void {
  for (const { path, leaf } of plan.directories) if (!leaf) makeDirectory(path);
  for (const step of plan.parents) {
    try {
      runStep(host, step);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "" || error instanceof LighterError) throw error;
      throw new LighterError("kernel", `${step.why}: "${step.file}": ${errno}`, { errno, cause: error });
    }
  }
}

/**
 * The names of the files that leaves of `plan` will have, for `CgroupHost.interfaceFiles`: those of their parents, after
 * `setupCgroupParents`. The root of a hierarchy has other files than its children: for leaves at the top, the names come from any
 * other child, or from one made for the moment.
 */
export function readInterfaceFiles(plan: CgroupPlan): ReadonlySet<string> {
  const parents = new Set(plan.directories.filter(({ leaf }) => leaf).map(({ path }) => dirname(path)));
  const shared = new Set(plan.directories.filter(({ leaf }) => !leaf).map(({ path }) => path));
  const names = new Set<string>();
  for (const parent of parents)
    for (const name of shared.has(parent) ? fileNames(parent) : namesOfAnyChild(parent)) names.add(name);
  return names;
}

/** The names of the files that an existing cgroup has. A hierarchy in which it is missing adds none. */
export function readFilesOf(host: CgroupHost, cgroupsPath: string): ReadonlySet<string> {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const names = new Set<string>();
  for (const { mountPoint } of [...host.v1, ...(host.v2 === undefined ? [] : [host.v2])]) {
    try {
      for (const name of fileNames(`${mountPoint}/${path}`)) names.add(name);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  return names;
}

function fileNames(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
}

function namesOfAnyChild(parent: string): string[] {
  for (const child of childDirectories(parent)) {
    try {
      return fileNames(`${parent}/${child}`);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error; // it has just been removed
    }
  }
  const probe = `${parent}/lighter-probe-${process.pid}`;
  makeDirectory(probe);
  try {
    return fileNames(probe);
  } finally {
    rmdirSync(probe);
  }
}

/**
 * Plays writes on a live cgroup, for `planUpdate`. Stops at the first failure; earlier writes stay done.
 * @throws LighterError "kernel" with the write's `why` and errno; "not-supported" if neither of two alternatives exists
 */
export function applyCgroupWrites(writes: readonly CgroupWrite[]): void {
  let missed = false;
  for (const { file, value, why, tolerate = [], alternative } of writes) {
    const bothMissed: boolean = missed && alternative === true;
    try {
      writeCgroupFile(file, value, why);
      missed = false;
    } catch (error) {
      if (!tolerate.includes(errnoOf(error))) throw error;
      if (bothMissed)
        throw new LighterError("not-supported", `${why}: this kernel's cgroups have no file for it`, { cause: error });
      missed = true;
    }
  }
}

/**
 * Removes the cgroup from every hierarchy, with the cgroups that were made below it. Shared parents stay. A missing cgroup counts
 * as removed. Goes on after a failure.
 * @throws AggregateError of LighterError ("kernel"): EBUSY while processes are in it.
 */
export function removeCgroup(host: CgroupHost, cgroupsPath: string): void {
  const path = parseCgroupsPath(cgroupsPath).join("/");
  const failures: LighterError[] = [];
  for (const { mountPoint } of [...host.v1, ...(host.v2 === undefined ? [] : [host.v2])]) {
    try {
      removeTree(`${mountPoint}/${path}`);
    } catch (error) {
      const errno = errnoOf(error);
      failures.push(
        new LighterError("kernel", `remove cgroup "${mountPoint}/${path}": ${errno}`, { errno, cause: error }),
      );
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join("; "));
}

function removeTree(directory: string): void {
  for (const child of childDirectories(directory)) removeTree(`${directory}/${child}`);
  try {
    rmdirSync(directory);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o755);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EEXIST") return;
    throw new LighterError("kernel", `make cgroup "${path}": ${errno}`, { errno, cause: error });
  }
}

function runStep(host: CgroupHost, step: ParentStep): void {
  switch (step.kind) {
    case "inherit":
      if (readFileSync(step.file, "utf8").trim() === "") writeFile(step.file, readFileSync(step.from, "utf8"));
      return;
    case "write":
      writeFile(step.file, step.value);
      return;
    case "enable":
      enableControllers(host, step);
  }
}

/** Errors by which a kernel says that it cannot hand down a controller: for instance cpu while there are real-time tasks. */
const CANNOT_ENABLE = ["EINVAL", "ENOENT", "EOPNOTSUPP"];

function enableControllers(host: CgroupHost, step: ParentStep & { kind: "enable" }): void {
  const enabled = words(readFileSync(step.file, "utf8"));
  const missing = step.controllers.filter((each) => !enabled.includes(each));
  if (missing.length === 0) return;
  // Must be first. The kernel refuses io and memory while processes are here, but takes cpu or pids: that makes this
  // cgroup a "threaded" one, whose children then can hold neither the processes moved out nor a container.
  makeRoom(host, dirname(step.file));
  try {
    writeFile(step.file, missing.map((each) => `+${each}`).join(" "));
    return;
  } catch (error) {
    if (!CANNOT_ENABLE.includes(errnoOf(error))) throw error;
  }
  // All at once failed and changed nothing: try each by itself.
  for (const controller of missing) {
    try {
      writeFile(step.file, `+${controller}`);
    } catch (error) {
      if (step.required.includes(controller) || !CANNOT_ENABLE.includes(errnoOf(error))) throw error;
    }
  }
}

function makeRoom({ v2 }: CgroupHost, directory: string): void {
  const isTop = directory === v2?.mountPoint;
  if (isTop && v2.isHierarchyRoot) return; // the root alone may hold both
  if (parsePids(readFileSync(`${directory}/cgroup.procs`, "utf8")).length === 0) return;
  if (!isTop)
    throw new LighterError("kernel", `hand controllers down from cgroup "${directory}": EBUSY`, {
      errno: "EBUSY",
      hint: "processes are in it; a v2 cgroup cannot hold both processes and limited children",
    });
  evacuate(directory);
}

function evacuate(top: string): void {
  makeDirectory(`${top}/${EVACUATED}`);
  for (let round = 0; round < EVACUATION_ROUNDS_MAX; round++) {
    const pids = parsePids(readFileSync(`${top}/cgroup.procs`, "utf8"));
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        writeFile(`${top}/${EVACUATED}/cgroup.procs`, String(pid));
      } catch (error) {
        if (errnoOf(error) !== "ESRCH") throw error; // the process has ended meanwhile
      }
    }
  }
}
