/**
 * Starts and removes many pods, each with a network of Debian's plugins and a container, some at a time as a kubelet does, and looks for what
 * is left of them: links, leases, attachments, mounts, cgroups, processes, files, rows, and the daemon's descriptors and memory.
 *
 *   bun bench/cases/pods.ts [--pods 500] [--at-once 10]
 *
 * The network is in a namespace of its own. Needs root and containernetworking-plugins. Exits with 1 if something is left.
 */
import { Database } from "bun:sqlite";
import { copyFileSync, globSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { removePodCgroups } from "../../tests/support/containerd.ts";
import { CriDaemon } from "../../tests/support/cri-daemon.ts";
import { cgroupMountPoints } from "../../tests/support/daemon.ts";
import { proportionalKib } from "../support/engines.ts";
import { formatSummary, summarize } from "../support/stats.ts";

const PLUGINS = "/usr/lib/cni";
const CGROUP_PARENT = `/lighter-pods-${process.pid}`;
/** What the daemon may have grown by: it collects garbage when its heap has grown, not after each pod. */
const GROWTH = { fds: 4, pssKib: 96 * 1024 };

const { values } = parseArgs({
  options: { pods: { type: "string", default: "500" }, "at-once": { type: "string", default: "10" } },
});

await using undo = new AsyncDisposableStack();
undo.defer(() => removePodCgroups(CGROUP_PARENT));
const node = undo.use(await CriDaemon.start([PLUGINS]));
const leases = join(node.daemon.directory, "leases");
const ipam = { type: "host-local", dataDir: leases, ranges: [[{ subnet: "10.123.0.0/22" }]] };
node.plugins.configure([{ type: "bridge", bridge: "cni0", isGateway: true, ipam }], { cniVersion: "1.0.0" });

const times: number[] = [];

async function podLife(name: string): Promise<void> {
  const start = performance.now();
  const podSandboxId = await node.runPod(name, { linux: { cgroupParent: CGROUP_PARENT } });
  await node.startContainer(podSandboxId, "exec sleep 100000", name);
  times.push(performance.now() - start);
  await node.cri.call("StopPodSandbox", { podSandboxId });
  await node.cri.call("RemovePodSandbox", { podSandboxId });
}

async function pods(prefix: string, count: number): Promise<void> {
  let next = 0;
  const kubelet = async () => {
    while (next < count) await podLife(`${prefix}-${next++}`);
  };
  await Promise.all(Array.from({ length: Number(values["at-once"]) }, kubelet));
}

/** All that could be left, without what grows by design. */
function traces() {
  const { daemon } = node;
  const proc = `/proc/${daemon.pid}`;
  return {
    fds: readdirSync(`${proc}/fd`).length,
    pssKib: proportionalKib(daemon.pid),
    left: {
      links: daemon.network.links(),
      leases: readdirSync(join(leases, "pods")).filter((name) => /^\d/.test(name)).length,
      attachments: node.attachments.length,
      mounts: readFileSync(`${proc}/mountinfo`, "utf8").split(daemon.directory).length - 1,
      cgroups: cgroupMountPoints().map((path) => globSync(`${CGROUP_PARENT.slice(1)}/*/`, { cwd: path }).length),
      processes: processes(),
      containers: readdirSync(join(daemon.dataRoot, "containers")).length,
      files: globSync(`${daemon.dataRoot}/**`).filter((path) => !path.includes("/layers/")).length,
      rows: rows(),
    },
  };
}

/** The processes in the daemon's network namespace: its plugins and supervisors. */
function processes(): number {
  const own = readlinkSync(`/proc/${node.daemon.pid}/ns/net`);
  return globSync("/proc/[0-9]*/ns/net").filter((path) => {
    try {
      return readlinkSync(path) === own;
    } catch {
      return false; // it has just ended
    }
  }).length;
}

/** The rows of each table, of a copy: the daemon has its database for itself. */
function rows(): Record<string, number> {
  using copy = new DisposableStack();
  const directory = copy.adopt(mkdtempSync(join(tmpdir(), "lighter-rows-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  for (const name of ["lighter.db", "lighter.db-wal"])
    copyFileSync(join(node.daemon.dataRoot, name), join(directory, name));
  const database = copy.use(new Database(join(directory, "lighter.db")));
  const tables = database.query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  const count = (name: string) => database.query<{ rows: number }, []>(`SELECT count(*) AS rows FROM "${name}"`).get()!;
  return Object.fromEntries(tables.map(({ name }) => [name, count(name).rows]));
}

await pods("first", 20);
const before = traces();
times.length = 0;
const start = performance.now();
await pods("pod", Number(values.pods));
const seconds = ((performance.now() - start) / 1000).toFixed(1);
const after = traces();
console.log(`${values.pods} pods, ${values["at-once"]} at once, in ${seconds} s`);
console.log(`from RunPodSandbox until the container runs: ${formatSummary(summarize(times))}`);
for (const [when, { fds, pssKib }] of Object.entries({ before, after }))
  console.log(`the daemon ${when}: ${fds} descriptors, ${pssKib} KiB (PSS)`);
console.log(`what is there: ${JSON.stringify(after.left)}`);
const isClean =
  isDeepStrictEqual(after.left, before.left) &&
  after.fds <= before.fds + GROWTH.fds &&
  after.pssKib <= before.pssKib + GROWTH.pssKib;
if (!isClean) console.log(`there was before: ${JSON.stringify(before.left)}`);
process.exitCode = isClean ? 0 : 1;
