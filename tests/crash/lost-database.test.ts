/** A daemon that finds its database lost, or damaged, says so; with --recover it knows its containers again. */
import { afterEach, expect } from "bun:test";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isAlive, isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

const shell = (command: string, more: object = {}) => ({
  Cmd: ["/bin/sh", "-c", command],
  HostConfig: hostUsr,
  ...more,
});

const copyOf = (id: string) => join(daemon.dataRoot, "containers", id, "container.json");
const databaseFiles = (directory = daemon.dataRoot, name = "lighter.db") =>
  readdirSync(directory).flatMap((file) => (file === name || file === `${name}-wal` ? [join(directory, file)] : []));

async function untilCopied(id: string, status: string): Promise<void> {
  const isCopied = () => existsSync(copyOf(id)) && JSON.parse(readFileSync(copyOf(id), "utf8")).status === status;
  await until(isCopied, `the copy of ${id} is written`);
}

/** Without that flag it does not start. */
async function refusesWithout(): Promise<void> {
  daemon.log = "";
  await daemon.launch();
  expect([daemon.isAlive, daemon.log]).toEqual([false, expect.stringContaining("lighter daemon --recover")]);
  await daemon.ended();
}

/** What a client sees of a container, but for what is of this daemon's life. */
async function seen(id: string): Promise<object> {
  const { Name, Created, Config, HostConfig, State, Image, Mounts, NetworkSettings } = await daemon.inspect(id);
  const { Status, Pid, ExitCode, StartedAt } = State;
  return { Name, Created, Config, HostConfig, Image, Mounts, NetworkSettings, Status, Pid, ExitCode, StartedAt };
}

const damages: [name: string, damage: () => void][] = [
  ["that is gone", () => databaseFiles().forEach((path) => void rmSync(path))],
  [
    "that is something else",
    () => databaseFiles().forEach((path) => void writeFileSync(path, "no database".repeat(999))),
  ],
];

for (const [name, damage] of damages)
  rooted(
    `a database ${name} is not begun anew in silence: its containers, networks and volumes are taken back`,
    async () => {
      daemon = await TestDaemon.start();
      await daemon.request("POST", "/networks/create", { Name: "own", Driver: "bridge", Labels: { of: "network" } });
      await daemon.request("POST", "/volumes/create", { Name: "data", Labels: { of: "volume" } });
      const HostConfig = { ...hostUsr, NetworkMode: "own", Binds: [...hostUsr.Binds, "data:/data"] };
      const running = await daemon.run(
        shell("echo here; exec /bin/sleep 1000", { HostConfig, Labels: { a: "b" } }),
        "runs",
      );
      const ended = await daemon.run(shell("exit 3"), "ended");
      const created = await daemon.create(shell("true"), "created");
      await untilCopied(running, "running");
      await untilCopied(ended, "exited");
      await untilCopied(created, "created");
      const objects = join(daemon.dataRoot, "objects.json");
      await until(() => /"own".*"data"/.test(readFileSync(objects, "utf8")), "networks and volumes are written");
      const ids = [running, ended, created];
      const before = await Promise.all(ids.map(seen));
      const network = (await daemon.request("GET", "/networks/own")).json;
      const volume = (await daemon.request("GET", "/volumes/data")).json;

      await daemon.kill();
      damage();
      await refusesWithout();
      await daemon.launch({}, ["--recover"]);
      expect([daemon.isAlive, await Promise.all(ids.map(seen))]).toEqual([true, before]);
      expect((await daemon.request("GET", "/networks/own")).json).toEqual(network);
      expect((await daemon.request("GET", "/volumes/data")).json).toEqual(volume);
      expect((await daemon.request("GET", `/containers/${running}/logs?stdout=1`)).text).toContain("here");

      await daemon.kill();
      await daemon.launch();
      expect([daemon.isAlive, await Promise.all(ids.map(seen))]).toEqual([true, before]);
    },
  );

rooted("the containers that only a lost log knew are taken back", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run(shell("exec /bin/sleep 1000"));
  const { Pid } = (await daemon.inspect(id)).State;
  await untilCopied(id, "running");
  await daemon.kill();
  // As it was when the daemon had begun.
  const kept = databaseFiles().filter((path) => path.endsWith("-wal"));
  for (const path of kept) rmSync(path);
  await daemon.launch({}, ["--recover"]);
  expect((await daemon.inspect(id)).State).toMatchObject({ Status: "running", Pid });
});

rooted("a container of which nothing is left but its process is not left running unknown", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run(shell("exec /bin/sleep 1000"));
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill();
  renameSync(daemon.dataRoot, `${daemon.dataRoot}.lost`);
  await refusesWithout();
  expect(isAlive(Pid)).toBe(true);
  await daemon.launch({}, ["--recover"]);
  expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
  await until(() => !isAlive(Pid), "it has been ended");
});

rooted("an image database that is gone takes no layer along, and its copy is taken", async () => {
  daemon = await TestDaemon.start();
  const id = await daemon.run(shell("exec /bin/sleep 1000"));
  const images = join(daemon.dataRoot, "image");
  await until(() => existsSync(join(images, "images.db.copy")), "the copy is written");
  const before = (await daemon.request("GET", "/images/json")).json;
  const layers = readdirSync(join(images, "l"));
  await until(() => readFileSync(join(images, "images.db.copy")).includes("host-usr"), "it knows the image");
  await daemon.kill();
  for (const path of databaseFiles(images, "images.db")) rmSync(path);
  await refusesWithout();
  expect(readdirSync(join(images, "l"))).toEqual(layers);
  await daemon.launch({}, ["--recover"]);
  expect((await daemon.request("GET", "/images/json")).json).toEqual(before);
  expect((await daemon.inspect(id)).State.Status).toBe("running");
  await daemon.run(shell("true"));
});
