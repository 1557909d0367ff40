import { expect } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { locateController } from "../../src/linux/cgroup/mod.ts";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { eventually } from "../support/eventually.ts";
import { RuntimeCommand } from "../support/runtime-command.ts";
import { isRoot, rooted, rootedWith, Stage } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* The runtime's commands on running containers: pause, resume, ps, update, events. */

const stage = isRoot ? new Stage() : undefined;
const has = (controller: string) => stage !== undefined && locateController(stage.host, controller) !== undefined;
const withMemory = testIf(has("memory") && has("cpu"), "no memory or cpu controller here, or not root");

const command = stage && new RuntimeCommand(stage);
const runtime = (args: readonly string[], stdin?: string) => command!.run(args, stdin);
const start = (args: readonly string[], change?: (config: OciConfig) => void) => command!.start(args, change);
const status = (id: string) => command!.status(id);

function limit(id: string, controller: string, v1: string, v2: string): string {
  const { version, mountPoint } = locateController(stage!.host, controller)!;
  return readFileSync(`${mountPoint}/${stage!.parent}/${id}/${version === 1 ? v1 : v2}`, "utf8").trim();
}

const memoryLimit = (id: string) => limit(id, "memory", "memory.limit_in_bytes", "memory.max");
const quota = (id: string) => limit(id, "cpu", "cpu.cfs_quota_us", "cpu.max").split(" ")[0];

rooted("pause stops a container and resume lets it go on; each refuses what is so already", async () => {
  const id = await start(["sleep", "1000"]);
  expect(await runtime(["pause", id])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await status(id)).toBe("paused");
  const again = await runtime(["pause", id]);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("container not running")]);
  expect(await runtime(["resume", id])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await status(id)).toBe("running");
  expect((await runtime(["resume", id])).stderr).toContain("container not paused");
  expect((await runtime(["pause", "none"])).stderr).toContain("container does not exist");
});

rooted(
  "what cannot be executed once start has been answered is said on the container's stderr, as runc says it",
  async () => {
    for (const [script, why] of [
      ["#!/nonesuch\n", "no such file or directory"],
      ["\x7fELF of no machine", "exec format error"],
    ] as const) {
      const id = stage!.newId();
      const bundle = join(stage!.directory, `bundle-${id}`);
      const program = join(stage!.rootfs, `data/${id}`);
      mkdirSync(bundle);
      writeFileSync(program, script, { mode: 0o755 });
      writeFileSync(join(bundle, "config.json"), JSON.stringify(stage!.config(id, [`/data/${id}`])));
      const [file, ...line] = command!.line(["create", "--bundle", bundle, id]);
      const create = spawn(file, line, {
        stdio: ["ignore", "ignore", "pipe"],
      });
      let stderr = "";
      create.stderr.on("data", (chunk) => (stderr += chunk));
      await once(create, "exit");
      const closed = once(create, "close"); // the container has its stderr
      expect((await runtime(["start", id])).code).toBe(0);
      await closed;
      expect(stderr).toBe(`exec /data/${id}: ${why}\n`);
      await runtime(["delete", "--force", id]);
      rmSync(program);
    }
  },
);

rooted("a paused container can be killed and deleted", async () => {
  const id = await start(["sleep", "1000"]);
  await runtime(["pause", id]);
  expect((await runtime(["delete", "--force", id])).code).toBe(0);
  expect((await runtime(["state", id])).stderr).toContain("container does not exist");
});

rootedWith("ps")("ps lists the container's processes and no others, as numbers and as the host's ps does", async () => {
  const id = await start(["sh", "-c", "sleep 1000 & sleep 2000 & wait"]);
  let pids: number[] = [];
  let names: string[] = [];
  while (names.join() !== "sh,sleep,sleep") {
    pids = JSON.parse((await runtime(["ps", "--format", "json", id])).stdout) as number[];
    names = pids.map((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim()).sort();
  }
  const table = (await runtime(["ps", id, "-o", "pid,args"])).stdout.trim().split("\n");
  expect(table[0]).toMatch(/^ *PID +COMMAND$/);
  expect(
    table
      .slice(1)
      .map((line) => Number.parseInt(line, 10))
      .sort(),
  ).toEqual([...pids].sort());
  expect((await runtime(["ps", id])).stdout).toMatch(/^UID +PID +PPID /);
  expect((await runtime(["ps", id, "-o", "args"])).stderr).toContain("couldn't find PID field");
  expect((await runtime(["ps", "--format", "xml", id])).stderr).toContain("invalid format option");
});

withMemory("update changes limits by flags and by JSON on standard input, and leaves the others", async () => {
  const id = await start(["sleep", "1000"]);
  const flags = ["--memory", "64M", "--cpu-quota", "50000", "--pids-limit", "100"];
  expect(await runtime(["update", ...flags, id])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect([memoryLimit(id), quota(id)]).toEqual(["67108864", "50000"]);
  expect(limit(id, "pids", "pids.max", "pids.max")).toBe("100");
  const json = '{"memory":{"limit":134217728},"pids":{"limit":-1},"cpu":{},"devices":null}';
  expect((await runtime(["update", "--resources=-", id], json)).code).toBe(0);
  expect([memoryLimit(id), quota(id)]).toEqual(["134217728", "50000"]);
  expect(limit(id, "pids", "pids.max", "pids.max")).toBe("max");
  const file = join(stage!.directory, "resources.json");
  writeFileSync(file, '{"cpu":{"quota":60000}}');
  expect((await runtime(["update", "-r", file, id])).code).toBe(0);
  expect(quota(id)).toBe("60000");
});

withMemory("update that fails leaves every limit as it was", async () => {
  const id = await start(["sleep", "1000"]);
  await runtime(["update", "--memory", "64M", "--cpu-quota", "50000", id]);
  const wrong: [string, string][] = [
    ['{"memory":{"limit":1048576000},"cpu":{"quota":70000,"cpus":"9000"}}', "cpus"], // refused by the kernel, last
    ['{"memory":{"limit":1048576000},"cpu":{"quota":1.5}}', "quota"],
    ['{"memory":{"limit":1048576000},"network":{"classID":5},"cpu":{"realtimeRuntime":5}}', ""],
    ['{"memory":{"limit":1048576000},"devices":[{"allow":true,"access":"rwm"}]}', "devices"],
    ['{"memory":{"limit":4096,"checkBeforeUpdate":true}}', "rejecting memory limit 4096: "],
    ['{"memory":', ""],
  ];
  for (const [json, message] of wrong) {
    const ran = await runtime(["update", "--resources", "-", id], json);
    expect([json, ran.code]).toEqual([json, 1]);
    expect(ran.stderr).toContain(message);
    expect([memoryLimit(id), quota(id)]).toEqual(["67108864", "50000"]);
  }
  expect((await runtime(["update", "--memory", "lots", id])).stderr).toContain("invalid size: 'lots'");
  expect((await runtime(["update", "--l3-cache-schema", "L3:0=f", id])).stderr).toContain("Intel RDT");
});

interface Event {
  type: string;
  id: string;
  data?: { cpu: { usage: { total: number } }; memory: { usage: { limit: number } }; pids: { current: number } };
}

withMemory("events --stats prints one line with the container's numbers", async () => {
  const id = await start(["sh", "-c", "while :; do :; done"]);
  await runtime(["update", "--memory", "64M", id]);
  // A kernel that counts by ticks has counted nothing at first, and what is 0 is left out.
  const event = await eventually(async () => {
    const { stdout } = await runtime(["events", "--stats", id]);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    const event = JSON.parse(stdout) as Event;
    expect(event.data!.cpu.usage.total ?? 0).toBeGreaterThan(0);
    return event;
  });
  expect([event.type, event.id]).toEqual(["stats", id]);
  expect(event.data!.memory.usage.limit).toBe(67108864);
  expect(event.data!.pids.current).toBe(1);
  expect((await runtime(["events", "--interval", "0s", id])).stderr).toContain("must be greater than 0");
  expect((await runtime(["events", "--interval", "soon", id])).stderr).toContain("soon");
});

withMemory(
  "events prints statistics at each interval and tells when memory runs out, until the container ends",
  async () => {
    const eat = "while :; do dd if=/dev/zero of=/dev/null bs=128M count=1 2>/dev/null; sleep 0.2; done";
    const id = await start(["sh", "-c", eat], (config) => {
      config.linux!.resources = { ...config.linux!.resources, memory: { limit: 2 ** 25, swap: 2 ** 25 } };
    });
    const [program, ...line] = command!.line(["events", "--interval", "100ms", id]);
    const child: ChildProcess = spawn(program, line, {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    const seen = new Set<string>();
    child.stdout!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      for (const line of text.split("\n").slice(0, -1)) seen.add((JSON.parse(line) as Event).type);
      if (seen.has("oom") && seen.has("stats")) child.stdout!.emit("seen");
    });
    await once(child.stdout!, "seen");
    const ended = once(child, "close");
    await runtime(["kill", id, "KILL"]);
    await ended;
    expect(child.exitCode).toBe(0);
    expect(text).toContain(`{"type":"oom","id":"${id}"}\n`);
  },
);

rooted("a container that has ended is not running, for any of them", async () => {
  const id = await start(["true"]);
  while ((await status(id)) !== "stopped") await Bun.sleep(5);
  for (const [args, message] of [
    [["pause", id], "container not running"],
    [["resume", id], "container not paused"],
    [["update", "--memory", "64M", id], "container not running"],
    [["events", "--stats", id], "is not running"],
  ] as const) {
    const ran = await runtime(args);
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining(message)]);
  }
  expect((await runtime(["ps", "--format", "json", id])).stdout).toBe("null\n");
});

const v2 = stage?.host.v2;
const directoryOf = (id: string) => `${v2!.mountPoint}/${stage!.parent}/${id}`;
const pidOf = async (id: string) => (JSON.parse((await runtime(["state", id])).stdout) as { pid: number }).pid;
const cgroupV2Of = (pid: number | "self") =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "none";

testIf(stage?.host.mode === "unified", "needs root, and cgroup v2 alone")(
  "exec goes where init is in a container that has handed its cgroup down, or above its threads",
  async () => {
    const id = await start(["sleep", "1000"]);
    const directory = directoryOf(id);
    const pid = await pidOf(id);
    mkdirSync(`${directory}/inner`);
    writeFileSync(`${directory}/inner/cgroup.procs`, String(pid));
    writeFileSync(`${directory}/cgroup.subtree_control`, "+memory +pids");
    const ran = await runtime(["exec", id, "cat", "/proc/self/cgroup"]);
    expect([ran.code, ran.stdout.trim(), ran.stderr]).toEqual([0, "0::/inner", ""]);
    const refused = await runtime(["exec", "--cgroup", "/", id, "true"]);
    const busy = `adding pid of the process to cgroups ${directory}/cgroup.procs: device or resource busy`;
    expect([refused.code, refused.stderr]).toEqual([255, expect.stringContaining(busy)]);
    expect((await runtime(["exec", "--cgroup", "inner", id, "true"])).code).toBe(0);
    const pidFile = join(stage!.directory, `${id}.pid`);
    const inBackground = async (processFile: string) => {
      expect((await runtime(["exec", "--detach", "--pid-file", pidFile, "--process", processFile, id])).stderr).toBe(
        "",
      );
      return cgroupV2Of(Number(readFileSync(pidFile, "utf8")));
    };
    const processFile = join(stage!.directory, `${id}.json`);
    const { process } = stage!.config(id, ["sh", "-c", "exec sleep 1000 >&- 2>&-"]); // for who waits for its output
    writeFileSync(processFile, JSON.stringify(process));
    expect(await inBackground(processFile)).toBe(cgroupV2Of(pid));
    writeFileSync(processFile, JSON.stringify({ ...process, execCPUAffinity: { initial: "0", final: "0" } }));
    expect(await inBackground(processFile)).toBe(cgroupV2Of(pid));
    expect((await runtime(["exec", "--cgroup", "/", "--process", processFile, id])).stderr).toContain(busy);
    mkdirSync(`${directory}/inner/threads`);
    writeFileSync(`${directory}/inner/threads/cgroup.type`, "threaded");
    writeFileSync(`${directory}/inner/threads/cgroup.threads`, String(pid));
    expect(cgroupV2Of(pid)).toEndWith("/inner/threads");
    expect((await runtime(["exec", id, "cat", "/proc/self/cgroup"])).stdout.trim()).toBe("0::/inner");
  },
);

testIf(v2 !== undefined, "needs root, and cgroup v2")(
  "ps, kill --all and delete --force see the processes of a container that divides its threads",
  async () => {
    const id = await start(["sh", "-c", "sleep 1000 & wait"]);
    const directory = directoryOf(id);
    const pid = await pidOf(id);
    mkdirSync(`${directory}/threads`);
    writeFileSync(`${directory}/threads/cgroup.type`, "threaded");
    writeFileSync(`${directory}/threads/cgroup.threads`, String(pid));
    const listed = await runtime(["ps", "--format", "json", id]);
    expect([listed.code, listed.stderr]).toEqual([0, ""]);
    expect(JSON.parse(listed.stdout)).toContain(pid);
    expect(await runtime(["kill", "--all", id, "CONT"])).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await runtime(["delete", "--force", id])).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(existsSync(directory)).toBe(false);
  },
);
