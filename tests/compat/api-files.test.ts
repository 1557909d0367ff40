/** What is done with files of containers, images and volumes, however they were made: measured, removed. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AT_FDCWD } from "../../src/linux/sys/abi.ts";
import { bytePath, O_DIRECTORY, O_RDONLY, openat, tryMkdirat } from "../../src/linux/sys/fs.ts";
import { ApiServer } from "../support/api-server.ts";
import { eventually } from "../support/eventually.ts";

let api: ApiServer;

beforeAll(async () => {
  api = await ApiServer.start();
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
});

const upperOf = (id: string) => api.engine.paths.container(id).upper;

/** In a depth that no path can name, with a file of `bytes` at the end. */
function makeDeep(path: string, bytes: number): void {
  let at = openat(AT_FDCWD, bytePath(path), O_RDONLY | O_DIRECTORY);
  for (let level = 0; level < 300; level++) {
    expect(tryMkdirat(at, "a directory with a name", 0o755)).toBe(0);
    const next = openat(at, "a directory with a name", O_RDONLY | O_DIRECTORY);
    closeSync(at);
    at = next;
  }
  writeFileSync(`/proc/self/fd/${at}/file`, "x".repeat(bytes));
  closeSync(at);
}

test("sizes are of what is in the container, whatever its symlinks lead to and however deep it is", async () => {
  const ids = [await api.create({}), await api.create({})] as [string, string];
  for (const id of ids) mkdirSync(upperOf(id), { recursive: true });
  const outside = join(api.directory, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "large"), "x".repeat(5000));
  symlinkSync(outside, join(upperOf(ids[0]), "link"));
  writeFileSync(join(upperOf(ids[0]), "own"), "123");
  makeDeep(upperOf(ids[1]), 7);
  const expected = new Map([
    [ids[0], 3],
    [ids[1], 7],
  ]);
  const sizes = (list: { Id: string; SizeRw?: number }[]) => new Map(list.map(({ Id, SizeRw }) => [Id, SizeRw]));
  for (const [id, bytes] of expected)
    expect((await api.request("GET", `/containers/${id}/json?size=1`)).json.SizeRw).toBe(bytes);
  expect(sizes((await api.request("GET", "/containers/json?all=1&size=1")).json)).toEqual(
    new Map([...expected].reverse()),
  );
  expect(sizes((await api.request("GET", "/system/df")).json.Containers)).toEqual(new Map([...expected].reverse()));
  for (const id of ids) expect((await api.request("DELETE", `/containers/${id}`)).status).toBe(204);
  await api.engine.idle();
  const { containers, removedContainers } = api.engine.paths;
  await eventually(() => expect(readdirSync(removedContainers)).toEqual([]));
  expect(readdirSync(containers)).toEqual([".removed"]);
  expect(existsSync(join(outside, "large"))).toBe(true);
});

test("the volumes of a removed container are gone when the answer comes", async () => {
  const id = await api.create({ Volumes: { "/one": {}, "/two": {} } });
  const names = async () =>
    (await api.request("GET", "/volumes")).json.Volumes.map(({ Name }: { Name: string }) => Name);
  expect((await names()).length).toBe(2);
  expect((await api.request("DELETE", `/containers/${id}?v=1`)).status).toBe(204);
  expect(await names()).toEqual([]);
  const volumes = readdirSync(api.engine.paths.volumes);
  expect(volumes).toEqual([".removed"]);
});

test("what a daemon has removed and not deleted is counted, and deleted by the next one", async () => {
  const removed = api.engine.paths.removedContainers;
  await api.restart(() => mkdirSync(join(removed, "left/by/an/earlier"), { recursive: true }));
  await eventually(() => expect(readdirSync(removed)).toEqual([]));
  await eventually(async () => {
    const { json } = await api.request("GET", "/system/df");
    expect(json.PendingRemovals).toBeUndefined();
  });
});

test("an export goes into a connection that is used further, and to clients that know no chunks", async () => {
  const id = await api.create({});
  mkdirSync(upperOf(id), { recursive: true });
  const content = Buffer.alloc(3 * 1024 * 1024, "some text. ");
  writeFileSync(join(upperOf(id), "large"), content);
  const connection = await api.open(`GET /containers/${id}/export HTTP/1.1\r\nHost: d\r\n\r\n`);
  await connection.until((text) => text.endsWith("\r\n0\r\n\r\n"));
  connection.socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
  const text = await connection.untilEnd();
  expect(text.endsWith("OK")).toBe(true);
  expect(text.split("HTTP/1.1 200 OK\r\n").length).toBe(3);
  const [, chunks = ""] = text.split("\r\n\r\n", 2);
  expect(text).toContain("Transfer-Encoding: chunked");
  expect(chunks.startsWith("100000\r\n")).toBe(true);
  const plain = await api.open(`GET /containers/${id}/export HTTP/1.0\r\n\r\n`);
  const old = await plain.untilEnd();
  expect(old.toLowerCase()).not.toContain("chunked");
  expect(old).toContain(content.toString());
});
