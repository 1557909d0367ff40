/** Puts a container into a group of the resctrl file system. */
import { LighterError } from "../base/errors.ts";
import { type OpList, text } from "../linux/program/builder.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../linux/sys/abi.ts";

import type { OciConfig } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";

/**
 * A share of the processor's caches and memory bandwidth: a group of the resctrl file system.
 * Source: runtime-spec config-linux.md#intelrdt, Documentation/filesystems/resctrl.rst.
 */
export interface RdtPlan {
  /** The group's directory. */
  directory: string;
  /** True if it does not exist yet. */
  make: boolean;
  /** The text for its `schemata`; empty to write nothing. */
  schemata: string;
  /** A monitoring group's directory, for this container alone. */
  monitor?: string;
}

const FIELD = "linux.intelRdt";
const KNOWN: Readonly<Record<string, "string" | "boolean">> = {
  closID: "string",
  l3CacheSchema: "string",
  memBwSchema: "string",
  enableCMT: "boolean",
  enableMBM: "boolean",
};

interface RdtSettings {
  closID?: string;
  l3CacheSchema?: string;
  memBwSchema?: string;
  enableCMT?: boolean;
  enableMBM?: boolean;
}

function readSettings(given: Record<string, unknown>): RdtSettings {
  for (const [key, value] of Object.entries(given)) {
    if (!Object.hasOwn(KNOWN, key)) throw new LighterError("not-supported", `${FIELD}.${key} is not supported`);
    if (typeof value !== KNOWN[key]) throw new LighterError("invalid", `${FIELD}.${key} is not a ${KNOWN[key]}`);
  }
  return given as RdtSettings;
}

/** The path at which resctrl is mounted. Source: proc_pid_mountinfo(5). */
function mountPoint(host: HostFacts): string | undefined {
  const mountinfo = host.readText?.("/proc/self/mountinfo") ?? "";
  return /^\S+ \S+ \S+ \S+ (\S+) .* - resctrl /m.exec(mountinfo)?.[1];
}

/**
 * Plans the group.
 * @param id The container's id, the group's name if the config gives none.
 * @param isRunning Whether its group exists by this config: the kernel may have rounded the values.
 * @throws LighterError ("not-supported") if the processor or the kernel lacks this.
 */
export function planIntelRdt(config: OciConfig, host: HostFacts, id: string, isRunning = false): RdtPlan | undefined {
  if (!config.linux?.intelRdt) return undefined;
  const settings = readSettings(config.linux.intelRdt);
  const at = mountPoint(host);
  if (at === undefined)
    throw new LighterError("not-supported", `${FIELD}: no resctrl file system is mounted on this host`);
  checkMonitoring(settings, host, at);
  const { closID = "" } = settings;
  if (/^\.{1,2}$|\/|\n/.test(closID)) throw new LighterError("invalid", `${FIELD}.closID "${closID}" is no name`);
  const directory = `${at}/${closID || id}`;
  const schemata = schemataOf(settings);
  const present = host.readText?.(`${directory}/schemata`);
  if (closID && !schemata && present === undefined)
    throw new LighterError(
      "invalid",
      `${FIELD}.closID "${closID}" does not exist, and there is no schema to make it by`,
    );
  if (closID && schemata && present !== undefined && !isRunning) compareSchemata(schemata, present, closID);
  return {
    directory,
    make: present === undefined,
    schemata: present === undefined || !closID ? schemata : "",
    ...(settings.enableCMT || settings.enableMBM ? { monitor: `${directory}/mon_groups/${id}` } : {}),
  };
}

function checkMonitoring({ enableCMT, enableMBM }: RdtSettings, host: HostFacts, at: string): void {
  const features = (host.readText?.(`${at}/info/L3_MON/mon_features`) ?? "").split("\n");
  if (enableCMT && !features.includes("llc_occupancy"))
    throw new LighterError("not-supported", `${FIELD}.enableCMT: this processor does not monitor caches`);
  if (enableMBM && !features.includes("mbm_total_bytes"))
    throw new LighterError("not-supported", `${FIELD}.enableMBM: this processor does not monitor memory bandwidth`);
}

/** The schemata to write. The memory's schema has a field of its own, which replaces a line for it among those of the caches. */
function schemataOf({ l3CacheSchema = "", memBwSchema = "" }: RdtSettings): string {
  const caches = linesOf(l3CacheSchema).filter((line) => !memBwSchema || !line.startsWith("MB:"));
  return [...caches, ...linesOf(memBwSchema)].map((line) => `${line}\n`).join("");
}

function linesOf(schema: string): string[] {
  return schema
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Compares with an existing class. That is somebody else's: it must be as asked for, and is not changed. */
function compareSchemata(wanted: string, present: string, closID: string): void {
  const there = new Set(linesOf(present).flatMap(sharesOf));
  for (const line of linesOf(wanted))
    if (!sharesOf(line).every((share) => there.has(share)))
      throw new LighterError("conflict", `${FIELD}.closID "${closID}" is there, but its schemata lack "${line}"`);
}

/** Splits "L3:0=0f;1=3" into "L3:0=f" and "L3:1=3". */
function sharesOf(line: string): string[] {
  const [, resource = "", list = ""] = /^\s*([^:]*?)\s*:(.*)$/.exec(line) ?? [];
  return list.split(";").map((share) => `${resource}:${share.replace(/\s/g, "").replace(/=0+(?=.)/, "=")}`);
}

const MADE = "made rdt group";
const MADE_MONITOR = "made rdt monitor";

/** Host side, before the clone: makes the group. */
export function makeRdtGroup(host: OpList, plan: RdtPlan | undefined): void {
  if (!plan) return;
  const { directory, make, schemata, monitor } = plan;
  if (make) host.call("mkdirat", [AT_FDCWD, text(directory), 0o755], FIELD, { out: MADE });
  if (schemata) host.write(null, `${directory}/schemata`, schemata, `${FIELD}: schemata`);
  if (monitor) host.call("mkdirat", [AT_FDCWD, text(monitor), 0o755], `${FIELD}: monitoring`, { out: MADE_MONITOR });
}

/** In the child, while it sees the host's files: joins the group. */
export function joinRdtGroup(init: OpList, plan: RdtPlan | undefined): void {
  if (!plan) return;
  init.write(null, `${plan.directory}/tasks`, "0", `${FIELD}: join the group`);
  if (plan.monitor) init.write(null, `${plan.monitor}/tasks`, "0", `${FIELD}: be monitored`);
}

export function removeRdtGroup(cleanup: OpList, plan: RdtPlan | undefined): void {
  if (!plan) return;
  const remove = (path: string, guard: string) =>
    cleanup.call("unlinkat", [AT_FDCWD, text(path), AT_REMOVEDIR], FIELD, { guard, tolerate: ["ENOENT"] });
  if (plan.monitor) remove(plan.monitor, MADE_MONITOR);
  if (plan.make) remove(plan.directory, MADE);
}

/** Directories that a start of this container may have left, and that may be removed: a class with a name of its own stays. */
export function rdtLeftovers(config: OciConfig, host: HostFacts, id: string): string[] {
  const settings = config.linux?.intelRdt as RdtSettings | undefined;
  const at = settings ? mountPoint(host) : undefined;
  if (!settings || at === undefined) return [];
  return settings.closID
    ? [`${at}/${settings.closID}/mon_groups/${id}`]
    : [`${at}/${id}/mon_groups/${id}`, `${at}/${id}`];
}
