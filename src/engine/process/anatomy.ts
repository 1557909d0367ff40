/** Reads from /proc and the cgroups how the kernel keeps a running container apart. */
import { readFileSync, readlinkSync } from "node:fs";
import { CAPABILITIES, capabilitiesOf } from "../../linux/capability/mod.ts";
import { detectCgroupHost, locateController } from "../../linux/cgroup/mod.ts";
import { parseMountinfo } from "../../linux/mount/mountinfo.ts";
import { describeSeccomp } from "../../linux/seccomp/describe.ts";
import type { Anatomy } from "../../spec/anatomy.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { notRunning } from "../errors.ts";

const NAMESPACES = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"];

/** The files of limits and use, in both versions of cgroups. Those that a kernel has not are left out. */
const CGROUP_FILES: readonly string[] = [
  ...["cpu.max", "cpu.weight", "cpuset.cpus", "memory.max", "memory.high", "memory.low", "memory.swap.max"],
  ...["memory.current", "memory.swap.current", "pids.max", "pids.current", "io.max", "io.weight"],
  ...["cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
  ...["memory.usage_in_bytes", "memory.memsw.usage_in_bytes", "cpuacct.usage", "blkio.weight", "freezer.state"],
];
const MOUNTS_MAX = 1000;

/** @throws LighterError "conflict" if the container does not run */
export function readAnatomy(engine: Engine, container: Container): Anatomy {
  if (!container.isRunning) throw notRunning(container.id);
  const { pid } = container.record;
  const status = readProc(pid, "status");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "0";
  const [effective, bounding] = ["CapEff", "CapBnd"].map(
    (name) => new Set<string>(capabilitiesOf(BigInt(`0x${field(name)}`))),
  );
  return {
    pid,
    namespaces: readNamespaces(engine, container),
    cgroups: readCgroups(pid),
    mounts: parseMounts(readProc(pid, "mountinfo")),
    idMaps: [...parseIdMap("uid", readProc(pid, "uid_map")), ...parseIdMap("gid", readProc(pid, "gid_map"))],
    capabilities: CAPABILITIES.map((name) => ({
      name,
      effective: effective!.has(name),
      bounding: bounding!.has(name),
    })),
    seccomp: (["none", "strict", "filter"] as const)[Number(field("Seccomp"))] ?? "none",
    seccompCalls: readSeccompCalls(engine, container),
    noNewPrivileges: field("NoNewPrivs") === "1",
  };
}

function readSeccompCalls(engine: Engine, { record }: Container): Anatomy["seccompCalls"] {
  const { linux } = engine.planner.planRunning(record, engine.paths.container(record.id));
  return linux?.seccomp === undefined ? [] : describeSeccomp(linux.seccomp);
}

function readNamespaces(engine: Engine, container: Container): Anatomy["namespaces"] {
  const others = engine.list().filter(({ id, isRunning }) => isRunning && id !== container.id);
  return NAMESPACES.flatMap((type) => {
    const inode = namespaceOf(container.record.pid, type);
    if (inode === undefined) return [];
    const sharedWith = others
      .filter(({ record }) => namespaceOf(record.pid, type) === inode)
      .map(({ id, record }) => ({ id, name: record.name }));
    return [{ type, inode, sharedWithHost: namespaceOf("self", type) === inode, sharedWith }];
  });
}

/** The namespace's number, such as "4026531840"; undefined if the process or this type of namespace is not there. */
function namespaceOf(pid: number | "self", type: string): string | undefined {
  try {
    return /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/${type}`))?.[1];
  } catch {
    return undefined;
  }
}

function readCgroups(pid: number): Anatomy["cgroups"] {
  const host = detectCgroupHost();
  return readProc(pid, "cgroup")
    .split("\n")
    .flatMap((line) => {
      const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (path === "") return [];
      const place = controllers === "" ? host.v2 : locateController(host, controllers.split(",")[0] as never);
      const values = CGROUP_FILES.flatMap((file) => {
        const value = place === undefined ? "" : readText(`${place.mountPoint}${path}/${file}`).trim();
        return value === "" ? [] : [{ file, value: value.slice(0, 200) }];
      });
      return [{ controllers, path, values }];
    });
}

/** Reads the text of /proc/PID/mountinfo. */
export function parseMounts(text: string): Anatomy["mounts"] {
  return parseMountinfo(text)
    .slice(0, MOUNTS_MAX)
    .map(({ mountPoint: target, fsType: type, source, root, options }) => ({ target, type, source, root, options }));
}

export function parseIdMap(kind: "uid" | "gid", text: string): Anatomy["idMaps"] {
  return [...text.matchAll(/^\s*(\d+)\s+(\d+)\s+(\d+)$/gm)].map(([, inside, outside, count]) => ({
    ...{ kind, inside: Number(inside), outside: Number(outside), count: Number(count) },
  }));
}

function readProc(pid: number, name: string): string {
  return readText(`/proc/${pid}/${name}`);
}

/** Reads a file; "" for a process that has just ended, or a file that this kernel has not. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
