/**
 * Compares our runtime interface for Kubernetes with that of Debian's containerd and runc, interleaved in one run:
 *
 *   pod      run a sandbox, create and start a container in it, stop and remove all
 *   probe    ExecSync of /bin/true in a running container
 *   memory   what 100 idle sandboxes take: shims, supervisors and their processes
 *
 *   bun bench/cases/cri.ts [--runs 20] [--save bench/baselines/NAME.json]
 *
 * Pods are on the host's network: plugins cost both the same. Needs root. Both daemons are private ones with their own directories.
 */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Containerd, CRI_IMAGE, removePodCgroups } from "../../tests/support/containerd.ts";
import { CriClient } from "../../tests/support/cri-client.ts";
import { hostUsrImage } from "../../tests/support/daemon.ts";
import { makeWorkFolder, proportionalKib, startLighter } from "../support/engines.ts";
import { saveBaseline } from "../support/save.ts";
import { formatSummary, summarize } from "../support/stats.ts";

const IDLE_PODS = 100;
const WARM_UP = 3;
const CGROUP_PARENT = `/lighter-bench-cri-${process.pid}`;
const linux = { cgroupParent: CGROUP_PARENT, securityContext: { namespaceOptions: { network: 2, pid: 1 } } };

interface Contender {
  name: string;
  cri: CriClient;
  directory: string;
}

let count = 0;

interface Pod {
  id: string;
  /** What kubelet sends once more with each of its containers. */
  config: object;
}

async function runPod({ cri, directory }: Contender): Promise<Pod> {
  const metadata = { name: "bench", namespace: "bench", uid: `${++count}`, attempt: 0 };
  const config = { metadata, logDirectory: join(directory, "logs"), linux };
  return { id: (await cri.call("RunPodSandbox", { config })).podSandboxId, config };
}

async function startContainer({ cri }: Contender, pod: Pod): Promise<string> {
  const config = {
    metadata: { name: "main" },
    image: { image: CRI_IMAGE },
    command: ["/bin/sleep", "100000"],
    mounts: [{ hostPath: "/usr", containerPath: "/usr", readonly: true }],
    logPath: `${pod.id}.log`,
    linux,
  };
  const { containerId } = await cri.call("CreateContainer", {
    ...{ podSandboxId: pod.id, config },
    sandboxConfig: pod.config,
  });
  await cri.call("StartContainer", { containerId });
  return containerId;
}

async function stopPod({ cri }: Contender, { id: podSandboxId }: Pod): Promise<void> {
  await cri.call("StopPodSandbox", { podSandboxId });
  await cri.call("RemovePodSandbox", { podSandboxId });
}

/** Measures `work` for each contender by turns. */
async function interleave(contenders: readonly Contender[], runs: number, work: (of: Contender) => Promise<unknown>) {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let run = -WARM_UP; run < runs; run++)
    for (const contender of contenders) {
      const start = performance.now();
      await work(contender);
      if (run >= 0) samples.get(contender.name)!.push(performance.now() - start);
    }
  return Object.fromEntries([...samples].map(([name, each]) => [name, summarize(each)]));
}

function report(what: string, results: Awaited<ReturnType<typeof interleave>>, goal: number): object {
  console.log(what);
  for (const [name, summary] of Object.entries(results)) console.log(`  ${name.padEnd(12)} ${formatSummary(summary)}`);
  const ratio = results.lighter!.p50Ms / results.containerd!.p50Ms;
  console.log(`  ratio        ${ratio.toFixed(3)} (goal: at most ${goal})`);
  return { ...results, ratio, goal };
}

/** The memory of all processes whose names are among those of a contender. */
function memoryKib(isOf: (commandLine: string) => boolean): number {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .reduce((sum, pid) => {
      try {
        return isOf(readFileSync(`/proc/${pid}/cmdline`, "latin1")) ? sum + proportionalKib(Number(pid)) : sum;
      } catch {
        return sum; // it has just ended
      }
    }, 0);
}

const OWN: Readonly<Record<string, (commandLine: string) => boolean>> = {
  lighter: (text) => /^lighter-supervisor|^\/pause/.test(text),
  containerd: (text) => /containerd-shim-runc-v2|^\/pause/.test(text),
};

async function memory(contenders: readonly Contender[]): Promise<object> {
  const results: Record<string, number> = {};
  for (const contender of contenders) {
    const before = memoryKib(OWN[contender.name]!);
    const pods: Pod[] = [];
    for (let index = 0; index < IDLE_PODS; index++) pods.push(await runPod(contender));
    results[contender.name] = (memoryKib(OWN[contender.name]!) - before) / IDLE_PODS;
    for (const pod of pods) await stopPod(contender, pod);
  }
  console.log(`what stays with each of ${IDLE_PODS} idle sandboxes (PSS)`);
  for (const [name, kib] of Object.entries(results)) console.log(`  ${name.padEnd(12)} ${kib.toFixed(0)} KiB`);
  return results;
}

const { values } = parseArgs({ options: { runs: { type: "string", default: "20" }, save: { type: "string" } } });
const runs = Number(values.runs);
const folder = makeWorkFolder();
const directory = folder.path;
try {
  await using undo = new AsyncDisposableStack();
  const socket = join(directory, "cri.sock");
  const engine = await startLighter(directory, { flags: ["--cri", `unix://${socket}`] });
  undo.defer(() => engine.stop());
  await fetch("http://localhost/images/load", {
    ...{ method: "POST", body: new Uint8Array(hostUsrImage()), unix: join(directory, "lighter.sock") },
    headers: { "Content-Type": "application/x-tar" },
  });
  using cri = await CriClient.connect(socket);
  mkdirSync(join(directory, "containerd"));
  await using containerd = await Containerd.start(join(directory, "containerd"));
  const contenders = [
    { name: "lighter", cri, directory: join(directory, "lighter") },
    { name: "containerd", cri: containerd.cri, directory: join(directory, "containerd") },
  ];
  const pod = await interleave(contenders, runs, async (contender) => {
    const made = await runPod(contender);
    await startContainer(contender, made);
    await stopPod(contender, made);
  });
  const results: Record<string, object> = { pod: report("a pod with one container, from run to removed", pod, 1 / 4) };
  const running = new Map<Contender, string>();
  for (const contender of contenders) running.set(contender, await startContainer(contender, await runPod(contender)));
  const probe = await interleave(contenders, runs, (contender) =>
    contender.cri.call("ExecSync", { containerId: running.get(contender)!, cmd: ["/bin/true"], timeout: 10 }),
  );
  results.probe = report("ExecSync of /bin/true", probe, 1 / 2);
  results.memory = await memory(contenders);
  for (const { id } of (await cri.call("ListPodSandbox", {})).items)
    await cri.call("RemovePodSandbox", { podSandboxId: id });
  if (values.save !== undefined) saveBaseline(values.save, results);
} finally {
  folder.remove();
  removePodCgroups(CGROUP_PARENT);
}
