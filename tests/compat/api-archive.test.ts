/** Copies to and from containers, through our API and through Docker's own, side by side; and Docker's client with ours. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { Answer, ApiClient } from "../support/api-client.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { rawTar } from "../support/image-tar.ts";
import { readTar } from "../support/read-tar.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { type PrivateDocker, runProgram, whyNoDocker } from "./cli-support.ts";

const missing = whyNoDocker();
const test = testIf(missing === undefined, missing ?? "");
const TAR = { "Content-Type": "application/x-tar" };

let temp: string;
let docker: PrivateDocker;
let theirs: ApiClient;
let ours: TestDaemon;
let stop: BesideDocker["stop"] = async () => {};

beforeAll(async () => {
  if (missing !== undefined) return;
  ({ temp, docker, theirs, ours, stop } = await startBesideDocker("archive"));
  await makeBase();
  await makeContainers();
}, 120_000);

afterAll(() => stop());

/** Both get the image "base": busybox with files of every kind. */
async function makeBase(): Promise<void> {
  const script = [
    "mkdir -p /data/sub /empty; echo hello > /data/file; ln /data/file /data/hard; ln -s /data /lnk",
    "ln -s nowhere /data/dangling; ln -s sub /data/rel; mkfifo /data/fifo; mknod /data/null c 1 3",
    "chmod 4750 /data/file; chmod 1777 /data/sub; chown 7:8 /data/sub; touch -d '2020-01-02 03:04:05' /data/file /data/sub /data",
  ];
  const made = await docker.docker([
    "run",
    "--name",
    "make-base",
    "--network=none",
    "busybox",
    "sh",
    "-c",
    script.join("\n"),
  ]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  await docker.docker(["commit", "-c", 'CMD ["sh"]', "make-base", "base:1"]);
  await docker.docker(["rm", "make-base"]);
  const path = join(temp, "base.tar");
  expect((await docker.docker(["save", "-o", path, "base:1"])).code).toBe(0);
  await ours.request("POST", "/images/load", readFileSync(path), TAR);
}

const STATES = ["created", "running", "exited"] as const;

/** Of each state one, with a volume, a bind that is read-only; and one whose root is. */
async function makeContainers(): Promise<void> {
  mkdirSync(join(temp, "bound/sub"), { recursive: true });
  writeFileSync(join(temp, "bound/f"), "bound\n");
  for (const api of [theirs, ours]) {
    for (const state of STATES) {
      const Cmd = state === "exited" ? ["true"] : ["sleep", "1000"];
      const Binds = [`vol-${state}:/vol`, `${join(temp, "bound")}:/bound:ro`];
      const body = { Image: "base:1", Cmd, HostConfig: { NetworkMode: "none", Binds } };
      const id = await api.create(body, state);
      const waiting = await api.wait(id, "next-exit");
      if (state !== "created") await api.request("POST", `/containers/${state}/start`);
      if (state === "exited") await waiting.answer;
    }
    const HostConfig = { NetworkMode: "none", ReadonlyRootfs: true, Binds: ["vol-ro:/vol"] };
    await api.create({ Image: "base:1", Cmd: ["sleep", "1000"], HostConfig }, "readonly");
  }
}

function describe({ status, headers, text }: Answer, withBody: boolean): object {
  const header = headers["x-docker-container-path-stat"];
  const stat = header === undefined ? undefined : JSON.parse(Buffer.from(`${header}`, "base64").toString());
  return { status, type: headers["content-type"], stat, ...(withBody ? { text } : {}) };
}

/** Everything that a tar says of its entries. */
function entriesOf({ status, text }: Answer): object[] {
  if (status !== 200) return [];
  return readTar(Buffer.from(text, "latin1")).map(({ mtimeNanoseconds: _, ...entry }) => entry);
}

async function sameFile(container: string, path: string): Promise<void> {
  const url = `/containers/${container}/archive?path=${encodeURIComponent(path)}`;
  for (const method of ["HEAD", "GET"]) {
    const [their, our] = [await theirs.request(method, url), await ours.request(method, url)];
    const [expected, actual] = [their, our].map((answer) => describe(answer, answer.status !== 200));
    expect(actual, `${method} ${url}`).toEqual(expected!);
    expect(entriesOf(our), url).toEqual(entriesOf(their));
  }
}

test("files are described and read as Docker does, whatever the container's state", async () => {
  for (const state of STATES) {
    for (const path of [
      "/data",
      "/data/",
      "/data/.",
      "/data/file",
      "/data/hard",
      "/lnk",
      "/lnk/",
      "/lnk/.",
      "data/../data",
    ])
      await sameFile(state, path);
    for (const path of ["/data/dangling", "/data/rel", "/data/rel/", "/data/null", "/data/fifo", "/bound", "/bound/f"])
      await sameFile(state, path);
    for (const path of ["./data/./", "./data/.//"]) await sameFile(state, path);
    for (const path of ["/nope", "/data/file/", "/data/file/x", "/data/dangling/", "relative", "", "/../../data/file"])
      await sameFile(state, path);
  }
  await sameFile("nobody", "/data");
  const noPath = async (api: ApiClient) => describe(await api.request("GET", "/containers/created/archive"), true);
  expect(await noPath(ours)).toEqual(await noPath(theirs));
});

test("the root has all that Docker's has, and nothing of the kernel's file systems", async () => {
  const names = async (api: ApiClient, state: string) => {
    const { text } = await api.request("GET", `/containers/${state}/archive?path=/`);
    const ofHost = /^\/(dev|proc|sys)\/./; // a running container's own /dev is there with us
    return readTar(Buffer.from(text, "latin1"))
      .map(({ path }) => path)
      .filter((path) => !ofHost.test(path))
      .sort();
  };
  for (const state of STATES) expect(await names(ours, state)).toEqual(await names(theirs, state));
});

/** Uploads to both; status, text and what is there afterwards must be the same. */
async function sameUpload(container: string, query: string, body: Buffer, look = "/data"): Promise<Answer> {
  const url = `/containers/${container}/archive?${query}`;
  const [their, our] = [await theirs.request("PUT", url, body, TAR), await ours.request("PUT", url, body, TAR)];
  expect(describe(our, true), `PUT ${url}`).toEqual(describe(their, true));
  const seen = async (api: ApiClient) => {
    const answer = await api.request("GET", `/containers/${container}/archive?path=${look}`);
    // The directory itself has the time of the copy.
    return entriesOf(answer).map((entry) => ({
      ...entry,
      mtimeSeconds: ("mtimeSeconds" in entry && entry.mtimeSeconds) === 1e9,
    }));
  };
  expect(await seen(ours), `after PUT ${url}`).toEqual(await seen(theirs));
  return our;
}

const T = { mtime: (1e9).toString(8).padStart(11, "0") };

test("files are written as Docker does, compressed or not, in every state", async () => {
  const upload = rawTar(
    { ...T, name: "./", type: "5", mode: 0o700 },
    { ...T, name: "new/", type: "5", mode: 0o750, uid: 3, gid: 4 },
    { ...T, name: "new/f", content: "new", mode: 0o711, uid: 1000, gid: 1001 },
    // Docker gives the file the owner of each link's entry.
    { ...T, name: "new/hard", type: "1", linkName: "new/f", uid: 1000, gid: 1001 },
    { ...T, name: "new/special", content: "special", mode: 0o4711, uid: 1000, gid: 1001 },
    { ...T, name: "new/soft", type: "2", linkName: "f" },
    { ...T, name: "new/fifo", type: "6" },
    { ...T, name: "implied/deep/f", content: "x" },
    { ...T, name: "file", content: "over a file" },
    { ...T, name: "sub/", type: "5", mode: 0o711 },
    { ...T, name: ".wh.kept", content: "no whiteout here" },
  );
  for (const state of STATES) {
    await sameUpload(state, "path=/data", upload);
    await sameUpload(state, "path=/lnk", gzipSync(upload));
    await sameUpload(state, "path=/empty", zstdCompressSync(upload), "/empty");
    await sameUpload(state, "path=/vol", upload, "/vol");
    await sameUpload(state, "path=/", rawTar({ ...T, name: "lnk/through", content: "1" }));
    await sameUpload(state, "path=/data", rawTar({ ...T, name: "rel", content: "not a link now" }));
    await sameUpload(state, "path=/data", rawTar({ ...T, name: "new", content: "not a directory now" }));
    await sameUpload(state, "path=/data", rawTar({ ...T, name: "hard/", type: "5" }));
  }
});

test("what cannot be written is refused with Docker's words", async () => {
  const file = rawTar({ ...T, name: "f", content: "x" });
  for (const state of STATES) {
    for (const path of ["/nope", "/data/file", "/bound", "/bound/sub", ""])
      await sameUpload(state, `path=${path}`, file);
    const keep = "path=/&noOverwriteDirNonDir=1";
    await sameUpload(state, keep, rawTar({ ...T, name: "empty", content: "x" }));
    await sameUpload(state, keep, rawTar({ ...T, name: "data/file/", type: "5" }));
    await sameUpload(state, "path=/data", rawTar({ ...T, name: "../../escape", content: "x" }));
  }
  for (const path of ["/", "/data"]) await sameUpload("readonly", `path=${path}`, file);
  await sameUpload("readonly", "path=/vol", file, "/vol");
  // By a link in a volume, too: Docker looks at the path's text alone, and writes.
  await sameUpload("readonly", "path=/vol", rawTar({ ...T, name: "way-out", type: "2", linkName: "/data" }), "/vol");
  const around = "/containers/readonly/archive?path=/vol/way-out/";
  for (const tar of [file, rawTar(), Buffer.alloc(0)])
    expect(await ours.request("PUT", around, tar, TAR)).toMatchObject({
      status: 500,
      json: { message: "container rootfs is marked read-only" },
    });
  await sameUpload("readonly", "path=/vol/way-out", Buffer.alloc(0), "/vol");
  await sameUpload("created", "path=/vol", rawTar({ ...T, name: "bound", type: "2", linkName: "/bound" }), "/vol");
  await sameUpload("created", "path=/vol/bound", Buffer.alloc(0), "/vol");
});

test("the working directory is there before the first start", async () => {
  for (const api of [theirs, ours]) {
    const HostConfig = { NetworkMode: "none" };
    const id = await api.create({ Image: "base:1", WorkingDir: "/new/deep", Cmd: ["cat", "copied"], HostConfig });
    const put = await api.request(
      "PUT",
      `/containers/${id}/archive?path=/new/deep`,
      rawTar({ name: "copied", content: "x" }),
      TAR,
    );
    expect(put.status).toBe(200);
    const waiting = await api.wait(id, "next-exit");
    await api.request("POST", `/containers/${id}/start`);
    expect(await waiting.answer).toEqual({ StatusCode: 0 });
  }
});

test("a container that has ended still has its files in /etc", async () => {
  const hosts = async (api: ApiClient) => {
    const id = await api.run({
      Image: "base:1",
      Cmd: ["true"],
      HostConfig: { NetworkMode: "none", ExtraHosts: ["x:192.0.2.1"] },
    });
    await (await api.wait(id)).answer;
    const answer = await api.request("GET", `/containers/${id}/archive?path=/etc/hosts`);
    return { status: answer.status, content: answer.text.slice(512).replaceAll("\0", "") };
  };
  const ended = await hosts(ours);
  expect(ended).toEqual(await hosts(theirs));
  expect(ended.content).toContain("192.0.2.1\tx\n");
  expect(ours.leftovers([]).filter((path) => path.includes("/v/"))).toEqual([]);
});

test("a container can be started after a copy, and has what was copied; a copy leaves no mount", async () => {
  const mountsOfOurs = () =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(ours.directory));
  const mounts = mountsOfOurs();
  const id = await ours.create({ Image: "base:1", Cmd: ["cat", "/data/copied"], HostConfig: { NetworkMode: "none" } });
  const upload = rawTar({ name: "copied", content: "was copied\n" });
  expect((await ours.request("PUT", `/containers/${id}/archive?path=/data`, upload, TAR)).status).toBe(200);
  expect(ours.leftovers([]).filter((path) => path.includes("/v/"))).toEqual([]);
  expect(mountsOfOurs()).toEqual(mounts);
  const waiting = await ours.wait(id, "next-exit");
  expect((await ours.request("POST", `/containers/${id}/start`)).status).toBe(204);
  expect(await waiting.answer).toEqual({ StatusCode: 0 });
  expect((await ours.request("GET", `/containers/${id}/logs?stdout=1`)).text).toContain("was copied\n");
});

test("docker cp, Docker's own client, works with our daemon in both directions", async () => {
  const env = { DOCKER_HOST: `unix://${ours.socketPath}` };
  const cp = (...args: string[]) => runProgram(["docker", "cp", ...args], { env });
  const [from, to] = [join(temp, "from"), join(temp, "to")];
  mkdirSync(join(from, "deep"), { recursive: true });
  writeFileSync(join(from, "deep/f"), "through cp\n");
  symlinkSync("deep/f", join(from, "link"));
  for (const state of STATES) {
    expect(await cp(from, `${state}:/tmp/`)).toMatchObject({ code: 0 });
    expect(await cp(join(from, "deep/f"), `${state}:/tmp/renamed`)).toMatchObject({ code: 0 });
    expect(await cp(`${state}:/tmp/from/.`, to)).toMatchObject({ code: 0 });
    expect(readFileSync(join(to, "link"), "utf8")).toBe("through cp\n");
    const streamed = await runProgram(["docker", "cp", `${state}:/tmp/renamed`, "-"], { env });
    expect(streamed.stdout).toContain("through cp\n");
    rmSync(to, { recursive: true });
    const error = await cp(`${state}:/nope`, to);
    expect(error).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`Could not find the file /nope in container ${state}`),
    });
  }
});
