/** Images and containers' files through our API and through Docker's own, side by side; and other programs' reading. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ApiClient } from "../support/api-client.ts";
import type { TestDaemon } from "../support/daemon.ts";
import { IMAGE_REFERENCES } from "../support/image-references.ts";
import { missing } from "../support/missing.ts";
import { readTar } from "../support/read-tar.ts";
import { testIf } from "../support/test-if.ts";
import { type BesideDocker, startBesideDocker } from "./beside-docker.ts";
import { type PrivateDocker, runProgram, whyNoDocker } from "./cli-support.ts";

const whyNot = whyNoDocker() ?? missing("skopeo", "umoci");
const test = testIf(whyNot === undefined, whyNot ?? "");

let temp: string;
let docker: PrivateDocker;
let theirs: ApiClient;
let ours: TestDaemon;
let stop: BesideDocker["stop"] = async () => {};

beforeAll(async () => {
  if (whyNot !== undefined) return;
  ({ temp, docker, theirs, ours, stop } = await startBesideDocker("images"));
  await makeBase();
}, 120_000);

afterAll(() => stop());

const TAR = { "Content-Type": "application/x-tar" };
const both = () => [theirs, ours] as const;

/** Both get the image "base": busybox with some files to change. */
async function makeBase(): Promise<void> {
  const script = [
    "mkdir -p /d/sub /e/f/g /keep",
    "echo a > /d/x; echo b > /d/sub/y; echo c > /e/f/g/file; echo k > /keep/k",
    "touch /modme /chm; ln /keep/k /keep/hard; mkdir /opaque; touch /opaque/1 /opaque/2",
  ].join("\n");
  const made = await docker.docker(["run", "--name", "make-base", "--network=none", "busybox", "sh", "-c", script]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  await docker.docker(["commit", "-c", 'CMD ["sh"]', "make-base", "base:1"]);
  await docker.docker(["rm", "make-base"]);
  const path = join(temp, "base.tar");
  expect((await docker.docker(["save", "-o", path, "base:1"])).code).toBe(0);
  expect((await ours.request("POST", "/images/load", readFileSync(path), TAR)).text).toContain("Loaded image: base:1");
}

async function run(api: ApiClient, name: string, script: string, body: object = {}): Promise<string> {
  const id = await api.create(
    { Image: "base:1", Cmd: ["sh", "-c", script], HostConfig: { NetworkMode: "none" }, ...body },
    name,
  );
  const waiting = await api.wait(id, "next-exit");
  expect((await api.request("POST", `/containers/${id}/start`)).status).toBe(204);
  expect(await waiting.answer).toMatchObject({ StatusCode: 0 });
  return id;
}

const SCENARIOS: Record<string, string> = {
  "nothing at all": "true",
  "a directory made anew": "rm -rf /d; mkdir /d; touch /d/new",
  "a directory made anew with the same names": "rm -rf /d; mkdir /d /d/sub; echo a > /d/x",
  "a file appended to": "echo >> /e/f/g/file",
  "a file replaced": "rm /keep/k; echo z > /keep/k",
  "modes and owners": "chmod 600 /chm; chown 5 /modme; chmod 700 /e/f; chmod 1777 /keep",
  "a directory moved": "mv /e /e2",
  "a directory replaced by a file": "rm -rf /keep; echo > /keep",
  "a file replaced by a directory": "rm /modme; mkdir /modme; touch /modme/in",
  "new files of every kind":
    "mkdir -p /n1/n2; echo x > /n1/n2/f; ln /n1/n2/f /n1/hard; ln -s /x /n1/sym; mkfifo /n1/fifo",
  "a hard link to a lower file": "ln /keep/hard /linked",
  "only a deletion": "rm /d/sub/y",
  "everything in a directory deleted": "rm /opaque/1 /opaque/2",
  "a hidden name": "echo > '/.a b'; mkdir '/ü'",
};

/** Docker says it in no order, and lists an opaque directory's content by its own lights. */
function sortChanges(json: { Path: string; Kind: number }[] | null): string[] {
  return (json ?? []).map(({ Path, Kind }) => `${Kind} ${Path}`).sort();
}

/** Places to mount things on: Docker makes some in /dev that we do not need, and its files there have other modes. */
const PLACES = /^(dev\/(console|pts\/|shm\/)|etc\/(hosts|hostname|resolv\.conf))$/;

function listTar(bytes: Buffer): string[] {
  return readTar(bytes)
    .filter(({ path }) => !PLACES.test(path))
    .map(({ path, type, mode, uid, gid, size, linkPath, content }) =>
      [type, path, mode.toString(8), `${uid}:${gid}`, size, linkPath, Bun.hash(content)].join(" "),
    );
}

async function bytesOf(api: ApiClient, path: string): Promise<Buffer> {
  const answer = await api.request("GET", path);
  expect(answer.status).toBe(200);
  return Buffer.from(answer.text, "latin1");
}

interface Saved {
  files: Map<string, Buffer>;
  layers: Buffer[];
  config: { config: Record<string, unknown>; history: object[]; rootfs: { diff_ids: string[] } };
}

async function save(api: ApiClient, name: string): Promise<Saved> {
  const files = new Map(
    readTar(await bytesOf(api, `/images/${name}/get`)).map(({ path, content }) => [path as string, content]),
  );
  const [manifest] = JSON.parse(files.get("manifest.json")!.toString());
  return {
    files,
    layers: manifest.Layers.map((layer: string) => files.get(layer)!),
    config: JSON.parse(files.get(manifest.Config)!.toString()),
  };
}

for (const [what, script] of Object.entries(SCENARIOS))
  test(`${what}: changes, export and the committed layer are Docker's`, async () => {
    const name = `c${Bun.hash(what).toString(36)}`;
    const results = [];
    for (const api of both()) {
      const id = await run(api, name, script);
      const changes = sortChanges((await api.request("GET", `/containers/${id}/changes`)).json);
      const exported = listTar(await bytesOf(api, `/containers/${id}/export`));
      const commit = await api.request("POST", `/commit?container=${id}&repo=${name}`);
      expect(commit.status).toBe(201);
      const saved = await save(api, name);
      const layer = saved.layers.length > 2 ? listTar(saved.layers.at(-1)!) : "none";
      results.push({ changes, exported, layer });
      await api.request("DELETE", `/containers/${id}`);
    }
    expect(results[1]).toEqual(results[0]!);
  });

test("a committed image's config and history are Docker's, whatever is changed", async () => {
  const results = [];
  for (const api of both()) {
    const id = await run(api, "committed", "true", { Env: ["A=1"], Labels: { a: "b" } });
    const query = new URLSearchParams({ container: id, repo: "com", tag: "1", comment: "why", author: "me" });
    for (const change of ['ENTRYPOINT ["e"]', "ENV B=$A", "EXPOSE 80", "WORKDIR w\nUSER u", "VOLUME /v"])
      query.append("changes", change);
    expect((await api.request("POST", `/commit?${query}`)).status).toBe(201);
    const body = { Cmd: ["q"], Env: ["Z=1"], Labels: { c: "d" }, WorkingDir: "/w" };
    expect((await api.request("POST", `/commit?container=${id}&repo=com2`, body)).status).toBe(201);
    const inspected = [];
    for (const name of ["com:1", "com2"]) {
      const { json } = await api.request("GET", `/v1.45/images/${name}/json`);
      const { Hostname, AttachStdout, AttachStderr, Image, NetworkDisabled, ...config } = json.Config;
      inspected.push({ config, comment: json.Comment, author: json.Author, tags: json.RepoTags, size: json.Size });
    }
    const { json: history } = await api.request("GET", "/images/com:1/history");
    const steps = history.map(
      ({ Created, Id, Tags, ...step }: { Created: number; Id: string; Tags: string[] }) => step,
    );
    results.push({ inspected, steps, newest: history[0].Tags });
    await api.request("DELETE", `/containers/${id}`);
  }
  expect(results[1]).toEqual(results[0]!);
});

const REQUESTS: [method: string, path: string][] = [
  ["POST", "/commit?container=none"],
  ["POST", "/commit"],
  ["POST", "/commit?container=created&repo=BAD"],
  ["POST", "/commit?container=created&repo=x&tag=b%20d"],
  ["POST", "/commit?container=created&repo=x&changes=RUN+x"],
  ["POST", "/commit?container=created&repo=x@sha256:1111111111111111111111111111111111111111111111111111111111111111"],
  ["GET", "/containers/none/export"],
  ["GET", "/containers/none/changes"],
  ["GET", "/containers/created/changes"],
  ["GET", "/images/get?names=none"],
  ["GET", "/images/none/get"],
  ["GET", "/images/none/history"],
  ["POST", "/images/base:1/tag?repo=t&tag=1"],
  ["POST", "/images/base:1/tag?repo=BAD"],
  ["POST", "/images/base:1/tag?repo=a:b"],
  ["POST", "/images/base:1/tag?repo=a:b&tag=c"],
  ["POST", "/images/base:1/tag?repo=a&tag=x%20y"],
  ["POST", "/images/none/tag?repo=a"],
  ["POST", "/images/base:1/tag"],
  ["POST", "/images/base:1/tag?repo=sha256&tag=1"],
  ["POST", "/images/base:1/tag?repo=q@sha256:1111111111111111111111111111111111111111111111111111111111111111"],
  ["POST", '/images/prune?filters={"foo":["x"]}'],
  ["POST", '/images/prune?filters={"dangling":["zz"]}'],
  ["POST", '/images/prune?filters={"label":["none"]}'],
  ["GET", '/images/json?filters={"before":["none"]}'],
  [
    "GET",
    '/images/json?filters={"reference":["base@sha256:1111111111111111111111111111111111111111111111111111111111111111"]}',
  ],
];

test("requests that go wrong, or nearly, get Docker's status and words", async () => {
  const results = [];
  for (const api of both()) {
    await api.create({ Image: "base:1", HostConfig: { NetworkMode: "none" } }, "created");
    const answers = [];
    for (const [method, path] of REQUESTS) {
      const { status, text } = await api.request(method, encodeURI(decodeURI(path)));
      answers.push([method, path, status, text.trim()]);
    }
    await api.request("DELETE", "/containers/created");
    results.push(answers);
  }
  expect(results[1]).toEqual(results[0]!);
});

test("filters of the list choose, and show, what Docker's do", async () => {
  for (const api of both()) {
    await api.request("POST", "/images/base:1/tag?repo=localhost:5000/x/base&tag=2");
    await api.request("POST", "/images/base:1/tag?repo=other&tag=1");
  }
  for (const filter of [
    ...[
      "base",
      "base:*",
      "b*",
      "*:1",
      "*/*/base",
      "*/*:2",
      "localhost:5000/x/base",
      "[a-c]ase",
      "docker.io/library/base",
    ],
    ...["ba?e:1", "other:2"],
  ]) {
    const lists = [];
    for (const api of both()) {
      const { json } = await api.request(
        "GET",
        `/images/json?filters=${encodeURIComponent(JSON.stringify({ reference: [filter] }))}`,
      );
      const tags: string[] = json.flatMap(({ RepoTags }: { RepoTags: string[] }) => RepoTags);
      lists.push(tags.filter((tag) => /base|other/.test(tag)).sort());
    }
    expect({ filter, tags: lists[1]! }).toEqual({ filter, tags: lists[0]! });
  }
  for (const api of both())
    for (const name of ["localhost:5000/x/base:2", "other:1"]) await api.request("DELETE", `/images/${name}`);
});

test("an imported tar is the image that Docker makes of it", async () => {
  const tar = await bytesOf(theirs, "/images/base:1/get");
  const rootfs = readTar(tar).find(({ path, size }) => path.startsWith("blobs/") && size > 100_000)!.content;
  const results = [];
  for (const api of both()) {
    const query = "fromSrc=-&repo=imp&tag=1&message=m&changes=CMD+%5B%22x%22%5D&changes=ENV+A%3Db&platform=linux/arm64";
    const answer = await api.request("POST", `/images/create?${query}`, rootfs, TAR);
    expect(answer.status).toBe(200);
    const { json } = await api.request("GET", "/v1.45/images/imp:1/json");
    expect(JSON.parse(answer.text)).toEqual({ status: json.Id });
    const { Config, Comment, Architecture, Os, Size, RootFS, RepoTags } = json;
    const { Hostname, Image, ...config } = Config;
    const { json: history } = await api.request("GET", "/images/imp:1/history");
    results.push({ config, Comment, Architecture, Os, Size, RootFS, RepoTags, steps: history.length });
    await api.request("DELETE", "/images/imp:1");
  }
  expect(results[1]).toEqual(results[0]!);
});

test("what we save, Docker loads, and skopeo and umoci read, with the same digests", async () => {
  const id = await run(ours, "saved", "echo x > /saved; rm /d/x; chmod 700 /");
  expect((await ours.request("POST", `/commit?container=${id}&repo=saved&tag=1`)).status).toBe(201);
  await ours.request("DELETE", `/containers/${id}`);
  const path = join(temp, "saved.tar");
  writeFileSync(path, await bytesOf(ours, "/images/get?names=saved:1&names=base"));
  const image = await ours.request("GET", "/images/saved:1/json");

  const loaded = await docker.docker(["load", "-i", path]);
  expect(loaded.stdout.trim().split("\n").sort()).toEqual(["Loaded image: base:1", "Loaded image: saved:1"]);
  const seen = await theirs.request("GET", "/images/saved:1/json");
  expect(seen.json.Id).toBe(image.json.Id);
  const ran = await docker.docker(["run", "--rm", "--network=none", "saved:1", "sh", "-c", "cat /saved; ls /d"]);
  expect(ran.stdout).toBe("x\nsub\n");

  const manifest = [...readTar(readFileSync(path))].find(({ path: name }) => name === "index.json")!;
  const { digest } = JSON.parse(manifest.content.toString()).manifests[0];
  const copy = async (from: string, to: string) =>
    expect(
      await runProgram(["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", from, to]),
    ).toMatchObject({
      code: 0,
      stderr: "",
    });
  const layout = join(temp, "layout");
  const single = join(temp, "single.tar");
  writeFileSync(single, await bytesOf(ours, "/images/saved:1/get"));
  await copy(`oci-archive:${single}:1`, `oci:${layout}:1`);
  const inspected = await runProgram(["skopeo", "inspect", "--raw", `oci:${layout}:1`]);
  expect(`sha256:${new Bun.CryptoHasher("sha256").update(inspected.stdout).digest("hex")}`).toBe(digest);
  const fromDocker = join(temp, "from-docker");
  await copy(`docker-archive:${path}:saved:1`, `dir:${fromDocker}`);
  const { config } = JSON.parse(readFileSync(join(fromDocker, "manifest.json"), "utf8"));
  expect(config.digest).toBe(image.json.Id);
  mkdirSync(join(temp, "bundles"));
  const bundle = join(temp, "bundles/saved");
  expect((await runProgram(["umoci", "unpack", "--image", `${layout}:1`, bundle])).code).toBe(0);
  expect(readFileSync(join(bundle, "rootfs/saved"), "utf8")).toBe("x\n");
  expect(readdirSync(join(bundle, "rootfs/d"))).toEqual(["sub"]);

  await ours.request("DELETE", "/images/saved:1");
  for (const archive of [path, single]) {
    const answer = await ours.request("POST", "/images/load?quiet=1", readFileSync(archive), TAR);
    expect(answer.text).toContain("Loaded image: saved:1");
    expect((await ours.request("GET", "/images/saved:1/json")).json.Id).toBe(image.json.Id);
  }
});

test("the mode of / is part of what is committed", async () => {
  const id = await run(ours, "root", "chmod 711 /");
  expect((await ours.request("POST", `/commit?container=${id}&repo=root`)).status).toBe(201);
  await run(ours, "root2", '[ "$(stat -c %a /)" = 711 ]', { Image: "root" });
});

test("names decide what of an archive has a name, as with Docker", async () => {
  for (const api of both()) await api.request("POST", "/images/base:1/tag?repo=base&tag=2");
  const { json } = await ours.request("GET", "/images/base:1/json");
  for (const query of ["names=base", "names=base:2", `names=${json.Id}`, `names=${json.Id}&names=base:1`]) {
    const described = [];
    for (const api of both()) {
      const files = new Map(
        readTar(await bytesOf(api, `/images/get?${query}`)).map(({ path, content }) => [
          path as string,
          content.toString(),
        ]),
      );
      const [{ RepoTags, Config, Layers }] = JSON.parse(files.get("manifest.json")!);
      const annotations = JSON.parse(files.get("index.json")!).manifests.map(
        (one: { annotations?: object }) => one.annotations,
      );
      described.push({ query, RepoTags, Config, Layers, annotations, repositories: files.get("repositories")?.trim() });
    }
    expect(described[1]).toEqual(described[0]!);
  }
  for (const api of both()) await api.request("DELETE", "/images/base:2");
});

test("names are read by one grammar: what is tagged, and how what is no name is refused", async () => {
  for (const [text, outcome] of IMAGE_REFERENCES)
    for (const api of both()) {
      const { status, json } = await api.request("POST", `/images/base:1/tag?repo=${encodeURIComponent(text)}`);
      const hasDigest = outcome.includes("@") && !outcome.includes(" ");
      const message = hasDigest ? "cannot import digest reference" : outcome;
      const isName = !hasDigest && !outcome.includes(" ");
      expect([text, status, json?.message]).toEqual([text, isName ? 201 : 400, isName ? undefined : message]);
      if (!isName) continue;
      const named = await api.request("DELETE", `/images/${encodeURIComponent(outcome)}?noprune=1`);
      expect([text, named.status]).toEqual([text, 200]);
    }
});
