/** Volumes, and mounts of all kinds, through our API and through Docker's own, side by side. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Answer, ApiClient } from "../support/api-client.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { type PrivateDocker, runProgram, whyNoDocker } from "./cli-support.ts";

const missing = whyNoDocker();
const test = testIf(missing === undefined, missing ?? "");

let temp: string;
let docker: PrivateDocker;
let theirs: ApiClient;
let ours: TestDaemon;
let stop: BesideDocker["stop"] = async () => {};

beforeAll(async () => {
  if (missing !== undefined) return;
  ({ temp, docker, theirs, ours, stop } = await startBesideDocker("volumes"));
  await makeBase();
}, 120_000);

afterAll(() => stop());

/** Both get the image "base": busybox with a directory for volumes to be filled from. */
async function makeBase(): Promise<void> {
  const script = "mkdir -p /d/sub; echo a > /d/x; ln -s x /d/link; chmod 750 /d/sub; chown 7:8 /d /d/sub";
  await docker.docker(["run", "--name", "make-base", "--network=none", "busybox", "sh", "-c", script]);
  await docker.docker(["commit", "-c", 'CMD ["sh"]', "make-base", "base:1"]);
  await docker.docker(["rm", "make-base"]);
  const path = join(temp, "base.tar");
  expect((await docker.docker(["save", "-o", path, "base:1"])).code).toBe(0);
  await ours.request("POST", "/images/load", readFileSync(path), { "Content-Type": "application/x-tar" });
}

/** What differs between two daemons by nature. */
function normalized({ status, text }: Answer): string {
  return `${status} ${text}`
    .replaceAll(join(docker.folder, "data"), "DATA")
    .replaceAll(ours.dataRoot, "DATA")
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/"20\d\d-[^"]*Z"/g, '"TIME"');
}

/** Sends a request to both, and expects the same answer. */
async function same(method: string, path: string, body?: unknown): Promise<Answer> {
  const [their, our] = [await theirs.request(method, path, body), await ours.request(method, path, body)];
  expect(normalized(our), `${method} ${path} ${JSON.stringify(body)}`).toBe(normalized(their));
  return our;
}

const filtered = (path: string, filters: object) => `${path}?filters=${encodeURIComponent(JSON.stringify(filters))}`;

test("volumes/create, inspect, list and remove answer as Docker's", async () => {
  for (const body of [
    { Name: "aa", Labels: { x: "y", b: "c" } },
    { Name: "aa", Labels: { x: "other" } },
    {},
    undefined,
    { Name: "a" },
    { Name: "/etc" },
    { Name: "bb", DriverOpts: { foo: "bar" } },
    { Name: "bb", DriverOpts: { type: "tmpfs" } },
    { Name: "bb", DriverOpts: { device: "tmpfs" } },
    { Name: "bb", DriverOpts: { o: "bind" } },
    { Name: "bb", DriverOpts: { size: "10m" } },
    { Name: "bb", DriverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=1000" } },
    { Name: "ee", DriverOpts: { type: "", device: "", o: "" } },
    { Name: "ff", ClusterVolumeSpec: {} },
  ])
    await same("POST", "/volumes/create", body);
  for (const name of ["aa", "bb", "ee", "zz"]) await same("GET", `/volumes/${name}`);
  for (const filters of [
    { name: ["^aa$"], driver: ["local"], label: ["x=y"] },
    { driver: ["other"] },
    { name: ["^bb$"], dangling: ["true"] },
    { name: ["^bb$"], dangling: ["0"] },
    { dangling: ["maybe"] },
    { foo: ["x"] },
  ])
    await same("GET", filtered("/volumes", filters));
  await same("PUT", "/volumes/aa", {});
  await same("DELETE", "/volumes/zz");
  await same("DELETE", "/volumes/zz?force=1");
  await same("DELETE", "/volumes/ee");
  await same("GET", "/volumes/ee");
});

/** Runs a container in both; its Mounts, output and exit code must be the same. Returns its output. */
async function sameRun(script: string, hostConfig: object, more: object = {}): Promise<string> {
  const results = [];
  for (const api of [theirs, ours]) {
    const body = { Image: "base:1", Cmd: ["sh", "-c", script], ...more };
    const HostConfig = { NetworkMode: "none", ...hostConfig };
    const created = await api.request("POST", "/containers/create", { ...body, HostConfig });
    if (created.status !== 201) {
      results.push(normalized(created));
      continue;
    }
    const id = created.json.Id as string;
    const waiting = await api.wait(id, "next-exit");
    const started = await api.request("POST", `/containers/${id}/start`);
    const exit = started.status === 204 ? await waiting.answer : undefined;
    const { Mounts } = await api.inspect(id);
    const log = (await api.request("GET", `/containers/${id}/logs?stdout=1&stderr=1`)).text;
    // What the two streams say is in no order.
    const output = [...log.matchAll(/([\x01\x02])\0\0\0[\s\S]{4}([^\x01\x02]*)/g)]
      .sort(([, stream = ""], [, other = ""]) => stream.charCodeAt(0) - other.charCodeAt(0))
      .map(([, , text]) => text)
      .join("");
    const mounts = Mounts.map((mount: { Name?: string }) => JSON.stringify(mount)).sort();
    results.push(
      [normalized(started), JSON.stringify(exit), normalized({ ...started, text: mounts.join("\n") }), output].join(
        "\n",
      ),
    );
    await api.request("DELETE", `/containers/${id}?v=1`);
  }
  expect(results[1], JSON.stringify(hostConfig)).toBe(results[0]!);
  return results[1]!;
}

test("volumes of containers: filled from the image, read-only, by name, label and driver option", async () => {
  const look =
    "ls -lnR /d | sed 's/  */ /g' | cut -d' ' -f1-5,9-; stat -c '%a %u %g' /d; grep ' /d ' /proc/mounts | wc -l";
  expect(await sameRun(look, { Binds: ["filled:/d"] })).toContain("link -> x");
  await sameRun(look, { Binds: ["filled:/d:ro"] });
  await sameRun("ls /d; touch /d/new", { Binds: ["empty:/d:nocopy"] });
  await sameRun("ls /d", { Binds: ["empty:/d"] });
  await sameRun("touch /d/x", { Mounts: [{ Type: "volume", Source: "filled", Target: "/d", ReadOnly: true }] });
  await sameRun(look, {}, { Volumes: { "/d": {} } });
  await sameRun(look, { Binds: ["/d"] });
  await sameRun("ls /n", { Mounts: [{ Type: "volume", Target: "/n", VolumeOptions: { NoCopy: true } }] });
  const options = { type: "tmpfs", device: "tmpfs", o: "size=1m,mode=0700" };
  const VolumeOptions = { DriverConfig: { Name: "local", Options: options }, Labels: { k: "v" } };
  const inMemory = { Mounts: [{ Type: "volume", Source: "memory", Target: "/m", VolumeOptions }] };
  const fill =
    "stat -c %a /m; grep ' /m ' /proc/mounts | cut -d' ' -f2,3; dd if=/dev/zero of=/m/f bs=1M count=2 2>&1 | tail -1 | cut -c-9";
  await sameRun(fill, inMemory);
  await same("GET", "/volumes/memory");
  const unknown = { DriverConfig: { Name: "local", Options: { bar: "1" } } };
  await sameRun("true", { Mounts: [{ Type: "volume", Source: "never", Target: "/m", VolumeOptions: unknown }] });
  await same("GET", "/volumes/never");
});

test("a driver that is not there is told as Docker tells it, which looks for it for 15 seconds", async () => {
  const message = 'create never: error looking up volume plugin foo: plugin "foo" not found';
  const VolumeOptions = { DriverConfig: { Name: "foo" } };
  const asMount = { Mounts: [{ Type: "volume", Source: "never", Target: "/m", VolumeOptions }] };
  for (const HostConfig of [asMount, { Binds: ["never:/m"], VolumeDriver: "foo" }]) {
    const { status, json } = await ours.request("POST", "/containers/create", { Image: "base:1", HostConfig });
    expect({ status, json }).toEqual({ status: 404, json: { message } });
  }
  const created = await ours.request("POST", "/volumes/create", { Name: "never", Driver: "foo" });
  expect({ status: created.status, json: created.json }).toEqual({ status: 404, json: { message } });
  expect((await ours.request("GET", "/volumes/never")).status).toBe(404);
});

test("volumes that are directories of the host", async () => {
  for (const api of [theirs, ours]) {
    const path = join(temp, api === ours ? "ours" : "theirs");
    mkdirSync(path);
    const DriverOpts = { type: "none", o: "bind", device: path };
    expect((await api.request("POST", "/volumes/create", { Name: "bound", DriverOpts })).status).toBe(201);
    const missingOne = { ...DriverOpts, device: "/no/such/directory" };
    await api.request("POST", "/volumes/create", { Name: "nowhere", DriverOpts: missingOne });
  }
  expect(await sameRun("cat /d/x; echo more > /d/more", { Binds: ["bound:/d"] })).toContain("a\n");
  for (const name of ["ours", "theirs"]) expect(readFileSync(join(temp, name, "more"), "utf8")).toBe("more\n");
  // With a copy from the image Docker says so at the creation already.
  expect(await sameRun("true", { Binds: ["nowhere:/d:nocopy"] })).toContain("failed to mount local volume");
});

test("a part of a volume is mounted, and no link leads out of it", async () => {
  for (const api of [theirs, ours]) {
    const { json } = await api.request("POST", "/volumes/create", { Name: "parts" });
    mkdirSync(join(json.Mountpoint, "sub/deeper"), { recursive: true });
    mkdirSync(join(json.Mountpoint, "empty"));
    writeFileSync(join(json.Mountpoint, "sub/f"), "in sub\n");
    writeFileSync(join(json.Mountpoint, "file"), "a file\n");
    symlinkSync("/etc", join(json.Mountpoint, "out"));
  }
  const part = (Subpath: string, Target = "/p") => ({
    Mounts: [{ Type: "volume", Source: "parts", Target, VolumeOptions: { Subpath } }],
  });
  // An empty part gets the image's files, another one does not.
  expect(await sameRun("ls /etc/passwd", part("empty", "/etc"))).toContain("/etc/passwd");
  expect(await sameRun("ls /etc/passwd; ls /etc/f", part("sub", "/etc"))).toContain("/etc/f");
  expect(await sameRun("ls /p; cat /p/f", part("sub"))).toContain("in sub");
  expect(await sameRun("cat /p", part("file"))).toContain("a file");
  expect(await sameRun("true", part("out"))).toContain("400");
  expect(await sameRun("true", part("none"))).toContain("404");
  for (const path of ["../x", "/abs", "a/../../x"]) await sameRun("true", part(path));
});

test("volumes-from takes another container's mounts, and what is given goes over them", async () => {
  const from = { Binds: ["filled:/a:ro", `${temp}:/b`, "filled:/c"] };
  for (const api of [theirs, ours])
    await api.create(
      { Image: "base:1", Volumes: { "/anonymous": {} }, HostConfig: { NetworkMode: "none", ...from } },
      "source",
    );
  await sameRun("ls /a /anonymous; touch /a/x || touch /c/x", { VolumesFrom: ["source"] });
  await sameRun("touch /c/x || touch /anonymous/x", { VolumesFrom: ["source:ro"] });
  await sameRun("ls /b", { VolumesFrom: ["source:rw"], Binds: ["filled:/b"] });
  for (const entry of ["", "nope", "source:foo"]) await sameRun("true", { VolumesFrom: [entry] });
  for (const api of [theirs, ours]) {
    const { Mounts } = await api.inspect("source");
    const { Name } = Mounts.find((mount: { Destination: string }) => mount.Destination === "/anonymous");
    const id = await api.create({ Image: "base:1", HostConfig: { NetworkMode: "none", VolumesFrom: ["source"] } });
    expect((await api.request("DELETE", "/containers/source?v=1")).status).toBe(204);
    expect((await api.request("GET", `/volumes/${Name}`)).status).toBe(200); // the other one has it
    expect((await api.request("DELETE", `/containers/${id}?v=1`)).status).toBe(204);
    await gone(api, Name);
  }
});

/** Our daemon removes the files of a container in the background, its volumes after them. */
async function gone(api: ApiClient, name: string): Promise<void> {
  await until(async () => (await api.request("GET", `/volumes/${name}`)).status === 404, `volume ${name} is gone`);
}

test("a volume that a container has stays; prune takes anonymous ones only, unless asked for all", async () => {
  for (const name of ["kept", "unused"]) await same("POST", "/volumes/create", { Name: name, Labels: { [name]: "" } });
  const HostConfig = { NetworkMode: "none", Binds: ["kept:/k"] };
  for (const api of [theirs, ours]) await api.create({ Image: "base:1", HostConfig }, "keeper");
  for (const query of ["", "?force=1"]) await same("DELETE", `/volumes/kept${query}`);
  await same("GET", filtered("/volumes", { dangling: ["false"] }));
  await same("POST", filtered("/volumes/prune", { all: ["maybe"] }));
  await same("POST", filtered("/volumes/prune", { foo: ["x"] }));
  expect((await same("POST", filtered("/volumes/prune", { label: ["unused"] }))).json.VolumesDeleted).toEqual([]);
  const pruned = await same("POST", filtered("/volumes/prune", { all: ["true"], label: ["unused"] }));
  expect(pruned.json.VolumesDeleted).toEqual(["unused"]);
  await same("POST", filtered("/volumes/prune", { all: ["1"], "label!": ["kept"], label: ["kept"] }));
  for (const api of [theirs, ours]) await api.request("DELETE", "/containers/keeper");
});

test("bind mounts: a missing source is an error with Mounts, and made with Binds", async () => {
  const bind = (Source: string, more: object = {}) => ({ Mounts: [{ Type: "bind", Source, Target: "/b", ...more }] });
  await sameRun("true", bind("/no/such/source"));
  for (const api of ["ours", "theirs"]) rmSync(join(temp, api, "made"), { recursive: true, force: true });
  await sameRun("ls -d /b", bind(join(temp, "made-by-option"), { BindOptions: { CreateMountpoint: true } }));
  await sameRun("ls -d /b", { Binds: [`${join(temp, "made-by-binds")}:/b`] });
  await sameRun("touch /b/x", bind(temp, { ReadOnly: true }));
  await sameRun("touch /b/x", bind(temp, { ReadOnly: true, BindOptions: { ReadOnlyNonRecursive: true } }));
  await sameRun("ls /b/made-by-binds", bind(temp, { BindOptions: { NonRecursive: true } }));
  await sameRun("true", bind(temp, { BindOptions: { Propagation: "sideways" } }));
  const TmpfsOptions = { SizeBytes: 1024 * 1024, Mode: 0o1700 };
  const tmpfs = { Mounts: [{ Type: "tmpfs", Target: "/t", TmpfsOptions }] };
  await sameRun("stat -c %a /t; grep ' /t ' /proc/mounts | tr ',' '\\n' | grep -o 'size=.*k'", tmpfs);
});

interface VolumeEvent {
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
}

test("volumes' events are Docker's", async () => {
  const told: object[][] = [];
  for (const api of [theirs, ours]) {
    await api.request("POST", "/volumes/create", { Name: "watched" });
    const HostConfig = { NetworkMode: "none", Binds: ["watched:/w:ro,nocopy"] };
    const id = await api.create({ Image: "base:1", Cmd: ["true"], HostConfig });
    const waiting = await api.wait(id, "next-exit");
    await api.request("POST", `/containers/${id}/start`);
    await waiting.answer;
    await api.request("DELETE", `/containers/${id}`);
    await api.request("DELETE", "/volumes/watched");
    const until = Date.now() / 1000 + 0.1; // events of one moment have times that follow it
    const { text } = await api.request(
      "GET",
      filtered(`/events?since=0&until=${until}`, { volume: ["watched"] }).replace("?filters", "&filters"),
    );
    const events = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as VolumeEvent);
    told.push(events.map(({ Action, Actor }) => ({ Action, ...Actor, Attributes: withoutId(Actor.Attributes, id) })));
  }
  expect(told[1]).toEqual(told[0]!);
  expect(told[1]!.map((event) => (event as VolumeEvent).Action)).toEqual(["create", "mount", "unmount", "destroy"]);
});

function withoutId(attributes: Record<string, string>, id: string): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, value === id ? "ID" : value]));
}

interface Usage {
  Name?: string;
  UsageData?: object;
}

test("system/df has the same shape, and counts volumes as Docker's", async () => {
  for (const api of [theirs, ours]) {
    const { json } = await api.request("POST", "/volumes/create", { Name: "counted" });
    writeFileSync(join(json.Mountpoint, "f"), "12345");
  }
  await same("GET", "/system/df?type=foo");
  await same("GET", "/system/df?type=build-cache");
  const [their, our] = [await theirs.request("GET", "/system/df"), await ours.request("GET", "/system/df")];
  const { PendingRemovals: _, ...likeDocker } = our.json; // while something is being deleted
  expect(Object.keys(likeDocker)).toEqual(Object.keys(their.json));
  const usageOf = ({ json }: Answer) => json.Volumes.find(({ Name }: Usage) => Name === "counted").UsageData;
  expect(usageOf(our)).toEqual({ RefCount: 0, Size: 5 });
  expect(usageOf(our)).toEqual(usageOf(their));
  const base = ({ json }: Answer) =>
    json.Images.find((each: { RepoTags: string[] }) => each.RepoTags?.includes("base:1"));
  expect(Object.keys(base(our))).toEqual(Object.keys(base(their)));
  expect(base(our).Size).toBe(base(their).Size);
  const named = (answer: Answer) =>
    answer.json.Volumes.map(({ Name }: Usage) => Name?.replace(/^[0-9a-f]{64}$/, "ID")).sort();
  expect(named(our)).toEqual(named(their));
  const env = { DOCKER_HOST: `unix://${ours.socketPath}` };
  const shown = await runProgram(["docker", "system", "df", "-v"], { env });
  expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/^counted +0 +5B$/m) });
});
