/**
 * Compares machines (containers with an init of their own) with those of LXC and systemd-nspawn, interleaved in one on one
 * root file system: Debian with systemd, without a network.
 *
 *   boot      from the command that starts one until its systemd says that it is up: time, and processor time of the machine and
 *             of the host's programs that work for it
 *   inside    its processes and their own memory; outside: what stays for it on the host
 *   exec      /bin/true in it
 *   stop      the command that stops it
 *   together  some that are started at the same moment, until all are up
 *
 *   bun bench/cases/machines.ts [--runs 5] [--together 20] [--root TAR] [--incus] [--save bench/baselines/NAME.json]
 *
 * Needs root, and lxc, systemd-container and (without --root) mmdebstrap, which it installs. With --incus there is Incus beside them,
 * which it does not install: the package starts a daemon that changes the host's networks. What was found is in machines.md.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parseArgs } from "node:util";
import { timeMs } from "../support/commands.ts";
import { cgroupCpuMs, endedCpuMs, ownCpuMs } from "../support/cpu.ts";
import { ensurePackages, makeWorkFolder } from "../support/engines.ts";
import {
  incusMachines,
  lighterMachines,
  lxcMachines,
  type Manager,
  makeMachineRoot,
  nspawnMachines,
  unpackMachineRoot,
} from "../support/machines.ts";
import { saveBaseline } from "../support/save.ts";
import { type Summary, summarize } from "../support/stats.ts";

const EXECS = 10;

interface Samples {
  wall: number[];
  cpu: number[];
  hostCpu: number[];
  processes: number[];
  insideKib: number[];
  outsideKib: number[];
  exec: number[];
  execCpu: number[];
  stop: number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "5" },
      together: { type: "string", default: "20" },
      root: { type: "string" },
      incus: { type: "boolean", default: false },
      save: { type: "string" },
    },
  });
  ensurePackages("lxc", "systemd-container", ...(values.root ? [] : ["mmdebstrap"]));
  const folder = makeWorkFolder();
  const managers: Manager[] = [];
  try {
    const tarball = values.root ?? makeMachineRoot(folder.path);
    const lower = unpackMachineRoot(folder.path, tarball);
    managers.push(await lighterMachines(folder.path, tarball));
    managers.push(await lxcMachines(folder.path, lower), await nspawnMachines(folder.path, lower));
    if (values.incus) managers.push(await incusMachines(folder.path, lower));
    const names = Array.from({ length: Number(values.together) }, (_, index) => `bench${index}`);
    for (const manager of managers) for (const name of names) manager.create(`${manager.name}-${name}`);
    const samples = await measureOne(managers, Number(values.runs));
    const together = await measureTogether(managers, names);
    const results = report(samples);
    for (const [name, ms] of together) console.log(`${names.length} started together: ${name} ${ms.toFixed(0)} ms`);
    if (values.save) saveBaseline(values.save, { ...results, together: Object.fromEntries(together) });
  } finally {
    for (const manager of managers) await manager.close();
    folder.remove();
  }
}

async function measureOne(managers: readonly Manager[], runs: number): Promise<Map<string, Samples>> {
  const all = new Map<string, Samples>();
  for (const { name } of managers)
    all.set(name, {
      wall: [],
      cpu: [],
      hostCpu: [],
      processes: [],
      insideKib: [],
      outsideKib: [],
      exec: [],
      execCpu: [],
      stop: [],
    });
  for (let i = -1; i < runs; i++)
    for (const manager of managers) {
      const samples = await measureLife(manager, `${manager.name}-bench0`);
      if (i === -1) continue; // the first one makes files that later ones find
      for (const [key, values] of Object.entries(all.get(manager.name)!)) values.push(...samples[key as keyof Samples]);
    }
  return all;
}

async function measureLife(manager: Manager, name: string): Promise<Samples> {
  const daemon = manager.daemonPid === undefined ? [] : [manager.daemonPid];
  const before = ownCpuMs(...daemon) + endedCpuMs();
  const begun = performance.now();
  await manager.start([name]);
  const wall = [performance.now() - begun];
  const ended = endedCpuMs() - before;
  const init = manager.initPid(name);
  const keeper = statusOf(init, "PPid");
  const cpu = [cgroupCpuMs(init) - (manager.isKeeperInside ? ownCpuMs(keeper) : 0)];
  const hostCpu = [ownCpuMs(...daemon, keeper) + ended];
  await quiet(init);
  const pids = processesOf(init);
  const insideKib = [pids.reduce((sum, pid) => sum + statusOf(pid, "RssAnon"), 0)];
  const exec: number[] = [];
  const execCpu: number[] = [];
  if (manager.exec !== undefined) {
    const beforeExecs = ownCpuMs(...daemon) + endedCpuMs();
    for (let i = 0; i < EXECS; i++) exec.push(timeMs(manager.exec(name, "/bin/true"), manager.env));
    execCpu.push((ownCpuMs(...daemon) + endedCpuMs() - beforeExecs) / EXECS);
  }
  const outsideKib = [statusOf(keeper, "VmRSS")];
  const stopping = performance.now();
  await manager.stop(name);
  const stop = [performance.now() - stopping];
  return { wall, cpu, hostCpu, processes: [pids.length], insideKib, outsideKib, exec, execCpu, stop };
}

async function measureTogether(managers: readonly Manager[], names: readonly string[]): Promise<Map<string, number>> {
  const all = new Map<string, number>();
  for (const manager of managers) {
    const own = names.map((name) => `${manager.name}-${name}`);
    const begun = performance.now();
    await manager.start(own);
    all.set(manager.name, performance.now() - begun);
    await Promise.all(own.map((name) => manager.stop(name)));
  }
  return all;
}

/** Resolves when a machine has done what was left to do after its init had said that it is up. */
async function quiet(init: number): Promise<void> {
  for (let last = -1, now = 0; now > last + 1; ) {
    last = now === 0 ? -1 : now;
    await new Promise((resolve) => setTimeout(resolve, 200));
    now = cgroupCpuMs(init);
  }
}

function processesOf(init: number): number[] {
  const namespaceOf = (pid: number) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      return ""; // it has ended meanwhile
    }
  };
  const own = namespaceOf(init);
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && namespaceOf(pid) === own);
}

function statusOf(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

type Rows = [title: string, key: keyof Samples, unit: string, goal?: [peer: string, atMost: number]][];

const ROWS: Rows = [
  ["boot, time", "wall", "ms", ["lxc", 1]],
  ["boot, processor time of the machine", "cpu", "ms", ["lxc", 1.05]],
  ["boot, processor time on the host", "hostCpu", "ms"],
  ["processes inside", "processes", "", ["lxc", 1]],
  ["their own memory", "insideKib", "KiB", ["lxc", 1]],
  ["memory of its keeper", "outsideKib", "KiB"],
  ["exec of /bin/true", "exec", "ms", ["incus", 0.2]],
  ["exec, processor time of the programs", "execCpu", "ms", ["incus", 0.2]],
  ["stop", "stop", "ms", ["incus", 0.5]],
];

function report(all: ReadonlyMap<string, Samples>): Record<string, Record<string, Summary>> {
  const results: Record<string, Record<string, Summary>> = {};
  for (const [title, key, unit, goal] of ROWS) {
    const summaries = [...all].map(([name, samples]) => [name, summarize(samples[key])] as const);
    results[key] = Object.fromEntries(summaries);
    const figures = summaries.map(([name, { p50Ms, runs }]) => `${name} ${runs === 0 ? "-" : p50Ms.toFixed(1)}`);
    console.log(`${title.padEnd(36)} ${figures.join("   ")} ${unit}${verdict(results[key], goal)}`);
  }
  return results;
}

/** Compares Lighter with a peer, if that was measured. */
function verdict(summaries: Record<string, Summary>, goal: Rows[number][3]): string {
  const [peer = "", atMost = 0] = goal ?? [];
  const [own, other] = [summaries.lighter, summaries[peer]];
  if (own === undefined || other === undefined) return "";
  const ratio = own.p50Ms / other.p50Ms;
  return `   lighter / ${peer} = ${ratio.toFixed(2)}, goal ≤ ${atMost} ${ratio <= atMost ? "met" : "MISSED"}`;
}

await main();
