/**
 * Each call of Kubernetes' runtime interface, sent to containerd's CRI plugin and to ours: the answers are compared field by field, and
 * what differs is in the table of differences, each of them for a reason. Source of truth: what is installed here.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { methodsOf } from "../../src/cri/methods.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import { CRI_IMAGE } from "../support/containerd.ts";
import type { CriMethod } from "../support/cri-client.ts";
import { CGROUP_PARENT, CriPeers, type Peer } from "../support/cri-peers.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { rawTar } from "../support/image-tar.ts";
import { SpdyClient } from "../support/spdy-client.ts";
import { rootedWith } from "../support/stage.ts";

const compared = rootedWith("containerd", "ctr", "runc", "containerd-shim-runc-v2");

let peers: CriPeers | undefined;
let registry: FakeRegistry | undefined;

beforeAll(async () => {
  if (process.getuid?.() !== 0 || Bun.which("containerd-shim-runc-v2") === null) return;
  peers = await CriPeers.start();
  registry = await FakeRegistry.start();
  for (const tag of ["1", "2"])
    registry.addImage("team/app", tag, { layers: [rawTar({ name: "file", content: "same" })], gzip: true });
}, 60_000);

afterAll(async () => {
  await registry?.[Symbol.asyncDispose]();
  await peers?.[Symbol.asyncDispose]();
}, 60_000);

/** A question and what came of it: fields by their paths. */
interface Answer {
  question: string;
  fields: Map<string, unknown>;
}

/** Failures that kubelet tells apart. containerd says `Unknown` of most others, and we what they are. */
const FAILURES: Readonly<Record<number, string>> = {
  4: "too late",
  5: "not found",
  12: "not implemented",
  14: "unavailable",
};

/** Asks one of the two, and keeps what it says. */
class Tour {
  readonly answers: Answer[] = [];
  readonly asked = new Set<string>();

  constructor(readonly peer: Peer) {}

  async ask(method: CriMethod, what: string, request: object) {
    this.asked.add(method);
    try {
      const answer = await this.peer.cri.call(method, request);
      this.keep(`${method} ${what}`, answer);
      // biome-ignore lint/suspicious/noExplicitAny: an answer of any method
      return answer as any;
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      const { code } = error.status;
      this.keep(`${method} ${what}`, { fails: FAILURES[code] ?? "refused" });
      return undefined;
    }
  }

  keep(question: string, answer: unknown): void {
    this.answers.push({ question, fields: new Map(fieldsOf("", answer, this.peer)) });
  }
}

/** All fields of a message; of what is another each time there is its form. */
function* fieldsOf(path: string, value: unknown, peer: Peer): Generator<[string, unknown]> {
  if (value instanceof Uint8Array) yield [path, Buffer.from(value).toString()];
  else if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) yield* fieldsOf(`${path}[${index}]`, each, peer);
  } else if (value instanceof Map) {
    for (const [key, each] of value) yield* fieldsOf(`${path}[${key}]`, each, peer);
  } else if (isMeasured(value)) yield [path, "measured"];
  else if (typeof value === "object" && value !== null) {
    for (const [name, each] of Object.entries(value))
      yield* fieldsOf(path === "" ? name : `${path}.${name}`, each, peer);
  } else if (value !== undefined) yield [path, formOf(value, peer)];
}

/** A message of one number, which is of what is measured. */
function isMeasured(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).join() === "value";
}

function formOf(value: unknown, { directory }: Peer): unknown {
  if (typeof value === "bigint") return value === 0n ? "never" : "at some time";
  if (typeof value !== "string") return value;
  return value
    .replaceAll(directory, "DIRECTORY")
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/^http:\/\/127\.0\.0\.1:\d+\/(\w+)\/[\w-]+$/, "http://127.0.0.1:PORT/$1/TOKEN");
}

const NEWER = "an interface newer than containerd's";
const OWN = "each has directories and names of its own";
const MORE = "containerd answers for running containers only, or none on cgroup v1 beside v2";
const NO_SOURCE = "with a source that is not there";

/** What may differ: the question, the fields, and why. */
const DIFFERENCES: readonly (readonly [question: RegExp, path: RegExp, why: string])[] = [
  [/^Version/, /^runtime(Name|Version)$/, OWN],
  [/^Status/, /^status\.conditions\[1\]\.message/, "ours names the directory that has no config"],
  [/^Status/, /^status\.conditions\[2\]/, "containerd tells of its own deprecated settings"],
  [/^Status/, /^(runtimeHandlers|features)/, NEWER],
  [/^(RuntimeConfig|UpdatePodSandboxResources|ListPodSandboxMetrics|ListMetricDescriptors)/, /./, NEWER],
  [/^PodSandboxStatus/, /^(timestamp|containersStatuses)/, NEWER],
  [/^Container|^ListContainers/, /\.(imageId|user\.linux\.\w+(\[0\])?)$/, NEWER],
  [/^(ImageStatus|ListImages)/, /\.spec\./, NEWER],
  [/^(ImageStatus|ListImages)/, /\.size$/, "containerd counts compressed layers"],
  [/^ListImages/, /./, "containerd answers with all images, whatever is asked for"],
  [/^ImageFsInfo/, /mountpoint$|^containerFilesystems/, OWN],
  [/^CheckpointContainer of none/, /^fails$/, "ours looks for the container first"],
  [/^CreateContainer with a source/, /./, "containerd makes a directory where there is none, ours refuses"],
  [/^CreateContainer in a stopped pod/, /^fails$/, "containerd says that the task, not the sandbox, is not found"],
  [
    /^(Container|ListContainer|PodSandbox|ListPodSandbox)Stats/,
    /(^|\.)(fails|attributes|linux|cpu|memory|swap|writableLayer)(\.|$)/,
    MORE,
  ],
  [/, its (streams|error)/, /message$/, "kubectl takes the code from the causes"],
  [
    /^ContainerStatus of no such program/,
    /^status\.message$/,
    "containerd tells the way of the failure through shim and runc",
  ],
];

function isListed(question: string, path: string): boolean {
  return DIFFERENCES.some(([asked, field]) => asked.test(question) && field.test(path));
}

const HOST = { network: 2 };
const linux = { cgroupParent: CGROUP_PARENT, securityContext: { namespaceOptions: HOST } };
const none = "none";

/** Sends every call to a runtime, in the states in which kubelet does. */
async function tour(peer: Peer): Promise<Tour> {
  const all = new Tour(peer);
  const ask = all.ask.bind(all);
  await aboutRuntime(ask);
  await aboutImages(ask);
  await aboutMissing(ask);
  await aboutPods(all);
  return all;
}

type Ask = Tour["ask"];

async function aboutRuntime(ask: Ask): Promise<void> {
  await ask("Version", "", { version: "v1" });
  await ask("Status", "", {});
  await ask("RuntimeConfig", "", {});
  await ask("UpdateRuntimeConfig", "with a range", { runtimeConfig: { networkConfig: { podCidr: "10.1.0.0/24" } } });
  await ask("UpdateRuntimeConfig", "of nothing", {});
}

async function aboutImages(ask: Ask): Promise<void> {
  const image = { image: `${registry!.host}/team/app:1` };
  await ask("PullImage", "by its tag", { image });
  await ask("PullImage", "by another tag of the same", { image: { image: `${registry!.host}/team/app:2` } });
  await ask("PullImage", "of no such tag", { image: { image: `${registry!.host}/team/app:none` } });
  await ask("PullImage", "of no name", { image: { image: "" } });
  await ask("ImageStatus", "of the pulled", { image });
  await ask("ImageStatus", "of none", { image: { image: none } });
  await ask("ImageStatus", "of no name", { image: { image: "" } });
  await ask("ListImages", "by name", { filter: { image } });
  await ask("ListImages", "of none", { filter: { image: { image: none } } });
  await ask("ImageFsInfo", "", {});
  await ask("RemoveImage", "with two tags", { image });
  await ask("RemoveImage", "once more", { image });
  await ask("RemoveImage", "of no name", { image: { image: "" } });
}

/** Each call about a sandbox or container that is not there. */
async function aboutMissing(ask: Ask): Promise<void> {
  const [podSandboxId, containerId] = [none, none];
  const config = { metadata: { name: "x" }, image: { image: CRI_IMAGE } };
  await ask("RunPodSandbox", "without a config", {});
  await ask("CreateContainer", "in none", { podSandboxId, config, sandboxConfig: { metadata: { name: "x" } } });
  for (const method of ["StopPodSandbox", "RemovePodSandbox", "PodSandboxStatus", "PodSandboxStats"] as const)
    await ask(method, "of none", { podSandboxId });
  await ask("UpdatePodSandboxResources", "of none", { podSandboxId });
  for (const method of ["StartContainer", "StopContainer", "RemoveContainer", "ContainerStatus"] as const)
    await ask(method, "of none", { containerId });
  for (const method of ["ContainerStats", "ReopenContainerLog", "CheckpointContainer"] as const)
    await ask(method, "of none", { containerId });
  await ask("UpdateContainerResources", "of none", { containerId, linux: { cpuShares: 2 } });
  await ask("ExecSync", "in none", { containerId, cmd: ["true"] });
  await ask("Exec", "in none", { containerId, cmd: ["true"], stdout: true });
  await ask("Attach", "to none", { containerId, stdout: true });
  await ask("PortForward", "to none", { podSandboxId, port: [80] });
  for (const method of ["ListPodSandbox", "ListContainers", "ListPodSandboxStats", "ListContainerStats"] as const) {
    await ask(method, "when there are none", {});
    await ask(method, "by no such id", { filter: { id: none } });
  }
  await ask("ListPodSandboxMetrics", "when there are none", {});
  await ask("ListMetricDescriptors", "", {});
}

async function aboutPods(all: Tour): Promise<void> {
  const { peer } = all;
  const ask = all.ask.bind(all);
  const events = listen(all);
  const podConfig = {
    metadata: { name: "web", uid: "uid-1", namespace: "default", attempt: 1 },
    labels: new Map([["app", "web"]]),
    annotations: new Map([["note", "kept"]]),
    logDirectory: join(peer.directory, "logs"),
    linux,
  };
  const podSandboxId: string = (await ask("RunPodSandbox", "", { config: podConfig })).podSandboxId;
  await ask("RunPodSandbox", "of the same name", { config: podConfig });
  await ask("PodSandboxStatus", "of a ready one", { podSandboxId });
  await ask("PodSandboxStatus", "by a beginning of its id", { podSandboxId: podSandboxId.slice(0, 13) });
  for (const [what, filter] of [
    ["by label", { labelSelector: new Map([["app", "web"]]) }],
    ["by another label", { labelSelector: new Map([["app", "other"]]) }],
    ["by state", { state: { state: 0 } }],
    ["by another state", { state: { state: 1 } }],
    ["by id", { id: podSandboxId }],
    ["by a beginning of its id", { id: podSandboxId.slice(0, 13) }],
  ] as const)
    await ask("ListPodSandbox", what, { filter });
  await ask("UpdatePodSandboxResources", "", { podSandboxId, resources: { cpuShares: 512 } });

  const create = async (what: string, name: string, script: string, more: object = {}): Promise<string> => {
    const config = {
      metadata: { name, attempt: 2 },
      image: { image: CRI_IMAGE },
      command: ["/bin/sh", "-c", script],
      mounts: [{ hostPath: "/usr", containerPath: "/usr", readonly: true }],
      labels: new Map([["part", name]]),
      annotations: new Map([["of", "container"]]),
      logPath: `${name}.log`,
      linux: {
        resources: { cpuShares: 256, memoryLimitInBytes: 64 << 20 },
        securityContext: { namespaceOptions: { ...HOST, pid: 1 } },
      },
      ...more,
    };
    const answer = await ask("CreateContainer", what, { podSandboxId, config, sandboxConfig: podConfig });
    if (what !== NO_SOURCE) events.name(answer?.containerId);
    return answer?.containerId;
  };
  const containerId = await create("", "main", "echo out; echo err >&2; exec sleep 1000");
  const whileCreated = async (state: string) => {
    await ask("ContainerStatus", state, { containerId });
    await ask("ExecSync", state, { containerId, cmd: ["/bin/true"], timeout: 30 });
    await ask("Exec", state, { containerId, cmd: ["/bin/true"], stdout: true });
    await ask("Attach", state, { containerId, stdout: true });
    await ask("ReopenContainerLog", state, { containerId });
    await ask("ContainerStats", state, { containerId });
  };
  await whileCreated("of a created one");
  await ask("CheckpointContainer", "of a created one", { containerId, location: join(peer.directory, "checkpoint") });
  await ask("UpdateContainerResources", "of a created one", { containerId, linux: { cpuShares: 300 } });
  await create("of the same name", "main", "");
  await create("of no such image", "other", "", { image: { image: none } });
  const withoutSource = await create(NO_SOURCE, "other", "", {
    mounts: [{ hostPath: join(peer.directory, "not-there"), containerPath: "/mnt" }],
  });
  if (withoutSource !== undefined) await peer.cri.call("RemoveContainer", { containerId: withoutSource });
  await ask("StartContainer", "", { containerId });
  await ask("StartContainer", "of a running one", { containerId });
  await ask("ContainerStatus", "of a running one", { containerId });
  await ask("ContainerStatus", "by a beginning of its id", { containerId: containerId.slice(0, 13) });
  for (const [what, filter] of [
    ["by label", { labelSelector: new Map([["part", "main"]]) }],
    ["by pod", { podSandboxId }],
    ["by a beginning of the pod's id", { podSandboxId: podSandboxId.slice(0, 13) }],
    ["by state", { state: { state: 1 } }],
    ["by another state", { state: { state: 2 } }],
    ["by id", { id: containerId }],
    ["by a beginning of its id", { id: containerId.slice(0, 13) }],
  ] as const)
    await ask("ListContainers", what, { filter });

  await ask("ExecSync", "with both streams and a code", {
    ...{ containerId, cmd: ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], timeout: 30 },
  });
  for (const script of [
    "id; pwd; echo $HOSTNAME",
    "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/1/status",
    "stat -c '%a %F' /dev/null /dev/shm /dev/pts /proc /sys /tmp",
  ])
    await ask("ExecSync", `of ${script}`, { containerId, cmd: ["/bin/sh", "-c", script], timeout: 30 });
  await ask("ExecSync", "that is killed", { containerId, cmd: ["/bin/sh", "-c", "kill -9 $$"], timeout: 30 });
  await ask("ExecSync", "of no command", { containerId, timeout: 30 });
  await ask("ExecSync", "of no such program", { containerId, cmd: ["/not/there"], timeout: 30 });
  await ask("ExecSync", "that takes too long", { containerId, cmd: ["/bin/sleep", "100"], timeout: 1 });
  for (const [what, streams] of [
    ["of no stream", {}],
    ["of a terminal and stderr", { tty: true, stdout: true, stderr: true }],
  ] as const) {
    await ask("Exec", what, { containerId, cmd: ["/bin/true"], ...streams });
    await ask("Attach", what, { containerId, ...streams });
  }
  for (const [what, script] of [
    ["that ends well", "echo out; echo err >&2; cat"],
    ["that fails", "exit 3"],
    ["that is killed", "kill -9 $$"],
  ] as const) {
    const cmd = ["/bin/sh", "-c", script];
    const { url } = await ask("Exec", what, { containerId, cmd, stdin: true, stdout: true, stderr: true });
    all.keep(`Exec ${what}, its streams`, await stream(url, "input"));
  }
  const { url: noProgram } = await ask("Exec", "of no such program", {
    containerId,
    cmd: ["/not/there"],
    stdout: true,
  });
  const { error } = await stream(noProgram, "");
  all.keep("Exec of no such program, its error", {
    status: error.status,
    reason: error.reason,
    details: error.details,
  });
  await ask("Attach", "", { containerId, stdout: true });
  await ask("PortForward", "", { podSandboxId, port: [80] });
  await ask("PortForward", "to no port", { podSandboxId, port: [] });

  const log = join(peer.directory, "logs/main.log");
  const lines = () => readFileSync(log, "utf8").replace(/^\S+ /gm, "").split("\n").sort();
  await until(() => lines().length === 3, "the log is written");
  all.keep("the log", { lines: lines() });
  renameSync(log, `${log}.old`);
  await ask("ReopenContainerLog", "of a running one", { containerId });
  all.keep("ReopenContainerLog, its file", { exists: existsSync(log) });
  for (const [what, limits] of [
    ["of a running one", { memoryLimitInBytes: 128 << 20, cpuPeriod: 100_000, cpuQuota: 20_000 }],
    ["of nothing", undefined],
    ["that the kernel refuses", { cpuPeriod: 5 }],
  ] as const)
    await ask("UpdateContainerResources", what, { containerId, ...(limits && { linux: limits }) });
  await ask("ContainerStatus", "after a change", { containerId });
  await ask("ContainerStats", "of a running one", { containerId });
  await ask("ListContainerStats", "by pod", { filter: { podSandboxId } });
  await ask("PodSandboxStats", "", { podSandboxId });
  await ask("ListPodSandboxStats", "by id", { filter: { id: podSandboxId } });
  await ask("ListPodSandboxMetrics", "of a pod", {});
  await ask("CheckpointContainer", "of a running one", { containerId, location: join(peer.directory, "checkpoint") });

  for (const [name, script] of [
    ["good", "exit 0"],
    ["bad", "exit 7"],
    ["killed", "kill -9 $$"],
  ] as const) {
    const containerId = await create(`that is ${name}`, name, script);
    await ask("StartContainer", `that is ${name}`, { containerId });
    await until(
      async () => (await peer.cri.call("ContainerStatus", { containerId })).status!.state === 2,
      `${name} has ended`,
    );
    await ask("ContainerStatus", `of one that was ${name}`, { containerId });
    if (name === "good") {
      await whileCreated("of an ended one");
      await ask("StartContainer", "of an ended one", { containerId });
      await ask("StopContainer", "of an ended one", { containerId });
      await ask("UpdateContainerResources", "of an ended one", { containerId, linux: { cpuShares: 300 } });
    }
    await ask("RemoveContainer", `of one that was ${name}`, { containerId });
  }
  const noSuch = await create("of no such program", "no-such", "", { command: ["/not/there"] });
  await ask("StartContainer", "of no such program", { containerId: noSuch });
  await ask("ContainerStatus", "of no such program", { containerId: noSuch });
  await ask("RemoveContainer", "of no such program", { containerId: noSuch });

  await ask("StopContainer", "", { containerId, timeout: 0 });
  await ask("StopContainer", "once more", { containerId, timeout: 0 });
  await ask("ContainerStatus", "of a stopped one", { containerId });
  await ask("RemoveContainer", "", { containerId });
  await ask("RemoveContainer", "once more", { containerId });
  const left = await create("that stays", "left", "exec sleep 1000");
  await ask("StartContainer", "that stays", { containerId: left });
  await ask("RemoveContainer", "of a running one", { containerId: left });
  const last = await create("that its pod takes along", "last", "exec sleep 1000");
  await ask("StartContainer", "that its pod takes along", { containerId: last });
  await ask("StopPodSandbox", "", { podSandboxId });
  await ask("StopPodSandbox", "once more", { podSandboxId });
  await ask("ContainerStatus", "in a stopped pod", { containerId: last });
  await ask("PodSandboxStatus", "of a stopped one", { podSandboxId });
  await create("in a stopped pod", "late", "");
  await ask("PortForward", "to a stopped one", { podSandboxId, port: [80] });
  await ask("PodSandboxStats", "of a stopped one", { podSandboxId });
  await ask("UpdatePodSandboxResources", "of a stopped one", { podSandboxId });
  await ask("RemovePodSandbox", "", { podSandboxId });
  await ask("RemovePodSandbox", "once more", { podSandboxId });
  await ask("ListContainers", "after all", {});
  await ask("ListPodSandbox", "after all", {});
  await events.end(podSandboxId);
}

/** What a client of an exec gets that sends `input` and its end. */
async function stream(url: string, input: string) {
  const client = await SpdyClient.connect(url);
  const names = ["error", ...(input === "" ? [] : ["stdin"]), "stdout", ...(input === "" ? [] : ["stderr"])];
  const ids: Record<string, number> = {};
  for (const name of names) ids[name] = await client.open({ streamtype: name });
  if (input !== "") client.send(ids.stdin!, input, true);
  const [stdout, stderr, error] = await Promise.all(
    ["stdout", "stderr", "error"].map((name) => (ids[name] === undefined ? "" : client.all(ids[name]))),
  );
  client.close();
  return { stdout, stderr, error: JSON.parse(error!) };
}

/** Keeps the kinds of events of the pod and of each of its containers, in the order in which they came. */
function listen(all: Tour) {
  const told = new Map<string, number[]>();
  const isKnown = new Set<string>();
  void (async () => {
    for await (const { containerId, containerEventType } of all.peer.cri.events())
      told.set(containerId, [...(told.get(containerId) ?? []), containerEventType]);
  })().catch(() => {}); // with the client's end
  all.asked.add("GetContainerEvents");
  return {
    name: (id: string | undefined) => id !== undefined && isKnown.add(id),
    async end(podSandboxId: string) {
      await until(() => told.get(podSandboxId)?.at(-1) === DELETED, "the pod's end is told");
      all.keep("GetContainerEvents", {
        pod: told.get(podSandboxId),
        containers: [...isKnown].map((id) => told.get(id)),
      });
    },
  };
}

/** Source: ContainerEventType in api.proto. */
const DELETED = 3;

compared(
  "each call is answered alike, but for what is listed",
  async () => {
    const [theirs, ours] = [await tour(peers!.theirs), await tour(peers!.ours)];
    const differences = ours.answers.flatMap(({ question, fields }, index) => {
      const other = theirs.answers[index]!;
      expect(other.question).toBe(question);
      return [...new Set([...other.fields.keys(), ...fields.keys()])]
        .map((path) => ({ question, path, theirs: other.fields.get(path), ours: fields.get(path) }))
        .filter(({ path, theirs, ours }) => theirs !== ours && !isListed(question, path));
    });
    expect(differences).toEqual([]);
    const names = [...methodsOf(undefined as never).keys()].map((path) => path.split("/")[2]!);
    const lists = names.filter((name) => name.startsWith("Stream")); // what they send is what the lists answer; containerd has none
    expect(names.filter((name) => !ours.asked.has(name) && !lists.includes(name))).toEqual([]);
  },
  120_000,
);
