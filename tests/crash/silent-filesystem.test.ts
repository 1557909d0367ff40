/** A file system that stops to answer, in one container: it is that container's misfortune, and no other's. */
import { afterEach, expect } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { rawTar } from "../support/image-tar.ts";
import { SilentFuse } from "../support/silent-fuse.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const canMount = isRoot && existsSync("/dev/fuse") && Bun.which("python3") !== null;
const withFuse = testIf(canMount, "needs root, /dev/fuse and python3");

let mountPoint = "";
let daemon: TestDaemon | undefined;
let fuse: SilentFuse | undefined;

afterEach(async () => {
  await fuse?.[Symbol.asyncDispose](); // first: who waits for it cannot end
  await daemon?.[Symbol.asyncDispose]();
  if (mountPoint !== "") rmdirSync(mountPoint);
});

withFuse("what asks a dead file system fails after a while; nothing else waits, and no daemon is held up", async () => {
  mountPoint = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-silent-"));
  fuse = await SilentFuse.mount(mountPoint);
  daemon = await TestDaemon.start();
  const sleeper = { Cmd: ["/bin/sleep", "infinity"] };
  const binds = [...hostUsr.Binds, `${mountPoint}:/silent`];
  const unlucky = await daemon.run({ ...sleeper, HostConfig: { ...hostUsr, Binds: binds } });
  const other = await daemon.run({ ...sleeper, HostConfig: hostUsr });
  const tar = rawTar({ name: "file", content: "bytes" });
  const put = (id: string, path: string) =>
    daemon!.request("PUT", `/containers/${id}/archive?path=${path}`, tar, { "Content-Type": "application/x-tar" });
  expect((await daemon.request("GET", `/containers/${unlucky}/archive?path=/silent`)).status).toBe(200);
  const volume = { DriverOpts: { type: "none", o: "bind", device: mountPoint } };
  expect((await daemon.request("POST", "/volumes/create", { Name: "silent", ...volume })).status).toBe(201);
  const createWith = (HostConfig: object) =>
    daemon!.request("POST", "/containers/create", {
      Image: daemon!.image,
      HostConfig: { NetworkMode: "none", ...HostConfig },
    });
  const beside = `${dirname(mountPoint)}/./${basename(mountPoint)}/below`;
  const ids = await Promise.all(
    [
      { Binds: [`${mountPoint}:/silent`] },
      { Binds: [`${beside}:/silent`] },
      { Mounts: [{ Type: "bind", Source: mountPoint, Target: "/silent", BindOptions: { Propagation: "rslave" } }] },
      { Mounts: [{ Type: "volume", Source: "silent", Target: "/silent", VolumeOptions: { Subpath: "below" } }] },
    ].map(async (HostConfig) => (await createWith(HostConfig)).json.Id as string),
  );

  await fuse.fallSilent();
  let haveFailed = false;
  const failing = Promise.all([
    daemon.request("GET", `/containers/${unlucky}/archive?path=/silent`),
    daemon.request("HEAD", `/containers/${unlucky}/archive?path=/silent/file`),
    put(unlucky, "/silent"),
    createWith({ Mounts: [{ Type: "bind", Source: mountPoint, Target: "/silent" }] }),
    createWith({ BlkioDeviceReadBps: [{ Path: `${mountPoint}/device`, Rate: 1024 }] }),
    createWith({ Devices: [{ PathOnHost: `${mountPoint}/device`, PathInContainer: "/x", CgroupPermissions: "r" }] }),
    ...ids.map((id) => daemon!.request("POST", `/containers/${id}/start`)),
  ]).finally(() => {
    haveFailed = true;
  });

  expect((await put(other, "/tmp")).status).toBe(404); // there is none in this image
  expect((await put(other, "/")).status).toBe(200);
  expect((await daemon.request("GET", `/containers/${other}/archive?path=/file`)).status).toBe(200);
  expect((await daemon.request("GET", "/system/df")).status).toBe(200);
  for (const id of [other, unlucky]) {
    expect((await daemon.request("GET", `/containers/${id}/changes`)).status).toBe(200);
    expect((await daemon.request("GET", `/containers/${id}/export`)).status).toBe(200);
    expect((await daemon.request("POST", `/commit?container=${id}`)).status).toBe(201);
  }
  expect(haveFailed).toBe(false);

  const answers = await failing;
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
  const why = "the file system has not answered for 30 s";
  const [source, below, device] = [mountPoint, `${mountPoint}/below`, `${mountPoint}/device`];
  const named = [source, device, device, source, below, source, source].map((path) => `look at "${path}": ${why}`);
  expect(answers.map(({ json }) => json?.message)).toEqual([why, undefined, why, ...named]);

  // Their workers are still waiting, and so is nobody else.
  process.kill(daemon.pid, "SIGKILL");
  await until(() => !daemon!.isAlive, "the daemon has ended"); // its output has not: they hold it
  daemon.disconnect();
  await daemon.launch();
  expect((await daemon.request("GET", "/_ping")).status).toBe(200);
  expect((await daemon.request("DELETE", `/containers/${unlucky}?force=1`)).status).toBe(204);
});

withFuse("a daemon that was killed and cannot end has all taken from it by the next one, which says so", async () => {
  mountPoint = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-silent-"));
  fuse = await SilentFuse.mount(mountPoint);
  daemon = await TestDaemon.start();
  const id = await daemon.create({ HostConfig: hostUsr });
  await daemon.kill();
  await fuse.fallSilent();
  const script = join(import.meta.dirname, "../support/doomed-daemon.py");
  const held = [daemon.dataRoot, daemon.execRoot, daemon.socketPath, mountPoint];
  const doomed = spawn("python3", [script, ...held], { stdio: ["ignore", "ignore", "inherit"] });
  await fuse.asked();

  await daemon.launch(); // it could still go on: nothing is taken from it
  expect(daemon.isAlive).toBe(false);
  expect(daemon.log).toContain("another daemon is running here");

  doomed.kill("SIGKILL");
  await daemon.launch();
  expect(daemon.log).toContain(
    `the daemon of the beginning, process ${doomed.pid}, was killed and cannot end, as it waits for a file system: taking over`,
  );
  expect((await daemon.inspect(id)).Id).toBe(id);
  expect((await daemon.request("DELETE", `/containers/${id}`)).status).toBe(204);
  await daemon.kill();
  await daemon.launch(); // whose locks are like any other's
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
});
