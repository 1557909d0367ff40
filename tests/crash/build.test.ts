/** `kill -9` of the daemon while it builds, at each of its write points. */
import { afterAll, beforeAll, expect } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { TestDaemon } from "../support/daemon.ts";
import { rawTar } from "../support/image-tar.ts";
import { buildTest, canBuild, loadTools } from "../support/tools-image.ts";

let daemon: TestDaemon;

beforeAll(async () => {
  if (!canBuild) return;
  daemon = await TestDaemon.start();
  await loadTools(daemon);
});

afterAll(() => daemon?.[Symbol.asyncDispose]());

/** A build whose steps no other build has. */
const contextOf = (word: string) =>
  rawTar(
    {
      name: "Dockerfile",
      content: ["FROM tools:1", `RUN echo ${word} > /made`, "COPY file /file", "RUN cat /made /file > /both"].join(
        "\n",
      ),
    },
    { name: "file", content: `copied ${word}\n` },
  );

const build = (word: string) =>
  daemon.request("POST", `/build?networkmode=none&t=${word}:1`, contextOf(word), {
    "Content-Type": "application/x-tar",
  });

/** The layers after the last test. */
let known: string[] | undefined;
const layers = () => readdirSync(join(daemon.dataRoot, "image/l")).sort();

for (const [index, point] of ["write snapshot", "start guest", "move step's layer", "changed images"].entries())
  buildTest(`a daemon that dies at "${point}" of a build leaves nothing but cache that the next one uses`, async () => {
    const word = `word${index}`;
    await daemon.kill();
    await daemon.launch({ LIGHTER_TEST_CRASH_AT: point });
    if (known !== undefined) expect(layers()).toEqual(known); // nothing was there that no row has
    await build(word).catch(() => undefined);
    await daemon.ended();
    expect(daemon.log).toContain(`: ${point}`);

    await daemon.launch();
    expect(daemon.leftovers([])).toEqual([]);
    expect((await daemon.request("GET", "/containers/json?all=1")).json).toEqual([]);
    const { text } = await build(word);
    expect(text).toContain("Successfully built");
    const id = await daemon.create({
      Image: `${word}:1`,
      Cmd: ["/bin/cat", "/both"],
      HostConfig: { NetworkMode: "none" },
    });
    await daemon.request("POST", `/containers/${id}/start`);
    await daemon.request("POST", `/containers/${id}/wait`);
    const { text: logs } = await daemon.request("GET", `/containers/${id}/logs?stdout=1`);
    expect(logs.replace(/\u0001\0\0\0.{4}/gs, "")).toBe(`${word}\ncopied ${word}\n`);
    await daemon.request("DELETE", `/containers/${id}`);
    known = layers();
  });
