// needs: ip
import { beforeAll, describe, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { RouteSocket } from "../../src/linux/netlink/mod.ts";
import { formatListing, listProgram } from "../../src/linux/program/list.ts";
import { loadCompiler } from "../../src/linux/seccomp/memo.ts";
import { compileExec, compileStart } from "../../src/runtime/compile.ts";
import { compileConnect, compileDisconnect } from "../../src/runtime/connect.ts";
import {
  createRuntime,
  mountRequest,
  type NetworkInterface,
  openFilesystemAt,
  type StartRequest,
} from "../../src/runtime/mod.ts";
import type { VolumeMount } from "../../src/spec/oci-runtime.ts";
import { enterNetworkNamespace } from "../support/enter-network-namespace.ts";
import { until } from "../support/eventually.ts";
import { type ListedOp, opsOf, opsToFail } from "../support/fault-ops.ts";
import { expectSameHost, linkNames, quietSnapshot } from "../support/host-snapshot.ts";
import { failureOf, finish, isRoot, type RunOptions, rooted, Stage } from "../support/stage.ts";

await loadCompiler();

/* Every op of a start and of an exec, made to fail: the error names it, and nothing is left on the host. */

/** Of the op with which a held process says that it waits. */
const HELD = "created: everything is ready";
/** No op has this index. */
const NO_FAULT = 0xfffffffe;
const fault = { index: NO_FAULT, errno: "EIO" };
const stage = isRoot ? new Stage({ fault }) : (undefined as unknown as Stage);
let bridgeIndex = 0;

beforeAll(() => {
  if (!isRoot) return;
  enterNetworkNamespace();
  using routes = new RouteSocket();
  bridgeIndex = routes.createBridge({ name: "fault-br" });
  routes.setLink(bridgeIndex, { isUp: true });
});

const observed = () => ({
  host: stage.host,
  parent: stage.parent,
  directories: [stage.execRoot, stage.rootfs],
});

/** Makes each op fail in turn, and looks at the error and at the host. */
async function failAtEachOp(
  ops: readonly ListedOp[],
  act: () => Promise<unknown>,
  containers = 0, // that run meanwhile
): Promise<void> {
  await failAt(ops[0]!, act); // the first time, Bun opens fds of its own
  await until(() => !linkNames().some((name) => name.startsWith("fault-eth")), "links of containers have gone");
  const before = await quietSnapshot(observed(), containers);
  for (const op of opsToFail(ops)) {
    await failAt(op, act);
    await expectSameHost(before, observed());
  }
}

async function failAt(op: ListedOp, act: () => Promise<unknown>): Promise<void> {
  fault.index = op.index;
  try {
    const error = await failureOf(act());
    const isExecve = op.verb === "execve";
    expect(error).toBeInstanceOf(LighterError);
    expect(error).toMatchObject({
      code: isExecve ? "exec-denied" : "kernel",
      detail: { errno: "EIO", opIndex: op.index },
    });
    if (!isExecve) expect((error as Error).message).toStartWith(`${op.why}: `);
  } finally {
    fault.index = NO_FAULT;
  }
}

const everything: RunOptions["change"] = (config) => {
  config.mounts!.push(
    { destination: "/data/made/deep", type: "tmpfs", source: "tmpfs", options: ["size=64k", "ro"] },
    { destination: "/etc/hosts", type: "bind", source: "/etc/hosts", options: ["rbind", "rslave", "rro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue" },
    { destination: "/data/up", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro"] },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["remount", "ro", "size=1m"] },
  );
  Object.assign(config.linux!, {
    sysctl: { "net.ipv4.ip_forward": "1" },
    timeOffsets: { boottime: { secs: 10, nanosecs: 0 } },
    seccomp: { defaultAction: "SCMP_ACT_ALLOW" },
    devices: [{ path: "/dev/x/y", type: "c", major: 10, minor: 200, uid: 1, gid: 1 }],
    rootfsPropagation: "rslave",
    personality: { domain: "LINUX" },
  });
  config.linux!.namespaces!.push({ type: "time" });
  config.linux!.resources!.memory = { limit: 2 ** 26 };
  config.root!.readonly = true;
  config.domainname = "example.org";
  Object.assign(config.process!, {
    cwd: "/data/work",
    oomScoreAdj: 10,
    scheduler: { policy: "SCHED_BATCH", nice: 3 },
    ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 },
    user: { uid: 1000, gid: 1000, additionalGids: [5] },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 100, hard: 100 }],
    capabilities: { ...config.process!.capabilities, inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] },
  });
};

/** Directories that a first start makes in the image stay; they are there before the snapshot. */
function prepareImage(): void {
  for (const path of ["data/made/deep", "data/work", "data/up/below", "dev/pts"])
    mkdirSync(join(stage.rootfs, path), { recursive: true });
}

async function startsFail(
  args: readonly string[],
  options: RunOptions,
  containers = 0,
  more: Partial<StartRequest> = {},
): Promise<void> {
  prepareImage();
  const requestOf = () => ({ ...stage.request(args, options), ...more });
  const run = async () => finish(await stage.runtime.start(requestOf()), options);
  await run(); // it works; and the runtime has seen which files cgroups have here
  const request = requestOf();
  const ops = opsOf(formatListing(await stage.runtime.explain(request)));
  expect(ops.length).toBeGreaterThan(50);
  await failAtEachOp(ops, () => stage.runtime.start(request), containers);
  expect(await run()).toMatchObject({ exitCode: 0 });
}

describe("a start whose op k fails says so and leaves the host as it was", () => {
  rooted("with pipes and all that a config may ask for", () =>
    startsFail(["/bin/true"], { change: everything, stdin: "" }, 0, { view: true }),
  );

  rooted("with a terminal", () => startsFail(["/bin/true"], { terminal: true }));

  rooted("with a root of layers", () => startsFail(["/bin/true"], { layered: true }));

  rooted("with idmapped mounts and a seccomp agent", async () => {
    const agent = createServer((socket) => socket.on("error", () => {}).resume());
    const path = join(stage.directory, "agent.sock");
    await new Promise<void>((resolve) => agent.listen(path, resolve));
    try {
      const ids = [{ containerID: 0, hostID: 1000, size: 65536 }];
      const bind = { type: "bind", source: stage.directory, options: ["bind", "idmap"] };
      await startsFail(["/bin/true"], {
        change: (config) => {
          const inside = join(stage.rootfs, "data");
          config.mounts!.push(
            { ...bind, destination: "/data/work", uidMappings: ids, gidMappings: ids },
            { ...bind, source: inside, destination: "/data/made", uidMappings: ids, gidMappings: ids },
          );
          config.linux!.seccomp = {
            defaultAction: "SCMP_ACT_ALLOW",
            listenerPath: path,
            syscalls: [{ names: ["swapon"], action: "SCMP_ACT_NOTIFY" }],
          };
        },
      });
    } finally {
      agent.close();
    }
  });

  rooted("in a user namespace", () => {
    const change: RunOptions["change"] = (config) => {
      const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
      config.linux!.namespaces!.push({ type: "user" });
      const devices = [{ path: "/dev/given", type: "c", major: 1, minor: 3 }];
      Object.assign(config.linux!, { uidMappings: mappings, gidMappings: mappings, devices });
      const source = join(stage.rootfs, "data");
      config.mounts!.push({ destination: "/data/made", type: "bind", source, options: ["bind", "idmap"] });
    };
    return startsFail(["/bin/true"], { change }, 0, { view: true });
  });
});

describe("a file system that containers share", () => {
  const mounting = () =>
    mountRequest({ type: "tmpfs", source: "tmpfs", options: ["size=64k"] }, join(stage.directory, "m"));

  rooted("is not mounted if op k fails", async () => {
    const facts = { cgroups: stage.host, kindOf: () => "directory" as const, rootMountpoint: "/nowhere" };
    const ops = opsOf(listProgram(compileStart(mounting(), facts, true).program));
    const untilHeld = ops.slice(
      0,
      ops.findIndex(({ why }) => why.trim() === HELD),
    );
    expect(untilHeld.length).toBeGreaterThan(10);
    await failAtEachOp(untilHeld, () => stage.runtime.create(mounting()));
  });

  rooted("is left as it was by a start whose op k fails, whole and in part", async () => {
    const waiting = await stage.runtime.create(mounting());
    const shared = openFilesystemAt(waiting.pid)!;
    await waiting.abandon();
    writeFileSync(`/proc/self/fd/${shared.rootFd}/file`, "kept");
    try {
      const change: RunOptions["change"] = (config) => {
        const bind = { type: "bind", source: "/", options: ["bind"], filesystem: 0 };
        const part = { path: "file", type: "file" as const };
        const mounts: VolumeMount[] = [
          { ...bind, destination: "/data/work" },
          { ...bind, destination: "/data/file", part },
        ];
        config.mounts!.push(...mounts);
      };
      await startsFail(["/bin/true"], { change }, 0, { filesystems: [shared] });
      expect(readFileSync(`/proc/self/fd/${shared.rootFd}/file`, "utf8")).toBe("kept");
    } finally {
      for (const fd of [shared.namespaceFd, shared.rootFd]) closeSync(fd);
    }
  });
});

describe("a start with an idmapped root", () => {
  rooted("whose op k fails says so and leaves the host as it was", async () => {
    const [upper, work] = ["upper", "work"].map((name) => join(stage.directory, "own", name));
    for (const path of [upper!, work!]) mkdirSync(path, { recursive: true });
    const options = [`lowerdir=${stage.rootfs}`, `upperdir=${upper}`, `workdir=${work}`];
    await startsFail(
      ["/bin/true"],
      {
        change: (config) => {
          const mappings = [{ containerID: 0, hostID: 100_000, size: 65536 }];
          config.linux!.namespaces!.push({ type: "user" });
          Object.assign(config.linux!, { uidMappings: mappings, gidMappings: mappings });
          config.mounts!.push({ destination: "/data/work", type: "bind", source: stage.rootfs, options: ["rbind"] });
        },
      },
      0,
      {
        rootfs: [{ destination: "/", type: "overlay", source: "overlay", options }],
        idmappedDirectories: [stage.rootfs, join(stage.directory, "own")],
      },
    );
  });
});

describe("a start that joins a user namespace", () => {
  rooted("whose op k fails says so and leaves the host as it was", async () => {
    const mappings = [{ containerID: 0, hostID: 0, size: 65536 }];
    const change: RunOptions["change"] = (config) => {
      config.linux!.namespaces!.push({ type: "user" });
      Object.assign(config.linux!, { uidMappings: mappings, gidMappings: mappings });
    };
    const sleeper = await stage.sleeper({ change });
    try {
      await startsFail(
        ["/bin/true"],
        {
          change: (config) => {
            change(config);
            config.linux!.namespaces!.at(-1)!.path = `/proc/${sleeper.pid}/ns/user`;
          },
        },
        1,
      );
    } finally {
      await sleeper.end();
    }
  });
});

describe("an exec whose op k fails says so and leaves the host as it was", () => {
  for (const terminal of [false, true])
    rooted(terminal ? "with a terminal" : "with pipes", async () => {
      const sleeper = await stage.sleeper();
      try {
        const request = stage.execRequest(sleeper, ["/bin/true"], { terminal, ...(terminal ? {} : { stdin: "" }) });
        const facts = { cgroups: stage.host, kindOf: () => "file" as const, rootMountpoint: "/nowhere" };
        const ops = opsOf(listProgram(compileExec(request, facts)));
        await failAtEachOp(ops, () => stage.runtime.exec(request), 1);
        expect(await stage.exec(sleeper, ["/bin/true"], { terminal })).toMatchObject({ exitCode: 0 });
      } finally {
        await sleeper.end();
      }
    });
});

describe("an exec with all that a process may ask for", () => {
  rooted("whose op k fails says so and leaves the host as it was", async () => {
    const sleeper = await stage.sleeper({
      change: (config) => void Object.assign(config.linux!, { personality: { domain: "LINUX" } }),
    });
    try {
      const request = stage.execRequest(sleeper, ["/bin/true"], {
        process: {
          oomScoreAdj: 10,
          scheduler: { policy: "SCHED_BATCH", nice: 3 },
          ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 },
          execCPUAffinity: { initial: "0", final: "0" },
        },
      });
      const facts = { cgroups: stage.host, kindOf: () => "file" as const, rootMountpoint: "/nowhere" };
      await failAtEachOp(opsOf(listProgram(compileExec(request, facts))), () => stage.runtime.exec(request), 1);
    } finally {
      await sleeper.end();
    }
  });
});

/** On the file's own bridge. */
function interfaceOf(name: string, host: number): NetworkInterface {
  return {
    name,
    link: { type: "veth", hostName: `fault-${name}`, bridgeIndex, isolated: true, hairpin: true },
    macAddress: `02:77:00:00:00:0${host}`,
    mtu: 1400,
    addresses: [
      { address: `10.77.${host}.2`, prefixLength: 24 },
      { address: `fd00:77:${host}::2`, prefixLength: 64 },
    ],
    gateways: [`10.77.${host}.1`, `fd00:77:${host}::1`],
    routes: [{ destination: `10.99.${host}.0/24` }],
    sysctls: { "net.ipv4.conf.IFNAME.forwarding": "1" },
  };
}

describe("a start with interfaces, on a bridge and above a link", () => {
  rooted("whose op k fails says so and leaves the host as it was", async () => {
    const above: NetworkInterface = {
      ...interfaceOf("eth1", 1),
      link: { type: "macvlan", parentIndex: bridgeIndex, mode: "bridge" },
    };
    await startsFail(["/bin/true"], { network: { interfaces: [interfaceOf("eth0", 0), above], resolverPort: 5353 } });
  });
});

describe("a further interface whose op k fails", () => {
  const facts = { cgroups: detectCgroupHost(), kindOf: () => "file" as const, rootMountpoint: "/nowhere" };
  const linksOf = (pid: number) =>
    spawnSync("nsenter", [`--net=/proc/${pid}/ns/net`, "ip", "-br", "link"]).stdout.toString();

  rooted("is not there afterwards, neither end", async () => {
    const sleeper = await stage.sleeper();
    try {
      const connection = { containerPid: sleeper.pid, interface: interfaceOf("eth1", 1), resolverPort: 5353 };
      const before = linksOf(sleeper.pid);
      const connect = async () => {
        try {
          await stage.runtime.connect(connection);
        } finally {
          expect(linksOf(sleeper.pid)).toBe(before);
        }
      };
      await failAtEachOp(opsOf(listProgram(compileConnect(connection, facts))), connect, 1);
      await stage.runtime.connect(connection);
      expect(linksOf(sleeper.pid)).toContain("eth1");
      const removal = { containerPid: sleeper.pid, name: "eth1", gateways: [] };
      for (const op of opsOf(listProgram(compileDisconnect(removal).program))) {
        await failAt(op, () => stage.runtime.disconnect(removal));
        expect(linksOf(sleeper.pid)).toContain("eth1");
      }
      expect(await stage.runtime.disconnect(removal)).toBe(true);
    } finally {
      await sleeper.end();
    }
  });
});

describe("a launcher that dies", () => {
  rooted("by SIGKILL in the middle of a start leaves nothing, and the start fails", async () => {
    await stage.run(["/bin/true"]);
    const fifo = join(stage.directory, "fifo");
    spawnSync("mkfifo", [fifo]);
    const before = await quietSnapshot(observed(), 0);
    const request = stage.request(["/bin/true"], {
      change: (config) => {
        // Opening it waits for a writer, who never comes: the cgroup has been made by then.
        config.linux!.namespaces = config.linux!.namespaces!.map((each) =>
          each.type === "network" ? { type: "network", path: fifo } : each,
        );
      },
    });
    const failure = failureOf(stage.runtime.start(request));
    await until(() => stage.leftovers().includes(request.id), "the launcher has made the cgroup");
    for (const pid of launchers()) process.kill(pid, "SIGKILL");
    expect(await failure).toMatchObject({ code: "unavailable" });
    await expectSameHost(before, observed());
  });

  rooted("at once, or cannot be executed at all, leaves nothing, and the start fails", async () => {
    for (const launcher of [readFileSync("dist/hello"), Buffer.from("no program"), Buffer.alloc(0)]) {
      const runtime = createRuntime({ execRoot: stage.execRoot, launcher });
      const start = () => runtime.start(stage.request(["/bin/true"]));
      await failureOf(start());
      const before = await quietSnapshot(observed(), 0);
      expect(await failureOf(start())).toMatchObject({ code: expect.stringMatching(/unavailable|kernel|internal/) });
      await expectSameHost(before, observed());
    }
  });

  rooted("of another build refuses the program, and says so", async () => {
    // The ordinary launcher takes no programs with faults.
    const runtime = createRuntime({
      execRoot: stage.execRoot,
      launcher: readFileSync("dist/launcher"),
      fault: { index: 0, errno: "EIO" },
    });
    await failureOf(runtime.start(stage.request(["/bin/true"])));
    const before = await quietSnapshot(observed(), 0);
    expect(await failureOf(runtime.start(stage.request(["/bin/true"])))).toMatchObject({
      code: "internal",
      detail: { errno: "EPROTO" },
    });
    await expectSameHost(before, observed());
  });
});

/** Children of this process that are launchers. */
function launchers(): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      return new RegExp(`^PPid:\\s+${process.pid}$`, "m").test(status) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}
