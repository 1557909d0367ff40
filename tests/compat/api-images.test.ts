import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ApiServer } from "../support/api-server.ts";
import { until } from "../support/eventually.ts";
import { dockerArchive, sha256 } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";

let api: ApiServer;

beforeAll(async () => {
  api = await ApiServer.start();
});

afterAll(() => api[Symbol.asyncDispose]());

function archive(tag: string, config: object = {}): Buffer {
  const layer = rawTar({ name: "file", content: `of ${tag}` });
  return dockerArchive({ layers: [layer], tags: [tag], config: { Cmd: ["/file"], ...config } });
}

const TAR = { "Content-Type": "application/x-tar" };
const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;

async function load(bytes: Buffer, query = ""): Promise<object[]> {
  const { text } = await api.request("POST", `/images/load?${query}`, bytes, TAR);
  return text
    .trim()
    .split("\r\n")
    .map((line) => JSON.parse(line));
}

async function tags(query = ""): Promise<string[]> {
  const { json } = await api.request("GET", `/images/json?${query}`);
  return json.flatMap(({ RepoTags }: { RepoTags: string[] }) => RepoTags).sort();
}

test("an archive is loaded with a message for each image, and progress with a total if it is asked for", async () => {
  const messages = await load(archive("one:1"), "quiet=0");
  expect(messages.at(-1)).toEqual({ stream: "Loaded image: one:1\n" });
  const layer = rawTar({ name: "file", content: "of one:1" });
  expect(messages.at(-2)).toEqual({
    status: "Loading layer",
    progressDetail: { current: layer.length, total: layer.length },
    id: sha256(layer).slice(0, 12),
  });
  for (const query of ["quiet=1", ""])
    expect(await load(archive("two:1", { Labels: { k: "v" } }), query)).toEqual([{ stream: "Loaded image: two:1\n" }]);
  expect(await tags()).toEqual(["hello:latest", "one:1", "two:1"]);
});

test("what is no archive is an error in the stream with a reason, and loads nothing", async () => {
  const before = await tags();
  for (const bytes of [
    Buffer.from("garbage"),
    Buffer.alloc(0),
    Buffer.alloc(10240),
    archive("bad:1").subarray(0, 2000),
  ]) {
    const { status, json } = await api.request("POST", "/images/load", bytes, TAR);
    expect(status).toBe(200);
    expect(json.error).not.toBe("");
    expect(json).toEqual({ errorDetail: { message: json.error }, error: json.error });
  }
  expect(await tags()).toEqual(before);
});

const GARBAGE = `10000\r\n${"garbage ".repeat(8192)}\r\n`;
const REFUSED = ["/images/load", "/images/create?fromSrc=-&repo=B:a:d"];

/** With the first of many chunks. */
function garbageFor(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n${GARBAGE}`;
}

test("a client that is refused in the middle of what it sends hears why, and its connection goes on", async () => {
  for (const path of REFUSED) {
    const client = await api.open("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    await client.until((text) => text.endsWith("\r\n\r\nOK"));
    client.text = "";
    client.socket.write(garbageFor(path));
    await client.until((text) => text.includes('message":'));
    for (let count = 0; count < 50; count++) client.socket.write(GARBAGE);
    client.socket.write("0\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    await client.until((text) => text.endsWith("\r\n\r\nOK"));
    client.socket.destroy();
  }
});

/** A request with this body, in chunks of `size` bytes or, without it, with its length. */
function requestOf(path: string, body: Buffer, size?: number): string {
  const head = `POST ${path} HTTP/1.1\r\nHost: d\r\n`;
  const text = body.toString("latin1");
  if (size === undefined) return `${head}Content-Length: ${body.length}\r\n\r\n${text}`;
  const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
    text.slice(at * size, (at + 1) * size),
  );
  const coded = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
  return `${head}Transfer-Encoding: chunked\r\n\r\n${coded.join("")}0\r\n\r\n`;
}

async function exchange(first: string, ...later: string[]): Promise<string> {
  const connection = await api.open("");
  connection.socket.write(first, "latin1");
  for (const part of later) connection.socket.write(part, "latin1");
  return await connection.untilEnd();
}

describe("a tar that is a connection's first request is its worker's with the connection", () => {
  const loaded = 'Loaded image: direct:1\\n"}\r\n';

  afterAll(async () => {
    for (const tag of ["1", "2"]) await api.request("DELETE", `/images/direct:${tag}`);
  });

  test("and with chunks cut anywhere, with a length, plain or compressed, loads as any other", async () => {
    const bytes = archive("direct:1");
    for (const body of [bytes, gzipSync(bytes), zstdCompressSync(bytes)])
      for (const size of [undefined, 7, 511, body.length]) {
        const [head, text] = (await exchange(requestOf("/images/load", body, size))).split("\r\n\r\n");
        expect(head).toStartWith("HTTP/1.1 200 ");
        expect(head).toContain("Connection: close");
        expect(text).toEndWith(loaded);
      }
  });

  test("and may come in pieces, the first of which ends in the head", async () => {
    const text = requestOf("/images/load?quiet=1", archive("direct:1"), 1000);
    const [first, second] = [text.slice(0, 20), text.slice(20, 700)];
    expect(await exchange(first, second, text.slice(700))).toEndWith(loaded);
  });

  test("unless its progress is to be told, or another request came before it", async () => {
    const body = archive("direct:1");
    for (const before of ["", "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"]) {
      const connection = await api.open(before);
      if (before !== "") await connection.until((text) => text.endsWith("OK"));
      connection.socket.write(requestOf(`/images/load?quiet=${before === "" ? 0 : 1}`, body, 1000), "latin1");
      await connection.until((text) => text.includes(loaded));
      expect(connection.text).not.toContain("Connection: close");
      connection.socket.destroy();
    }
  });

  test("and is imported too", async () => {
    const layer = rawTar({ name: "file", content: "imported" });
    const path = "/images/create?fromSrc=-&repo=direct&tag=2";
    const [head, text] = (await exchange(requestOf(path, layer, 100))).split("\r\n\r\n");
    expect(head).toContain("Connection: close");
    const { Id, Size } = (await api.request("GET", "/images/direct:2/json")).json;
    expect([JSON.parse(text!), Size]).toEqual([{ status: Id }, 8]);
    expect(await exchange(requestOf(`${path}&changes=FOO`, layer))).toStartWith("HTTP/1.1 400 ");
  });

  test("and if it is refused in the middle, its client hears why, and that the connection ends", async () => {
    for (const path of REFUSED) {
      const client = await api.open(garbageFor(path));
      await client.until((text) => text.includes('message":'));
      expect(client.text).toContain("Connection: close");
      for (let count = 0; count < 50; count++) client.socket.write(GARBAGE);
      client.socket.end("0\r\n\r\n");
      await client.untilEnd();
    }
  });

  test("and leaves nothing behind if its client goes in the middle", async () => {
    const before = await tags();
    for (const path of ["/images/load", "/images/create?fromSrc=-&repo=broken"])
      for (const size of [undefined, 1000]) {
        const text = requestOf(path, archive("broken:1"), size);
        const connection = await api.open("");
        connection.socket.write(text.slice(0, text.length / 2), "latin1");
        await until(() => readdirSync(ingestPath()).length > 0, "its worker has begun");
        connection.socket.destroy();
        await until(() => readdirSync(ingestPath()).length === 0, "its files are gone");
      }
    expect(await tags()).toEqual(before);
  });
});

function ingestPath(): string {
  return join(api.directory, "data/image/ingest");
}

test("an image is inspected by name, id and prefix", async () => {
  const { json } = await api.request("GET", "/images/one:1/json");
  expect(json).toMatchObject({
    RepoTags: ["one:1"],
    Os: "linux",
    Config: { Cmd: ["/file"], Env: null },
    RootFS: { Type: "layers" },
    Created: "2024-01-02T03:04:05Z",
  });
  for (const ref of [json.Id, json.Id.slice(7), json.Id.slice(7, 19), "docker.io/library/one:1", "library%2Fone:1"])
    expect((await api.request("GET", `/images/${ref}/json`)).json.Id).toBe(json.Id);
  expect(await api.request("GET", "/images/none/json")).toMatchObject({
    status: 404,
    json: { message: "No such image: none:latest" },
  });
});

test("filters choose as Docker's do", async () => {
  expect(await tags(filters({ reference: ["one"] }))).toEqual(["one:1"]);
  expect(await tags(filters({ reference: ["t*:1", "hello"] }))).toEqual(["hello:latest", "two:1"]);
  expect(await tags(filters({ label: ["k=v"] }))).toEqual(["two:1"]);
  expect(await tags(filters({ dangling: ["true"] }))).toEqual([]);
  expect(await tags(filters({ since: ["one:1"] }))).toEqual(["hello:latest"]);
  expect(await api.request("GET", `/images/json?${filters({ foo: ["a"] })}`)).toMatchObject({
    status: 400,
    json: { message: "invalid filter 'foo'" },
  });
  expect((await api.request("GET", `/images/json?${filters({ dangling: ["zz"] })}`)).json.message).toBe(
    "invalid filter 'dangling=[zz]'",
  );
});

test("an old client gets the virtual size it asks for", async () => {
  expect((await api.request("GET", "/v1.43/images/json")).json[0].VirtualSize).toBeNumber();
  expect((await api.request("GET", "/v1.45/images/json")).json[0].VirtualSize).toBeUndefined();
});

test("an old client gets stand-ins for the names of an image that has none", async () => {
  await load(archive("nameless:1"));
  const { Id: id } = (await api.request("GET", "/images/nameless:1/json")).json;
  await api.create({ Image: id }, "keeps-nameless");
  expect((await api.request("DELETE", "/images/nameless:1?force=1")).status).toBe(200);
  const summaryIn = async (version: string) =>
    (await api.request("GET", `/${version}/images/json`)).json.find(({ Id }: { Id: string }) => Id === id);
  expect(await summaryIn("v1.42")).toMatchObject({ RepoTags: ["<none>:<none>"], RepoDigests: ["<none>@<none>"] });
  expect(await summaryIn("v1.43")).toMatchObject({ RepoTags: [], RepoDigests: [] });
  await api.request("DELETE", "/containers/keeps-nameless");
  await api.request("DELETE", `/images/${id}`);
});

test("an image in use is not removed, in Docker's words; one that is not goes with its layers", async () => {
  await load(archive("used:1"));
  const answer = await api.request("POST", "/containers/create", { Image: "used:1" });
  const container: string = answer.json.Id;
  const refused = await api.request("DELETE", "/images/used:1");
  expect(refused.status).toBe(409);
  expect(refused.json.message).toMatch(
    new RegExp(
      '^conflict: unable to remove repository reference "used:1" \\(must force\\) - ' +
        `container ${container.slice(0, 12)} is using its referenced image [0-9a-f]{12}$`,
    ),
  );
  await api.request("DELETE", `/containers/${container}`);
  const removed = await api.request("DELETE", "/images/used:1");
  expect(removed.json[0]).toEqual({ Untagged: "used:1" });
  expect(removed.json).toHaveLength(3);
  expect((await api.request("DELETE", "/images/used:1")).status).toBe(404);
});

test("an empty volume gets the image's files at its place once, with their owners", async () => {
  const layer = rawTar(
    { name: "data/", type: "5", mode: 0o750, uid: 999, gid: 998 },
    { name: "data/file", content: "from the image" },
  );
  const image = dockerArchive({ layers: [layer], tags: ["vol:1"], config: { Cmd: ["/x"], Volumes: { "/data": {} } } });
  await load(image);
  const start = async (HostConfig: object) => {
    const { json } = await api.request("POST", "/containers/create", { Image: "vol:1", HostConfig });
    expect((await api.request("POST", `/containers/${json.Id}/start`)).status).toBe(204);
    return (await api.inspect(json.Id)).Mounts[0];
  };
  const anonymous = await start({});
  expect(anonymous.Name).toMatch(/^[0-9a-f]{64}$/);
  expect(readFileSync(join(anonymous.Source, "file"), "utf8")).toBe("from the image");
  expect(statSync(anonymous.Source)).toMatchObject({ uid: 999, gid: 998, mode: 0o040750 });
  const named = await start({ Binds: ["named:/data"] });
  writeFileSync(join(named.Source, "file"), "changed");
  const again = await start({ Binds: ["named:/data"] });
  expect(again.Source).toBe(named.Source);
  expect(readFileSync(join(again.Source, "file"), "utf8")).toBe("changed");
  const plain = await start({ Binds: ["plain:/data:nocopy"] });
  expect(readdirSync(plain.Source)).toEqual([]);
  expect(readdirSync(join(plain.Source, ".."))).toEqual(["_data"]);
});

test("a container shows its image's id once the name means another image", async () => {
  await load(archive("moving:1"));
  const { json: created } = await api.request("POST", "/containers/create", { Image: "moving:1" });
  const shown = async () =>
    (await api.request("GET", `/containers/json?all=1&${filters({ id: [created.Id] })}`)).json[0];
  expect((await shown()).Image).toBe("moving:1");
  await load(archive("moving:1", { Cmd: ["/other"] }));
  const { Image, ImageID } = await shown();
  expect(Image).toBe(ImageID);
  const { Data: image } = (await api.request("GET", `/images/${ImageID}/json`)).json.GraphDriver;
  const { Data: container } = (await api.request("GET", `/containers/${created.Id}/json`)).json.GraphDriver;
  expect(container.LowerDir.split(":")).toEqual([image.UpperDir, ...(image.LowerDir?.split(":") ?? [])]);
});
