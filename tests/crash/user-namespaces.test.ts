import { expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

/** Every one between ids being asked for and being given back. */
const WRITE_POINTS = [
  "insert container",
  "inserted container",
  "set id mappings",
  "was set id mappings",
  "start process",
  "started process",
  "set removing",
  "was set removing",
  "remove directory",
  "delete container",
  "deleted container",
];

const sleeper = (UsernsMode?: string) => ({
  Cmd: ["/bin/sleep", "1000"],
  HostConfig: { ...hostUsr, ...(UsernsMode === undefined ? {} : { UsernsMode }) },
});

/** First host id of each container that runs. */
async function firstIds(daemon: TestDaemon): Promise<number[]> {
  const { json } = await daemon.request("GET", "/containers/json");
  const pids = await Promise.all(
    (json as { Id: string }[]).map(async ({ Id }) => (await daemon.inspect(Id)).State.Pid),
  );
  return pids.map((pid) => Number(/^\s*0\s+(\d+)/.exec(readFileSync(`/proc/${pid}/uid_map`, "utf8"))![1]));
}

for (const point of WRITE_POINTS)
  rooted(`kill -9 at "${point}": no two containers ever have the same ids`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "lighter-userns-"));
    const settings = join(directory, "daemon.json");
    writeFileSync(settings, "{}");
    try {
      await using daemon = await TestDaemon.start({ flags: ["--config-file", settings] });
      const before = await daemon.run(sleeper("auto"), "before");
      await daemon.create(sleeper(), "remapped");
      await daemon.kill();
      // From now on who does not say gets a range, too, at its next start.
      writeFileSync(settings, '{"userns-remap": "auto"}');
      await daemon.launch({ LIGHTER_TEST_CRASH_AT: point });
      const tell = async () => {
        await daemon.request("POST", "/containers/remapped/start");
        await daemon.run(sleeper("auto"), "next");
        await daemon.request("DELETE", "/containers/next?force=1");
        await daemon.run(sleeper("auto"), "last");
      };
      await tell().catch(() => {}); // the daemon dies over it
      await daemon.ended();
      expect(daemon.log).toContain(`: ${point}\n`);
      await daemon.launch();
      for (const name of ["remapped", "next", "last"]) {
        const { status } = await daemon.request("POST", `/containers/${name}/start`);
        if (status === 404) await daemon.run(sleeper("auto"), name);
      }
      const ids = await firstIds(daemon);
      expect(ids).toHaveLength(4);
      expect(new Set(ids).size).toBe(4);
      expect(await firstIds(daemon)).toContain(0x7000_0000);
      expect((await daemon.inspect(before)).State.Running).toBe(true);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
