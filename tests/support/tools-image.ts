/** An image with a shell and a few tools, for builds in tests. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { TestDaemon } from "./daemon.ts";
import { dockerArchive } from "./image-archive.ts";
import { rawTar } from "./image-tar.ts";
import { isRoot } from "./stage.ts";
import { testIf } from "./test-if.ts";

const BUSYBOX = "/bin/busybox";
const isStatic = existsSync(BUSYBOX) && spawnSync("ldd", [BUSYBOX]).status !== 0;

export const canBuild = isRoot && isStatic;
/** A test that builds with `tools:1`. */
export const buildTest = testIf(canBuild, isRoot ? "no static busybox here" : "needs root");

const PROGRAMS = "sh cat chown env find ln ls mkdir readlink sleep sort stat touch wc".split(" ");

/** Loads the image "tools:1" into the daemon. */
export async function loadTools(daemon: TestDaemon): Promise<void> {
  const links = PROGRAMS.map((name) => ({ name: `bin/${name}`, type: "2", linkName: "busybox" }));
  const layer = rawTar(
    { name: "bin/busybox", mode: 0o755, content: readFileSync(BUSYBOX) },
    ...links,
    { name: "etc/passwd", content: "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n" },
    { name: "etc/group", content: "root:x:0:\nuser:x:1000:\n" },
  );
  const config = { Cmd: ["/bin/sh"], Env: ["PATH=/bin"] };
  const archive = dockerArchive({ layers: [layer], tags: ["tools:1"], config });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
}
