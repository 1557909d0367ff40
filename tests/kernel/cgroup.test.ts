import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { CgroupHost, CgroupPlan } from "../../src/linux/cgroup/mod.ts";
import {
  applyCgroupWrites,
  BPF_PROG_ATTACH,
  BPF_PROG_LOAD,
  cgroupMounts,
  defaultDeviceRules,
  detectCgroupHost,
  encodeBpfAttach,
  encodeBpfLoad,
  locateController,
  planCgroup,
  planUpdate,
  readCurrentLimits,
  readInterfaceFiles,
  readPids,
  readStats,
  removeCgroup,
  setupCgroupParents,
  wasOomKilled,
} from "../../src/linux/cgroup/mod.ts";
import { addressOf, check, tryCall } from "../../src/linux/sys/door.ts";
import type { OciResources } from "../../src/spec/oci-runtime.ts";
import { testIf } from "../support/test-if.ts";

/*
 * Plans, played on the real cgroups of this machine, whichever version they are. Each test has a cgroup of its own
 * below one parent with a random name; all are removed at the end.
 */

const isRoot = process.getuid?.() === 0;
const parent = `lighter-test-${randomBytes(4).toString("hex")}`;
const rooted = testIf(isRoot, "needs root");
const detected = isRoot ? detectCgroupHost() : undefined;
const host: CgroupHost = detected ?? { mode: "legacy", v1: [] };
const has = (controller: string) => locateController(host, controller) !== undefined;
const needs = (controller: string) =>
  testIf(isRoot && has(controller), isRoot ? `no ${controller} controller here` : "needs root");

let hostWithFiles = host;

beforeAll(() => {
  if (!isRoot) return;
  const plan = planCgroup(host, `/${parent}/first`, {});
  setupCgroupParents(host, plan);
  const interfaceFiles = readInterfaceFiles(plan);
  if (interfaceFiles !== undefined) hostWithFiles = { ...host, interfaceFiles };
});

afterAll(() => {
  if (!isRoot) return;
  removeCgroup(host, `/${parent}`);
  expect(leftovers()).toEqual([]);
});

/** Directories of our parent in any hierarchy. */
function leftovers(): string[] {
  const mountPoints = [...host.v1, ...(host.v2 === undefined ? [] : [host.v2])].map(({ mountPoint }) => mountPoint);
  return mountPoints.map((each) => `${each}/${parent}`).filter((path) => existsSync(path));
}

/** Makes the cgroup of the plan as the launcher does, but for processes. */
function create(plan: CgroupPlan): void {
  setupCgroupParents(host, plan);
  for (const { path, leaf } of plan.directories) if (leaf) mkdirSync(path);
  applyCgroupWrites(plan.writes);
  if (plan.deviceProgram !== undefined) attachProgram(plan.deviceProgram, plan.v2Directory!);
}

function attachProgram(program: Uint8Array, directory: string): void {
  const load = encodeBpfLoad(program);
  const loadView = new DataView(load.data.buffer, load.data.byteOffset);
  for (const { at, to } of load.pointers) loadView.setBigUint64(at, addressOf(to), true);
  const programFd = check(tryCall("bpf", BPF_PROG_LOAD, load.data, load.data.length), "bpf(2) BPF_PROG_LOAD");
  const cgroupFd = openSync(directory, "r");
  const attach = encodeBpfAttach();
  const attachView = new DataView(attach.buffer, attach.byteOffset);
  attachView.setUint32(0, cgroupFd, true);
  attachView.setUint32(4, programFd, true);
  check(tryCall("bpf", BPF_PROG_ATTACH, attach, attach.length), "bpf(2) BPF_PROG_ATTACH");
  closeSync(cgroupFd);
  closeSync(programFd);
}

interface Ran {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** A shell in the cgroup that runs `script` once `go` is called. */
class Member {
  /** Those that have not ended: a failed test leaves its own behind. */
  static readonly #alive = new Set<Member>();

  readonly #child: ChildProcess;
  readonly #output = { stdout: "", stderr: "" };
  readonly #closed: Promise<unknown>;

  constructor(plan: CgroupPlan, script: string) {
    this.#child = spawn("/bin/sh", ["-c", `read go; ${script}`], { stdio: "pipe" });
    for (const name of ["stdout", "stderr"] as const)
      this.#child[name]?.on("data", (chunk: Buffer) => {
        this.#output[name] += chunk.toString();
      });
    this.#closed = once(this.#child, "close");
    Member.#alive.add(this);
    for (const file of plan.tasksFiles) writeFileSync(file, String(this.pid));
    if (plan.v2Directory !== undefined) writeFileSync(`${plan.v2Directory}/cgroup.procs`, String(this.pid));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  go(): void {
    this.#child.stdin?.end("\n");
  }

  static async endAll(): Promise<void> {
    for (const member of Member.#alive) {
      member.#child.kill("SIGKILL");
      await member.ended();
    }
  }

  async ended(): Promise<Ran> {
    await this.#closed;
    Member.#alive.delete(this);
    return { code: this.#child.exitCode, signal: this.#child.signalCode, ...this.#output };
  }
}

async function remove(path: string): Promise<void> {
  await Member.endAll();
  removeCgroup(host, path);
}

/** Runs `script` in a fresh cgroup with these limits. `after` looks at the cgroup before it is removed. */
async function runIn(
  name: string,
  resources: OciResources,
  script: string,
  after: (plan: CgroupPlan) => void = () => {},
): Promise<Ran> {
  const plan = planCgroup(hostWithFiles, `/${parent}/${name}`, resources);
  try {
    create(plan);
    const member = new Member(plan, script);
    member.go();
    const ran = await member.ended();
    after(plan);
    return ran;
  } finally {
    await remove(`/${parent}/${name}`);
  }
}

/** Text of a file of the plan's leaf, found by name among its writes. */
function readBack(plan: CgroupPlan, name: string): string {
  const write = plan.writes.find(({ file }) => file.endsWith(`/${name}`));
  if (write === undefined) throw new Error(`the plan writes no ${name}`);
  return readFileSync(write.file, "utf8").trim();
}

describe(`on ${host.mode} cgroups`, () => {
  rooted("a process in the cgroup is in it in every hierarchy", async () => {
    const ran = await runIn("member", {}, "cat /proc/self/cgroup");
    const lines = ran.stdout.trim().split("\n");
    const joined = lines.filter((line) => line.endsWith(`:/${parent}/member`));
    expect(joined).toHaveLength(host.v1.length + (host.v2 === undefined ? 0 : 1));
    expect(
      leftovers()
        .flatMap((path) => readdirSync(path))
        .filter((each) => each === "member"),
    ).toEqual([]);
  });

  needs("cpu")("cpu limits read back as planned", async () => {
    const resources = { cpu: { shares: 512, quota: 50000, period: 100000, burst: 1000 } };
    await runIn("cpu", resources, ":", (plan) => {
      if (locateController(host, "cpu")?.version === 1) {
        expect(readBack(plan, "cpu.shares")).toBe("512");
        expect(readBack(plan, "cpu.cfs_quota_us")).toBe("50000");
        expect(readBack(plan, "cpu.cfs_period_us")).toBe("100000");
        expect(readBack(plan, "cpu.cfs_burst_us")).toBe("1000");
      } else {
        expect(readBack(plan, "cpu.weight")).toBe("59");
        expect(readBack(plan, "cpu.max")).toBe("50000 100000");
        expect(readBack(plan, "cpu.max.burst")).toBe("1000");
      }
    });
  });

  needs("cpu")("a cgroup becomes idle, and stops being it when it gets a weight again", async () => {
    await runIn("idle", { cpu: { shares: 512, idle: 1 } }, ":", (plan) => {
      expect(readBack(plan, "cpu.idle")).toBe("1");
      const path = `/${parent}/idle`;
      const update = planUpdate(hostWithFiles, path, { cpu: { shares: 1024, idle: 0 } }, readCurrentLimits(host, path));
      applyCgroupWrites(update.writes);
      expect(readBack(plan, "cpu.idle")).toBe("0");
    });
  });

  needs("cpu")("a quota holds a busy process back", async () => {
    // 60 ms of CPU need, with 1 ms in each 10 ms, at least 500 ms: much more than a tick of the kernel's clock.
    const busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    await runIn("quota", { cpu: { quota: 1000, period: 10000 } }, busy, () => {
      const { cpu } = readStats(host, `/${parent}/quota`);
      expect(cpu.throttledPeriods).toBeGreaterThan(0);
      expect(cpu.throttledNs).toBeGreaterThan(0);
    });
  });

  needs("cpuset")("a cpuset is the only place where its process runs, and is inherited without one", async () => {
    const cpus = "grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status";
    const pinned = await runIn("cpuset", { cpu: { cpus: "0", mems: "0" } }, cpus);
    expect(pinned.stdout).toBe("Cpus_allowed_list:\t0\nMems_allowed_list:\t0\n");
    const inherited = await runIn("cpuset-none", {}, cpus);
    expect(inherited.stdout).toBe(execFileSync("/bin/sh", ["-c", cpus]).toString());
  });

  needs("memory")("a process over the memory limit is killed, and the files tell of it", async () => {
    let killed = false;
    const memory = { limit: 32 * 2 ** 20, swap: 32 * 2 ** 20 };
    const ran = await runIn("memory", { memory }, "exec dd if=/dev/zero of=/dev/null bs=128M count=1", (plan) => {
      killed = wasOomKilled(plan.oomFiles.map((file) => readFileSync(file, "utf8")));
    });
    expect(ran.signal).toBe("SIGKILL");
    expect(killed).toBe(true);
  });

  needs("memory")("a process under the memory limit runs, and the files tell of no kill", async () => {
    const memory = { limit: 64 * 2 ** 20, swap: -1, reservation: 32 * 2 ** 20 };
    const ran = await runIn("memory-enough", { memory }, "exec dd if=/dev/zero of=/dev/null bs=8M count=1", (plan) => {
      expect(wasOomKilled(plan.oomFiles.map((file) => readFileSync(file, "utf8")))).toBe(false);
      expect(readStats(host, `/${parent}/memory-enough`).memory.limitBytes).toBe(64 * 2 ** 20);
    });
    expect(ran.code).toBe(0);
  });

  needs("pids")("a fork over the pids limit fails", async () => {
    const one = await runIn("pids", { pids: { limit: 1 } }, "/bin/true; echo forked");
    expect(one.stdout).toBe("");
    expect(one.stderr).toMatch(/fork/i);
    const two = await runIn("pids-2", { pids: { limit: 2 } }, "/bin/true; echo forked");
    expect(two.stdout).toBe("forked\n");
  });

  needs("devices")("devices outside the rules cannot be opened, but made, and those inside can be used", async () => {
    const node = `/tmp/${parent}-node`;
    const script = [
      "cat /dev/null && echo null",
      "head -c 1 /dev/zero >/dev/null && echo zero",
      "cat </dev/kmsg",
      `mknod ${node} b 7 77 && echo mknod`,
      `dd if=${node} count=1`,
      `rm -f ${node}`,
    ].join("; ");
    const ran = await runIn("devices", { devices: defaultDeviceRules() }, script);
    expect(ran.stdout).toBe("null\nzero\nmknod\n");
    expect(ran.stderr).toContain("/dev/kmsg: Operation not permitted");
    expect(ran.stderr).toContain(`'${node}': Operation not permitted`);
  });

  needs("devices")("an access that a rule denies in part is denied", async () => {
    const devices = [
      { allow: true, access: "rwm" },
      { allow: false, type: "c", major: 1, minor: 5, access: "w" },
    ];
    const script = "head -c 1 /dev/zero | wc -c; : >/dev/zero; : <>/dev/zero; : <>/dev/null && echo null";
    // A redirection that fails ends the shell, so each has one of its own.
    const ran = await runIn(
      "devices-partial",
      { devices },
      script
        .split("; ")
        .map((each) => `(${each})`)
        .join("; "),
    );
    expect(ran.stdout).toBe("1\nnull\n");
    expect(ran.stderr.match(/\/dev\/zero: Operation not permitted/g)).toHaveLength(2);
  });

  needs("blkio")("io throttles and weights are taken for a real device", async () => {
    const device = blockDevice();
    const throttle = (rate: number) => [{ ...device, rate }];
    const weights = ["blkio.weight", "blkio.bfq.weight", "io.bfq.weight", "io.weight"];
    const hasWeight = weights.some((each) => hostWithFiles.interfaceFiles?.has(each));
    const blockIO = {
      ...(hasWeight ? { weight: 200 } : {}),
      throttleReadBpsDevice: throttle(1048576),
      throttleWriteBpsDevice: throttle(2097152),
      throttleReadIOPSDevice: throttle(100),
      throttleWriteIOPSDevice: throttle(200),
    };
    await runIn("blkio", { blockIO }, ":", (plan) => {
      const name = `${device.major}:${device.minor}`;
      if (locateController(host, "blkio")?.version === 1)
        expect(readBack(plan, "blkio.throttle.read_bps_device")).toBe(`${name} 1048576`);
      else expect(readBack(plan, "io.max")).toBe(`${name} rbps=1048576 wbps=2097152 riops=100 wiops=200`);
    });
  });

  needs("hugetlb")("huge page limits read back as planned, also on a hybrid host's v2", async () => {
    const resources = { hugepageLimits: [{ pageSize: "2MB", limit: 4 * 2 ** 20 }] };
    const plan = planCgroup(host, `/${parent}/hugetlb`, resources);
    const onV2 = locateController(host, "hugetlb")?.version === 2;
    const before = onV2 ? readFileSync(`${host.v2?.mountPoint}/cgroup.subtree_control`, "utf8") : "";
    try {
      create(plan);
      expect(readFileSync(plan.writes[0]!.file, "utf8").trim()).toBe("4194304");
    } finally {
      removeCgroup(host, `/${parent}/hugetlb`);
      if (onV2) restoreSubtreeControl(before);
    }
  });

  needs("memory")("a live cgroup's limits can be raised and lowered, again and again", () => {
    const path = `/${parent}/update`;
    const plan = planCgroup(hostWithFiles, path, {
      memory: { limit: 64 * 2 ** 20, swap: 128 * 2 ** 20 },
      cpu: { quota: 50000, period: 100000 },
    });
    try {
      create(plan);
      for (const [limit, quota] of [
        [256, 400000],
        [32, 1000],
        [-1, -1],
        [64, 2000],
      ] as const) {
        const memory = limit === -1 ? { limit, swap: -1 } : { limit: limit * 2 ** 20, swap: limit * 2 ** 21 };
        const resources = { memory, ...(has("cpu") ? { cpu: { quota, period: 10000 } } : {}) };
        applyCgroupWrites(planUpdate(hostWithFiles, path, resources, readCurrentLimits(host, path)).writes);
        const current = readCurrentLimits(host, path);
        expect([current.memoryLimitBytes, current.cpuQuotaUs]).toEqual([memory.limit, quota]);
      }
    } finally {
      removeCgroup(host, path);
    }
  });

  testIf(isRoot && host.v2 !== undefined, isRoot ? "no v2 hierarchy here" : "needs root")(
    "cgroup.kill ends every process of the cgroup, on a hybrid host too",
    async () => {
      const path = `/${parent}/kill`;
      const plan = planCgroup(hostWithFiles, path, {});
      try {
        create(plan);
        const member = new Member(plan, ":");
        expect(readPids(plan.v2Directory!)).toEqual([member.pid]);
        writeFileSync(plan.killFile!, "1");
        expect((await member.ended()).signal).toBe("SIGKILL");
        expect(readPids(plan.v2Directory!)).toEqual([]);
      } finally {
        await remove(path);
      }
    },
  );

  rooted("removeCgroup takes cgroups below along, refuses while a process is in it, and may be repeated", async () => {
    const path = `/${parent}/remove`;
    const plan = planCgroup(hostWithFiles, path, {});
    create(plan);
    for (const { path: directory, leaf } of plan.directories) if (leaf) mkdirSync(`${directory}/inner`);
    const member = new Member(plan, ":");
    let failure: unknown;
    try {
      removeCgroup(host, path);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(AggregateError);
    for (const error of (failure as AggregateError).errors)
      expect(error).toMatchObject({ code: "kernel", detail: { errno: "EBUSY" } });
    member.go();
    await member.ended();
    removeCgroup(host, path);
    removeCgroup(host, path);
    expect(plan.directories.filter(({ path: directory, leaf }) => leaf && existsSync(directory))).toEqual([]);
  });

  rooted("a container's /sys/fs/cgroup, mounted in its own namespace, shows its own cgroup as the top", async () => {
    const target = `/tmp/${parent}-mounts`;
    mkdirSync(target);
    const commands = cgroupMounts(host, `/${parent}/mounts`, true, target).map((mount) => {
      if (mount.kind === "symlink") return `ln -s ${mount.text} ${mount.target}`;
      if (mount.kind === "bind") throw new Error("a cgroup namespace needs no binds");
      const options = mount.parameters.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`));
      const flags = options.length === 0 ? "" : `-o ${options.join()}`;
      return `mkdir -p ${mount.target} && mount -t ${mount.kind} ${flags} none ${mount.target}`;
    });
    const memberFiles = `find ${target} -maxdepth 2 -name cgroup.procs`;
    const script = `unshare -C -m sh -ec '${commands.join("; ")}; for i in $(${memberFiles}); do grep -qx $$ $i && echo in; done'`;
    const ran = await runIn("mounts", {}, script);
    execFileSync("rmdir", [target]);
    expect(ran.stderr).toBe("");
    const hierarchies = host.mode === "unified" ? 1 : host.v1.length + (host.v2 === undefined ? 0 : 1);
    expect(ran.stdout).toBe("in\n".repeat(hierarchies));
  });

  testIf(isRoot && host.mode === "unified", isRoot ? "v2 is not alone here" : "needs root")(
    "in a container, whose top cgroup holds processes, they are moved out of the way once",
    async () => {
      const top = `${host.v2!.mountPoint}/${parent}/container`;
      const plan = planCgroup(hostWithFiles, `/${parent}/container`, {});
      create(plan);
      try {
        const member = new Member(plan, ":");
        const inside: CgroupHost = {
          mode: "unified",
          v1: [],
          v2: { ...host.v2!, mountPoint: top, isHierarchyRoot: existsSync(`${top}/cgroup.type`) === false },
        };
        expect(inside.v2?.isHierarchyRoot).toBe(false);
        const insidePlan = planCgroup(inside, "/lighter/a", { memory: { limit: 2 ** 26 } });
        setupCgroupParents(inside, insidePlan);
        expect(readPids(`${top}/lighter`)).toEqual([]);
        expect(readFileSync(`${top}/cgroup.procs`, "utf8")).toBe("");
        expect(readFileSync(`${top}/init/cgroup.procs`, "utf8").trim()).toBe(String(member.pid));
        mkdirSync(insidePlan.v2Directory!);
        applyCgroupWrites(insidePlan.writes);
        const contained = new Member(insidePlan, ":");
        expect(readPids(insidePlan.v2Directory!)).toEqual([contained.pid]);
        // A parent with processes is not ours to empty.
        const wrong = planCgroup(inside, "/lighter/a/deeper", {});
        expect(() => setupCgroupParents(inside, wrong)).toThrow(
          expect.objectContaining({ code: "kernel", detail: expect.objectContaining({ errno: "EBUSY" }) }),
        );
      } finally {
        await remove(`/${parent}/container`);
      }
    },
  );
});

test("the tests above ran on the cgroups that are mounted", () => {
  if (detected !== undefined) expect(detected.v1.length + (detected.v2 === undefined ? 0 : 1)).toBeGreaterThan(0);
});

/** What a hybrid host's v2 root hands down stays when our cgroups have gone: take back what `before` had not. */
function restoreSubtreeControl(before: string): void {
  for (const directory of [`${host.v2?.mountPoint}/${parent}`, `${host.v2?.mountPoint}`])
    if (!before.includes("hugetlb")) writeFileSync(`${directory}/cgroup.subtree_control`, "-hugetlb");
}

/** Any whole disk: throttles are not taken for partitions. */
function blockDevice(): { major: number; minor: number } {
  for (const name of readdirSync("/sys/block")) {
    const [major, minor] = readFileSync(`/sys/block/${name}/dev`, "utf8").trim().split(":").map(Number);
    if (major !== undefined && minor !== undefined) return { major, minor };
  }
  throw new Error("no block device");
}
