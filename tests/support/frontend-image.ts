/** The image "frontend:1", whose program is a front end of BuildKit: `test-frontend.ts`, with Bun and its libraries. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestDaemon } from "./daemon.ts";
import { dockerArchive } from "./image-archive.ts";
import { rawTar } from "./image-tar.ts";

/** `mark`: a word in the command line of its process. */
export async function loadFrontend(daemon: TestDaemon, mark: string): Promise<void> {
  const entrypoints = [join(import.meta.dirname, "test-frontend.ts")];
  const { outputs } = await Bun.build({ entrypoints, target: "bun" });
  const libraries = spawnSync("ldd", [process.execPath]).stdout.toString().match(/\/\S+/g) ?? [];
  const layer = rawTar(
    { name: "frontend.js", content: await outputs[0]!.text() },
    { name: "bun", mode: 0o755, content: readFileSync(process.execPath) },
    ...libraries.map((path) => ({ name: path.slice(1), mode: 0o755, content: readFileSync(path) })),
    { name: "tmp", type: "5", mode: 0o1777 },
  );
  const archive = dockerArchive({
    layers: [layer],
    tags: ["frontend:1"],
    config: { Entrypoint: ["/bun", "/frontend.js", mark] },
  });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
}
