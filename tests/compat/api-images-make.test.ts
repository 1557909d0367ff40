/** Images that are made, named, listed, saved and pruned, through the API with a fake runtime. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ApiServer } from "../support/api-server.ts";
import { until } from "../support/eventually.ts";
import { FakeRegistry } from "../support/fake-registry.ts";
import { dockerArchive, sha256 } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { readTar } from "../support/read-tar.ts";

let api: ApiServer;

beforeAll(async () => {
  api = await ApiServer.start();
  await load("base:1", { Cmd: ["/x"] });
});

afterAll(() => api[Symbol.asyncDispose]());

const TAR = { "Content-Type": "application/x-tar" };
const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

async function load(tag: string, config: object = {}, content = "of the base"): Promise<string> {
  const layer = rawTar({ name: "file", content });
  const archive = dockerArchive({ layers: [layer], tags: [tag], config });
  expect((await api.request("POST", "/images/load?quiet=1", archive, TAR)).status).toBe(200);
  return (await api.request("GET", `/images/${tag}/json`)).json.Id;
}

/** A container with files of its own, as if it had run. */
async function containerWith(files: Record<string, string | Uint8Array>, name = "", Image = "base:1"): Promise<string> {
  const id = await api.create({ Image }, name);
  const { upper } = api.engine.paths.container(id);
  mkdirSync(upper, { recursive: true });
  for (const [path, content] of Object.entries(files)) writeFileSync(join(upper, path), content);
  return id;
}

async function list(query: string): Promise<string[]> {
  const { json } = await api.request("GET", `/images/json?${query}`);
  return json.map(({ Id, RepoTags }: { Id: string; RepoTags: string[] }) => RepoTags[0] ?? Id).sort();
}

test("a container that never ran is committed without a layer, and its step says so", async () => {
  const id = await api.create({ Image: "base:1", Cmd: ["a", "b"] });
  const { json } = await api.request("POST", `/commit?container=${id}&repo=same`);
  const { RootFS, Size, RepoTags } = (await api.request("GET", `/images/${json.Id}/json`)).json;
  const base = (await api.request("GET", "/images/base:1/json")).json;
  expect({ RootFS, Size, RepoTags }).toEqual({ RootFS: base.RootFS, Size: base.Size, RepoTags: ["same:latest"] });
  const { json: history } = await api.request("GET", "/images/same/history");
  expect(history).toMatchObject([
    { Id: json.Id, CreatedBy: "a b", Size: 0, Tags: ["same:latest"] },
    { Id: base.Id, CreatedBy: "test", Size: 11, Tags: ["base:1"] },
  ]);
  await api.request("DELETE", `/containers/${id}`);
});

test("an image knows the one it was committed from, through save and load too, which stays as long as there are others of it", async () => {
  const inspect = async (name: string) => (await api.request("GET", `/images/${name}/json`)).json;
  const commitFrom = async (image: string, repo: string, file: string): Promise<string> => {
    const container = await containerWith({ [file]: file }, "", image);
    const { json } = await api.request("POST", `/commit?container=${container}&repo=${repo}`);
    await api.request("DELETE", `/containers/${container}`);
    return json.Id;
  };
  const parent = await commitFrom("base:1", "parent", "first");
  const child = await commitFrom("parent", "child", "second");
  expect((await inspect("child")).Parent).toBe(parent);
  expect((await inspect("parent")).Parent).toBe((await inspect("base:1")).Id);
  const history = (await api.request("GET", "/images/child/history")).json;
  expect(history.map(({ Id }: { Id: string }) => Id).slice(0, 2)).toEqual([child, parent]);
  const { message } = (await api.request("DELETE", `/images/${parent}?force=1`)).json;
  expect(message).toBe(
    `conflict: unable to delete ${parent.slice(7, 19)} (cannot be forced) - image has dependent child images`,
  );
  const saved = Buffer.from((await api.request("GET", "/images/get?names=child&names=parent")).text, "latin1");
  // Without its name it is a step on the way to the other, and in no list but that of all.
  expect((await api.request("DELETE", "/images/parent")).json).toEqual([{ Untagged: "parent:latest" }]);
  expect(await list("")).not.toContain(parent);
  expect(await list("all=1")).toContain(parent);
  expect(await list(`filters=${encodeURIComponent('{"dangling":["true"]}')}`)).not.toContain(parent);
  const pruned = (await api.request("POST", "/images/prune")).json;
  expect(JSON.stringify(pruned)).not.toContain(parent);
  expect((await api.request("DELETE", "/images/child?noprune=1")).json).toContainEqual({ Deleted: child });
  expect(await list("")).toContain(parent);
  await api.request("DELETE", `/images/${parent}`);
  await api.request("POST", "/images/load", saved, { "Content-Type": "application/x-tar" });
  expect((await inspect("child")).Parent).toBe(parent);
  expect((await inspect("parent")).Parent).toBe("");
  await api.request("DELETE", "/images/parent");
  const removed = (await api.request("DELETE", "/images/child")).json;
  expect(removed).toContainEqual({ Deleted: child });
  expect(removed).toContainEqual({ Deleted: parent });
});

test("committing the same files twice makes two images that share a layer", async () => {
  const id = await containerWith({ new: "content" });
  const commit = async (repo: string) => (await api.request("POST", `/commit?container=${id}&repo=${repo}`)).json.Id;
  const [first, second] = [await commit("one"), await commit("two&comment=other")];
  expect(first).not.toBe(second);
  const layers = await Promise.all(
    [first, second].map(async (image) => (await api.request("GET", `/images/${image}/json`)).json.RootFS.Layers),
  );
  expect(layers[0]).toEqual(layers[1]);
  const { json } = await api.request("GET", "/images/json?shared-size=1");
  const shared = Object.fromEntries(
    json.map(({ RepoTags, SharedSize }: { RepoTags: string[]; SharedSize: number }) => [RepoTags[0], SharedSize]),
  );
  expect(shared).toMatchObject({ "one:latest": 18, "two:latest": 18, "base:1": 11, "hello:latest": 0 });
  for (const name of ["one", "two"]) expect((await api.request("DELETE", `/images/${name}`)).status).toBe(200);
  await api.request("DELETE", `/containers/${id}`);
});

test("a container that runs is committed, and one whose cgroup has gone is taken for ended", async () => {
  const id = await containerWith({ new: "content" });
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
  expect((await api.request("POST", `/commit?container=${id}&repo=running`)).status).toBe(201);
  expect(readdirSync(api.engine.paths.runDirectory(id))).not.toContain("frozen");
  await api.request("DELETE", `/containers/${id}?force=1`);
  await api.request("DELETE", "/images/running");
});

test("an export whose container is removed meanwhile is cut off, and never looks whole", async () => {
  const id = await containerWith({ big: Buffer.alloc(64 * 1024 * 1024, 1) });
  const connection = await api.open(`GET /containers/${id}/export HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`);
  await connection.until((text) => text.includes("\r\n\r\n"));
  connection.socket.pause();
  expect((await api.request("DELETE", `/containers/${id}`)).status).toBe(204);
  await api.engine.idle();
  connection.socket.resume();
  const text = await connection.untilEnd();
  expect(text.startsWith("HTTP/1.1 200")).toBe(true);
  expect(text.endsWith("0\r\n\r\n")).toBe(false); // chunked: no last chunk
});

test("a client that goes away in the middle of an export leaves nothing open", async () => {
  const id = await containerWith({ big: Buffer.alloc(64 * 1024 * 1024, 1) });
  const { upper } = api.engine.paths.container(id);
  const open = () =>
    [process.pid, ...childPids()].flatMap((pid) =>
      namesIn(`/proc/${pid}/fd`).filter((fd) => readlinkOrEmpty(`/proc/${pid}/fd/${fd}`).startsWith(upper)),
    ).length;
  const connection = await api.open(`GET /containers/${id}/export HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n`);
  await connection.until((text) => text.includes("\r\n\r\n"));
  connection.socket.pause();
  expect(open()).toBeGreaterThan(0);
  connection.socket.destroy();
  await until(() => open() === 0, "nothing is open");
  await api.request("DELETE", `/containers/${id}`);
});

function childPids(): string[] {
  return namesIn("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean),
  );
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // it has ended
  }
}

function readlinkOrEmpty(path: string): string {
  try {
    return require("node:fs").readlinkSync(path);
  } catch {
    return "";
  }
}

// --- Import ---

const rootfs = rawTar({ name: "etc/", type: "5" }, { name: "etc/file", content: "imported" });

test("a tar is imported plain and compressed with gzip or zstd, to the same layer", async () => {
  for (const [name, bytes] of [
    ["plain", rootfs],
    ["gzip", gzipSync(rootfs)],
    ["zstd", zstdCompressSync(rootfs)],
  ] as const) {
    const { status, json } = await api.request("POST", `/images/create?fromSrc=-&repo=${name}`, bytes, TAR);
    expect(status).toBe(200);
    const image = (await api.request("GET", `/images/${name}/json`)).json;
    expect(json).toEqual({ status: image.Id });
    expect(image).toMatchObject({
      Comment: "Imported from -",
      RootFS: { Layers: [`sha256:${sha256(rootfs)}`] },
      Os: "linux",
      Size: 8,
    });
    await api.request("DELETE", `/images/${name}`);
  }
});

test("what cannot be imported is refused with a reason, and leaves nothing", async () => {
  const before = { images: await list(""), files: readdirSync(join(api.directory, "data/image/blobs/sha256")).sort() };
  const cut = rootfs.subarray(0, 700);
  for (const [query, bytes, status, message] of [
    ["repo=a", Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0]), Bun.which("xz") ? 400 : 503, "xz"],
    ["repo=a", Buffer.from("BZh91AY&SY"), Bun.which("bzip2") ? 400 : 503, "bzip2"],
    ["repo=a", Buffer.from("garbage that is no tar"), 400, "ends in the middle of an entry"],
    ["repo=a", cut, 400, "ends in the middle of an entry"],
    ["repo=a", gzipSync(rootfs).subarray(0, 60), 400, "gzip data is corrupt or cut short"],
    ["repo=a", rawTar({ name: "../out", content: "x" }), 400, "leaves the root"],
    ["repo=a&platform=windows/amd64", rootfs, 400, "operating system is not supported"],
    ["repo=a&platform=a/b/c/d", rootfs, 400, '"a/b/c/d": cannot parse platform specifier: invalid argument'],
    ["repo=a&platform=linux/%24", rootfs, 400, '"$" is an invalid component of "linux/$"'],
    ["repo=a&changes=FOO", rootfs, 400, "FOO is not a valid change command"],
    ["repo=Bad", rootfs, 400, "invalid reference format: repository name (library/Bad) must be lowercase"],
  ] as const) {
    const answer = await api.request("POST", `/images/create?fromSrc=-&${query}`, bytes, TAR);
    expect([query, answer.status]).toEqual([query, status]);
    expect(answer.json.message).toContain(message);
  }
  expect({
    images: await list(""),
    files: readdirSync(join(api.directory, "data/image/blobs/sha256")).sort(),
  }).toEqual(before);
  expect(readdirSync(join(api.directory, "data/image/ingest"))).toEqual([]);
});

test("a tar is fetched from a URL, with progress; a server that has none has its say", async () => {
  const server = createServer((request, response) => {
    if (request.url === "/rootfs.tar") response.end(rootfs);
    else response.writeHead(404, "Not here").end("no such page");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const create = (source: string) =>
    api.request("POST", `/images/create?fromSrc=${encodeURIComponent(source)}&repo=fetched`);
  const { text } = await create(`${host}/rootfs.tar`);
  const messages = text
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line));
  expect(messages[0]).toEqual({ status: `Downloading from http://${host}/rootfs.tar` });
  expect(messages.at(-2)).toMatchObject({ status: "Importing", progressDetail: { current: rootfs.length } });
  expect((await api.request("GET", "/images/fetched/json")).json).toMatchObject({
    Id: messages.at(-1).status,
    Comment: `Imported from ${host}/rootfs.tar`,
  });
  expect(await create(`http://${host}/none`)).toMatchObject({
    status: 404,
    json: { message: `failed to GET http://${host}/none with status 404 Not here: no such page` },
  });
  server.close();
  server.closeAllConnections();
  expect(await create(`http://${host}/none`)).toMatchObject({
    status: 503,
    json: { message: `Get "http://${host}/none": dial tcp ${host}: connect: connection refused` },
  });
  expect(await create("http://no-such-host.invalid/x")).toMatchObject({
    status: 503,
    json: {
      message: expect.stringMatching(/^Get "http:\/\/no-such-host.invalid\/x": dial tcp: lookup .*: no such host$/),
    },
  });
  expect(await create("ftp://127.0.0.1/x")).toMatchObject({
    status: 400,
    json: { message: 'Get "ftp://127.0.0.1/x": unsupported protocol scheme "ftp"' },
  });
  await api.request("DELETE", "/images/fetched");
});

// --- Names, lists, prunes ---

test("a name that goes to another image leaves the old one dangling, and prune takes it", async () => {
  const old = await load("moving:1", { Labels: { keep: "no" } }, "old content");
  await load("moving:2", { Labels: { keep: "no" } }, "new content");
  const layer = rawTar({ name: "file", content: "new content" });
  const archive = dockerArchive({ layers: [layer], tags: ["moving:1"], config: { Labels: { keep: "no" } } });
  const loaded = await api.request("POST", "/images/load?quiet=1", archive, TAR);
  expect(
    loaded.text
      .split("\r\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).stream),
  ).toEqual([
    `The image moving:1 already exists, renaming the old one with ID ${old} to empty string\n`,
    "Loaded image: moving:1\n",
  ]);
  await api.request("DELETE", "/images/moving:2");
  expect(await list(filters({ dangling: ["true"] }))).toEqual([old]);
  const prune = async (value: object) => (await api.request("POST", `/images/prune?${filters(value)}`)).json;
  const nothing = { ImagesDeleted: null, SpaceReclaimed: 0 };
  expect(await prune({ label: ["keep=yes"] })).toEqual(nothing);
  expect(await prune({ "label!": ["keep"] })).toEqual(nothing);
  expect(await prune({ until: ["2023-01-01"] })).toEqual(nothing);
  const pruned = await prune({ until: ["24h"], label: ["keep=no"], "label!": ["keep=yes"] });
  expect(pruned.ImagesDeleted).toEqual([{ Deleted: old }, { Deleted: expect.stringMatching(/^sha256:/) }]);
  expect(pruned.SpaceReclaimed).toBe("old content".length);
  expect(await list(filters({ dangling: ["true"] }))).toEqual([]);
  await api.request("DELETE", "/images/moving:1");
});

test("a prune of all images takes those that no container holds, with all their names", async () => {
  const id = await load("unused:1", {}, "unused");
  await api.request("POST", "/images/unused:1/tag?repo=unused&tag=2");
  const holder = await api.create({ Image: "base:1" });
  const greeter = await api.create({ Image: "hello" });
  const { json } = await api.request("POST", `/images/prune?${filters({ dangling: ["false"] })}`);
  expect(json.ImagesDeleted).toContainEqual({ Untagged: "unused:1" });
  expect(json.ImagesDeleted).toContainEqual({ Untagged: "unused:2" });
  expect(json.ImagesDeleted).toContainEqual({ Deleted: id });
  expect(json.SpaceReclaimed).toBeGreaterThanOrEqual("unused".length);
  expect(await list("")).toEqual(["base:1", "hello:latest"]);
  for (const container of [holder, greeter]) await api.request("DELETE", `/containers/${container}`);
});

test("the list is filtered by time, as durations and dates", async () => {
  const only = async (until: string) => (await list(filters({ until: [until], reference: ["base"] }))).length;
  // Created 2024-01-02T03:04:05Z.
  for (const until of [
    "1h",
    "10m30s",
    "2024-01-02T03:04:06Z",
    "2024-01-02T03:04:05.000000001Z",
    "2024-01-03",
    "2024-01-02T04",
    "1704164646",
    "2024-01-02T05:00:00+01:00",
  ])
    expect([until, await only(until)]).toEqual([until, 1]);
  for (const until of ["2024-01-02T03:04:05Z", "2024-01-02", "2024-01-02T03:04", "1704164645", "400000h"])
    expect([until, await only(until)]).toEqual([until, 0]);
  for (const [value, message] of [
    [{ until: ["zz"] }, 'failed to parse value as time or duration: "zz"'],
    [{ reference: ["["] }, "syntax error in pattern"],
  ] as const)
    expect(await api.request("GET", `/images/json?${filters(value)}`)).toMatchObject({
      status: 400,
      json: { message },
    });
});

test("of several times the list takes the earliest; images of one second have an order", async () => {
  const both = (...until: string[]) => list(filters({ until, reference: ["base"] }));
  expect(await both("1h", "2024-01-03")).toHaveLength(1);
  expect(await both("1h", "2024-01-01")).toHaveLength(0);
  expect((await api.request("POST", `/images/prune?${filters({ until: ["1h", "2h"] })}`)).json.message).toBe(
    "more than one until filter specified",
  );
  const load = (tag: string, created: string) =>
    api.request("POST", "/images/load?quiet=1", dockerArchive({ layers: [], tags: [tag], created }), TAR);
  await load("moment:1", "2024-05-01T00:00:00.000000001Z");
  await load("moment:2", "2024-05-01T00:00:00.000000002Z");
  expect(await list(filters({ before: ["moment:2"], reference: ["moment"] }))).toEqual(["moment:1"]);
  expect(await list(filters({ since: ["moment:1"], reference: ["moment"] }))).toEqual(["moment:2"]);
  for (const tag of ["1", "2"]) await api.request("DELETE", `/images/moment:${tag}`);
});

test("no bytes at all are an image without files", async () => {
  const { json } = await api.request("POST", "/images/create?fromSrc=-&repo=nothing", Buffer.alloc(0), TAR);
  expect((await api.request("GET", "/images/nothing/json")).json).toMatchObject({ Id: json.status, Size: 0 });
  await api.request("DELETE", "/images/nothing");
});

test("an image is shown to clients of each age as their version has it", async () => {
  const keys = async (version: string) =>
    Object.keys((await api.request("GET", `/v${version}/images/base:1/json`)).json);
  const common = [
    ...["Id", "RepoTags", "RepoDigests", "Parent", "Comment", "Created", "DockerVersion", "Author", "Config"],
    ...["Architecture", "Os", "Size", "GraphDriver", "RootFS", "Metadata"],
  ];
  expect((await keys("1.45")).sort()).toEqual([...common].sort());
  expect((await keys("1.44")).sort()).toEqual([...common, "Container", "ContainerConfig"].sort());
  for (const version of ["1.24", "1.43"])
    expect((await keys(version)).sort()).toEqual([...common, "Container", "ContainerConfig", "VirtualSize"].sort());
});

test("a save for a platform that the image is not for is refused by name", async () => {
  const get = (platform: object | string) =>
    api.request(
      "GET",
      `/images/base:1/get?platform=${encodeURIComponent(typeof platform === "string" ? platform : JSON.stringify(platform))}`,
    );
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  expect((await get({ os: "linux", architecture })).status).toBe(200);
  expect(await get({ os: "linux", architecture: "s390x" })).toMatchObject({
    status: 404,
    json: {
      message: "image with reference base:1 was found but does not provide the specified platform (linux/s390x)",
    },
  });
  for (const platform of ["x", "[]", "{}", '{"os":"linux"}', '{"os":1,"architecture":"a"}'])
    expect((await get(platform)).status).toBe(400);
});

test("an archive holds the stored blobs, each once, and is the same each time", async () => {
  await api.request("POST", "/images/base:1/tag?repo=base&tag=2");
  const bytes = async () =>
    Buffer.from((await api.request("GET", "/images/get?names=base&names=hello")).text, "latin1");
  const archive = await bytes();
  expect(archive.equals(await bytes())).toBe(true);
  const paths = readTar(archive).map(({ path }) => path as string);
  expect(new Set(paths).size).toBe(paths.length);
  const { json: base } = await api.request("GET", "/images/base:1/json");
  const config = readTar(archive).find(({ path }) => path === `blobs/${base.Id.replace(":", "/")}`);
  expect(config?.mtimeSeconds).toBe(Date.parse(base.Created) / 1000);
  for (const { path, content } of readTar(archive))
    if (path.startsWith("blobs/sha256/") && !path.endsWith("/")) {
      expect(sha256(content)).toBe(path.slice("blobs/sha256/".length));
      expect(content.equals(readFileSync(join(api.directory, "data/image", path)))).toBe(true);
    }
  expect(paths.slice(-4)).toEqual(["index.json", "manifest.json", "oci-layout", "repositories"]);
  await api.request("DELETE", "/images/base:2");
});

test("what registries have is described, with its platforms, and credentials are tried", async () => {
  await using registry = await FakeRegistry.start({ users: { me: "secret" } });
  const { host } = registry;
  const layers = [rawTar({ name: "file", content: "x" })];
  const { digest } = registry.addImage("some/app", "1", { layers });
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const one = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 1 };
  const platforms = [
    { os: "linux", architecture: "arm64", variant: "v8" },
    { os: "linux", architecture: "s390x" },
  ];
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    manifests: platforms.map((platform) => ({ ...one, platform })),
  });
  registry.addManifest("some/app", "all", mediaType, Buffer.from(index));

  const auth = Buffer.from(JSON.stringify({ username: "me", password: "secret" })).toString("base64url");
  const describe = (name: string, headers = { "X-Registry-Auth": auth }) =>
    api.request("GET", `/distribution/${name}/json`, undefined, headers);
  expect(await describe(`${host}/some/app:1`)).toMatchObject({
    status: 200,
    json: { Descriptor: { mediaType: one.mediaType, digest }, Platforms: [{ os: "linux" }] },
  });
  expect((await describe(`${host}/some/app:all`)).json).toEqual({
    Descriptor: { mediaType, digest: `sha256:${sha256(index)}`, size: index.length },
    Platforms: platforms,
  });
  expect((await describe(`${host}/some/app@${digest}`)).json.Descriptor.digest).toBe(digest);
  expect((await describe(`${host}/some/app:none`)).status).toBe(404);
  expect((await describe(`${host}/some/app:1`, { "X-Registry-Auth": "" })).status).toBe(401);
  // Docker's clients ask for a login at 401, which no pull is answered with.
  const pulled = await api.request("POST", `/images/create?fromImage=${host}/some/app&tag=1`);
  expect(pulled).toMatchObject({ status: 500, json: { message: expect.stringContaining("unauthorized") } });
  expect(await describe("BAD")).toMatchObject({
    status: 400,
    json: { message: "invalid reference format: repository name (library/BAD) must be lowercase" },
  });
  const login = (password: string) => api.request("POST", "/auth", { username: "me", password, serveraddress: host });
  expect(await login("secret")).toMatchObject({ status: 200, json: { Status: "Login Succeeded" } });
  expect((await login("wrong")).status).toBe(401);
  const nobody = { serveraddress: "127.0.0.1:1", username: "a", password: "b" };
  for (const answer of [
    await describe("127.0.0.1:1/x"),
    await api.request("POST", "/auth", nobody),
    await api.request("POST", "/images/create?fromImage=127.0.0.1:1/x&tag=a"),
  ])
    expect(answer).toMatchObject({
      status: 500,
      json: { message: 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused' },
    });
  expect((await api.request("POST", "/auth", { username: 1 })).status).toBe(400);
});

test("a search says that there is none", async () => {
  expect(await api.request("GET", "/images/search?term=x")).toMatchObject({
    status: 501,
    json: { message: expect.stringContaining('search images for "x": this version searches no registry') },
  });
  expect((await api.request("GET", "/images/search")).status).toBe(400);
  const filtered = async (filters: object) =>
    (await api.request("GET", `/images/search?term=x&filters=${encodeURIComponent(JSON.stringify(filters))}`)).json;
  expect(await filtered({ stars: ["3"], "is-official": ["true"] })).toMatchObject({
    message: expect.stringContaining("searches no registry"),
  });
  for (const [filters, message] of [
    [{ stars: ["a"] }, `invalid filter 'stars=a': strconv.Atoi: parsing "a": invalid syntax`],
    [{ "is-official": ["a"] }, "invalid filter 'is-official=[a]'"],
    [{ "is-automated": ["a"] }, "invalid filter 'is-automated=[a]'"],
    [{ color: ["a"] }, "invalid filter 'color'"],
  ] as const)
    expect(await filtered(filters)).toEqual({ message });
});

test("a build pushes its image with the request's credentials, compressed as it asks", async () => {
  await using registry = await FakeRegistry.start({ users: { me: "secret" } });
  const context = rawTar({ name: "Dockerfile", content: "FROM scratch\nCOPY Dockerfile /\n" });
  const config = { [registry.host]: { username: "me", password: "secret" } };
  const build = (Attrs: Record<string, string>, headers: Record<string, string> = {}) =>
    api.request("POST", `/build?outputs=${encodeURIComponent(JSON.stringify([{ Type: "image", Attrs }]))}`, context, {
      "Content-Type": "application/x-tar",
      ...headers,
    });
  const attrs = { name: `${registry.host}/team/app:1`, push: "true", compression: "zstd" };
  const refused = await build(attrs);
  expect(refused.text).toContain('"error"');
  const auth = { "X-Registry-Config": Buffer.from(JSON.stringify(config)).toString("base64") };
  const { text } = await build(attrs, { ...auth, Accept: "application/vnd.lighter.solve-status+json" });
  expect(text).not.toContain('"error"');
  const put = registry.requests.findLast(({ method, path }) => method === "PUT" && path === "/v2/team/app/manifests/1");
  expect(JSON.parse(put!.body.toString()).layers).toMatchObject([
    { mediaType: "application/vnd.oci.image.layer.v1.tar+zstd" },
  ]);
  const results = text.split("\r\n").filter((line) => line.includes("lighter.build-result"));
  expect(JSON.parse(results[0]!).aux).toMatchObject({
    "containerimage.digest": `sha256:${sha256(put!.body)}`,
    "image.name": attrs.name,
  });
  expect((await build({ push: "true" }, auth)).text).toContain("tag is needed when pushing to registry");
  expect((await build({ compression: "lz4" })).json.message).toContain("unsupported compression type lz4");
  expect((await api.request("POST", "/build?outputs=[{}]", context)).json.message).toContain(
    "outputs[0].Type is missing",
  );
});
