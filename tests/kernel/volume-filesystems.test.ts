/** Volumes with a file system of their own (`volume create -o type=…`), as containers see them, and what is left of them. */
import { afterAll, beforeAll, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");
const canLoop = ["losetup", "mkfs.ext4"].every((name) => Bun.which(name) !== null) && existsSync("/dev/loop-control");
const looped = testIf(isRoot && canLoop, "needs root, losetup, mkfs.ext4 and loop devices");

let daemon: TestDaemon;
let temp: string;

beforeAll(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start();
  temp = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? "/tmp", "lighter-volume-fs-"));
  const links = ["bin", "sbin", "lib", "lib64"].filter((name) => existsSync(`/${name}`));
  const layer = rawTar(
    { name: "d/", type: "5", mode: 0o750, uid: 7, gid: 8 },
    { name: "d/x", content: "of the image\n" },
    ...links.map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
  );
  const archive = dockerArchive({ layers: [layer], tags: ["filled:latest"] });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
});

afterAll(async () => {
  if (!isRoot) return;
  await daemon[Symbol.asyncDispose]();
  rmSync(temp, { recursive: true });
});

const volume = (type: string, device: string, o = "") => ({ type, device, o });
const memory = volume("tmpfs", "tmpfs", "size=4m");

async function create(Name: string, DriverOpts: object): Promise<void> {
  expect((await daemon.request("POST", "/volumes/create", { Name, DriverOpts })).status).toBe(201);
}

const body = (script: string, binds: readonly string[], more: object = {}) => ({
  Image: "filled",
  Cmd: ["/bin/sh", "-c", script],
  HostConfig: { ...hostUsr, Binds: [...hostUsr.Binds, ...binds], ...more },
});

/** Runs a container to its end, and returns what it said. */
async function say(script: string, binds: readonly string[], more: object = {}): Promise<string> {
  const id = await daemon.create(body(script, binds, more));
  const waiting = await daemon.wait(id, "next-exit");
  const started = await daemon.request("POST", `/containers/${id}/start`);
  if (started.status === 204) await waiting.answer;
  const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`);
  await daemon.request("DELETE", `/containers/${id}`);
  return started.status === 204 ? text.replace(/[\x01\x02]\0\0\0[\s\S]{4}/g, "") : `${started.status} ${started.text}`;
}

/** Keeps its volumes in use. */
const keep = (binds: readonly string[], more: object = {}) => daemon.run(body("sleep 1000", binds, more));
const remove = (id: string) => daemon.request("DELETE", `/containers/${id}?force=1`);

rooted("a tmpfs is one for all who use it at the same time, and a new one afterwards", async () => {
  await create("shared", memory);
  const keeper = await keep(["shared:/m"]);
  expect(await say("echo hello > /n/f", ["shared:/n"])).toBe("");
  expect(await say("cat /m/f; df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f2", ["shared:/m:ro"])).toBe("hello\n4096\n");
  expect(await say("touch /m/g", ["shared:/m:ro"])).toContain("Read-only file system");
  expect(await say("cat /a/f /b/f", ["shared:/a", "shared:/b"])).toBe("hello\nhello\n");
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(daemon.dataRoot);
  await remove(keeper);
  expect(await say("ls /m", ["shared:/m"])).toBe("");
});

rooted("two containers that are started at once have the same", async () => {
  await create("at-once", memory);
  const keepers = await Promise.all(
    [1, 2, 3, 4].map((name) => daemon.run(body(`echo > /m/${name}; sleep 1000`, ["at-once:/m"]))),
  );
  await until(async () => (await say("ls /m | tr -d '\\n'", ["at-once:/m"])) === "1234", "all four have written");
  await Promise.all(keepers.map(remove));
});

rooted("a daemon that is killed takes no volume away, and leaves none mounted", async () => {
  await create("kept", memory);
  const keeper = await daemon.run(body("echo kept > /m/f; sleep 1000", ["kept:/m"]));
  await until(async () => (await say("cat /m/f", ["kept:/m"])) === "kept\n", "it has written");
  for (const _ of [1, 2]) {
    await daemon.kill();
    await daemon.launch();
    expect(await say("cat /m/f", ["kept:/m"])).toBe("kept\n");
  }
  await remove(keeper);
  expect(await say("ls /m", ["kept:/m"])).toBe("");
});

rooted("one that has the name of a removed one is another", async () => {
  await create("renewed", memory);
  const keeper = await daemon.run(body("echo old > /m/f; sleep 1000", ["renewed:/m"]));
  await remove(keeper);
  expect((await daemon.request("DELETE", "/volumes/renewed")).status).toBe(204);
  await create("renewed", { ...memory, o: "size=8m" });
  expect(await say("df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f2", ["renewed:/m"])).toBe("8192\n");
});

rooted(
  "an empty one is filled from the image, unless nocopy says otherwise; a tmpfs whenever it is mounted",
  async () => {
    await create("filled", memory);
    for (const _ of [1, 2])
      expect(await say("stat -c '%a %u %g' /d; cat /d/x", ["filled:/d"])).toBe("750 7 8\nof the image\n");
    expect(await say("ls /d", ["filled:/d:nocopy"])).toBe("");
    const keeper = await keep(["filled:/m"]);
    expect(await say("ls /d; rm /d/x", ["filled:/d"])).toBe("x\n");
    expect(await say("ls /d", ["filled:/d:nocopy"])).toBe("");
    await remove(keeper);
  },
);

rooted("what cannot be mounted is told as Docker tells it", async () => {
  const refuse = async (options: ReturnType<typeof volume>, call: string) => {
    await create("refused", options);
    const path = join(daemon.dataRoot, "volumes/refused/_data");
    const message = `error while mounting volume '${path}': failed to mount local volume: mount ${call.replace("PATH", path)}`;
    expect(await say("true", ["refused:/m"])).toBe(`500 ${JSON.stringify({ message })}\n`);
    await daemon.request("DELETE", "/volumes/refused");
  };
  await refuse(volume("tmpfs", "tmpfs", "foo=bar"), "tmpfs:PATH, data: foo=bar: invalid argument");
  await refuse(volume("tmpfs", "tmpfs", "ro,noatime,a=b"), "tmpfs:PATH, flags: 0x401, data: a=b: invalid argument");
  await refuse(volume("no-such", "x"), "x:PATH: no such device");
  await refuse(volume("ext4", "/dev/no-such"), "/dev/no-such:PATH: no such file or directory");
});

rooted("an overlay is mounted once, and has what any of them writes", async () => {
  for (const name of ["lower", "upper", "work"]) mkdirSync(join(temp, name));
  writeFileSync(join(temp, "lower/f"), "lower\n");
  const o = `lowerdir=${join(temp, "lower")},upperdir=${join(temp, "upper")},workdir=${join(temp, "work")}`;
  await create("layers", volume("overlay", "overlay", o));
  const keeper = await keep(["layers:/m"]);
  expect(await say("cat /m/f; echo changed > /m/f", ["layers:/m"])).toBe("lower\n");
  expect(await say("cat /m/f", ["layers:/m"])).toBe("changed\n");
  await remove(keeper);
  expect(readFileSync(join(temp, "upper/f"), "utf8")).toBe("changed\n");
});

rooted("a part of it is mounted, and no link leads out of it", async () => {
  await create("parts", memory);
  const keeper = await daemon.run(
    body("mkdir /m/sub; echo in sub > /m/sub/f; ln -s /etc /m/out; sleep 1000", ["parts:/m"]),
  );
  await until(async () => (await say("readlink /m/out", ["parts:/m"])) === "/etc\n", "it has written");
  const part = (Subpath: string) => ({
    Mounts: [{ Type: "volume", Source: "parts", Target: "/p", VolumeOptions: { Subpath } }],
  });
  expect(await say("cat /p/f", [], part("sub"))).toBe("in sub\n");
  expect(await say("cat /p", [], part("sub/f"))).toBe("in sub\n");
  expect(await say("true", [], part("none"))).toStartWith("404 ");
  expect(await say("true", [], part("out"))).toStartWith("400 ");
  await remove(keeper);
});

rooted("owners in it are the container's ids, for whoever shares it", async () => {
  await create("owned", memory);
  const keeper = await keep(["owned:/m"]);
  expect(await say("touch /m/f; stat -c %u /m/f /m", ["owned:/m"], { UsernsMode: "auto" })).toBe("0\n0\n");
  expect(await say("stat -c %u /m/f", ["owned:/m"])).toBe("0\n");
  await remove(keeper);
});

/** A loop device with an empty ext4, without its lost+found if a container is to find it empty. */
function makeDevice(name: string): { path: string; isBusy: () => boolean; detach: () => void } {
  const file = join(temp, name);
  writeFileSync(file, "");
  truncateSync(file, 16 * 2 ** 20);
  expect(spawnSync("mkfs.ext4", ["-q", file]).status).toBe(0);
  const path = spawnSync("losetup", ["--find", "--show", file]).stdout.toString().trim();
  expect(path).toStartWith("/dev/loop");
  // A device that is mounted by anybody is let go of only when it is not any more.
  const isBusy = () => existsSync(`/sys/block/${path.slice("/dev/".length)}/loop/backing_file`);
  return { path, isBusy, detach: () => spawnSync("losetup", ["--detach", path]) };
}

looped("a disk keeps what was written; it is filled once, and unmounted with the last container", async () => {
  const device = makeDevice("disk");
  await create("disk", volume("ext4", device.path));
  expect(await say("rmdir /d/lost+found", ["disk:/d"])).toBe("");
  expect(await say("cat /d/x; mv /d/x /d/y", ["disk:/d"])).toBe("of the image\n");
  const keeper = await keep(["disk:/d"]);
  expect(await say("ls /d", ["disk:/d"])).toBe("y\n");
  const stopped = await daemon.create(body("true", ["disk:/d"]));
  const listed = await daemon.request("GET", `/containers/${stopped}/archive?path=/d/y`);
  expect(listed.text).toContain("of the image\n");
  device.detach();
  expect(device.isBusy()).toBe(true);
  await remove(keeper);
  await until(() => !device.isBusy(), "nobody has the disk mounted");
  await remove(stopped);
});

for (const point of ["start process", "started process"])
  looped(`kill -9 at "${point}": the disk is not mounted any more, or the container has it`, async () => {
    const device = makeDevice("crash");
    await create("crash", volume("ext4", device.path));
    await daemon.kill();
    await daemon.launch({ LIGHTER_TEST_CRASH_AT: point });
    await keep(["crash:/d"]).catch(() => {}); // the daemon dies over it
    await daemon.ended();
    device.detach();
    if (point === "start process") await until(() => !device.isBusy(), "nobody has the disk mounted, without a daemon");
    await daemon.launch();
    expect(device.isBusy()).toBe(point !== "start process");
    for (const { Id } of (await daemon.request("GET", "/containers/json?all=1")).json) await remove(Id);
    await until(() => !device.isBusy(), "nobody has the disk mounted");
    expect((await daemon.request("DELETE", "/volumes/crash")).status).toBe(204);
  });

looped("a container that ends while there is no daemon takes its disk with it", async () => {
  const device = makeDevice("alone");
  await create("alone", volume("ext4", device.path));
  const id = await keep(["alone:/d"]);
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill();
  device.detach();
  expect(device.isBusy()).toBe(true);
  process.kill(Pid, "SIGKILL");
  await until(() => !device.isBusy(), "nobody has the disk mounted, without a daemon");
  await daemon.launch();
});

const inContainer = async (id: string, script: string) => {
  const Cmd = ["/bin/sh", "-c", script];
  const made = await daemon.request("POST", `/containers/${id}/exec`, { Cmd, AttachStdout: true, AttachStderr: true });
  const { text } = await daemon.request("POST", `/exec/${made.json.Id}/start`, { Detach: false, Tty: false });
  return text.replace(/[\x01\x02]\0\0\0[\s\S]{4}/g, "");
};

/** File systems that the daemon keeps, each by its mount namespace. */
const keptByDaemon = () => {
  const fds = `/proc/${daemon.pid}/fd`;
  const targets = readdirSync(fds).flatMap((fd) => {
    try {
      return [readlinkSync(`${fds}/${fd}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
  return targets.filter((target) => target.startsWith("mnt:[")).length;
};

for (const [where, more] of [
  ["", {}],
  [" of containers with user namespaces", { UsernsMode: "auto" }],
] as const)
  rooted(
    `/dev/shm and System V IPC${where} are shared by whom they are to be, and gone with the last of them`,
    async () => {
      await create("beside", memory);
      const share = (IpcMode: string) => keep(["beside:/m"], { ...more, IpcMode, ShmSize: 1 << 20 });
      const donor = await share("shareable");
      const first = await share(`container:${donor}`);
      const look = "cat /dev/shm/word; ipcs -m | grep -c 4321; ls /m; echo";
      await inContainer(donor, "echo hello >/dev/shm/word; ipcmk -M 4321; touch /m/volume");
      expect(await inContainer(first, look)).toBe("hello\n1\nvolume\n\n");
      expect(await inContainer(first, "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2")).toBe("1024\n");
      const device = (await inContainer(first, "grep ' /dev/shm ' /proc/self/mountinfo | cut -d' ' -f3")).trim();
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(` ${device} `);
      await daemon.kill();
      await daemon.launch();
      const second = await share(`container:${first}`);
      expect(await inContainer(second, look)).toBe("hello\n1\nvolume\n\n");
      for (const id of [donor, first]) await remove(id);
      expect(await inContainer(second, look)).toBe("hello\n1\nvolume\n\n");
      expect(keptByDaemon()).toBe(2);
      await remove(second);
      await until(() => keptByDaemon() === 0, "the daemon lets go of the file systems");
      await daemon.request("DELETE", "/volumes/beside");
    },
  );
