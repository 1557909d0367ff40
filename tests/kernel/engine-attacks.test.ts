/** Known attacks on container engines that need a whole daemon; those on the runtime and on `cp` have files of their own. */
import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { isRoot, rooted, rootedWith } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

let daemon: TestDaemon;

beforeAll(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start();
  const links = ["bin", "sbin", "lib", "lib64"].map((name) => ({ name, type: "2", linkName: `usr/${name}` }));
  const layer = rawTar(
    ...links,
    { name: "etc/passwd", content: "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/:/bin/sh\n" },
    { name: "etc/group", content: "root:x:0:\nbob:x:1001:\nextra:x:1002:bob\nothers:x:1003:root\n" },
    { name: "trap/ps", mode: 0o755, content: "#!/bin/sh\ntouch /SPRUNG\n" },
  );
  const archive = dockerArchive({ layers: [layer], tags: ["attacks:1"], config: { Cmd: ["/bin/sh"] } });
  const loaded = await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
  expect(loaded.status).toBe(200);
});

afterAll(async () => {
  if (isRoot) await daemon[Symbol.asyncDispose]();
});

/** What a shell says in a container of its own, and its exit code. */
async function says(command: string, more: object = {}, hostConfig: object = {}): Promise<[string, number]> {
  const HostConfig = { ...hostUsr, ...hostConfig };
  const id = await daemon.run({ Image: "attacks:1", Cmd: ["/bin/sh", "-c", command], Tty: true, HostConfig, ...more });
  const { StatusCode } = (await daemon.request("POST", `/containers/${id}/wait`)).json;
  const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
  return [text.replaceAll("\r\n", "\n").trim(), StatusCode];
}

rooted("a user has its own groups and no others, by name and by number (CVE-2022-36109, CVE-2023-25173)", async () => {
  const groups = "id -u; id -g; id -G";
  expect(await says(groups, { User: "bob" })).toEqual(["1000\n1001\n1001 1002", 0]);
  expect(await says(groups, { User: "1000" })).toEqual(["1000\n1001\n1001 1002", 0]);
  expect(await says(groups, { User: "1000:1003" })).toEqual(["1000\n1003\n1003", 0]);
  expect(await says(groups, { User: "4321:4321" })).toEqual(["4321\n4321\n4321", 0]);
});

rooted("a user whose number overflows is refused, and is never root (CVE-2024-40635)", async () => {
  for (const User of ["4294967296", "2147483648", "4294967295", "-1", "0:4294967296", "1000:-1"]) {
    const body = { Image: "attacks:1", Cmd: ["/bin/true"], User, HostConfig: hostUsr };
    const created = await daemon.request("POST", "/containers/create", body);
    const refused =
      created.status === 201 ? await daemon.request("POST", `/containers/${created.json.Id}/start`) : created;
    expect([User, [400, 500].includes(refused.status)]).toEqual([User, true]);
  }
});

rooted(
  "a default container makes no user namespace, mounts nothing and changes no setting (CVE-2022-0185, CVE-2022-0492)",
  async () => {
    const attempts = [
      "unshare --user true",
      "unshare --mount true",
      "unshare --cgroup true",
      "mount -t tmpfs none /tmp",
      "mount -t cgroup -o memory none /tmp",
      "mount -o remount,rw /sys",
      "mount -o remount,rw /proc/sys",
      "echo 1 > /proc/sys/kernel/panic",
      "echo x > /proc/sysrq-trigger",
      "mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk",
    ];
    const script = attempts.map((attempt) => `if ${attempt}; then echo 'DONE ${attempt}'; fi`).join("\n");
    const [text] = await says(`(${script}) 2>/dev/null; grep -E '^(CapInh|CapAmb|Seccomp):' /proc/self/status`);
    expect(text).toBe("CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\nSeccomp:\t2");
  },
);

const isV2 = isRoot && detectCgroupHost().mode === "unified";
const WRITABLE = { ...hostUsr, SecurityOpt: ["writable-cgroups=true"], Memory: 64 << 20, PidsLimit: 100 };

testIf(isV2, isRoot ? "needs cgroup v2" : "needs root")(
  "a container that may write to its cgroup divides it, has execs in there, and does not raise its limits",
  async () => {
    const script = `cd /sys/fs/cgroup && mkdir sub && echo $$ >sub/cgroup.procs && echo +memory +pids >cgroup.subtree_control
      (echo max >memory.max; echo max >pids.max) 2>/dev/null; echo 8M >sub/memory.max; echo up; exec sleep 1000000`;
    const id = await daemon.run({
      Image: "attacks:1",
      Cmd: ["/bin/sh", "-c", script],
      HostConfig: WRITABLE,
      Tty: true,
    });
    const logs = async () => (await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text;
    await until(async () => (await logs()).includes("\n"), "the container says something");
    expect(await logs()).toBe("up\r\n");
    const limit = (name: string) => readFileSync(`/sys/fs/cgroup/lighter/${id}/${name}`, "utf8").trim();
    expect([limit("memory.max"), limit("pids.max")]).toEqual([String(64 << 20), "100"]);
    const body = { Cmd: ["/bin/cat", "/proc/self/cgroup"], AttachStdout: true, Tty: true };
    const { json } = await daemon.request("POST", `/containers/${id}/exec`, body);
    const exec = await daemon.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' });
    expect(await exec.untilEnd()).toBe("0::/sub\r\n");
    await daemon.request("POST", `/containers/${id}/update`, { Memory: 32 << 20, MemorySwap: -1 });
    expect(limit("memory.max")).toBe(String(32 << 20));
    await daemon.request("DELETE", `/containers/${id}?force=1`);
    await until(() => daemon.leftovers([id]).every((path) => !path.includes(id)), "nothing is left of it");
  },
);

rooted("a container may not write to cgroups whose limits it could raise", async () => {
  const create = (hostConfig: object) =>
    daemon.request("POST", "/containers/create", { Image: "attacks:1", HostConfig: { ...WRITABLE, ...hostConfig } });
  const shared = await create({ CgroupnsMode: "host" });
  expect([shared.status, shared.json.message]).toEqual([400, expect.stringContaining("cgroup namespace of its own")]);
  const mapped = { UsernsMode: "auto", CgroupnsMode: "private" };
  expect((await create(mapped)).status).toBe(201);
  const plain = await create({ CgroupnsMode: "private" });
  expect(plain.status === 201).toBe(isV2);
  if (!isV2) expect(plain.json.message).toContain("cgroup v1");
  const script = "cd /sys/fs/cgroup; [ -d unified ] && cd unified; mkdir sub && echo made; (echo max >memory.max) 2>&1";
  const [said] = await says(script, {}, { ...WRITABLE, ...mapped });
  expect(said).toMatch(/^made\n.*(Permission denied|cannot create)/);
  expect((await says("mkdir /sys/fs/cgroup/sub"))[1]).not.toBe(0);
});

rooted(
  "a container in the host's network finds no socket of the engine's without a path (CVE-2020-15257)",
  async () => {
    const before = readFileSync(`/proc/${daemon.pid}/net/unix`, "utf8");
    expect(before.split("\n").filter((line) => /@.*(lighter|supervisor|containerd|shim)/.test(line))).toEqual([]);
    const found = "grep -cE '@.*(lighter|supervisor|shim)' /proc/net/unix";
    expect((await says(found, {}, { NetworkMode: "host" }))[0]).toBe("0");
  },
);

rootedWith("ps")("top lists processes with nothing of the container's (CVE-2022-1227)", async () => {
  const body = {
    Image: "attacks:1",
    Cmd: ["/bin/sleep", "1000"],
    Env: ["PATH=/trap:/usr/bin:/bin", "LD_PRELOAD=/trap/ps"],
    HostConfig: hostUsr,
  };
  const id = await daemon.run(body);
  expect((await daemon.request("GET", `/containers/${id}/top`)).text).toContain("sleep 1000");
  expect((await daemon.request("GET", `/containers/${id}/changes`)).text).not.toContain("SPRUNG");
});
