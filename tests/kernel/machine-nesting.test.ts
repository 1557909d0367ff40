// needs: busybox
import { afterAll, afterEach, beforeAll, describe, expect } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { NESTING_LABEL } from "../../src/spec/machine-labels.ts";
import { TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { paxHeader, rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isRoot, rootedWith } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* Engines in a machine: root of a user namespace, with a part of the cgroups. */

const here = testIf(isRoot, "needs root");
const isUnified = isRoot && detectCgroupHost().mode === "unified";
/** Daemons start slowly on a busy machine, in a VM above all. */
const START_MS = 150_000;
const ENGINE_MS = 400_000;
const DOCKER = ["dockerd", "docker", "containerd", "runc", "xtables-nft-multi"];
const PODMAN = ["podman", "crun", "conmon", "nft", ...(existsSync("/usr/lib/podman/netavark") ? [] : ["netavark"])];
const BINDS = ["/usr:/usr:ro", `${resolve("dist")}:/opt:ro`];

let daemon: TestDaemon;
let folder: string;
let id: string;

/** A machine whose programs are the host's. */
function machineImage(): Buffer {
  const links = ["bin", "sbin", "lib", "lib64"].filter((name) => existsSync(`/${name}`));
  const root = busyboxRoot().filter(({ name }) => String(name).startsWith("etc/"));
  return dockerArchive({
    layers: [rawTar(...links.map((name) => ({ name, type: "2", linkName: `usr/${name}` })), ...root)],
    tags: ["machine:1"],
    config: { Cmd: ["/usr/bin/busybox", "init"] },
  });
}

/** CAP_NET_RAW for whoever executes the file, as Debian's ping has it. Source: capabilities(7), linux/capability.h. */
const NET_RAW = Buffer.from("0100000200200000000000000000000000000000", "hex");

/**
 * Two layers, of which the second replaces a directory and removes a file. They have a device and an attribute, which nobody can make
 * in there, and a program with a capability.
 */
function innerImage(): Buffer {
  const lower = rawTar(
    ...busyboxRoot(),
    ...["wget", "httpd", "id", "cat", "ls", "sleep", "mkdir", "rm", "ping"].map((name) => ({
      name: `bin/${name}`,
      type: "2",
      linkName: "busybox",
    })),
    { name: "replaced/old", content: "old" },
    { name: "removed", content: "old" },
    { name: "device", type: "3", devMajor: 1, devMinor: 3 },
    paxHeader({
      "SCHILY.xattr.security.capability": NET_RAW,
      "SCHILY.xattr.trusted.x": "1",
      "SCHILY.xattr.user.x": "1",
    }),
    { name: "bin/busybox-capable", content: readFileSync(Bun.which("busybox")!), mode: 0o755 },
  );
  const upper = rawTar(
    { name: ".wh.removed" },
    { name: "replaced/.wh..wh..opq" },
    { name: "replaced/new", content: "new" },
    { name: "owned", uid: 1000, gid: 100, content: "" },
  );
  return dockerArchive({ layers: [lower, upper], tags: ["inner:1"], config: { Env: ["PATH=/bin"] } });
}

async function startMachine(nesting = "true"): Promise<string> {
  const HostConfig = { Runtime: "machine", Binds: [...BINDS, `${folder}:/share:ro`] };
  return daemon.run({ Image: "machine:1", HostConfig, Labels: { [NESTING_LABEL]: nesting } });
}

async function removeMachine(): Promise<void> {
  await daemon.request("DELETE", `/containers/${id}?force=1&v=1`);
  await until(() => daemon.leftovers([id]).length === 0, "nothing is left of the machine");
  expect(readFileSync("/proc/mounts", "utf8")).not.toContain(id);
}

async function createExec(script: string, more: object): Promise<string> {
  const Env = [
    "PATH=/opt:/etc/programs:/usr/sbin:/usr/bin",
    "LIGHTER_HOST=unix:///run/l.sock",
    "HOME=/root",
    "DOCKER_BUILDKIT=0",
    "PODMAN_IGNORE_CGROUPSV1_WARNING=1",
  ];
  const body = { Cmd: ["/bin/sh", "-c", script], Env, ...more };
  return (await daemon.request("POST", `/containers/${id}/exec`, body)).json.Id;
}

async function inMachine(script: string): Promise<string> {
  const exec = await createExec(script, { AttachStdout: true, AttachStderr: true, Tty: true });
  const connection = await daemon.hijack(`/exec/${exec}/start`, { body: '{"Tty":true}' });
  return (await connection.untilEnd()).replaceAll("\r\n", "\n");
}

beforeAll(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start();
  folder = mkdtempSync(join(tmpdir(), "lighter-nesting-"));
  chmodSync(folder, 0o755); // its owner is nobody in the machine
  writeFileSync(join(folder, "inner.tar"), innerImage());
  await daemon.request("POST", "/images/load", machineImage(), { "Content-Type": "application/x-tar" });
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** Starts a daemon in the machine. */
async function startEngine(command: string): Promise<void> {
  const engine = await createExec(`exec ${command} >/run/log 2>&1`, {});
  await daemon.request("POST", `/exec/${engine}/start`, { Detach: true });
}

/** Loads the image, as soon as the engine is there. */
async function loadInner(command: string): Promise<void> {
  await eventually(async () => {
    expect(await inMachine(`${command} load -q -i /share/inner.tar || tail -n 20 /run/log`)).toContain("inner:1");
  }, START_MS);
}

describe("Lighter in a machine", () => {
  beforeAll(async () => {
    if (!isRoot) return;
    id = await startMachine();
    await startEngine("lighter daemon -H unix:///run/l.sock");
    await loadInner("lighter");
  }, ENGINE_MS);

  here("runs a container of an image whose layers hide and remove files, with nodes of the machine", async () => {
    const script = `cd /; ls replaced removed device 2>&1; busybox stat -c '%u:%g' owned; id -u; cat /proc/sys/net/ipv4/ping_group_range
      echo ok >/dev/null; busybox stat -c %t:%T /dev/null; busybox grep -c . /proc/self/status >/dev/null; ls -d /proc/1`;
    expect(await inMachine(`lighter run --rm inner:1 sh -c '${script.replaceAll("'", `'"'"'`)}'`)).toBe(
      "ls: removed: No such file or directory\nls: device: No such file or directory\nreplaced:\nnew\n1000:100\n0\n0\t65535\n1:3\n/proc/1\n",
    );
    const capable = "busybox-capable grep CapEff /proc/self/status";
    expect(await inMachine(`lighter run --rm --user 1000 inner:1 ${capable}`)).toBe("CapEff:\t0000000000002000\n");
  });

  here("gives its containers networks with names, ports, volumes, and processes more", async () => {
    const output = await inMachine(`
      lighter network create n >/dev/null
      lighter run -d --name web --network n -p 127.0.0.1:8080:80 -v data:/data inner:1 \\
        sh -c 'echo hello >/data/x; httpd -f -p 80 -h /data' >/dev/null
      until lighter exec web wget -qO- http://127.0.0.1/x >/dev/null 2>&1; do busybox sleep 0.2; done
      lighter exec web cat /data/x
      lighter run --rm --network n inner:1 wget -qO- http://web/x
      busybox wget -qO- http://127.0.0.1:8080/x
      lighter pause web; lighter unpause web; lighter top web -o pid,args | grep -c httpd
      lighter commit web committed >/dev/null; lighter run --rm -v data:/d committed cat /d/x
      lighter stop -t 1 web; lighter rm web; lighter network rm n; lighter volume rm data`);
    expect(output).toBe("hello\nhello\nhello\nweb\nweb\n1\nhello\nweb\nweb\nn\ndata\n");
  });

  here("builds: RUN, COPY, and a directory that is removed and made anew", async () => {
    const output = await inMachine(`
      mkdir -p /root/context && cd /root/context && echo content >file
      printf 'FROM inner:1\\nRUN rm -r /replaced && mkdir /replaced && id -u >/replaced/made\\nCOPY file /file\\n' >Dockerfile
      lighter build -q -t built . >/dev/null && lighter run --rm built sh -c 'ls /replaced; cat /file /replaced/made'`);
    expect(output).toBe("made\ncontent\n0\n");
  });

  here("enforces the limits that its part of the cgroups has, and warns of the others as Docker does", async () => {
    const output = await inMachine(
      "lighter run --rm -m 64m --pids-limit 50 --oom-score-adj -500 inner:1 sh -c 'cd /sys/fs/cgroup; cat memory.max pids.max /proc/self/oom_score_adj 2>/dev/null'",
    );
    const info = await inMachine("lighter info 2>&1 >/dev/null");
    expect(info).toContain("WARNING: Running in a user namespace of 65536 ids: ");
    if (isUnified) {
      expect(output).toEndWith("67108864\n50\n0\n");
      expect(info).not.toContain("No memory limit support");
    } else {
      expect(output).toContain("Your kernel does not support memory limit capabilities");
      expect(output).toContain("Your kernel does not support PIDs limit capabilities");
      expect(output).toEndWith("\n0\n");
      expect(info).toContain("WARNING: No memory limit support\n");
    }
  });

  here("refuses what it has no rights for, by name", async () => {
    expect(await inMachine("lighter run --rm --userns=auto inner:1 id")).toContain("cannot map owners");
    expect(await inMachine("lighter run --rm --privileged inner:1 sh -c 'id -u; ls /dev/null'")).toBe("0\n/dev/null\n");
    const inner = await inMachine(
      "lighter run -d --name inner --runtime machine inner:1 sleep 1000000; lighter exec inner id -u",
    );
    expect(inner).toContain("no user namespace of its own");
    expect(inner).toEndWith("\n0\n");
  });

  here("leaves nothing when its machine is removed", async () => {
    await inMachine("lighter run -d inner:1 sleep 1000000; lighter run -d --memory 64m inner:1 sleep 1000000");
    await removeMachine();
  });
});

/** What both of the others can do, with the options of Docker's command line. */
async function tour(engine: string): Promise<void> {
  const output = await inMachine(`
    ${engine} run --rm inner:1 sh -c 'ls /replaced; cat /proc/self/uid_map >/dev/null; id -u'
    ${engine} run -d --name web -p 127.0.0.1:8080:80 -v data:/data inner:1 \\
      sh -c 'echo hello >/data/x; httpd -f -p 80 -h /data' >/dev/null
    until ${engine} exec web wget -qO- http://127.0.0.1/x >/dev/null 2>&1; do busybox sleep 0.2; done
    busybox wget -qO- http://127.0.0.1:8080/x
    mkdir -p /root/context && cd /root/context && echo content >file
    printf 'FROM inner:1\\nRUN rm -r /replaced && mkdir /replaced && id -u >/replaced/made\\nCOPY file /file\\n' >Dockerfile
    ${engine} build -q -t built . >/dev/null 2>&1; ${engine} run --rm built sh -c 'ls /replaced; cat /file'
    ${engine} kill web >/dev/null; ${engine} rm web >/dev/null; echo end`);
  expect(output).toBe("new\n0\nhello\nmade\ncontent\nend\n");
}

describe("other engines in a machine", () => {
  afterEach(async () => {
    if (id !== "") await removeMachine();
    id = "";
  });

  rootedWith("unshare")("user namespaces mount /proc and /sys, where the machine was made for it", async () => {
    const mounts = "busybox mount -t proc proc /proc && busybox mount -t sysfs sys /sys";
    const script = `unshare -Urpfmn sh -c '${mounts}'; echo $?`;
    id = await startMachine();
    expect(await inMachine(script)).toBe("0\n");
    const attack = "cd /dev/.lxc; echo 5 >proc/sys/kernel/printk; echo 1 >sys/kernel/profiling";
    expect((await inMachine(attack)).match(/denied/g)).toHaveLength(2);
    await removeMachine();
    id = await startMachine("false");
    expect(await inMachine(script)).not.toEndWith("0\n");
  });

  rootedWith(...DOCKER)(
    "Docker runs containers, publishes their ports and builds",
    async () => {
      id = await startMachine();
      await inMachine(`mkdir -p /etc/programs
        for name in iptables ip6tables; do ln -s /usr/sbin/xtables-nft-multi /etc/programs/$name; done`);
      await startEngine("dockerd");
      await loadInner("docker");
      await tour("docker");
    },
    ENGINE_MS,
  );

  rootedWith(...PODMAN)(
    "Podman runs containers, publishes their ports and builds",
    async () => {
      id = await startMachine();
      await inMachine(`mkdir -p /etc/containers /var/tmp
        echo '{"default":[{"type":"insecureAcceptAnything"}]}' >/etc/containers/policy.json
        echo 'unqualified-search-registries = []' >/etc/containers/registries.conf`);
      await loadInner("podman");
      await tour("podman --log-level=error");
    },
    ENGINE_MS,
  );
});
