/** Devices that specs tell of (CDI): what a container that asks for them has, and the programs that are run for it. */
import { afterAll, beforeAll, expect } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");
let daemon: TestDaemon;
let temp: string;
const hookLog = () => readFileSync(join(temp, "log"), "utf8");

beforeAll(async () => {
  if (!isRoot) return;
  temp = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? "/tmp", "lighter-cdi-"));
  mkdirSync(join(temp, "cdi"));
  writeFileSync(join(temp, "mounted"), "of the host\n");
  writeFileSync(join(temp, "log"), "");
  // What NVIDIA's do: read the state, find the root by the bundle's config, and write into it.
  const hook = join(temp, "hook");
  const script = `#!/bin/sh
state=$(cat)
bundle=$(echo "$state" | sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/')
root=$(sed 's/.*"root":{"path":"\\([^"]*\\)".*/\\1/' "$bundle/config.json")
[ "$1" != createContainer ] || echo "by a hook" >"$root/etc/from-hook"
[ "$1" != fail ] || { echo "no such GPU" >&2; exit 3; }
echo "$1 $(echo "$state" | grep -o '"status":"[a-z]*"')" >>${join(temp, "log")}
`;
  writeFileSync(hook, script);
  chmodSync(hook, 0o755);
  const hooks = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"].map((hookName) => ({
    ...{ hookName, path: hook, args: ["hook", hookName] },
  }));
  const gpu = {
    cdiVersion: "0.6.0",
    kind: "nvidia.com/gpu",
    containerEdits: {
      env: ["GPU_DRIVER=1"],
      mounts: [{ hostPath: join(temp, "mounted"), containerPath: "/opt/driver/lib", options: ["ro", "bind"] }],
      additionalGids: [4242],
      hooks,
    },
    devices: ["0", "1", "all"].map((name) => ({
      name,
      containerEdits: { env: [`GPU_${name}=yes`], deviceNodes: [{ path: `/dev/gpu${name}`, hostPath: "/dev/null" }] },
    })),
  };
  writeFileSync(join(temp, "cdi/gpu.yaml"), Bun.YAML.stringify(gpu, null, 2));
  const failing = { hookName: "createContainer", path: hook, args: ["hook", "fail"] };
  const edits = { env: ["GPU_NODE=1"], deviceNodes: [{ path: "/dev/gpu0", hostPath: "/dev/null" }] };
  const node = { cdiVersion: "0.6.0", kind: "test/node", devices: [{ name: "x", containerEdits: edits }] };
  writeFileSync(join(temp, "cdi/node.json"), JSON.stringify(node));
  const bad = { cdiVersion: "0.6.0", kind: "test/bad", devices: [{ name: "x", containerEdits: { hooks: [failing] } }] };
  writeFileSync(join(temp, "cdi/bad.json"), JSON.stringify(bad));
  const config = {
    runtimes: { nvidia: { path: "nvidia-container-runtime", runtimeArgs: [] }, other: { path: "/usr/bin/other" } },
    "cdi-spec-dirs": [join(temp, "cdi")],
  };
  writeFileSync(join(temp, "daemon.json"), JSON.stringify(config));
  daemon = await TestDaemon.start({ flags: ["--config-file", join(temp, "daemon.json")] });
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  if (temp !== undefined) rmSync(temp, { recursive: true });
});

const LOOK =
  "env | grep GPU_ | sort; id -G; cat /opt/driver/lib /etc/from-hook 2>/dev/null; ls /dev/gpu*; echo x >/dev/gpu0 && echo ok";
const body = (more: object, Env: string[] = []) => ({
  Cmd: ["/bin/sh", "-c", LOOK],
  Env,
  HostConfig: { ...hostUsr, ...more },
});

async function outputOf(more: object, env: string[] = []): Promise<string> {
  const id = await daemon.create({ ...body(more, env), Tty: true });
  const { answer } = await daemon.wait(id, "next-exit");
  const started = await daemon.request("POST", `/containers/${id}/start`);
  if (started.status !== 204) throw new Error(started.text);
  await answer;
  const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1`);
  await daemon.request("DELETE", `/containers/${id}`);
  return text.replaceAll("\r", "");
}

const HAS_GPU0 = "GPU_0=yes\nGPU_DRIVER=1\n0 4242\nof the host\nby a hook\n/dev/gpu0\nok\n";

rooted(
  "a container has what its device's spec says, however it asks for it, and hooks run in their order",
  async () => {
    const cdi = { DeviceRequests: [{ Driver: "cdi", DeviceIDs: ["nvidia.com/gpu=0"] }] };
    expect(await outputOf(cdi)).toBe(HAS_GPU0);
    const said = ["prestart", "createRuntime", "createContainer"].map((name) => `${name} "status":"creating"`);
    said.push('poststart "status":"running"', 'poststop "status":"stopped"');
    await eventually(() => expect(hookLog().trim().split("\n")).toEqual(said));
    expect(await outputOf({ DeviceRequests: [{ Count: 1, Capabilities: [["gpu"]] }] })).toBe(HAS_GPU0);
    expect(await outputOf({ Runtime: "nvidia" }, ["NVIDIA_VISIBLE_DEVICES=0"])).toBe(HAS_GPU0);
    const node = { DeviceRequests: [{ Driver: "cdi", DeviceIDs: ["test/node=x"] }] };
    expect(await outputOf({ ...node, UsernsMode: "auto" })).toBe("GPU_NODE=1\n0\n/dev/gpu0\nok\n");
    const all = await outputOf({ DeviceRequests: [{ Count: -1, Capabilities: [["gpu"]] }] });
    expect(all).toContain("GPU_DRIVER=1\nGPU_all=yes\n");
    expect(await outputOf({ Runtime: "nvidia" })).not.toContain("GPU_DRIVER");
  },
);

rooted(
  "what cannot be had is an error of the start, which leaves nothing; a runtime of others is refused by name",
  async () => {
    const start = async (more: object) => {
      const id = await daemon.create(body(more));
      const { status, json } = await daemon.request("POST", `/containers/${id}/start`);
      await daemon.request("DELETE", `/containers/${id}`);
      return [status, json.message];
    };
    const device = (name: string) => ({ DeviceRequests: [{ Driver: "cdi", DeviceIDs: [name] }] });
    expect(await start(device("nvidia.com/gpu=9"))).toEqual([
      500,
      "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=9",
    ]);
    const [status, message] = await start(device("test/bad=x"));
    expect([status, message]).toEqual([
      500,
      expect.stringMatching(/createContainer hook #0: .*exit status 3, output: no such GPU/s),
    ]);
    expect(await start({ DeviceRequests: [{ Driver: "amd", Capabilities: [["gpu"]] }] })).toEqual([
      400,
      'could not select device driver "amd" with capabilities: [[gpu]]',
    ]);
    expect((await start({ ...device("nvidia.com/gpu=0"), UsernsMode: "auto" }))[1]).toContain(
      "CDI device injection failed: a createContainer hook in a user namespace",
    );
    const other = await daemon.request("POST", "/containers/create", {
      Image: "host-usr",
      ...body({ Runtime: "other" }),
    });
    expect([other.status, other.json.message]).toEqual([501, expect.stringContaining('runtime "other" is not used')]);
  },
);

rooted(
  "info tells of runtimes, directories and devices; a daemon that comes back runs what is left of the hooks",
  async () => {
    const { json } = await daemon.request("GET", "/info");
    expect(Object.keys(json.Runtimes)).toEqual(["lighter", "machine", "nvidia", "other"]);
    expect(json.CDISpecDirs).toEqual([join(temp, "cdi")]);
    expect(json.DiscoveredDevices.map(({ ID }: { ID: string }) => ID)).toEqual([
      ...["nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all", "test/bad=x", "test/node=x"],
    ]);
    writeFileSync(join(temp, "log"), "");
    const asleep = {
      ...body({ DeviceRequests: [{ Count: 1, Capabilities: [["gpu"]] }] }),
      Cmd: ["/bin/sleep", "1000"],
    };
    const id = await daemon.run(asleep);
    await daemon.kill();
    await daemon.launch();
    await daemon.request("POST", `/containers/${id}/kill`);
    await eventually(() => expect(hookLog()).toContain('poststop "status":"stopped"'));
    await daemon.request("DELETE", `/containers/${id}?force=1`);
  },
);
