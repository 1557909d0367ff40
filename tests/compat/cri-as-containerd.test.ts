/** The same requests to containerd's CRI plugin and to ours: the answers say the same. Source of truth: what is installed here. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Containerd, CRI_IMAGE, removePodCgroups } from "../support/containerd.ts";
import { CriClient } from "../support/cri-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rootedWith } from "../support/stage.ts";

const compared = rootedWith("containerd", "ctr", "runc", "containerd-shim-runc-v2");

/** A runtime with its client, and what the engine's own directory has. */
interface Peer {
  name: string;
  cri: CriClient;
  directory: string;
}

let ours: Peer;
let theirs: Peer;
let daemon: TestDaemon;
let containerd: Containerd | undefined;
let directory: string | undefined;

beforeAll(async () => {
  if (process.getuid?.() !== 0 || Bun.which("containerd-shim-runc-v2") === null) return;
  daemon = await TestDaemon.start();
  await daemon.kill();
  const socket = join(daemon.directory, "cri.sock");
  await daemon.launch({}, ["--cri", `unix://${socket}`, "--cni-conf-dir", join(daemon.directory, "no-conf")]);
  ours = { name: "lighter", cri: await CriClient.connect(socket), directory: daemon.directory };
  directory = mkdtempSync(join(tmpdir(), "lighter-containerd-"));
  containerd = await Containerd.start(directory);
  theirs = { name: "containerd", cri: containerd.cri, directory };
}, 60_000);

afterAll(async () => {
  await containerd?.[Symbol.asyncDispose]();
  ours?.cri[Symbol.dispose]();
  await daemon?.[Symbol.asyncDispose]();
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  removePodCgroups(CGROUP_PARENT);
}, 60_000);

/** What both say to the same, one after the other. */
async function both<T>(ask: (peer: Peer) => Promise<T>): Promise<{ ours: T; theirs: T }> {
  return { theirs: await ask(theirs), ours: await ask(ours) };
}

async function expectSame<T>(ask: (peer: Peer) => Promise<T>): Promise<T> {
  const answers = await both(ask);
  expect(answers.ours).toEqual(answers.theirs);
  return answers.ours;
}

const HOST = { network: 2 };
/** Kubelet's to make and to remove; without one containerd has a place of its own. */
const CGROUP_PARENT = `/lighter-cri-${process.pid}`;
const linux = { cgroupParent: CGROUP_PARENT, securityContext: { namespaceOptions: HOST } };

const podConfig = (directory: string, name = "web") => ({
  metadata: { name, uid: "uid-1", namespace: "default", attempt: 1 },
  labels: new Map([["app", "web"]]),
  annotations: new Map([["note", "kept"]]),
  logDirectory: join(directory, "logs", name),
  linux,
});

const containerConfig = (name: string, script: string, more: object = {}) => ({
  metadata: { name, attempt: 2 },
  image: { image: CRI_IMAGE },
  command: ["/bin/sh", "-c", script],
  mounts: [{ hostPath: "/usr", containerPath: "/usr", readonly: true }],
  labels: new Map([["part", name]]),
  annotations: new Map([["of", "container"]]),
  logPath: `${name}.log`,
  linux: { securityContext: { ...linux.securityContext, namespaceOptions: { ...HOST, pid: 1 } } },
  ...more,
});

/** What cannot be the same: ids are made up, and times pass. */
function normal<T>(value: T): T {
  const text = JSON.stringify(value, (key, each) => {
    if (typeof each === "bigint") return each === 0n ? "never" : "once";
    if (each instanceof Map) return Object.fromEntries([...each].sort());
    if (["id", "podSandboxId", "containerId"].includes(key) && typeof each === "string") return `${each.length} digits`;
    return each;
  });
  return JSON.parse(text);
}

/** Fails alike: the code, and what kubelet looks for in the text. */
async function failure(peer: Peer, ...args: Parameters<CriClient["failure"]>) {
  const { code, message } = await peer.cri.failure(...args);
  return { isNotFound: code === 5, saysNotFound: message.includes("not found") };
}

compared("both are ready, and say alike that pods have no network", async () => {
  await expectSame(async ({ cri }) => {
    const { status } = await cri.call("Status", {});
    return status!.conditions
      .filter(({ type }) => type.endsWith("Ready"))
      .map(({ type, status, reason }) => ({ type, status, reason }));
  });
  await expectSame(async ({ cri }) => {
    const { version, runtimeApiVersion } = await cri.call("Version", {});
    return { version, runtimeApiVersion };
  });
});

compared("images: names, users, what is not there", async () => {
  await expectSame(async ({ cri }) => {
    const { image } = await cri.call("ImageStatus", { image: { image: CRI_IMAGE } });
    return { tags: image!.repoTags, uid: image!.uid, username: image!.username, id: image!.id.length };
  });
  await expectSame(async ({ cri }) => (await cri.call("ImageStatus", { image: { image: "none" } })).image);
  await expectSame(({ cri }) => cri.call("RemoveImage", { image: { image: "none" } }));
});

compared("the life of a pod: each answer on the way", async () => {
  const pods = await both(
    async ({ cri, directory }) => (await cri.call("RunPodSandbox", { config: podConfig(directory) })).podSandboxId,
  );
  const podOf = ({ name }: Peer) => (name === "lighter" ? pods.ours : pods.theirs);
  const podStatus = async (peer: Peer) => {
    const { status } = await peer.cri.call("PodSandboxStatus", { podSandboxId: podOf(peer) });
    return normal(status);
  };
  await expectSame(podStatus);
  await expectSame(async ({ cri }) =>
    normal(await cri.call("ListPodSandbox", { filter: { labelSelector: new Map([["app", "web"]]) } })),
  );
  await expectSame(async ({ cri }) => normal(await cri.call("ListPodSandbox", { filter: { state: { state: 1 } } })));

  const create = (peer: Peer, config: object) =>
    peer.cri.call("CreateContainer", {
      podSandboxId: podOf(peer),
      config,
      sandboxConfig: podConfig(peer.directory),
    });
  const made = await both(
    async (peer) =>
      (await create(peer, containerConfig("main", "echo out; echo err >&2; exec sleep 1000"))).containerId,
  );
  const idOf = ({ name }: Peer) => (name === "lighter" ? made.ours : made.theirs);
  const status = async (peer: Peer, containerId = idOf(peer)) => {
    const { status } = await peer.cri.call("ContainerStatus", { containerId });
    const { imageRef, imageId, logPath, message, mounts, resources, user, ...rest } = status!;
    return normal({
      ...rest,
      logPath: logPath.replace(peer.directory, ""),
      mounts: mounts.map(({ hostPath, containerPath, readonly }) => ({ hostPath, containerPath, readonly })),
      imageRef: imageRef.length,
    });
  };
  await expectSame(status);
  await expectSame(async (peer) => peer.cri.call("StartContainer", { containerId: idOf(peer) }));
  await expectSame(status);
  await expectSame(async ({ cri }) => {
    const { containers } = await cri.call("ListContainers", { filter: { labelSelector: new Map([["part", "main"]]) } });
    return normal(containers.map(({ imageRef, imageId, ...rest }) => rest));
  });
  const exec =
    (script: string, timeout = 60) =>
    async (peer: Peer) => {
      const answer = await peer.cri.call("ExecSync", {
        containerId: idOf(peer),
        cmd: ["/bin/sh", "-c", script],
        timeout,
      });
      return { out: `${Buffer.from(answer.stdout)}`, err: `${Buffer.from(answer.stderr)}`, code: answer.exitCode };
    };
  await expectSame(exec("echo out; echo err >&2; exit 3"));
  await expectSame(exec("id; pwd; echo $HOSTNAME"));
  await expectSame(exec("grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/1/status"));
  await expectSame(exec("stat -c '%a %F' /dev/null /dev/shm /dev/pts /proc /sys /tmp"));
  await expectSame(async (peer) => {
    const late = await peer.cri.failure("ExecSync", {
      containerId: idOf(peer),
      cmd: ["/bin/sleep", "100"],
      timeout: 1,
    });
    return { code: late.code, saysTimeout: /timeout 1s exceeded/.test(late.message) };
  });
  const logOf = ({ directory }: Peer) => readFileSync(join(directory, "logs/web/main.log"), "utf8");
  await until(
    () => logOf(ours).split("\n").length === 3 && logOf(theirs).split("\n").length === 3,
    "the logs are written",
  );
  await expectSame(async (peer) => logOf(peer).replace(/^\S+ /gm, "").split("\n").sort());
  await expectSame((peer) => failure(peer, "ContainerStatus", { containerId: "none" }));
  await expectSame((peer) => failure(peer, "PodSandboxStatus", { podSandboxId: "none" }));
  await expectSame((peer) =>
    failure(peer, "CreateContainer", { podSandboxId: "none", config: containerConfig("x", "") }),
  );

  for (const [name, script] of [
    ["good", "exit 0"],
    ["bad", "exit 7"],
  ] as const) {
    const ended = await both(async (peer) => (await create(peer, containerConfig(name, script))).containerId);
    await both((peer) =>
      peer.cri.call("StartContainer", { containerId: peer.name === "lighter" ? ended.ours : ended.theirs }),
    );
    const id = (peer: Peer) => (peer.name === "lighter" ? ended.ours : ended.theirs);
    for (const peer of [ours, theirs])
      await until(async () => (await status(peer, id(peer))).state === 2, `${name} has ended`);
    await expectSame((peer) => status(peer, id(peer)));
  }
  await expectSame(async (peer) => peer.cri.call("StopContainer", { containerId: idOf(peer), timeout: 0 }));
  await expectSame(status);
  await expectSame(async (peer) => peer.cri.call("StopPodSandbox", { podSandboxId: podOf(peer) }));
  await expectSame(async (peer) => peer.cri.call("StopPodSandbox", { podSandboxId: podOf(peer) }));
  await expectSame(podStatus);
  await expectSame(async (peer) => peer.cri.call("RemovePodSandbox", { podSandboxId: podOf(peer) }));
  await expectSame(async (peer) => peer.cri.call("RemovePodSandbox", { podSandboxId: podOf(peer) }));
  await expectSame(async ({ cri }) => cri.call("ListContainers", {}));
});
