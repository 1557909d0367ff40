import { expect } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

/** Every one that a volume has, and its container's. */
const WRITE_POINTS = [
  "insert volume",
  "inserted volume",
  "insert container",
  "inserted container",
  "set volume removing",
  "was set volume removing",
  "moved volume",
  "delete volume",
  "deleted volume",
];

/** Makes volumes in every way and removes them again, until the daemon dies over it. */
async function tell(target: TestDaemon): Promise<void> {
  const mounts = { Volumes: { "/anonymous": {} }, HostConfig: { NetworkMode: "none", Binds: ["by-name:/n"] } };
  await target.create(mounts, "user");
  await target.request("POST", "/volumes/create", { Name: "created", Labels: { a: "b" } });
  await target.request("DELETE", "/volumes/created");
  await target.request("DELETE", "/containers/user?v=1");
  await target.request("DELETE", "/volumes/by-name");
}

interface ListedVolume {
  Name: string;
  Mountpoint: string;
}

/** Each volume has its directory, and each directory its volume; nothing is half removed. */
async function check(target: TestDaemon): Promise<ListedVolume[]> {
  const { json } = await target.request("GET", "/volumes");
  const volumes = json.Volumes as ListedVolume[];
  for (const { Mountpoint } of volumes) expect(existsSync(Mountpoint)).toBe(true);
  const names = readdirSync(join(target.dataRoot, "volumes"));
  expect(names.sort()).toEqual([".removed", ...volumes.map(({ Name }) => Name)].sort());
  await eventually(() => expect(readdirSync(join(target.dataRoot, "volumes/.removed"))).toEqual([]));
  return volumes;
}

for (const point of WRITE_POINTS)
  rooted(`kill -9 at "${point}": the next daemon has whole volumes or none, and can remove them`, async () => {
    await using target = await TestDaemon.start();
    await target.kill();
    await target.launch({ LIGHTER_TEST_CRASH_AT: point });
    const died = await tell(target).then(
      () => false,
      () => true,
    );
    expect(died).toBe(true);
    await target.ended();
    expect(target.log).toContain(`: ${point}\n`);
    await target.launch();
    const volumes = await check(target);
    // A container's volumes are there with the container, or not at all.
    const hasContainer = (await target.request("GET", "/containers/user/json")).status === 200;
    expect(volumes.some(({ Name }) => /^[0-9a-f]{64}$/.test(Name))).toBe(hasContainer);
    await target.request("DELETE", "/containers/user?v=1");
    for (const { Name } of volumes) await target.request("DELETE", `/volumes/${Name}`);
    expect((await target.request("GET", "/volumes")).json.Volumes).toEqual([]);
    await check(target);
  });
