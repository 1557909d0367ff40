import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CDI_FILES_MAX, CDI_SPEC_MAX_BYTES } from "../../base/limits.ts";
import type { OciConfig } from "../../spec/oci-runtime.ts";
import type { HostDevice } from "../config/mod.ts";
import { injectEdits } from "./inject.ts";
import { CdiRegistry } from "./registry.ts";
import { requestedDevices } from "./requests.ts";
import { type ContainerEdits, parseCdiSpec } from "./spec.ts";

/** As `nvidia-ctk cdi generate` writes it. */
const NVIDIA = `---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - update-ldcache
    - --folder
    - /lib64
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - containerPath: /usr/lib64/libcuda.so.1
    hostPath: /usr/lib64/libcuda.so.1
    options:
    - ro
    - nosuid
    - nodev
    - bind
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: all
kind: nvidia.com/gpu
`;

const device = (name: string, containerEdits: object = {}) => ({ name, containerEdits });
const spec = (kind: string, devices: object[], containerEdits: object = {}) => ({
  ...{ cdiVersion: "0.6.0", kind, devices, containerEdits },
});
const edits = (containerEdits: object): ContainerEdits =>
  parseCdiSpec(spec("a.com/b", [device("c")], containerEdits)).edits;

describe("parseCdiSpec", () => {
  test("names what is wrong, whatever it is", () => {
    const wrong: [object | null, string][] = [
      [null, "the spec: is no object"],
      [[], "the spec: is no object"],
      [{ ...spec("a.com/b", [device("c")]), more: 1 }, 'the spec: has a field that is not known: "more"'],
      [{ ...spec("a.com/b", [device("c")]), cdiVersion: "2.0.0" }, 'cdiVersion: "2.0.0" is not known'],
      [spec("ab", [device("c")]), 'kind: "ab" is not VENDOR/CLASS'],
      [spec("a.com/b", []), "devices: there are none"],
      [spec("a.com/b", [device("c"), device("c")]), 'devices[1]: there are two devices "c"'],
      [spec("a.com/b", [device("../c")]), 'devices[0].name: "../c" is no device\'s name'],
      [spec("a.com/b", [device("c", { env: ["X"] })]), 'devices[0].containerEdits.env: "X" is not NAME=VALUE'],
      [spec("a.com/b", [device("c", { netDevices: [] })]), "devices[0].containerEdits: has a field that is not known"],
      [
        spec("a.com/b", [device("c")], { mounts: [{ hostPath: "x", containerPath: "/" }] }),
        'hostPath: "x" is not absolute',
      ],
      [spec("a.com/b", [device("c")], { hooks: [{ hookName: "late", path: "/x" }] }), 'hookName: "late" is not known'],
      [spec("a.com/b", [device("c")], { deviceNodes: [{ path: "/dev/x", type: "q" }] }), 'type: "q" is not known'],
      [spec("a.com/b", [device("c")], { deviceNodes: [{ path: "/dev/x", permissions: "rx" }] }), "is not of"],
      [spec("a.com/b", [device("c")], { additionalGids: [-1] }), "is no whole number up to 4294967295"],
      [spec("a.com/b", [device("c")], { intelRdt: { enableCMT: 1 } }), "enableCMT: is neither true nor false"],
    ];
    for (const [document, message] of wrong) expect(() => parseCdiSpec(document)).toThrow(message);
  });
});

describe("CdiRegistry", () => {
  let temp: string;
  let first: string;
  let second: string;
  beforeEach(() => {
    temp = mkdtempSync(join(tmpdir(), "lighter-cdi-"));
    [first, second] = [join(temp, "first"), join(temp, "second")];
    for (const path of [first, second]) mkdirSync(path);
  });
  afterEach(() => rmSync(temp, { recursive: true }));
  const open = () => new CdiRegistry([join(temp, "none"), first, second]);
  const write = (path: string, content: object | string) =>
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));

  test("lists devices of JSON and YAML, and sees what comes, changes and goes", () => {
    const registry = open();
    expect(registry.list()).toEqual({ devices: [], problems: new Map() });
    write(join(first, "nvidia.yaml"), NVIDIA);
    write(join(first, "other.json"), spec("a.com/b", [device("c")]));
    write(join(first, "README.txt"), "no spec");
    const both = ["a.com/b=c", "nvidia.com/gpu=0", "nvidia.com/gpu=all"];
    expect(registry.list()).toEqual({ devices: both, problems: new Map() });
    expect([registry.has("nvidia.com/gpu"), registry.has("nvidia.com/g")]).toEqual([true, false]);
    write(join(first, "other.json"), spec("a.com/b", [device("other")]));
    expect(registry.list().devices[0]).toBe("a.com/b=other");
    rmSync(join(first, "nvidia.yaml"));
    expect(registry.list().devices).toEqual(["a.com/b=other"]);
  });

  test("a later directory comes first; a device that two specs of one directory have is none", () => {
    write(join(first, "a.json"), spec("a.com/b", [device("c", { env: ["FROM=first"] })]));
    write(join(second, "a.json"), spec("a.com/b", [device("c", { env: ["FROM=second"] })]));
    const registry = open();
    expect(registry.resolve(["a.com/b=c"])[1]?.env).toEqual(["FROM=second"]);
    write(join(second, "b.json"), spec("a.com/b", [device("c"), device("d")]));
    expect(registry.list().devices).toEqual(["a.com/b=d"]);
    expect(() => registry.resolve(["a.com/b=c", "a.com/b=d", "x.com/y=z"])).toThrow(
      "CDI device injection failed: unresolvable CDI devices a.com/b=c, x.com/y=z",
    );
  });

  test("what is no spec is told by its path, and keeps no other from being read", () => {
    write(join(first, "bad.json"), "{");
    write(join(first, "bomb.yaml"), "a: &a [1, 2]\nb: [*a, *a]\n");
    write(join(first, "deep.yaml"), "[".repeat(100_000));
    write(join(first, "large.json"), " ".repeat(CDI_SPEC_MAX_BYTES + 1));
    write(join(first, "good.json"), spec("a.com/b", [device("c")]));
    mkdirSync(join(first, "directory.json"));
    const { devices, problems } = open().list();
    expect(devices).toEqual(["a.com/b=c"]);
    expect([...problems.keys()].map((path) => path.slice(first.length + 1))).toEqual([
      ...["bad.json", "bomb.yaml", "deep.yaml", "directory.json", "large.json"],
    ]);
    expect(problems.get(join(first, "bomb.yaml"))).toBe("it has YAML anchors or aliases");
    for (let index = 0; index < CDI_FILES_MAX; index++) write(join(first, `a${index}.json`), "{}");
    expect(open().list().problems.size).toBe(CDI_FILES_MAX);
  });
});

const HOST: Record<string, HostDevice> = {
  "/dev/nvidia0": { path: "/dev/nvidia0", type: "c", major: 195, minor: 0, mode: 0o666, uid: 0, gid: 0 },
};
const inject = (config: OciConfig, all: ContainerEdits[], areBound = false) =>
  injectEdits(config, all, { device: (path) => HOST[path] }, areBound);
const PLAIN: OciConfig = {
  ociVersion: "1.2.0",
  process: { cwd: "/", args: ["sh"], env: ["PATH=/bin", "A=1"], user: { uid: 7, gid: 8, additionalGids: [9] } },
  mounts: [
    { destination: "/proc", type: "proc" },
    { destination: "/data/x", type: "bind", source: "/old" },
  ],
  linux: { resources: { devices: [{ allow: false, access: "rwm" }] } },
};

describe("injectEdits", () => {
  test("every kind of edit is in the config, and what was there stays", () => {
    const added = edits({
      env: ["A=2", "B=3"],
      deviceNodes: [
        { path: "/dev/nvidia0" },
        { path: "/dev/own", hostPath: "/dev/nvidia0", permissions: "r", uid: 5, gid: 6, fileMode: 0o600 },
        { path: "/dev/made", type: "b", major: 1, minor: 2 },
        { path: "/dev/pipe", type: "p" },
      ],
      mounts: [
        { hostPath: "/lib/b", containerPath: "/data/x/deep", options: ["ro", "bind"] },
        { hostPath: "/lib/a", containerPath: "/data/x" },
        { hostPath: "tmpfs".padStart(6, "/"), containerPath: "/t", type: "tmpfs", options: ["size=1m"] },
      ],
      hooks: [
        { hookName: "createContainer", path: "/h", args: ["h", "x"], env: ["E=1"], timeout: 3 },
        { hookName: "poststop", path: "/p" },
      ],
      additionalGids: [0, 9, 44],
      intelRdt: { closID: "gold", enableCMT: true },
    });
    const config = inject(PLAIN, [added]);
    expect(config.process?.env).toEqual(["PATH=/bin", "A=2", "B=3"]);
    expect(config.process?.user?.additionalGids).toEqual([9, 44]);
    expect(config.mounts).toEqual([
      { destination: "/proc", type: "proc" },
      { destination: "/t", type: "tmpfs", source: "/tmpfs", options: ["size=1m"] },
      { destination: "/data/x", type: "bind", source: "/lib/a", options: ["rbind", "rprivate"] },
      { destination: "/data/x/deep", type: "bind", source: "/lib/b", options: ["ro", "bind"] },
    ]);
    expect(config.hooks).toEqual({
      createContainer: [{ path: "/h", args: ["h", "x"], env: ["E=1"], timeout: 3 }],
      poststop: [{ path: "/p" }],
    });
    expect(config.linux?.devices).toEqual([
      { path: "/dev/nvidia0", type: "c", major: 195, minor: 0, fileMode: 0o666, uid: 7, gid: 8 },
      { path: "/dev/own", type: "c", major: 195, minor: 0, fileMode: 0o600, uid: 5, gid: 6 },
      { path: "/dev/made", type: "b", major: 1, minor: 2, uid: 7, gid: 8 },
      { path: "/dev/pipe", type: "p", uid: 7, gid: 8 },
    ]);
    expect(config.linux?.resources?.devices).toEqual([
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 195, minor: 0, access: "rwm" },
      { allow: true, type: "c", major: 195, minor: 0, access: "r" },
      { allow: true, type: "b", major: 1, minor: 2, access: "rwm" },
    ]);
    expect(config.linux?.intelRdt).toEqual({ closID: "gold", enableCMT: true });
    expect(inject(PLAIN, [])).toBe(PLAIN);
  });

  test("in a user namespace nodes are the host's own; one that the host has not is an error", () => {
    const own = edits({ deviceNodes: [{ path: "/dev/own", hostPath: "/dev/nvidia0" }] });
    expect(inject(PLAIN, [own], true).linux?.devices?.[0]).toMatchObject({
      path: "/dev/own",
      hostPath: "/dev/nvidia0",
    });
    expect(() => inject(PLAIN, [edits({ deviceNodes: [{ path: "/dev/none" }] })])).toThrow(
      'CDI device injection failed: "/dev/none" is no device node of the host',
    );
  });
});

describe("requestedDevices", () => {
  const ask = (DeviceRequests: object[], { Env = [] as string[], nvidia = false, has = true } = {}) =>
    requestedDevices({ Env }, { DeviceRequests }, nvidia, () => has);
  const gpu = (more: object) => ({ Capabilities: [["gpu"]], ...more });

  test("GPUs are NVIDIA's, by number, name or all of them", () => {
    expect(ask([gpu({ Count: -1 })])).toEqual(["nvidia.com/gpu=all"]);
    expect(ask([gpu({ Count: 2, Driver: "nvidia" })])).toEqual(["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
    expect(ask([gpu({ DeviceIDs: ["GPU-1", "a.com/b=c"] })])).toEqual(["nvidia.com/gpu=GPU-1", "a.com/b=c"]);
    expect(ask([{ Capabilities: [["x"], ["utility", "gpu"]], Count: 1 }])).toEqual(["nvidia.com/gpu=0"]);
    expect(ask([{ Driver: "cdi", DeviceIDs: ["a.com/b=c", "a.com/b=c"] }])).toEqual(["a.com/b=c"]);
  });

  test("what cannot be had is refused in Docker's words", () => {
    expect(() => ask([gpu({ Count: 2 ** 40 })])).toThrow("a count of 1099511627776 is more than 16384");
    expect(() => ask([gpu({ Count: -1 })], { has: false })).toThrow(
      'could not select device driver "" with capabilities: [[gpu]]',
    );
    expect(() => ask([{ Driver: "amd", Capabilities: [["gpu", "x"], ["y"]] }])).toThrow(
      'could not select device driver "amd" with capabilities: [[gpu x] [y]]',
    );
    expect(() => ask([{ Count: 1 }])).toThrow('could not select device driver "" with capabilities: []');
    expect(() => ask([gpu({ Count: 1, DeviceIDs: ["0"] })])).toThrow("cannot set both Count and DeviceIDs");
    expect(() => ask([{ Driver: "cdi", Count: 1 }])).toThrow("unexpected count in CDI device request");
  });

  test("NVIDIA's runtime gives what the container's environment asks for", () => {
    const env = (value: string, nvidia = true) => ask([], { Env: [`NVIDIA_VISIBLE_DEVICES=${value}`], nvidia });
    expect(env("all")).toEqual(["nvidia.com/gpu=all"]);
    expect(env("0,GPU-7,a.com/b=c")).toEqual(["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-7", "a.com/b=c"]);
    for (const none of ["", "void", "none"]) expect(env(none)).toEqual([]);
    expect(env("all", false)).toEqual([]);
    expect(ask([], { nvidia: true })).toEqual([]);
  });
});
