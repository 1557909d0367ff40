import { expect } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/** As in a container without a volume for it: overlays cannot write to one. */
testIf(isRoot, "needs root")(
  "a data root that is on an overlay is told of, at the daemon's start and at a container's",
  async () => {
    const directory = mkdtempSync(join(process.env.LIGHTER_TEST_DIR ?? tmpdir(), "lighter-overlay-"));
    const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => join(directory, name));
    for (const path of [lower, upper, work, merged]) mkdirSync(path!);
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    expect(spawnSync("mount", ["-t", "overlay", "-o", options, "overlay", merged!]).status).toBe(0);
    try {
      await using daemon = await TestDaemon.start({ dataRoot: join(merged!, "data") });
      expect(daemon.log).toContain("is on an overlay");
      const id = await daemon.create({ Cmd: ["/bin/true"], HostConfig: hostUsr });
      const { status, json } = await daemon.request("POST", `/containers/${id}/start`);
      expect([status, json.message]).toEqual([500, expect.stringContaining("cannot be on an overlay")]);
    } finally {
      spawnSync("umount", ["--lazy", merged!]);
      rmSync(directory, { recursive: true });
    }
  },
);
