// needs: losetup mkfs.ext4
/** A daemon whose data is on a file system that a container has filled: small, of its own, by a loop device. */
import { afterEach, beforeEach, expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";
import { canBuild, loadTools } from "../support/tools-image.ts";

const hasLoop = isRoot && spawnSync("losetup", ["--find"]).status === 0;
const looped = testIf(hasLoop, "needs loop devices and root");

let directory: string;
let disk: string;
let daemon: TestDaemon;

beforeEach(async () => {
  if (!hasLoop) return;
  directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-disk-"));
  disk = join(directory, "disk");
  mkdirSync(disk);
  const image = join(directory, "image");
  run("truncate", "--size=64M", image);
  run("mkfs.ext4", "-q", "-m", "0", image);
  run("mount", "-o", "loop", image, disk);
  daemon = await TestDaemon.start({ dataRoot: join(disk, "data") });
});

afterEach(async () => {
  if (!hasLoop) return;
  await daemon?.[Symbol.asyncDispose]();
  run("umount", "--lazy", disk);
  rmSync(directory, { recursive: true, force: true });
});

function run(...[command = "", ...args]: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
}

const WRITTEN_ROWS = 50;
/** Fills the disk, and again. A write of a page needs four blocks: writes of single blocks take what is left of them. */
const FILL = "while :; do cat /dev/zero >>/fill; dd if=/dev/zero bs=1k >>/fill; sleep 0.05; done 2>/dev/null";

const freeBytes = () => statfsSync(disk).bavail * statfsSync(disk).bsize;
const isFull = () => freeBytes() === 0;
const shell = (command: string) => ({ Cmd: ["/bin/sh", "-c", command], HostConfig: hostUsr });
const archive = (name: string, bytes: number) =>
  dockerArchive({ layers: [rawTar({ name, content: Buffer.alloc(bytes, name) })], tags: [`${name}:1`] });

async function answerTo(method: string, path: string, body?: unknown): Promise<number> {
  return (await daemon.request(method, path, body)).status;
}

/** The answer, and the end of it: a load reports in its stream. */
const load = (name: string, bytes: number) =>
  daemon.request("POST", "/images/load", archive(name, bytes), { "Content-Type": "application/x-tar" });

const stateOf = async (id: string) => (await daemon.inspect(id)).State.Status;
const listed = async () =>
  (await daemon.request("GET", "/containers/json?all=1")).json.map(({ Id, State }: { Id: string; State: string }) => [
    Id,
    State,
  ]);

for (const reserve of ["with a reserve", "whose reserve is used up"])
  looped(
    `on a full disk ${reserve} the daemon lists, stops and removes, starts again, and goes on when there is room`,
    async () => {
      expect((await load("spare", 1000)).status).toBe(200);
      const sleeper = await daemon.run(shell("echo said; exec /bin/sleep 1000"));
      const other = await daemon.run(shell("exec /bin/sleep 1000"));
      const filler = await daemon.run(shell(FILL));
      await until(isFull, "the disk is full");
      if (reserve !== "with a reserve") {
        truncateSync(join(disk, "data/reserve"), 0);
        await until(isFull, "the disk is full again");
      }

      const logs = await daemon.request("GET", `/containers/${sleeper}/logs?stdout=1`);
      expect([logs.status, logs.text.slice(8)]).toEqual([200, "said\n"]);
      const exec = await daemon.request("POST", `/containers/${sleeper}/exec`, { Cmd: ["/bin/true"] });
      expect(exec.status).toBe(201);
      expect(await answerTo("POST", `/exec/${exec.json.Id}/start`, { Detach: true })).toBe(200);
      await until(
        async () => (await daemon.request("GET", `/exec/${exec.json.Id}/json`)).json.ExitCode === 0,
        "its end",
      );

      // What takes room says so, and leaves nothing.
      const images = (await daemon.request("GET", "/images/json")).json.length;
      for (const answer of [
        await load("large", 8_000_000),
        await daemon.request("POST", `/commit?container=${filler}&repo=large`),
        await daemon.request(
          "POST",
          "/images/create?fromSrc=-",
          rawTar({ name: "large", content: Buffer.alloc(8_000_000) }),
        ),
      ])
        expect(answer.text).toMatch(
          /(write|make) "?\/\S+: (ENOSPC \()?no space left on device|no space left on device, \w+ '\//,
        );
      expect(readdirSync(join(disk, "data/image/ingest"))).toEqual([]);
      expect((await daemon.request("GET", "/images/json")).json).toHaveLength(images);
      const created = await daemon.request("POST", "/containers/create", { Image: "host-usr", ...shell("exit 3") });
      if (created.status === 201) {
        expect([204, 500]).toContain(await answerTo("POST", `/containers/${created.json.Id}/start`));
        expect(await answerTo("DELETE", `/containers/${created.json.Id}?force=1`)).toBe(204);
      } else expect([created.status, created.text]).toEqual([500, expect.stringMatching(/no space left|ENOSPC/i)]);

      // Files have some blocks more than they have bytes: more rows than these hold.
      for (let row = 0; row < WRITTEN_ROWS; row++)
        for (const action of ["pause", "unpause"])
          expect([action, await answerTo("POST", `/containers/${other}/${action}`)]).toEqual([action, 204]);
      for (const [action, state] of [
        ["pause", "paused"],
        ["unpause", "running"],
        ["kill", "exited"],
      ] as const) {
        expect([action, await answerTo("POST", `/containers/${other}/${action}`)]).toEqual([action, 204]);
        expect(await stateOf(other)).toBe(state);
      }
      expect(await stateOf(filler)).toBe("running");

      await daemon.kill();
      await until(isFull, "it is still full");
      await daemon.launch();
      expect(daemon.isAlive).toBe(true);
      expect(await listed()).toEqual([
        [filler, "running"],
        [other, "exited"],
        [sleeper, "running"],
      ]);
      expect(await answerTo("POST", `/containers/${sleeper}/stop?t=0`)).toBe(204);
      expect(await answerTo("DELETE", `/containers/${sleeper}`)).toBe(204);
      expect(await answerTo("DELETE", "/images/spare:1")).toBe(200);
      expect(await answerTo("DELETE", `/containers/${filler}?force=1`)).toBe(204);

      await until(() => freeBytes() > 16_000_000, "there is room");
      const late = await daemon.run(shell("exit 3"));
      await until(async () => (await stateOf(late)) === "exited", "its end");
      expect((await load("large", 8_000_000)).text).toContain("large:1");
      await daemon.kill();
      await daemon.launch();
      expect(await listed()).toEqual([
        [late, "exited"],
        [other, "exited"],
      ]);
      expect(statSync(join(disk, "data/reserve")).size).toBeGreaterThan(0);
      expect(existsSync(join(disk, "data/containers", filler))).toBe(false);
    },
  );

const looping = testIf(hasLoop && canBuild, "needs loop devices, root and static busybox");

looping(
  "a disk that fills up in the middle of a step, a copy or an export fails the build alone, and is free again",
  async () => {
    await loadTools(daemon);
    const before = freeBytes();
    const build = async (dockerfile: string, files: Record<string, Buffer> = {}) => {
      const entries = Object.entries({ Dockerfile: Buffer.from(`FROM tools:1\n${dockerfile}`), ...files });
      const context = rawTar(...entries.map(([name, content]) => ({ name, content })));
      return (await daemon.request("POST", "/build?networkmode=none", context, { "Content-Type": "application/x-tar" }))
        .text;
    };
    const isFree = () => until(() => freeBytes() > before - 4_000_000, "the disk is free again");
    const prune = async () => expect(await answerTo("POST", "/build/prune?all=1")).toBe(200);
    expect(await build("RUN cat /dev/zero > /fill")).toContain("returned a non-zero code: 1");
    await isFree();
    const half = Buffer.alloc(Math.round(before * 0.6));
    expect(await build("COPY large /large\nRUN cat /large >> /more", { large: half })).toMatch(/no space left|ENOSPC/i);
    await prune(); // what was done before the failure is in the cache
    await isFree();
    // The step has room, and its tar has none.
    const large = await build(`RUN head -c ${half.length} /dev/zero > /large`);
    expect(large).toMatch(/no space left|ENOSPC/i);
    await prune();
    await isFree();
    expect(await build("RUN echo fits > /x")).toContain("Successfully built");
    expect(daemon.leftovers([])).toEqual([]);
    expect(readdirSync(join(disk, "data/image/ingest"))).toEqual([]);
  },
);

(Bun.which("busybox") === null ? testIf(false, "needs busybox") : looped)(
  "a machine that has filled the disk has its console, reboots and stops, and starts when there is room",
  async () => {
    const archive = dockerArchive({ layers: [rawTar(...busyboxRoot())], tags: ["init:busybox"], config: {} });
    await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
    const HostConfig = { Runtime: "machine", NetworkMode: "none" };
    const id = await daemon.create({ Image: "init:busybox", Tty: true, HostConfig });
    const console = await daemon.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
    const exec = async (...Cmd: string[]) => {
      const { json } = await daemon.request("POST", `/containers/${id}/exec`, { Cmd, AttachStdout: true });
      await (await daemon.hijack(`/exec/${json.Id}/start`, { body: "{}" })).untilEnd();
    };
    expect(await answerTo("POST", `/containers/${id}/start`)).toBe(204);
    await console.until((text) => text.includes("up\r\n"));
    await exec("/bin/sh", "-c", "b=/bin/busybox; $b cat /dev/zero >/fill; $b dd if=/dev/zero bs=1k >>/fill");
    await until(isFull, "the disk is full");
    for (const word of ["one", "two"]) {
      await exec("/bin/sh", "-c", `echo ${word} >/dev/console`);
      await console.until((text) => text.includes(`${word}\r\n`));
    }
    const { Pid } = (await daemon.inspect(id)).State;
    await exec("/bin/reboot");
    await until(() => !existsSync(`/proc/${Pid}`), "it has ended");
    expect([204, 304]).toContain(await answerTo("POST", `/containers/${id}/stop?t=5`)); // 304: there is no room for a start
    expect(await stateOf(id)).toBe("exited");
    await daemon.kill();
    await daemon.launch();
    expect(await stateOf(id)).toBe("exited");
    rmSync(join(disk, "data/containers", id, "upper/fill"));
    expect(await answerTo("POST", `/containers/${id}/start`)).toBe(204);
    await until(async () => (await stateOf(id)) === "running", "it runs");
  },
);
