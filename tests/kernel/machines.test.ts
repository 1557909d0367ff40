import { afterAll, beforeAll, describe, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { machineUuid } from "../../src/machine/mod.ts";
import { TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot, hasSystemd, systemdRoot } from "../support/machine-root.ts";
import { missing } from "../support/missing.ts";
import { isRoot, rootedWith } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* Containers with an init of their own, on the kernel: busybox's, which begins at once, and the host's systemd. */

const MACHINE = { Runtime: "machine" };
/** A boot of systemd takes seconds of a whole machine. */
const BOOT_MS = 150_000;

/** An init that says on its console that it is there, and waits. */
function busyboxImage(): Buffer {
  return dockerArchive({ layers: [rawTar(...busyboxRoot())], tags: ["init:busybox"], config: { Env: ["PATH=/bin"] } });
}

let daemon: TestDaemon;

const load = (image: Buffer) => daemon.request("POST", "/images/load", image, { "Content-Type": "application/x-tar" });

beforeAll(async () => {
  if (isRoot) daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

async function exec(id: string, ...Cmd: string[]): Promise<string> {
  const body = { Cmd, AttachStdout: true, AttachStderr: true, Tty: true };
  const { json } = await daemon.request("POST", `/containers/${id}/exec`, body);
  const connection = await daemon.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
  return (await connection.untilEnd()).replaceAll("\r\n", "\n");
}

const sh = (id: string, script: string) => exec(id, "/bin/sh", "-c", script);

async function console(id: string): Promise<string> {
  return (await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text;
}

async function startBusybox(body: object = {}, hostConfig: object = {}): Promise<string> {
  const id = await daemon.run({ Image: "init:busybox", ...body, HostConfig: { ...MACHINE, ...hostConfig } });
  await until(async () => (await console(id)).includes("up\r\n"), "the init says on its console that it is up");
  return id;
}

async function remove(id: string): Promise<void> {
  await daemon.request("DELETE", `/containers/${id}?force=1&v=1`);
  const left = () => daemon.leftovers([id]).filter((path) => path.includes(id.slice(0, 32)));
  await until(() => left().length === 0, "nothing is left of the machine");
}

describe("a machine with busybox's init", () => {
  let id = "";
  beforeAll(async () => {
    if (!isRoot || Bun.which("busybox") === null) return;
    await load(busyboxImage());
    id = await startBusybox({ Hostname: "web" }, { Memory: 256 << 20 });
  });
  const here = rootedWith("busybox");

  here("is told in info, and inspect has the defaults of one", async () => {
    const { json } = await daemon.request("GET", "/info");
    expect(Object.keys(json.Runtimes)).toContain("machine");
    const { Path, HostConfig, Config } = await daemon.inspect(id);
    expect([Path, Config.Cmd, HostConfig.UsernsMode]).toEqual(["/sbin/init", ["/sbin/init"], "auto"]);
    expect(HostConfig.ReadonlyPaths).not.toContain("/proc/sys");
    expect(HostConfig.MaskedPaths).toContain("/proc/kmsg");
  });

  here("has ids of its own, capabilities that count in there, and a filter", async () => {
    const status = await sh(id, "cat /proc/self/status /proc/1/uid_map");
    expect(status).toMatch(/^CapEff:\t000001fcfdfcffff$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^ +0 +[1-9]\d+ +65536$/m);
  });

  here("cannot change the host by /sys, /proc/sys or devices", async () => {
    const script = `
      touch /sys/kernel/x 2>/dev/null && echo wrote /sys
      echo 7 2>/dev/null >/proc/sys/kernel/printk && echo wrote a setting of the host
      dd if=/proc/kmsg bs=1 count=1 2>/dev/null | grep . && echo read the log
      mknod /dev/x b 8 0 2>/dev/null && echo made a device
      ls /dev/kmsg /dev/tty1 2>/dev/null
      echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward
      echo 1400 >/sys/class/net/eth0/mtu && cat /sys/class/net/eth0/mtu`;
    expect(await sh(id, script)).toBe("1\n1400\n");
  });

  here("divides its cgroup, and cannot raise its limits", async () => {
    const script = `
      cd /sys/fs/cgroup; [ -d unified ] && cd unified
      mkdir sub && echo $$ >sub/cgroup.procs && cat /proc/self/cgroup | grep 0::
      echo $$ >cgroup.procs; rmdir sub
      for file in cgroup.max.depth memory.max pids.max ../memory/memory.limit_in_bytes ../pids/pids.max; do
        if [ -e $file ]; then (echo 5 >$file) 2>/dev/null && echo wrote $file; fi
      done
      mkdir /tmp/v1; for controller in memory pids cpu devices; do
        mount -t cgroup -o $controller v1 /tmp/v1 2>/dev/null || continue
        cd /tmp/v1; mkdir sub 2>/dev/null && echo made a cgroup of $controller
        for file in tasks cgroup.procs release_agent notify_on_release memory.limit_in_bytes pids.max cpu.shares devices.allow; do
          if [ -e $file ]; then (echo 1 >$file) 2>/dev/null && echo wrote $file; fi
        done; cd /; umount /tmp/v1
      done; rmdir /tmp/v1`;
    expect(await sh(id, script)).toBe("0::/sub\n");
  });

  (existsSync("/dev/fuse") ? here : testIf(false, "needs /dev/fuse"))(
    "sees its own memory, in each of its cgroups, and less of it when it may have less",
    async () => {
      const script = `cd /sys/fs/cgroup; [ -d unified ] && cd unified
        mkdir sub && echo $$ >sub/cgroup.procs && grep MemTotal /proc/meminfo; echo $$ >cgroup.procs; rmdir sub`;
      expect(await sh(id, script)).toBe("MemTotal:         262144 kB\n");
      await daemon.request("POST", `/containers/${id}/update`, { Memory: 128 << 20, MemorySwap: -1 });
      expect(await sh(id, "grep MemTotal /proc/meminfo")).toBe("MemTotal:         131072 kB\n");
      const hosts = await sh(id, "cd /proc; umount cpuinfo diskstats loadavg meminfo stat swaps; cat meminfo");
      expect(hosts).toContain(/^MemTotal: .*$/m.exec(readFileSync("/proc/meminfo", "utf8"))![0]);
    },
  );

  const lacks = ["/dev/fuse", "/dev/net/tun"].find((path) => !existsSync(path)) ?? missing("cc");
  (lacks === undefined ? here : testIf(false, `needs ${lacks}`))(
    "owns the devices that it is given, and uses them: an interface, a file system",
    async () => {
      const tools = mkdtempSync(join(tmpdir(), "lighter-tools-"));
      chmodSync(tools, 0o755);
      const built = spawnSync("cc", ["-static", "-o", join(tools, "user"), "tests/support/device-user.c"]);
      expect(built.stderr.toString()).toBe("");
      const device = (PathOnHost: string, path = PathOnHost, CgroupPermissions = "rwm") =>
        ({ PathOnHost, PathInContainer: path, CgroupPermissions }) as const;
      const Devices = [device("/dev/fuse"), device("/dev/net/tun"), device("/dev/zero", "/dev/disks/zero", "r")];
      const other = await startBusybox({}, { Devices, Binds: [`${tools}:/mnt/tools:ro`] });
      const script = `stat -c '%t:%T %u:%g' /dev/fuse /dev/net/tun /dev/disks/zero; mkdir /mnt/x; /mnt/tools/user /mnt/x
        chmod 640 /dev/disks/zero; head -c 1 /dev/disks/zero | wc -c; mknod /tmp/zero c 1 5 2>/dev/null && echo made`;
      const hosts = statSync("/dev/zero").mode;
      expect(await sh(other, script)).toBe("a:e5 0:0\na:c8 0:0\n1:5 0:0\ninterface tun7 0\nmounted /mnt/x\n1\n");
      expect(statSync("/dev/zero").mode).toBe(hosts);
      await remove(other);
      rmSync(tools, { recursive: true });
    },
  );

  here("knows who it is, in files of its own", async () => {
    const uuid = machineUuid(id);
    const script = `cd /etc; cat hostname machine-id /run/host/container-uuid /run/host/container-manager
      tail -n 1 hosts; tr '\\0' '\\n' </proc/1/environ | grep ^container; grep -c ' /etc/' /proc/mounts
      touch /run/x /tmp/x; echo mine >hosts.new; mv hosts.new hosts; cat hosts; touch /run/host/x 2>/dev/null && echo wrote`;
    const expected = `web\n${uuid}\n${uuid}\nlighter\n127.0.1.1\tweb\ncontainer=lighter\ncontainer_uuid=${uuid}\n0\nmine\n`;
    expect(await sh(id, script)).toBe(expected);
  });

  here("has clocks that begin at its start, and an id of each boot, for execs as well", async () => {
    const script = `cat /proc/sys/kernel/random/boot_id /proc/uptime; date +%s; grep btime /proc/stat
      readlink /proc/self/ns/time; readlink /proc/1/ns/time`;
    const [bootId, uptime, now, btime, ...namespaces] = (await sh(id, script)).trim().split("\n");
    const sinceStart = (Date.now() - Date.parse((await daemon.inspect(id)).State.StartedAt)) / 1000;
    expect(bootId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(bootId).not.toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    // Its clocks begin when its start is planned, which is a moment before its first process runs.
    expect(Number.parseFloat(uptime!)).toBeWithin(0, sinceStart + 20);
    expect(Math.abs(Number(now) - Number.parseFloat(uptime!) - Number(/\d+/.exec(btime!)![0]))).toBeLessThan(20);
    expect(namespaces[0]).toBe(namespaces[1]!);
    expect(await sh(id, "touch /proc/sys/kernel/random/boot_id; (: >/proc/sys/kernel/random/boot_id) 2>&1")).toContain(
      "Read-only",
    );
    await daemon.kill();
    await daemon.launch();
    expect(await sh(id, "cat /proc/sys/kernel/random/boot_id")).toBe(`${bootId}\n`);
    expect(Number.parseFloat(await sh(id, "cat /proc/uptime"))).toBeGreaterThanOrEqual(Number.parseFloat(uptime!));
    await daemon.request("POST", `/containers/${id}/restart?t=-1`);
    await until(async () => (await console(id)).split("up\r\n").length === 3, "it is up once more");
    expect(await sh(id, "cat /proc/sys/kernel/random/boot_id")).not.toBe(`${bootId}\n`);
  });

  here("has what it changed, and its console's output, after it was killed and started", async () => {
    await sh(id, "echo kept >/etc/hostname");
    await daemon.request("POST", `/containers/${id}/kill`);
    await daemon.request("POST", `/containers/${id}/start`);
    await until(async () => (await console(id)).split("up\r\n").length === 4, "it is up once more");
    expect(await sh(id, "cat /etc/hostname /etc/machine-id; ls /tmp")).toBe(`kept\n${machineUuid(id)}\n`);
  });

  here(
    "has a console that a client without a terminal is told of in frames, and one with a terminal as it is",
    async () => {
      await sh(id, "echo first >/dev/console");
      await eventually(async () => {
        const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&tail=1`);
        expect(text).toBe("\x01\0\0\0\0\0\0\x07first\r\n");
      });
      const attached = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
      await sh(id, "echo second >/dev/console");
      await attached.until((bytes) => bytes.includes("second")); // the end of the line may have a frame of its own
      expect(attached.text.charCodeAt(0)).toBe(1);
      attached.socket.destroy();
      const other = await startBusybox({ Tty: true });
      expect(await console(other)).toBe("up\r\n");
      await remove(other);
    },
  );

  here("is gone without a trace, with cgroups that it has made", async () => {
    await sh(id, "cd /sys/fs/cgroup; [ -d unified ] && cd unified; mkdir -p a/b c");
    await remove(id);
  });

  here("has credentials and cloud-init's seed, which its root alone sees", async () => {
    const Labels = {
      "io.lighter.machine.credential.text": "s3cret",
      "io.lighter.machine.credential-binary.bytes": "AP8K",
      "io.lighter.machine.cloud-init.user-data": "#cloud-config\npassword: s3cret\n",
    };
    const body = { Image: "init:busybox", Labels, Hostname: "seeded" };
    const refused = await daemon.request("POST", "/containers/create", body);
    expect([refused.status, refused.json.message]).toEqual([400, expect.stringContaining("only machines take")]);
    const own = await startBusybox({ Labels, Hostname: "seeded" });
    const script = `
      cd /run/host/credentials; tr '\\0' '\\n' </proc/1/environ | grep CREDENTIALS
      cat text; echo; od -An -tx1 bytes; stat -c '%a %u %g %n' . *; touch x 2>&1
      cd /var/lib/cloud/seed/nocloud; stat -c '%a %u %n' *; cat user-data meta-data network-config`;
    const seen = `CREDENTIALS_DIRECTORY=/run/host/credentials
s3cret
 00 ff 0a
500 0 0 .
400 0 0 bytes
400 0 0 text
touch: x: Read-only file system
600 0 meta-data
600 0 network-config
600 0 user-data
#cloud-config
password: s3cret
instance-id: ${machineUuid(own)}
local-hostname: seeded
config: disabled
`;
    expect(await sh(own, script)).toBe(seen);
    const { json, text } = await daemon.request("GET", `/containers/${own}/json`);
    expect(Object.keys(json.Config.Labels).sort()).toEqual(Object.keys(Labels).sort());
    expect(text).not.toContain("s3cret");
    expect((await daemon.request("GET", `/events?since=0&until=${Math.ceil(Date.now() / 1000)}`)).text).not.toContain(
      "s3cret",
    );
    await sh(own, "echo >/var/lib/cloud/seed/nocloud/meta-data");
    await daemon.kill();
    await daemon.launch();
    await daemon.request("POST", `/containers/${own}/restart?t=-1`);
    await until(async () => (await console(own)).split("up\r\n").length === 3, "it is up once more");
    const changed = seen.replace(/instance-id.*\nlocal.*\n/, "\n");
    expect(await sh(own, script)).toBe(changed);
    rmSync(join(daemon.dataRoot, "containers", own, "secrets.json"));
    const without = await daemon.request("POST", `/containers/${own}/restart?t=-1`);
    expect([without.status, without.json.message]).toEqual([500, expect.stringContaining("secrets.json, with this")]);
    await remove(own);
    expect(existsSync(join(daemon.dataRoot, "containers", own))).toBe(false);
  });

  here("does not write into what is mounted over its /etc, and takes --cap-drop and --userns=host", async () => {
    const HostConfig = { ...MACHINE, Tmpfs: { "/etc": "" }, CapDrop: ["SYS_ADMIN"] };
    const own = await daemon.run({ Image: "init:busybox", HostConfig });
    expect(await sh(own, "ls /etc; grep CapEff /proc/self/status")).toBe("CapEff:\t000001fcfddcffff\n");
    await remove(own);
    const { json } = await daemon.request("POST", "/containers/create", {
      Image: "init:busybox",
      HostConfig: { ...MACHINE, UsernsMode: "host" },
    });
    expect(json.Warnings).toEqual([expect.stringContaining("no user namespace of its own")]);
    await daemon.request("POST", `/containers/${json.Id}/start`);
    const status = await sh(json.Id, "grep CapEff /proc/self/status; touch /proc/sys/x 2>&1");
    expect(Number.parseInt(/CapEff:\t(\w+)/.exec(status)![1]!.slice(-8), 16) & 0x02030000).toBe(0);
    await remove(json.Id);
  });
});

describe("the life of a machine", () => {
  const here = rootedWith("busybox");
  const addressOf = async (id: string) => (await daemon.inspect(id)).NetworkSettings.IPAddress;
  const stateOf = async (id: string) => {
    const { State, RestartCount } = await daemon.inspect(id);
    return [State.Status, State.ExitCode, RestartCount];
  };
  const ended = async (id: string) => (await (await daemon.wait(id, "next-exit")).answer).StatusCode;
  const ups = async (id: string, times: number) =>
    until(async () => (await console(id)).split("up\r\n").length === times + 1, `it has come up ${times} times`);

  here("stops by the signal that its init understands, and stays off where its policy is to start it", async () => {
    for (const Name of ["no", "unless-stopped"]) {
      const id = await startBusybox({}, { RestartPolicy: { Name } });
      await daemon.request("POST", `/containers/${id}/stop?t=-1`);
      expect(await stateOf(id)).toEqual(["exited", 130, 0]);
      await remove(id);
    }
  });

  rootedWith("dash")("is told by its own program where its init is runit, and by a signal if that fails", async () => {
    // A shell by runit's name, and a program that ends it, or fails.
    const init = 'trap "exit 7" USR1; trap "exit 8" INT; echo up; while :; do sleep 1000000 & wait; done';
    const layer = rawTar(
      ...["bin", "lib", "lib64"].map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
      { name: "opt/runit", content: readFileSync(Bun.which("dash")!), mode: 0o755 },
      { name: "sbin/runit-init", content: '#!/bin/sh\n[ "$1" = 0 ] && [ ! -e /fails ] && kill -USR1 1', mode: 0o755 },
    );
    await load(dockerArchive({ layers: [layer], tags: ["init:runit"], config: {} }));
    const HostConfig = { ...MACHINE, Binds: ["/usr:/usr:ro"] };
    for (const [prepared, code] of [
      ["", 7],
      ["touch /fails; ", 8],
      ["rm /sbin/runit-init; ", 8],
    ] as const) {
      const id = await daemon.run({ Image: "init:runit", Cmd: ["/opt/runit", "-c", prepared + init], HostConfig });
      await until(async () => (await console(id)).includes("up\r\n"), "it is up");
      await daemon.request("POST", `/containers/${id}/stop?t=-1`);
      expect((await stateOf(id)).slice(0, 2)).toEqual(["exited", code]);
      await remove(id);
    }
  });

  here("reboots with the same address, uncounted, also with --rm, and restarts by hand", async () => {
    const [first, id] = [await startBusybox(), await startBusybox({}, { AutoRemove: true })];
    const address = await addressOf(id);
    await remove(first); // whose address is the next to be given
    const over = ended(id);
    await exec(id, "/bin/reboot");
    expect(await over).toBe(129);
    const other = await startBusybox();
    await ups(id, 2);
    expect(await addressOf(other)).not.toBe(address);
    expect([await addressOf(id), ...(await stateOf(id))]).toEqual([address, "running", 0, 0]);
    await daemon.request("POST", `/containers/${id}/restart?t=-1`);
    await ups(id, 3);
    await remove(id);
    await remove(other);
  });

  here("stays off when it has powered itself off, whatever its policy, also with another daemon", async () => {
    const policies = ["always", "unless-stopped", "on-failure"];
    const ids = await Promise.all(policies.map((Name) => startBusybox({}, { RestartPolicy: { Name } })));
    const over = ids.map(ended);
    for (const id of ids) await exec(id, "/bin/poweroff");
    expect(await Promise.all(over)).toEqual([130, 130, 130]);
    await daemon.kill();
    await daemon.launch();
    for (const id of ids) expect(await stateOf(id)).toEqual(["exited", 130, 0]);
    for (const id of ids) await remove(id);
  });

  here("comes back from a reboot that ended while there was no daemon", async () => {
    const id = await startBusybox();
    const { Pid } = (await daemon.inspect(id)).State;
    await daemon.kill();
    process.kill(Pid, "SIGTERM"); // busybox's word for a reboot
    await until(() => !existsSync(`/proc/${Pid}`), "it has ended");
    await daemon.launch();
    await ups(id, 2);
    await remove(id);
  });

  here(
    "starts with its host in the order that labels say, and stops in the opposite one, by no hand",
    async () => {
      const policy = { RestartPolicy: { Name: "unless-stopped" } };
      const boot = (labels: Record<string, string>) => ({
        Labels: Object.fromEntries(
          Object.entries(labels).map(([key, value]) => [`io.lighter.machine.boot.${key}`, value]),
        ),
      });
      const late = await startBusybox(boot({ order: "5" }), policy);
      const db = await startBusybox(boot({ delay: "1" }), policy);
      const { Name } = await daemon.inspect(db);
      const web = await startBusybox(boot({ after: `nobody,${Name.slice(1)}` }), policy);
      const once = await startBusybox(boot({ order: "-1" }));
      const states = () => Promise.all([late, web, db].map(async (id) => (await daemon.inspect(id)).State));
      expect((await daemon.request("POST", "/lighter/shutdown?t=600")).status).toBe(204);
      const ends = (await states()).map(({ FinishedAt }) => FinishedAt);
      expect(ends).toEqual([...ends].sort());
      expect(await stateOf(once)).toEqual(["exited", 130, 0]);
      await daemon.kill();
      await daemon.launch();
      await until(async () => (await states()).every(({ Running }) => Running), "they are back");
      const starts = (await states()).map(({ StartedAt }) => StartedAt).reverse();
      expect(starts).toEqual([...starts].sort());
      expect(Date.parse(starts[1]) - Date.parse(starts[0])).toBeGreaterThanOrEqual(990);
      expect(await stateOf(once)).toEqual(["exited", 130, 0]);
      for (const id of [late, web, db, once]) await remove(id);
      const { status, json } = await daemon.request("POST", "/containers/create", {
        Image: "init:busybox",
        ...boot({ order: "first" }),
        HostConfig: MACHINE,
      });
      expect([status, json.message]).toEqual([400, expect.stringContaining('"first" is not a whole number')]);
    },
    120_000,
  );

  here("is killed with its host if it does not end in time, and comes back", async () => {
    const Cmd = ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do /bin/busybox sleep 1; done"];
    const id = await startBusybox({ Cmd }, { RestartPolicy: { Name: "always" } });
    expect((await daemon.request("POST", "/lighter/shutdown?t=1")).status).toBe(204);
    expect(await stateOf(id)).toEqual(["exited", 137, 0]);
    await daemon.kill();
    await daemon.launch();
    await ups(id, 2);
    await remove(id);
  });

  here("is refused with somebody else's processes", async () => {
    const HostConfig = { ...MACHINE, PidMode: "host" };
    const { status, json } = await daemon.request("POST", "/containers/create", { Image: "init:busybox", HostConfig });
    expect([status, json.message]).toEqual([400, 'HostConfig.PidMode: a machine has processes of its own, not "host"']);
  });
});

/** A process 1 that says on command how its machine is, beside much that is not to be believed. */
const TALKER = `
import os, signal, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
say = lambda text: s.send(text.encode())
def stop(*_):
    say("STOPPING=1\\nX_SYSTEMD_SHUTDOWN=halt")
    os._exit(3)
signal.signal(signal.SIGUSR1, lambda *_: say("READY=1\\nSTATUS=up"))
signal.signal(signal.SIGUSR2, lambda *_: say("X_SYSTEMD_UNIT_ACTIVE=late.target\\nSTATUS=late"))
signal.signal(signal.SIGTERM, stop)
for i in range(2000): say(f"N{i}=" + "x" * 300)
say("READY=1\\nSTATUS=" + "x" * 3000)
say("\\n=READY=1\\nREADY\\n")
socket.send_fds(s, [b"MAINPID=1\\nFDSTORE=1"], [0, 1, 2])
if os.fork() == 0:
    say("READY=1")
    os._exit(0)
os.wait()
say("X_SYSTEMD_UNIT_ACTIVE=basic.target\\nSTATUS=on its way")
while True: signal.pause()
`;

describe("what a machine says of itself", () => {
  const machineOf = async (id: string) => (await daemon.inspect(id)).State.Machine;
  const said = (id: string, machine: object) =>
    eventually(async () => expect(await machineOf(id)).toMatchObject(machine), 60_000);
  const statuses = async (id: string) => {
    const filters = encodeURIComponent(
      JSON.stringify({ container: [id], event: ["machine_status", "machine_target"] }),
    );
    const { text } = await daemon.request("GET", `/events?since=0&until=${Date.now() / 1000 + 1}&filters=${filters}`);
    return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line).Action]));
  };

  rootedWith("python3")(
    "is believed of process 1 alone, kept without a daemon, and waited for",
    async () => {
      const HostConfig = { ...MACHINE, Binds: ["/usr:/usr:ro"] };
      const id = await daemon.run({ Image: "host-usr", Cmd: ["/usr/bin/python3", "-c", TALKER], HostConfig });
      await said(id, { Status: "starting", Notifies: true, Targets: ["basic.target"], Text: "on its way" });
      const up = await daemon.wait(id, "running");
      await daemon.request("POST", `/containers/${id}/kill?signal=USR1`);
      expect(await up.answer).toEqual({ StatusCode: 0 });
      expect(await machineOf(id)).toMatchObject({ Status: "running", Text: "up", Targets: ["basic.target"] });
      const told = ["machine_status: starting", "machine_target: basic.target", "machine_status: running"];
      expect((await statuses(id)).slice(-3)).toEqual(told); // until its first word, it was one that says nothing
      const { Pid } = (await daemon.inspect(id)).State;
      await daemon.kill();
      process.kill(Pid, "SIGUSR2");
      await daemon.launch();
      await said(id, { Status: "running", Targets: ["basic.target", "late.target"], Text: "late" });
      await daemon.request("POST", `/containers/${id}/stop?t=-1`);
      expect(await machineOf(id)).toEqual({ Status: "stopped", End: "exit" });
      await daemon.request("POST", `/containers/${id}/start`);
      await said(id, { Status: "starting", Text: "on its way" });
      const never = await daemon.wait(id, "running");
      await daemon.request("POST", `/containers/${id}/kill`);
      expect(await never.answer).toMatchObject({
        StatusCode: 137,
        Error: { Message: expect.stringContaining("before") },
      });
      expect((await machineOf(id)).End).toBe("killed");
      await remove(id);
    },
    BOOT_MS,
  );

  rootedWith("busybox")("is that it runs, where the init says nothing; and its end is known later, too", async () => {
    const id = await startBusybox();
    expect(await machineOf(id)).toEqual({ Status: "running", Init: "busybox", Notifies: false, Targets: [], Text: "" });
    expect(await (await daemon.wait(id, "running")).answer).toEqual({ StatusCode: 0 });
    expect((await daemon.inspect(id)).State.Health).toBeUndefined();
    await daemon.request("POST", `/containers/${id}/stop?t=-1`);
    await daemon.kill();
    await daemon.launch();
    expect(await machineOf(id)).toEqual({ Status: "stopped", End: "poweroff" });
    await remove(id);
  });
});

const UNIT = ["systemd-run", "--wait", "--quiet"];

describe("a machine with systemd", () => {
  rootedWith(...(hasSystemd ? [] : ["systemd", "dbus-daemon"]))(
    "comes up without a failed unit, and runs services as users of their own, with limits, by timers, into its journal",
    async () => {
      await load(dockerArchive({ layers: [rawTar(...systemdRoot())], tags: ["init:systemd"], config: {} }));
      const id = await daemon.create({
        Image: "init:systemd",
        Cmd: ["/usr/lib/systemd/systemd"],
        Labels: { "io.lighter.machine.credential.given": "to systemd" },
        HostConfig: { ...MACHINE, Binds: ["/usr:/usr:ro"] },
      });
      const up = await daemon.wait(id, "running");
      await daemon.request("POST", `/containers/${id}/start`);
      expect((await up.answer).StatusCode).toBe(0);
      const { Machine } = (await daemon.inspect(id)).State;
      expect(Machine).toMatchObject({ Status: "running", Init: "systemd", Notifies: true, BootMs: expect.any(Number) });
      expect(Machine.Targets).toContain("multi-user.target");
      // Until there is a bus it answers with an error, or "offline", and then when the boot is over.
      const state = await eventually(async () => {
        const answer = await exec(id, "systemctl", "is-system-running", "--wait");
        expect(answer).toMatch(/^(running|degraded|maintenance)\n$/);
        return answer;
      }, BOOT_MS);
      expect(await exec(id, "systemctl", "--failed", "--no-pager", "--plain", "--no-legend")).toBe("");
      expect(state).toBe("running\n");
      expect(await sh(id, "grep -c . /proc/1/cgroup >/dev/null; tail -n 1 /proc/1/cgroup")).toBe("0::/init.scope\n");
      expect(await exec(id, "systemd-creds", "--system", "cat", "given")).toBe("to systemd\n");
      const ofService = [...UNIT, "--pipe", "-p", "LoadCredential=given", "systemd-creds", "cat", "given"];
      expect(await exec(id, ...ofService)).toBe("to systemd\n");
      const asUser = await exec(id, ...UNIT, "--pipe", "-p", "DynamicUser=1", "id", "-u");
      expect(Number(asUser)).toBeGreaterThan(60_000);
      const limit = 'cat "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/memory.max"';
      if (detectCgroupHost().mode === "unified")
        expect(await exec(id, ...UNIT, "--pipe", "-p", "MemoryMax=64M", "sh", "-c", limit)).toBe("67108864\n");
      await exec(id, ...UNIT, "echo", "in the journal");
      const soon = ["--on-active=10ms", "--timer-property=AccuracySec=10ms"];
      await exec(id, "systemd-run", "--quiet", ...soon, "touch", "/run/fired");
      await eventually(async () => {
        expect(await exec(id, "journalctl", "--quiet", "--no-pager", "--output=cat")).toContain("in the journal\n");
        expect(await sh(id, "ls /run/fired")).toBe("/run/fired\n");
      }, BOOT_MS);
      await daemon.request("POST", `/containers/${id}/stop?t=-1`);
      const { ExitCode, Machine: after } = (await daemon.inspect(id)).State;
      expect([ExitCode, after]).toEqual([130, { Status: "stopped", End: "halt" }]);
      await remove(id);
    },
    BOOT_MS,
  );
});
