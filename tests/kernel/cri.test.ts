/** Pods by Kubernetes' runtime interface: what a kubelet asks for, and what becomes of it on a real kernel. */
import { afterAll, beforeAll, expect } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../src/base/errors.ts";
import { parseRfc3339 } from "../../src/base/time.ts";
import { CniPlugins } from "../support/cni-plugin.ts";
import { CriClient } from "../support/cri-client.ts";
import { cgroupMountPoints, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { isAlive, rooted } from "../support/stage.ts";

let daemon: TestDaemon;
let cri: CriClient;
let plugins: CniPlugins;
let attempt = 0;

const criPath = (directory: string) => join(directory, "cri.sock");
const USR = { hostPath: "/usr", containerPath: "/usr", readonly: true };
const [POD, CONTAINER] = [0, 1];

beforeAll(async () => {
  daemon = await TestDaemon.start();
  plugins = new CniPlugins(daemon.directory);
  plugins.add("fake", ["10.9.0.2/24", "fd09::2/64"]);
  plugins.configure([{ type: "fake", capabilities: { portMappings: true, bandwidth: true } }]);
  await restart();
});

afterAll(async () => {
  cri?.[Symbol.dispose]();
  await daemon?.[Symbol.asyncDispose]();
});

/** Ends the daemon as `kill -9` does, and starts the next one. */
async function restart(flags: readonly string[] = []): Promise<void> {
  cri?.[Symbol.dispose]();
  await daemon.kill();
  const cni = ["--cni-conf-dir", plugins.configDirectory, "--cni-bin-dir", plugins.binDirectory];
  await daemon.launch({}, ["--cri", `unix://${criPath(daemon.directory)}`, ...cni, ...flags]);
  cri = await CriClient.connect(criPath(daemon.directory));
}

function podConfig(more: object = {}) {
  attempt++;
  return {
    metadata: { name: "web", uid: `uid-${attempt}`, namespace: "default", attempt },
    hostname: "web",
    labels: new Map([["io.kubernetes.pod.namespace", "default"]]),
    annotations: new Map([["note", "kept"]]),
    logDirectory: join(daemon.directory, `logs-${attempt}`),
    ...more,
  };
}

async function runPod(more: object = {}): Promise<string> {
  return (await cri.call("RunPodSandbox", { config: podConfig(more) })).podSandboxId;
}

function containerConfig(script: string, more: object = {}) {
  return {
    metadata: { name: "main", attempt: 0 },
    image: { image: "host-usr" },
    command: ["/bin/sh", "-c"],
    args: [script],
    mounts: [USR],
    ...more,
  };
}

async function create(podSandboxId: string, script: string, more: object = {}): Promise<string> {
  return (await cri.call("CreateContainer", { podSandboxId, config: containerConfig(script, more) })).containerId;
}

async function start(podSandboxId: string, script: string, more: object = {}): Promise<string> {
  const containerId = await create(podSandboxId, script, more);
  await cri.call("StartContainer", { containerId });
  return containerId;
}

async function statusOf(containerId: string) {
  return (await cri.call("ContainerStatus", { containerId })).status!;
}

async function ended(containerId: string) {
  await until(async () => (await statusOf(containerId)).state === 2, `container ${containerId} has ended`);
  return await statusOf(containerId);
}

async function exec(containerId: string, script: string) {
  const answer = await cri.call("ExecSync", { containerId, cmd: ["/bin/sh", "-c", script], timeout: 60 });
  return { out: `${Buffer.from(answer.stdout)}`, err: `${Buffer.from(answer.stderr)}`, code: answer.exitCode };
}

const pidOf = async (id: string): Promise<number> => (await daemon.inspect(id)).State.Pid;
const namespaceOf = (pid: number, kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`);

/** Removes the cgroups of a pod, which are kubelet's to make and to remove. */
function removeCgroups(path: string): void {
  for (const mountPoint of cgroupMountPoints()) {
    try {
      rmdirSync(join(mountPoint, path));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error; // not in every hierarchy
    }
  }
}

rooted("the runtime tells what it is, and whether pods have a network", async () => {
  expect(await cri.call("Version", { version: "v1" })).toMatchObject({
    runtimeName: "lighter",
    runtimeApiVersion: "v1",
  });
  const conditions = async () =>
    (await cri.call("Status", {})).status!.conditions.map(({ type, status, reason }) => [type, status, reason]);
  expect(await conditions()).toEqual([
    ["RuntimeReady", true, ""],
    ["NetworkReady", true, ""],
  ]);
  writeFileSync(plugins.failurePath("fake", "STATUS"), "");
  expect((await conditions())[1]).toEqual(["NetworkReady", false, "NetworkPluginNotReady"]);
  rmSync(plugins.failurePath("fake", "STATUS"));
  const { info, runtimeHandlers } = await cri.call("Status", { verbose: true });
  expect(info.size).toBeGreaterThan(0);
  expect(runtimeHandlers.map(({ name }) => name)).toContain("");
  expect((await cri.call("RuntimeConfig", {})).linux!.cgroupDriver).toBe(1);
});

rooted(
  "a pod is connected by plugins, told of its ports and limits, and disconnected in its namespace even after its end",
  async () => {
    const config = podConfig({
      portMappings: [{ protocol: 1, containerPort: 53, hostPort: 5353 }, { containerPort: 80 }],
      annotations: new Map([["kubernetes.io/ingress-bandwidth", "10M"]]),
    });
    const pod = (await cri.call("RunPodSandbox", { config })).podSandboxId;
    const { network } = (await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!;
    expect(network).toEqual({ ip: "10.9.0.2", additionalIps: [{ ip: "fd09::2" }] });
    const added = plugins.calls.find(({ container }) => container === pod)!;
    expect(added).toMatchObject({ command: "ADD", namespace: namespaceOf(await pidOf(pod), "net") });
    expect(added.args).toContain(`K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=${pod}`);
    expect(added.config.runtimeConfig).toEqual({
      portMappings: [{ protocol: "udp", containerPort: 53, hostPort: 5353, hostIP: "" }],
      bandwidth: { ingressRate: 10_000_000, ingressBurst: 2 ** 31 - 1 },
    });
    process.kill(await pidOf(pod), "SIGKILL");
    await until(async () => (await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state === 1, "it ends");
    await cri.call("StopPodSandbox", { podSandboxId: pod });
    expect(plugins.about(pod)).toEqual(["fake ADD", "fake DEL"]);
    expect(plugins.calls.at(-1)!.namespace).toBe(added.namespace); // which the daemon has kept
    await cri.call("RemovePodSandbox", { podSandboxId: pod });
  },
);

rooted(
  "a pod that cannot be connected leaves nothing, and one that cannot be disconnected is tried once more",
  async () => {
    writeFileSync(plugins.failurePath("fake", "ADD"), "");
    const { message } = await cri.failure("RunPodSandbox", { config: podConfig() });
    expect(message).toContain("fake refuses: as it was told");
    rmSync(plugins.failurePath("fake", "ADD"));
    expect((await cri.call("ListPodSandbox", {})).items).toEqual([]);
    const pod = await runPod();
    writeFileSync(plugins.failurePath("fake", "DEL"), "");
    expect((await cri.failure("StopPodSandbox", { podSandboxId: pod })).message).toContain("fake refuses");
    expect((await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(1);
    rmSync(plugins.failurePath("fake", "DEL"));
    await cri.call("RemovePodSandbox", { podSandboxId: pod });
    expect(plugins.about(pod)).toEqual(["fake ADD", "fake DEL", "fake DEL"]);
  },
);

rooted("images are listed with full names, found by each of them, and removed with all", async () => {
  const { images } = await cri.call("ListImages", {});
  const image = images.find(({ repoTags }) => repoTags.includes("docker.io/library/host-usr:latest"))!;
  for (const name of ["host-usr", "docker.io/library/host-usr:latest", image.id])
    expect((await cri.call("ImageStatus", { image: { image: name } })).image).toEqual(image);
  expect([image.uid, image.username]).toEqual([undefined, ""]);
  expect((await cri.call("ImageStatus", { image: { image: "nothing-here" } })).image).toBeUndefined();
  await daemon.request("POST", "/images/hello/tag?repo=greeter&tag=1");
  await cri.call("RemoveImage", { image: { image: "greeter:1" } });
  expect((await cri.call("ImageStatus", { image: { image: "hello" } })).image).toBeUndefined();
  await cri.call("RemoveImage", { image: { image: "greeter:1" } });
  const { imageFilesystems } = await cri.call("ImageFsInfo", {});
  expect(imageFilesystems[0]!.usedBytes!.value).toBeGreaterThan(0);
  expect(imageFilesystems[0]!.fsId!.mountpoint).toBe(daemon.dataRoot);
});

rooted("a pod: containers share its namespaces, a command runs in one, and all ends with it", async () => {
  const pod = await runPod();
  const { status } = await cri.call("PodSandboxStatus", { podSandboxId: pod });
  expect(status).toMatchObject({ id: pod, state: 0, metadata: { name: "web", namespace: "default" } });
  expect(status!.annotations).toEqual(new Map([["note", "kept"]]));
  expect(Number(status!.createdAt / 1_000_000n)).toBeGreaterThan(Date.now() - 600_000);
  const own = { linux: { securityContext: { namespaceOptions: { pid: CONTAINER } } } };
  const [one, two] = [
    await start(pod, "exec sleep 1000", own),
    await start(pod, "exec sleep 1000", {
      metadata: { name: "other", attempt: 0 },
      linux: { securityContext: { namespaceOptions: { pid: POD } } },
    }),
  ];
  const pids = [await pidOf(pod), await pidOf(one), await pidOf(two)];
  for (const kind of ["net", "ipc", "uts"]) expect(new Set(pids.map((pid) => namespaceOf(pid, kind))).size).toBe(1);
  expect(namespaceOf(pids[2]!, "pid")).toBe(namespaceOf(pids[0]!, "pid"));
  expect(namespaceOf(pids[1]!, "pid")).not.toBe(namespaceOf(pids[0]!, "pid"));
  expect(await exec(one, "echo out; echo err >&2; hostname; exit 7")).toEqual({
    out: "out\nweb\n",
    err: "err\n",
    code: 7,
  });
  await exec(one, "echo shared > /dev/shm/file");
  expect((await exec(two, "cat /dev/shm/file")).out).toBe("shared\n");
  expect(
    (await cri.call("ListContainers", { filter: { podSandboxId: pod } })).containers.map(({ id }) => id).sort(),
  ).toEqual([one, two].sort());
  await cri.call("StopPodSandbox", { podSandboxId: pod });
  for (const pid of pids) expect(isAlive(pid)).toBe(false);
  expect((await statusOf(one)).state).toBe(2);
  expect((await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(1);
  await cri.call("StopPodSandbox", { podSandboxId: pod });
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  expect((await cri.call("ListPodSandbox", {})).items).toEqual([]);
  expect((await cri.call("ListContainers", {})).containers).toEqual([]);
});

rooted("a container's end has its reason: completed, failed, or never started", async () => {
  const pod = await runPod();
  const done = await start(pod, "exit 0");
  expect(await ended(done)).toMatchObject({ reason: "Completed", exitCode: 0 });
  const failed = await start(pod, "exit 3", { metadata: { name: "failed", attempt: 1 } });
  expect(await ended(failed)).toMatchObject({ reason: "Error", exitCode: 3, metadata: { attempt: 1 } });
  const missing = await create(pod, "", { metadata: { name: "missing" }, command: ["/no/such/program"], args: [] });
  expect((await cri.failure("StartContainer", { containerId: missing })).message).toContain(
    "no such file or directory",
  );
  expect(await statusOf(missing)).toMatchObject({ state: 2, reason: "StartError", exitCode: 128 });
  expect((await cri.failure("StartContainer", { containerId: done })).code).toBe(9);
  await cri.call("RemoveContainer", { containerId: done });
  await cri.call("RemoveContainer", { containerId: done });
  expect((await cri.failure("ContainerStatus", { containerId: done })).code).toBe(5);
  await cri.call("StopContainer", { containerId: done, timeout: 1 });
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

rooted("a command that takes too long is killed, with what it has started", async () => {
  const pod = await runPod();
  const container = await start(pod, "exec sleep 1000");
  const late = await cri.failure("ExecSync", { containerId: container, cmd: ["/bin/sleep", "1000"], timeout: 1 });
  expect(late).toMatchObject({ code: 4, message: expect.stringContaining("timeout 1s exceeded") });
  expect((await exec(container, "exit 4")).code).toBe(4);
  const script = "sleep 98765 & (sleep 98765; :) & wait";
  const tree = await cri.failure("ExecSync", { containerId: container, cmd: ["/bin/sh", "-c", script], timeout: 1 });
  expect(tree.code).toBe(4);
  await until(
    async () => (await exec(container, "grep -l [9]8765 /proc/[0-9]*/cmdline")).out === "",
    "its children end",
  );
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

rooted("a killed daemon's pods run on, and the next daemon knows all of them", async () => {
  const pod = await runPod();
  const container = await start(pod, "exec sleep 1000");
  const before = await statusOf(container);
  const pids = [await pidOf(pod), await pidOf(container)];
  await restart();
  expect(await statusOf(container)).toEqual(before);
  expect([await pidOf(pod), await pidOf(container)]).toEqual(pids);
  expect((await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(0);
  expect((await exec(container, "echo here")).out).toBe("here\n");
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

interface LogLine {
  time: bigint;
  stream: string;
  tag: string;
  text: string;
}

/** The lines of a log for kubelet. Each has to be whole. */
function readLog(path: string): LogLine[] {
  const text = readFileSync(path, "utf8");
  if (text !== "" && !text.endsWith("\n")) throw new Error("the log ends in the middle of a line");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const [, time = "", stream = "", tag = "", rest = ""] = /^(\S+) (stdout|stderr) ([FP]) (.*)$/.exec(line) ?? [];
      const ns = parseRfc3339(time);
      if (ns === undefined) throw new Error(`not a line of a log: ${line.slice(0, 200)}`);
      return { time: ns, stream, tag, text: rest };
    });
}

rooted(
  "output is in the log that kubelet reads: streams, long lines in parts, a last line without its end",
  async () => {
    const config = podConfig();
    const pod = (await cri.call("RunPodSandbox", { config })).podSandboxId;
    const script = `echo out; echo err >&2; echo; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'ä"\\ end'`;
    const container = await start(pod, script, { logPath: "main/0.log" });
    const path = join(config.logDirectory, "main/0.log");
    expect((await ended(container)).logPath).toBe(path);
    const lines = readLog(path);
    expect(lines.map(({ stream, tag, text }) => [stream, tag, text.length > 100 ? text.length : text]).sort()).toEqual(
      [
        ["stdout", "F", "out"],
        ["stderr", "F", "err"],
        ["stdout", "F", ""],
        ["stdout", "P", 16384],
        ["stdout", "P", 16384],
        ["stdout", "F", 40_000 - 2 * 16_384],
        ["stdout", "F", 'ä"\\ end'],
      ].sort(),
    );
    expect(statSync(path).mode & 0o777).toBe(0o640);
    const silent = await start(pod, "exec sleep 1000", { metadata: { name: "silent" }, logPath: "silent.log" });
    expect(readLog(join(config.logDirectory, "silent.log"))).toEqual([]);
    await cri.call("RemoveContainer", { containerId: silent });
    await cri.call("RemovePodSandbox", { podSandboxId: pod });
    expect(readLog(path)).toEqual(lines); // kubelet's to remove
  },
);

rooted("a log that kubelet renames goes on in a new file, and no line is lost or torn", async () => {
  const config = podConfig();
  const pod = (await cri.call("RunPodSandbox", { config })).podSandboxId;
  const counting = 'i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; echo done; exec sleep 1000';
  const container = await start(pod, counting, { logPath: "0.log" });
  const path = join(config.logDirectory, "0.log");
  const files: string[] = [];
  const present = () => [...files, path].filter((file) => existsSync(file));
  const lines = () => present().flatMap((file) => readLog(file).map(({ text }) => text));
  // While it is written to, a file may be read as ending anywhere.
  const isDone = () => present().some((file) => readFileSync(file, "utf8").includes(" F done\n"));
  while (!isDone()) {
    const renamed = `${path}.${files.length}`;
    renameSync(path, renamed);
    files.push(renamed);
    await cri.call("ReopenContainerLog", { containerId: container });
  }
  expect(lines()).toEqual([...Array.from({ length: 3000 }, (_, index) => `line ${index}`), "done"]);
  await cri.call("StopContainer", { containerId: container, timeout: 0 });
  expect((await cri.failure("ReopenContainerLog", { containerId: container })).code).toBe(9);
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

/** Lines of /proc/self/status of a process in the container. */
async function processStatus(containerId: string): Promise<Record<string, string>> {
  const { out } = await exec(containerId, "cat /proc/1/status");
  return Object.fromEntries(out.split("\n").map((line) => line.split(":\t", 2).map((part) => part.trim())));
}

rooted("a security context is what the process has: ids, groups by policy, capabilities, filters, masks", async () => {
  const layer = rawTar(
    { name: "etc/passwd", content: "user:x:1000:1000::/:/bin/sh\n" },
    { name: "etc/group", content: "extra:x:50000:user\n" },
    ...["bin", "lib", "lib64"].map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
  );
  const archive = dockerArchive({ layers: [layer], tags: ["grouped:latest"], config: { Cmd: ["/bin/sh"] } });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
  const pod = await runPod();
  const context = {
    runAsUser: { value: 1000 },
    runAsGroup: { value: 2000 },
    supplementalGroups: [3000],
    capabilities: { dropCapabilities: ["ALL"], addCapabilities: ["NET_RAW"] },
    noNewPrivs: true,
    readonlyRootfs: true,
    seccomp: { profileType: 0 },
    maskedPaths: ["/proc/cmdline"],
    readonlyPaths: ["/proc/sys"],
    namespaceOptions: { pid: CONTAINER },
  };
  const image = { image: "grouped" };
  const merged = await start(pod, "exec sleep 1000", { image, linux: { securityContext: context } });
  const status = await processStatus(merged);
  expect(status).toMatchObject({ Uid: "1000\t1000\t1000\t1000", Gid: "2000\t2000\t2000\t2000" });
  expect(status).toMatchObject({ Groups: "2000 3000 50000", NoNewPrivs: "1", Seccomp: "2" });
  expect(status.CapBnd).toBe("0000000000002000");
  expect((await statusOf(merged)).user!.linux).toMatchObject({ uid: 1000, gid: 2000 });
  expect((await exec(merged, "cat /proc/cmdline; echo x > /file || echo read-only")).out).toBe("read-only\n");
  const strict = { ...context, supplementalGroupsPolicy: 1 };
  const alone = await start(pod, "exec sleep 1000", {
    ...{ metadata: { name: "strict" }, image },
    linux: { securityContext: strict },
  });
  expect((await processStatus(alone)).Groups).toBe("2000 3000");
  const everything = { privileged: true, namespaceOptions: { pid: CONTAINER } };
  const privileged = await start(pod, "exec sleep 1000", {
    metadata: { name: "privileged" },
    linux: { securityContext: everything },
  });
  expect(await processStatus(privileged)).toMatchObject({ Seccomp: "0", NoNewPrivs: "0" });
  const unconfined = await start(pod, "exec sleep 1000", {
    metadata: { name: "unconfined" },
    linux: { securityContext: { namespaceOptions: { pid: CONTAINER } } },
  });
  expect((await exec(unconfined, "grep Seccomp: /proc/self/status")).out).toBe("Seccomp:\t0\n");
  const group = { runAsGroup: { value: 1 } };
  expect(
    await cri.failure("CreateContainer", {
      podSandboxId: pod,
      config: containerConfig("", { linux: { securityContext: group } }),
    }),
  ).toMatchObject({ code: 3, message: "user group is specified without user" });
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  await cri.call("RemoveImage", { image });
});

rooted("a pod with ids of its own: its root is nobody on the host, and mapped binds have its owners", async () => {
  const uids = [{ hostId: 0x5000_0000, containerId: 0, length: 65_536 }];
  const namespaceOptions = { pid: CONTAINER, usernsOptions: { mode: POD, uids, gids: uids } };
  const linux = { securityContext: { namespaceOptions } };
  const pod = await runPod({ linux });
  const directory = join(daemon.directory, "mapped");
  mkdirSync(directory);
  writeFileSync(join(directory, "file"), "");
  const mapping = { uidmappings: uids, gidmappings: uids };
  const mounts = [
    USR,
    { hostPath: directory, containerPath: "/mapped", ...mapping },
    { hostPath: directory, containerPath: "/plain" },
  ];
  const container = await start(pod, "exec sleep 1000", { linux, mounts });
  expect(namespaceOf(await pidOf(container), "user")).toBe(namespaceOf(await pidOf(pod), "user"));
  expect(statSync(`/proc/${await pidOf(container)}`).uid).toBe(0x5000_0000);
  expect((await exec(container, "stat -c %u /mapped/file /plain/file; touch /mapped/new")).out).toBe("0\n65534\n");
  expect(statSync(join(directory, "new")).uid).toBe(0);
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  const two = { usernsOptions: { mode: POD, uids: [...uids, ...uids], gids: uids } };
  const refused = await cri.failure("RunPodSandbox", {
    config: podConfig({ linux: { securityContext: { namespaceOptions: two } } }),
  });
  expect(refused).toMatchObject({ code: 3, message: expect.stringContaining("uid mapping") });
});

rooted("a daemon that is killed while it connects a pod leaves one that is not ready, and can be removed", async () => {
  const hang = plugins.hangPath("fake", "ADD");
  writeFileSync(hang, "");
  const config = podConfig();
  const lost = cri.failure("RunPodSandbox", { config });
  await until(
    () => plugins.calls.at(-1)?.command === "ADD" && plugins.calls.at(-1)?.args.includes(config.metadata.uid) === true,
    "it connects",
  );
  const pod = plugins.calls.at(-1)!.container;
  expect((await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(1);
  const restarted = restart();
  await lost.catch(() => {}); // the connection has gone with the daemon
  await restarted;
  rmSync(hang);
  expect((await cri.call("PodSandboxStatus", { podSandboxId: pod })).status!.state).toBe(1);
  expect((await cri.failure("CreateContainer", { podSandboxId: pod, config: containerConfig("") })).code).toBe(9);
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  expect(plugins.about(pod)).toEqual(["fake ADD", "fake DEL"]);
  expect((await cri.call("ListPodSandbox", {})).items).toEqual([]);
});

rooted("statistics tell of CPU, memory and files, and sum a pod up in its own cgroup", async () => {
  const cgroupParent = `/lighter/pod-${process.pid}`;
  const pod = await runPod({ linux: { cgroupParent } });
  const script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo 12345 > /file; exec sleep 1000";
  const container = await start(pod, script);
  const quiet = await create(pod, "", { metadata: { name: "quiet" } });
  await until(async () => (await exec(container, "cat /file")).out === "12345\n", "the file is written");
  const { stats } = await cri.call("ContainerStats", { containerId: container });
  expect(stats!.attributes).toMatchObject({ id: container, metadata: { name: "main" } });
  expect(stats!.cpu!.usageCoreNanoSeconds!.value).toBeGreaterThan(0);
  expect(stats!.memory!.workingSetBytes!.value).toBeGreaterThan(0);
  expect(stats!.writableLayer).toMatchObject({ fsId: { mountpoint: daemon.dataRoot }, usedBytes: { value: 6 } });
  expect(stats!.writableLayer!.inodesUsed!.value).toBeGreaterThanOrEqual(1);
  expect(stats!.writableLayer!.timestamp).toBeGreaterThan(0n);
  const listed = (await cri.call("ListContainerStats", { filter: { podSandboxId: pod } })).stats;
  expect(new Set(listed.map(({ attributes }) => attributes!.id))).toEqual(new Set([container, quiet]));
  expect(listed.find(({ attributes }) => attributes!.id === quiet)!.cpu).toBeUndefined();
  const ofPod = (await cri.call("PodSandboxStats", { podSandboxId: pod })).stats!.linux!;
  expect(ofPod.cpu!.usageCoreNanoSeconds!.value).toBeGreaterThanOrEqual(stats!.cpu!.usageCoreNanoSeconds!.value);
  expect(ofPod.process!.processCount!.value).toBeGreaterThanOrEqual(2);
  expect((await cri.call("ListPodSandboxStats", {})).stats.map(({ attributes }) => attributes!.id)).toEqual([pod]);
  const names = (await cri.call("ListMetricDescriptors", {})).descriptors.map(({ name }) => name);
  const [metrics] = (await cri.call("ListPodSandboxMetrics", {})).podMetrics;
  expect(metrics!.containerMetrics.map(({ containerId }) => containerId)).toEqual([container]);
  for (const { name, timestamp } of metrics!.containerMetrics[0]!.metrics) {
    expect(names).toContain(name);
    expect(timestamp).toBeGreaterThan(0n);
  }
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  removeCgroups(cgroupParent);
});

rooted("limits are changed before the start and while it runs, and a refused change changes nothing", async () => {
  const pod = await runPod();
  const memoryLimitInBytes = 64 << 20;
  const resources = { memoryLimitInBytes, cpuShares: 512, cpuPeriod: 100_000, cpuQuota: 50_000 };
  const container = await create(pod, "exec sleep 1000", { linux: { resources } });
  const update = (linux: object) => ({ containerId: container, linux });
  await cri.call("UpdateContainerResources", update({ cpuShares: 256 }));
  expect((await statusOf(container)).resources!.linux).toMatchObject({ memoryLimitInBytes, cpuShares: 256 });
  await cri.call("StartContainer", { containerId: container });
  const hostConfig = async () => (await daemon.inspect(container)).HostConfig;
  expect(await hostConfig()).toMatchObject({ Memory: memoryLimitInBytes, CpuShares: 256, CpuQuota: 50_000 });
  await cri.call("UpdateContainerResources", update({ memoryLimitInBytes: 128 << 20, cpuQuota: 20_000 }));
  expect((await statusOf(container)).resources!.linux).toMatchObject({ memoryLimitInBytes: 128 << 20, cpuShares: 256 });
  expect(await hostConfig()).toMatchObject({ Memory: 128 << 20, CpuQuota: 20_000 });
  const before = await statusOf(container);
  expect((await cri.failure("UpdateContainerResources", update({ cpuPeriod: 5 }))).code).toBe(3);
  expect(await statusOf(container)).toEqual(before);
  await cri.call("UpdatePodSandboxResources", { podSandboxId: pod, resources: { cpuShares: 2048 } });
  expect((await cri.failure("CheckpointContainer", { containerId: container })).code).toBe(12);
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

rooted("each client is told of what happens to pods, and of nothing else", async () => {
  using other = await CriClient.connect(criPath(daemon.directory));
  const told: { kind: number; id: string; states: number[] }[] = [];
  const listening = (async () => {
    for await (const event of other.events())
      told.push({
        kind: event.containerEventType,
        id: event.containerId,
        states: event.containersStatuses.map(({ state }) => state),
      });
  })().catch(() => {}); // the client goes at the end
  // It listens once it has been told of something.
  await until(async () => {
    await cri.call("RemovePodSandbox", { podSandboxId: await runPod() });
    return told.length > 0;
  }, "events arrive");
  await daemon.create({ Cmd: ["/bin/true"] });
  const pod = await runPod();
  const container = await start(pod, "exit 0");
  await ended(container);
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
  const of = (id: string) => told.filter((each) => each.id === id).map(({ kind }) => kind);
  await until(() => of(pod).length === 4, "the sandbox is gone");
  expect(of(container)).toEqual([0, 1, 2, 3]);
  expect(of(pod)).toEqual([0, 1, 2, 3]);
  expect(told.find(({ id, kind }) => id === container && kind === 1)!.states).toEqual([1]);
  other[Symbol.dispose]();
  await listening;
});

rooted("a prune leaves pods alone, and a switch keeps them out of lists", async () => {
  const pod = await runPod();
  const container = await start(pod, "exit 0");
  await ended(container);
  const { json } = await daemon.request("POST", "/containers/prune");
  expect(json.ContainersDeleted ?? []).not.toContain(container);
  const listed = async (filter = "") =>
    (await daemon.request("GET", `/containers/json?all=1${filter}`)).json.map(({ Id }: { Id: string }) => Id);
  const byLabel = `&filters=${encodeURIComponent('{"label":["io.kubernetes.pod.namespace=default"]}')}`;
  expect(await listed(byLabel)).toEqual([pod]);
  expect(await listed()).toContain(container);
  await restart(["--cri-hidden"]);
  expect(await listed()).not.toContain(container);
  expect((await daemon.request("GET", "/info")).json.Containers).toBe((await listed()).length);
  expect((await statusOf(container)).state).toBe(2);
  await restart();
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});

rooted("requests that cannot be met are refused, with the code that kubelet looks at", async () => {
  const pod = await runPod();
  const config = podConfig();
  await cri.call("RunPodSandbox", { config });
  expect(await cri.failure("RunPodSandbox", { config })).toMatchObject({
    code: 9,
    message: expect.stringContaining("failed to reserve sandbox name"),
  });
  const refusals = [
    [await cri.failure("RunPodSandbox", {}), 3, "the sandbox's config is missing"],
    [await cri.failure("RunPodSandbox", { config: podConfig(), runtimeHandler: "kata" }), 3, 'no runtime for "kata"'],
    [await cri.failure("CreateContainer", { podSandboxId: pod }), 3, "the container's config is missing"],
    [await cri.failure("CreateContainer", { podSandboxId: "no", config: containerConfig("") }), 5, 'sandbox "no"'],
    [
      await cri.failure("CreateContainer", {
        podSandboxId: pod,
        config: containerConfig("", { image: { image: "x" } }),
      }),
      5,
      'failed to resolve image "x"',
    ],
    [
      await cri.failure("CreateContainer", {
        podSandboxId: pod,
        config: containerConfig("", { mounts: [{ hostPath: "/not/there", containerPath: "/there" }] }),
      }),
      3,
      "/not/there",
    ],
    [await cri.failure("ExecSync", { containerId: "no", cmd: ["x"] }), 5, 'container "no"'],
  ] as const;
  for (const [{ code, message }, expected, text] of refusals) {
    expect(message).toContain(text);
    expect(code).toBe(expected);
  }
  for (const { id } of (await cri.call("ListPodSandbox", {})).items)
    await cri.call("RemovePodSandbox", { podSandboxId: id });
});

rooted("a pod on the host's network is in the host's namespaces of network and names", async () => {
  const securityContext = { namespaceOptions: { network: 2, pid: 2, ipc: 2 } };
  const pod = await runPod({ linux: { securityContext } });
  const container = await start(pod, "exec sleep 1000", { linux: { securityContext } });
  for (const id of [pod, container])
    for (const kind of ["net", "uts", "ipc", "pid"])
      expect(namespaceOf(await pidOf(id), kind)).toBe(namespaceOf(daemon.pid, kind));
  expect((await exec(container, "cat /etc/hostname")).out).toBe(readFileSync("/proc/sys/kernel/hostname", "utf8"));
  await cri.call("RemovePodSandbox", { podSandboxId: pod });
});
