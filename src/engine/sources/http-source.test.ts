import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { DownloadTable } from "./download-table.ts";
import { get } from "./http-source.ts";

test.each([
  ["announced", true],
  ["that comes in pieces", false],
])("a file %s that is longer than the limit is refused, one of that length is not", async (_how, isAnnounced) => {
  const body = () =>
    isAnnounced
      ? "0123456789"
      : new ReadableStream({
          start(controller) {
            for (const piece of ["01234", "56789"]) controller.enqueue(Buffer.from(piece));
            controller.close();
          },
        });
  using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body()) });
  const url = `http://127.0.0.1:${server.port}/file`;
  const { signal } = new AbortController();
  const read = async (maxBytes: number) => {
    const { pieces } = await get(url, { signal, maxBytes });
    let text = "";
    for await (const piece of pieces()) text += Buffer.from(piece).toString();
    return text;
  };
  expect(await read(10)).toBe("0123456789");
  await expect(read(9)).rejects.toThrow(`${url} has more than 9 bytes, the limit of a build's downloads`);
});

test("a table of downloads keeps those that were asked for last", () => {
  const db = new Database(":memory:");
  db.run("CREATE TABLE download (url TEXT PRIMARY KEY, etag TEXT, modified TEXT, digest TEXT, last_used_ms INTEGER)");
  const table = new DownloadTable(db);
  const row = (etag: string) => ({ etag, modified: "", digest: "sha256:0" });
  table.note("a", row("1"));
  table.note("a", row("2"));
  expect([table.find("a"), table.find("b")]).toEqual([row("2"), undefined]);
  db.run("UPDATE download SET last_used_ms = 0");
  for (let index = 0; index < 1000; index++) table.note(`${index}`, row(""));
  expect([table.find("a"), table.find("0") !== undefined]).toEqual([undefined, true]);
});
