/** Cgroups: what the host has, and what it takes to make one with given limits. Deciding is pure; setup.ts acts. */

export { delegatedPaths } from "./delegate.ts";
export {
  BPF_PROG_ATTACH,
  BPF_PROG_LOAD,
  compileDeviceProgram,
  encodeBpfAttach,
  encodeBpfLoad,
} from "./device-program.ts";
export type { DeviceException, DevicePolicy } from "./device-rules.ts";
export { BUILTIN_DEVICE_RULES, compileDeviceRules, defaultDeviceRules } from "./device-rules.ts";
export { emptyCgroup } from "./empty.ts";
export { usableLeaves } from "./existing.ts";
export { freezeCgroup, isFrozen, selfFreezingFile, signalCgroup, thawCgroup } from "./freezer.ts";
export { directoryForFurther } from "./further.ts";
export { CGROUP_GONE } from "./gone.ts";
export type { CgroupHost, CgroupV1Hierarchy, CgroupV2Hierarchy, ReadText } from "./host.ts";
export { detectCgroupHost, locateController, readHostText } from "./host.ts";
export type { CgroupMount } from "./mounts.ts";
export { cgroupMounts } from "./mounts.ts";
export { effectiveCgroupsPath, parseCgroupsPath } from "./path.ts";
export type { CgroupDirectory, CgroupPlan, ParentStep } from "./plan.ts";
export { planCgroup, planUpdate } from "./plan.ts";
export { type Pressure, type PressureKind, readHostPressure, readPressure, type Stall } from "./pressure.ts";
export type { CurrentLimits } from "./resource-writes.ts";
export { applyReversibly } from "./reversible.ts";
export { applyCgroupWrites, readFilesOf, readInterfaceFiles, removeCgroup, setupCgroupParents } from "./setup.ts";
export type { BlockIoStats, CgroupStats } from "./stats.ts";
export {
  memoryStat,
  readCurrentLimits,
  readMemoryFailures,
  readOomKills,
  readPerCpuUsage,
  readPids,
  readProcessIds,
  readStats,
  readSwap,
  type SwapStats,
  wasOomKilled,
  workingSetBytes,
} from "./stats.ts";
export type { OomWatch } from "./watch-oom.ts";
export { mayRunOut, watchOom } from "./watch-oom.ts";
export type { CgroupWrite } from "./write-list.ts";
