/**
 * Lets systemd make containers' cgroups, as transient scopes (`--systemd-cgroup`).
 *
 *   create   init exists and waits  ->  startScope   StartTransientUnit, which moves it in; JobRemoved "done"
 *                                   ->  completeScope   the limits, and the hierarchies that systemd leaves alone
 *   update                          ->  updateScope  the cgroup's files, and SetUnitProperties
 *   delete                          ->  stopScope    StopUnit, JobRemoved; ResetFailedUnit
 *
 * Source: systemd "Control Group APIs and Delegation", org.freedesktop.systemd1(5).
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { DBUS_CALL_TIMEOUT_MS } from "../../base/limits.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import { attachDeviceProgram } from "../cgroup/attach-devices.ts";
import type { CgroupHost } from "../cgroup/host.ts";
import type { CgroupPlan } from "../cgroup/plan.ts";
import { applyReversibly } from "../cgroup/reversible.ts";
import { applyCgroupWrites, setupCgroupParents } from "../cgroup/setup.ts";
import { writeCgroupFile } from "../cgroup/write-file.ts";
import type { CgroupWrite } from "../cgroup/write-list.ts";
import { Bus, BusError } from "./bus.ts";
import type { Property } from "./properties.ts";
import { annotationProperties, resourceProperties } from "./properties.ts";
import type { ScopeName } from "./unit-name.ts";
import type { DbusValue, Message } from "./wire.ts";

export type { ScopeName } from "./unit-name.ts";
export { parseScopePath } from "./unit-name.ts";

const SYSTEM_BUS = "/run/dbus/system_bus_socket";
/** The socket of systemd itself, for root where no bus runs, such as early at boot. */
const SYSTEMD_SOCKET = "/run/systemd/private";
const SYSTEMD = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
};
const JOB_REMOVED_RULE =
  "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1'," +
  "interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/** A connection to a systemd. */
class Manager implements AsyncDisposable {
  /** The results of jobs that ended, by object path. A job may end before the reply that says it began. */
  readonly #results = new Map<string, string>();
  #wake: () => void = () => {};
  #subscribed = false;

  private constructor(
    readonly bus: Bus,
    private readonly isBus: boolean,
  ) {
    bus.onSignal = (message) => this.#onSignal(message);
  }

  /**
   * Connects.
   * @param user The user's own systemd, not the system's. @throws LighterError ("unavailable")
   */
  static async open(user: boolean): Promise<Manager> {
    if (user) return new Manager(await Bus.open(userBus(), true), true);
    try {
      return new Manager(await Bus.open(SYSTEM_BUS, true), true);
    } catch (error) {
      if (!existsSync(SYSTEMD_SOCKET)) throw noSystemd(error);
      return new Manager(await Bus.open(SYSTEMD_SOCKET, false), false);
    }
  }

  async call(member: string, signature: string, body: DbusValue[]): Promise<DbusValue[]> {
    return await this.bus.call({ ...SYSTEMD, member, signature, body });
  }

  async property(name: string): Promise<string> {
    const [variant] = await this.bus.call({
      ...SYSTEMD,
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      signature: "ss",
      body: [SYSTEMD.interface, name],
    });
    const value = (variant as { value?: unknown } | undefined)?.value;
    if (typeof value !== "string") throw new LighterError("unavailable", `systemd has no property "${name}"`);
    return value;
  }

  /** Calls a method that begins a job, and resolves with the job's result: "done", "failed", "timeout" … */
  async job(member: string, signature: string, body: DbusValue[]): Promise<string> {
    await this.#subscribe();
    const [job] = await this.call(member, signature, body);
    const deadline = performance.now() + DBUS_CALL_TIMEOUT_MS;
    while (!this.#results.has(String(job))) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new LighterError("unavailable", `${member}: systemd did not finish in time`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#results.get(String(job))!;
  }

  /** Subscribes to the ends of jobs. Without a bus they are announced anyway. */
  async #subscribe(): Promise<void> {
    if (!this.isBus || this.#subscribed) return;
    this.#subscribed = true;
    await this.bus.subscribe(JOB_REMOVED_RULE);
    await this.call("Subscribe", "", []);
  }

  #onSignal({ interface: source, member, body }: Message): void {
    if (source !== SYSTEMD.interface || member !== "JobRemoved") return;
    const [, job, , result] = body; // id, object path, unit, result
    this.#results.set(String(job), String(result));
    this.#wake();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bus[Symbol.asyncDispose]();
  }
}

function noSystemd(cause: unknown): LighterError {
  return new LighterError("unavailable", `ask systemd for a cgroup: ${messageOf(cause)}`, {
    cause,
    hint: "does systemd run here?",
  });
}

/** The address of the user's bus. Source: D-Bus specification, "Server Addresses". @throws LighterError ("unavailable") */
function userBus(): string {
  const path = /(?:^|;)unix:(?:[^;]*,)?path=([^,;]+)/.exec(process.env.DBUS_SESSION_BUS_ADDRESS ?? "")?.[1];
  if (path !== undefined) return decodeURIComponent(path);
  if (process.env.XDG_RUNTIME_DIR) return `${process.env.XDG_RUNTIME_DIR}/bus`;
  throw new LighterError(
    "unavailable",
    "--systemd-cgroup: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set",
  );
}

interface ScopeRequest {
  host: CgroupHost;
  scope: ScopeName;
  /** True to talk to the user's own systemd. */
  user: boolean;
  resources: OciResources;
}

/**
 * Makes systemd create the scope with process `pid` in it; resolves when it exists. `pid` waits meanwhile, and may be in any
 * cgroup before. The config's `annotations` may ask for more properties.
 * @returns The effective cgroupsPath: `scope.cgroupsPath`, below the manager's own cgroup if that is a user's.
 * @throws LighterError "conflict" if there is such a scope, "invalid" for what systemd does not take, "unavailable"
 */
export async function startScope(
  { host, scope, user, resources }: ScopeRequest,
  pid: number,
  annotations: Readonly<Record<string, string>>,
): Promise<string> {
  const extra = annotationProperties(annotations);
  await using manager = await Manager.open(user);
  const properties: Property[] = [
    ["Description", { signature: "s", value: `lighter container ${scope.unit.replace(/\.scope$/, "")}` }],
    ["Slice", { signature: "s", value: scope.slice }],
    ["PIDs", { signature: "au", value: [pid] }],
    ["Delegate", { signature: "b", value: true }],
    ...[
      "MemoryAccounting",
      "CPUAccounting",
      "TasksAccounting",
      host.mode === "unified" ? "IOAccounting" : "BlockIOAccounting",
    ].map((name): Property => [name, { signature: "b", value: true }]),
    ["DefaultDependencies", { signature: "b", value: false }],
    ...(await limitsOf(manager, host, resources)),
    ...extra,
  ];
  const begin = () =>
    manager.job("StartTransientUnit", "ssa(sv)a(sa(sv))", [scope.unit, "replace", properties as DbusValue[], []]);
  const result = await explained(scope, async () => {
    try {
      return await begin();
    } catch (error) {
      // A failed scope of that name is in the way until systemd forgets it.
      if (!isBusError(error, "UnitExists")) throw error;
      await forget(manager, scope);
      return await begin();
    }
  });
  if (result !== "done") {
    await forget(manager, scope);
    throw new LighterError("unavailable", `start scope "${scope.unit}": systemd says "${result}"`);
  }
  return user ? `${await manager.property("ControlGroup")}${scope.cgroupsPath}` : scope.cgroupsPath;
}

/**
 * Completes a scope: makes the cgroup in the v1 hierarchies that systemd does not use, sets limits and devices, and puts `pid`
 * in. `plan` is the plan of its cgroup (`planCgroup` with `startScope`'s result). Idempotent. @throws LighterError ("kernel")
 * naming the limit or the step
 */
export function completeScope(host: CgroupHost, plan: CgroupPlan, pid: number): void {
  setupCgroupParents(host, plan);
  for (const { path, leaf } of plan.directories) if (leaf) mkdirSync(path, { recursive: true, mode: 0o755 });
  applyCgroupWrites(plan.writes);
  if (plan.deviceProgram !== undefined && plan.v2Directory !== undefined)
    attachDeviceProgram(plan.deviceProgram, plan.v2Directory);
  if (host.mode === "unified") return; // systemd has moved the process already
  // By number: init cannot write here itself if it is root of a user namespace of its own.
  const files = [...plan.tasksFiles, ...(plan.v2Directory === undefined ? [] : [`${plan.v2Directory}/cgroup.procs`])];
  for (const file of files) writeCgroupFile(file, String(pid), "join the scope's cgroup");
}

/**
 * Changes limits: the cgroup's files by `writes` (`planUpdate`), and those that systemd must know of there, too. If either refuses,
 * the files are as before. `warn` is told of what could not be put back.
 */
export async function updateScope(
  request: ScopeRequest,
  writes: readonly CgroupWrite[],
  warn: (message: string) => void,
): Promise<void> {
  const putBack = applyReversibly(writes, warn);
  try {
    await tellLimits(request);
    applyCgroupWrites(writes); // systemd rounds some values
  } catch (error) {
    putBack();
    throw error;
  }
}

async function tellLimits({ host, scope, user, resources }: ScopeRequest): Promise<void> {
  await using manager = await Manager.open(user);
  const properties = await limitsOf(manager, host, resources);
  if (properties.length === 0) return;
  await explained(scope, () =>
    manager.call("SetUnitProperties", "sba(sv)", [scope.unit, true, properties as DbusValue[]]),
  );
}

/** Kills what is left in the scope and removes it. A scope that has gone is no failure. */
export async function stopScope(scope: ScopeName, user: boolean): Promise<void> {
  await using manager = await Manager.open(user);
  try {
    await manager.job("StopUnit", "ss", [scope.unit, "replace"]);
  } catch (error) {
    if (!isBusError(error, "NoSuchUnit")) throw error;
  }
  await forget(manager, scope);
}

/** Makes systemd forget a failed unit, which it keeps for people to look at. */
async function forget(manager: Manager, scope: ScopeName): Promise<void> {
  try {
    await manager.call("ResetFailedUnit", "s", [scope.unit]);
  } catch (error) {
    if (!(error instanceof BusError)) throw error; // it is not loaded, or did not fail
  }
}

async function limitsOf(manager: Manager, host: CgroupHost, resources: OciResources): Promise<Property[]> {
  return resourceProperties(resources, {
    cgroupVersion: host.mode === "unified" ? 2 : 1,
    systemdVersion: Number.parseInt(/\d+/.exec(await manager.property("Version"))?.[0] ?? "0", 10),
    procDevices: readProcDevices(),
  });
}

function readProcDevices(): string {
  try {
    return readFileSync("/proc/devices", "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

function isBusError(error: unknown, name: string): boolean {
  return error instanceof BusError && error.name === `org.freedesktop.systemd1.${name}`;
}

/** Runs `act` and turns systemd's refusals into our errors. */
async function explained<T>(scope: ScopeName, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    if (!(cause instanceof BusError)) throw cause;
    const code = isBusError(cause, "UnitExists")
      ? "conflict"
      : cause.name.endsWith("InvalidArgs")
        ? "invalid"
        : "unavailable";
    throw new LighterError(code, `scope "${scope.unit}": ${cause.message}`, { cause });
  }
}
