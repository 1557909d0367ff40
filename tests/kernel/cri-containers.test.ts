/** What pods' containers have: images as volumes, mounts, devices, capabilities, limits; and what is told of them. */
import { afterAll, beforeAll, expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readHostText } from "../../src/linux/cgroup/mod.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { PodHost } from "../support/pod-host.ts";
import { isRoot, rooted } from "../support/stage.ts";

let host: PodHost;
let temp: string;

/** By number. Source: MountPropagation in api.proto. */
const [HOST_TO_CONTAINER, BIDIRECTIONAL] = [1, 2];

beforeAll(async () => {
  if (!isRoot) return;
  temp = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-cri-"));
  // In the host's network, to reach a registry of the test.
  host = await PodHost.start({ hostNetwork: true, flags: ["--cdi-spec-dir", temp] });
});

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  if (temp !== undefined) rmSync(temp, { recursive: true });
});

async function loadImage(name: string, ...layers: Buffer[]): Promise<void> {
  const archive = dockerArchive({ layers, tags: [`${name}:latest`] });
  await host.daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
}

/** Makes a directory of the test that is a shared mount of its own, until disposed of. */
function sharedDirectory(name: string): Disposable & { path: string } {
  const path = join(host.daemon.directory, name);
  mkdirSync(path);
  execFileSync("mount", ["-t", "tmpfs", "shared", path]);
  execFileSync("mount", ["--make-shared", path]);
  return { path, [Symbol.dispose]: () => void execFileSync("umount", ["--recursive", path]) };
}

function mountBelow(directory: string, name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  execFileSync("mount", ["-t", "tmpfs", "below", path]);
  return path;
}

rooted(
  "an image is a volume that nobody writes to or executes, whole or in part, and stays while it is one",
  async () => {
    await loadImage(
      "model",
      rawTar({ name: "weights", content: "of an old layer" }, { name: "parts/one", content: "1" }),
      rawTar({ name: "weights", content: "new" }, { name: "run", mode: 0o755, content: "#!/bin/sh\necho ran\n" }),
    );
    await loadImage("single", rawTar({ name: "only", content: "layer" }));
    const image = { image: "model" };
    const pod = await host.runPod();
    const mounts = [
      { image, containerPath: "/model", readonly: true },
      { image, containerPath: "/parts", imageSubPath: "parts", readonly: true },
      { image, containerPath: "/file", imageSubPath: "parts/one", readonly: true },
      { image: { image: "single" }, containerPath: "/single", readonly: true },
    ];
    const container = await host.start(pod, "exec sleep 1000", { mounts });
    const look = "cat /model/weights /parts/one /file /single/only; ls /model; /model/run; echo x >/model/new";
    const seen = await host.exec(container, look);
    expect(seen.out).toBe("new11layerparts\nrun\nweights\n");
    expect(seen.err).toMatch(/\/model\/run: Permission denied\n.*\/model\/new: Read-only file system\n$/);
    expect((await host.status(container)).mounts.slice(1).map(({ image: of }) => of?.image)).toEqual([
      ...["model", "model", "model", "single"],
    ]);
    const removal = await host.cri.failure("RemoveImage", { image });
    expect(removal.message).toContain("is being used by running container");
    await host.restart();
    expect((await host.exec(container, "cat /single/only")).out).toBe("layer");
    const absent = await host.cri.failure("CreateContainer", {
      podSandboxId: pod,
      config: host.containerConfig("", {
        metadata: { name: "absent" },
        mounts: [{ ...mounts[1], imageSubPath: "no" }],
      }),
    });
    expect(absent).toMatchObject({ code: 5, message: expect.stringContaining('has nothing at "no"') });
    await host.removePod(pod);
    await host.cri.call("RemoveImage", { image });
    expect((await host.cri.call("ImageStatus", { image })).image).toBeUndefined();
  },
);

rooted("what a container has written is in the log that Docker's clients read", async () => {
  const pod = await host.runPod();
  const container = await host.start(pod, "echo out; printf end", { logPath: "0.log", tty: true });
  await host.ended(container);
  const { text } = await host.daemon.request("GET", `/containers/${container}/logs?stdout=1&stderr=1`);
  expect(text).toBe("out\r\nend\n");
  const { text: last } = await host.daemon.request("GET", `/containers/${container}/logs?stdout=1&tail=1`);
  expect(last).toBe("end\n");
  await host.removePod(pod);
});

rooted("an ambient capability is kept by programs of a user without privileges, in commands, too", async () => {
  const pod = await host.runPod();
  const capabilities = { dropCapabilities: ["ALL"], addAmbientCapabilities: ["NET_ADMIN"] };
  const linux = { securityContext: { runAsUser: { value: 1000 }, capabilities } };
  const container = await host.start(pod, "exec sleep 1000", { linux });
  const { out } = await host.exec(container, "grep -h Cap /proc/1/status /proc/self/status");
  const sets = out.split("\n").map((line) => line.split(":\t"));
  for (const name of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
    expect(sets.filter(([set]) => set === name).map(([, value]) => value)).toEqual([
      "0000000000001000",
      "0000000000001000",
    ]);
  await host.removePod(pod);
});

rooted("memory below what Docker allows is enough for a small program, and may be changed to that", async () => {
  const pod = await host.runPod();
  const limited = (memoryLimitInBytes: number) => ({ linux: { resources: { memoryLimitInBytes } } });
  const container = await host.start(pod, "exec sleep 1000", limited(4 << 20));
  expect((await host.daemon.inspect(container)).HostConfig.Memory).toBe(4 << 20);
  await host.cri.call("UpdateContainerResources", { containerId: container, linux: { memoryLimitInBytes: 5 << 20 } });
  expect((await host.status(container)).resources!.linux).toMatchObject({ memoryLimitInBytes: 5 << 20 });
  await host.removePod(pod);
});

rooted("a container with a limit of memory does not swap, unless it may, also after a change", async () => {
  const pod = await host.runPod();
  const container = await host.start(pod, "exec sleep 1000", {
    linux: { resources: { memoryLimitInBytes: 32 << 20 } },
  });
  const swap = async () => (await host.status(container)).resources!.linux!.memorySwapLimitInBytes;
  const ofEngine = async () => (await host.daemon.inspect(container)).HostConfig.MemorySwap;
  expect([await swap(), await ofEngine()]).toEqual([32 << 20, 32 << 20]);
  const update = (linux: object) => host.cri.call("UpdateContainerResources", { containerId: container, linux });
  await update({ memoryLimitInBytes: 64 << 20 });
  expect([await swap(), await ofEngine()]).toEqual([64 << 20, 64 << 20]);
  await update({ memoryLimitInBytes: 64 << 20, memorySwapLimitInBytes: 96 << 20 });
  expect([await swap(), await ofEngine()]).toEqual([96 << 20, 96 << 20]);
  await host.cri.call("StopContainer", { containerId: container, timeout: 0 });
  await update({ memoryLimitInBytes: 16 << 20 }); // it may just have ended: nothing of it is left to change but what is told
  expect(await swap()).toBe(16 << 20);
  await host.removePod(pod);
});

rooted(
  "limits by the names of cgroup v2's files are changed while it runs, or refused where there are none",
  async () => {
    const pod = await host.runPod();
    const isV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
    const unified = (value: number) => ({ unified: new Map([["memory.high", `${value << 20}`]]) });
    const container = await host.start(pod, "exec sleep 1000", isV2 ? { linux: { resources: unified(32) } } : {});
    const request = { containerId: container, linux: unified(48) };
    if (isV2) {
      const { State } = await host.daemon.inspect(container);
      const path = readFileSync(`/proc/${State.Pid}/cgroup`, "utf8").trim().slice("0::".length);
      const high = () => Number(readFileSync(`/sys/fs/cgroup${path}/memory.high`, "utf8"));
      expect(high()).toBe(32 << 20);
      await host.cri.call("UpdateContainerResources", request);
      expect(high()).toBe(48 << 20);
    } else expect((await host.cri.failure("UpdateContainerResources", request)).message).toContain("memory.high");
    await host.removePod(pod);
  },
);

rooted("a container that is out of memory is killed, and says why", async () => {
  const pod = await host.runPod();
  const linux = { resources: { memoryLimitInBytes: 20 << 20, memorySwapLimitInBytes: 20 << 20 } };
  const container = await host.start(pod, "exec tail /dev/zero", { linux });
  expect(await host.ended(container)).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
  await host.removePod(pod);
});

rooted("devices come from the host by their paths, and from vendors' specs by their names", async () => {
  const containerEdits = { env: ["VENDOR=1"], deviceNodes: [{ path: "/dev/vendor", hostPath: "/dev/null" }] };
  const spec = { cdiVersion: "0.6.0", kind: "vendor.example/device", devices: [{ name: "one", containerEdits }] };
  writeFileSync(join(temp, "vendor.json"), JSON.stringify(spec));
  const pod = await host.runPod();
  const container = await host.start(pod, "exec sleep 1000", {
    devices: [{ hostPath: "/dev/zero", containerPath: "/dev/given", permissions: "rw" }],
    cdiDevices: [{ name: "vendor.example/device=one" }],
  });
  const look = "echo x >/dev/vendor && head -c 1 /dev/given | wc -c && tr '\\0' '\\n' </proc/1/environ | grep VENDOR";
  expect(await host.exec(container, look)).toMatchObject({ out: "1\nVENDOR=1\n", code: 0 });
  const config = host.containerConfig("", {
    metadata: { name: "none" },
    cdiDevices: [{ name: "vendor.example/device=two" }],
  });
  const { containerId } = await host.cri.call("CreateContainer", { podSandboxId: pod, config });
  expect((await host.cri.failure("StartContainer", { containerId })).message).toContain("vendor.example/device=two");
  await host.removePod(pod);
});

rooted("mounts of the host appear in a container that is told of them, and its own ones on the host", async () => {
  using shared = sharedDirectory("shared");
  const pod = await host.runPod();
  const mount = { hostPath: shared.path, containerPath: "/shared" };
  const deaf = await host.start(pod, "exec sleep 1000", { metadata: { name: "deaf" }, mounts: [mount] });
  const slave = await host.start(pod, "exec sleep 1000", {
    ...{ metadata: { name: "slave" }, mounts: [{ ...mount, propagation: HOST_TO_CONTAINER }] },
  });
  const both = await host.start(pod, "exec sleep 1000", {
    ...{ metadata: { name: "both" }, mounts: [{ ...mount, propagation: BIDIRECTIONAL }] },
    linux: { securityContext: { privileged: true } },
  });
  writeFileSync(join(mountBelow(shared.path, "of-host"), "file"), "seen");
  const look = "cat /shared/of-host/file 2>/dev/null || echo nothing";
  for (const [container, expected] of [
    [deaf, "nothing\n"],
    [slave, "seen"],
    [both, "seen"],
  ] as const)
    expect((await host.exec(container, look)).out).toBe(expected);
  const made = await host.exec(
    both,
    "mkdir /shared/own && mount -t tmpfs own /shared/own && echo back >/shared/own/file",
  );
  expect(made).toMatchObject({ code: 0, err: "" });
  expect(readFileSync(join(shared.path, "own/file"), "utf8")).toBe("back\n");
  await host.removePod(pod);
});

rooted("a read-only mount leaves what is mounted below it writable, unless it is recursive", async () => {
  using shared = sharedDirectory("nested");
  mountBelow(shared.path, "below");
  const pod = await host.runPod();
  const mount = { hostPath: shared.path, containerPath: "/nested", readonly: true };
  const write = "echo x >/nested/below/file && echo written || echo refused";
  for (const [recursiveReadOnly, expected] of [
    [false, "written\n"],
    [true, "refused\n"],
  ] as const) {
    const container = await host.start(pod, "exec sleep 1000", {
      ...{ metadata: { name: `recursive-${recursiveReadOnly}` }, mounts: [{ ...mount, recursiveReadOnly }] },
    });
    expect((await host.exec(container, write)).out).toBe(expected);
  }
  for (const change of [{ readonly: false }, { propagation: HOST_TO_CONTAINER }]) {
    const mounts = [{ ...mount, recursiveReadOnly: true, ...change }];
    const config = host.containerConfig("", { metadata: { name: "refused" }, mounts });
    expect(await host.cri.failure("CreateContainer", { podSandboxId: pod, config })).toMatchObject({
      ...{ code: 3, message: expect.stringContaining("recursive_read_only requires") },
    });
  }
  await host.removePod(pod);
});

rooted("an image is pulled with each form of credentials that a pod's secrets have, and not without", async () => {
  await using registry = await FakeRegistry.start({ users: { bob: "secret" } });
  registry.refreshTokens.set("identity", "bob");
  const layer = (name: string) => rawTar({ name, content: name });
  const pull = async (name: string, auth: object | undefined) => {
    registry.addImage(`team/${name}`, "1", { layers: [layer(name)] });
    const image = { image: `${registry.host}/team/${name}:1` };
    const { imageRef } = await host.cri.call("PullImage", { image, ...(auth && { auth }) });
    expect((await host.cri.call("ImageStatus", { image })).image!.id).toBe(imageRef);
    await host.cri.call("RemoveImage", { image });
  };
  await pull("password", { username: "bob", password: "secret" });
  await pull("encoded", { auth: Buffer.from("bob:secret").toString("base64") });
  await pull("identity", { identityToken: "identity" });
  await pull("password", { username: "bob", password: "secret", serverAddress: `http://${registry.host}` });
  const token = /Bearer (.*)/.exec(registry.requests.at(-1)!.headers.get("authorization") ?? "")![1]!;
  await pull("password", { registryToken: token });
  const image = { image: `${registry.host}/team/password:1` };
  for (const auth of [
    undefined,
    { username: "bob", password: "wrong" },
    { registryToken: "stale" },
    { username: "bob", password: "secret", serverAddress: "other.example" },
  ])
    expect((await host.cri.failure("PullImage", { image, ...(auth && { auth }) })).code).not.toBe(0);
});

rooted("lists in pieces have what the lists have, each item once", async () => {
  const pod = await host.runPod();
  const container = await host.start(pod);
  for (const [stream, list] of [
    ["StreamPodSandboxes", "ListPodSandbox"],
    ["StreamContainers", "ListContainers"],
    ["StreamImages", "ListImages"],
  ] as const) {
    const pieces = await host.cri.pieces(stream, list, {});
    expect(pieces).toEqual([await host.cri.call(list, {})] as typeof pieces);
  }
  const [stats] = await host.cri.pieces("StreamContainerStats", "ListContainerStats", {});
  expect(stats!.stats.map(({ attributes }) => attributes!.id)).toEqual([container]);
  const [ofPods] = await host.cri.pieces("StreamPodSandboxStats", "ListPodSandboxStats", {});
  expect(ofPods!.stats.map(({ attributes }) => attributes!.id)).toEqual([pod]);
  const [metrics] = await host.cri.pieces("StreamPodSandboxMetrics", "ListPodSandboxMetrics", {});
  expect(metrics!.podMetrics.map(({ podSandboxId }) => podSandboxId)).toEqual([pod]);
  const missing = { filter: { podSandboxId: "none" } };
  expect(await host.cri.pieces("StreamContainers", "ListContainers", missing)).toEqual([]);
  const more = Array.from({ length: 32 }, (_, index) => host.create(pod, "", { metadata: { name: `more-${index}` } }));
  const ids = new Set([container, ...(await Promise.all(more))]);
  const pieces = await host.cri.pieces("StreamContainers", "ListContainers", {});
  expect(pieces.map(({ containers }) => containers.length)).toEqual([32, 1]);
  expect(new Set(pieces.flatMap(({ containers }) => containers.map(({ id }) => id)))).toEqual(ids);
  await host.removePod(pod);
});

rooted("statistics tell of swap, and on cgroup v2 of waits", async () => {
  const cgroupParent = `/lighter/stats-${process.pid}`;
  const pod = await host.runPod({ linux: { cgroupParent } });
  const container = await host.start(pod);
  const { stats } = await host.cri.call("ContainerStats", { containerId: container });
  const hasSwap = ["/sys/fs/cgroup/lighter/memory.swap.current", "/sys/fs/cgroup/memory/memory.memsw.usage_in_bytes"];
  if (hasSwap.some((path) => existsSync(path))) expect(stats!.swap!.swapUsageBytes!.value).toBe(0);
  else expect(stats!.swap).toBeUndefined();
  const linux = (await host.cri.call("PodSandboxStats", { podSandboxId: pod })).stats!.linux!;
  if (readHostText("/sys/fs/cgroup/lighter/cpu.pressure") === undefined) {
    for (const each of [stats!.cpu, stats!.memory]) expect(each!.psi).toBeUndefined();
    expect([stats!.io, linux.io]).toEqual([undefined, undefined]);
  } else {
    for (const each of [stats!, linux])
      for (const { psi } of [each.cpu!, each.memory!, each.io!])
        for (const line of [psi!.some!, psi!.full!]) {
          expect(line.total).toBeGreaterThanOrEqual(0);
          expect(line.avg10).toBeWithin(0, 100.01);
        }
    expect(linux.cpu!.psi!.some!.total).toBeGreaterThanOrEqual(stats!.cpu!.psi!.some!.total);
  }
  await host.removePod(pod);
  host.removeCgroup(cgroupParent);
});
