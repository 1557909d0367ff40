// needs: busybox
/**
 * Machines over many lives of the daemon, and the daemon over many lives of machines: consoles lose no byte, and nothing is
 * left. LIGHTER_TEST_KILLS and LIGHTER_TEST_BOOTS say how many (200 for a proof, by hand).
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { lighterCommand } from "../compat/cli-support.ts";
import { TestDaemon } from "../support/daemon.ts";
import { eventually, until } from "../support/eventually.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { busyboxRoot } from "../support/machine-root.ts";
import { isEmulated } from "../support/sample.ts";
import { isRoot, rootedWith } from "../support/stage.ts";
import { TerminalSession } from "../support/terminal.ts";

const KILLS = Number(process.env.LIGHTER_TEST_KILLS ?? (isEmulated ? 2 : 8));
const BOOTS = Number(process.env.LIGHTER_TEST_BOOTS ?? (isEmulated ? 3 : 8));
const PATIENCE_MS = 60_000;
const TIMEOUT_MS = 170_000 + (KILLS + BOOTS) * 10_000;

const here = rootedWith("busybox");
let daemon: TestDaemon;
const sessions: TerminalSession[] = [];

beforeAll(async () => {
  if (!isRoot || Bun.which("busybox") === null) return;
  daemon = await TestDaemon.start();
  const archive = dockerArchive({ layers: [rawTar(...busyboxRoot())], tags: ["init:busybox"], config: {} });
  await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
});
afterAll(async () => {
  for (const session of sessions) session.close();
  await daemon?.[Symbol.asyncDispose]();
});

const run = (Cmd?: string[]) =>
  daemon.run({ Image: "init:busybox", Tty: true, HostConfig: { Runtime: "machine" }, ...(Cmd ? { Cmd } : {}) });
const logOf = async (id: string) => (await daemon.request("GET", `/containers/${id}/logs?stdout=1`)).text;

here(
  "consoles outlive the daemon's lives, whenever a key is pressed, and not a line that a machine says is lost or said twice",
  async () => {
    // An echo could come between a line and its end.
    const says = `/bin/busybox stty -echo; (i=0; while :; do echo "line $i"; i=$((i+1)); /bin/busybox usleep 20000; done) &
      while read -r x; do echo "got <$x>"; done`;
    const id = await run(["/bin/sh", "-c", says]);
    const env = { LIGHTER_HOST: `unix://${daemon.socketPath}` };
    for (let i = 0; i < 2; i++)
      sessions.push(new TerminalSession([...lighterCommand, "machine", "console", id], { env }));
    for (const session of sessions) await until(() => session.isRaw, "it is at the console");
    for (let kill = 0; kill < KILLS; kill++) {
      const killed = daemon.kill();
      for (const session of sessions) session.type("\r");
      await killed;
      await daemon.launch();
      for (const [index, session] of sessions.entries()) {
        const name = `${kill} of ${index}`;
        await eventually(async () => {
          session.type(`${name}\r`); // what is typed between two lives may be lost, what is said is not
          expect(await session.showsWithin(`got <${name}>`, 1000)).toBe(true);
        }, PATIENCE_MS);
      }
    }
    await daemon.request("POST", `/containers/${id}/kill`);
    const lines = [...(await logOf(id)).matchAll(/line (\d+)\r\n/g)].map(([, digits]) => Number(digits));
    expect(lines.length).toBeGreaterThan(KILLS);
    expect(lines).toEqual(lines.map((_, index) => index));
    await daemon.request("DELETE", `/containers/${id}?force=1`);
  },
  TIMEOUT_MS,
);

type Held = Record<"kept" | "children" | "processes" | "links" | "mounts" | "files", number>;

/** What the daemon, and whoever works for it, has of machines that have gone. */
function held(): Held {
  const proc = `/proc/${daemon.pid}`;
  const targets = readdirSync(`${proc}/fd`).map((fd) => linkOf(`${proc}/fd/${fd}`));
  const network = linkOf(`${proc}/ns/net`); // no other daemon's: whoever is in it works for this one
  return {
    kept: targets.filter((target) => /pidfd|net:|mnt:/.test(target)).length,
    children: readFileSync(`${proc}/task/${daemon.pid}/children`, "utf8").trim().split(" ").filter(Boolean).length,
    processes: readdirSync("/proc").filter((pid) => /^\d/.test(pid) && linkOf(`/proc/${pid}/ns/net`) === network)
      .length,
    links: readFileSync(`${proc}/net/dev`, "utf8").match(/^ *veth\S*:/gm)?.length ?? 0,
    mounts: readFileSync(`${proc}/mountinfo`, "utf8")
      .split("\n")
      .filter((line) => line.includes(daemon.directory)).length,
    files: readdirSync(daemon.execRoot, { recursive: true }).length,
  };
}

/** The target of a link in /proc; "" if it has gone meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

here(
  "nothing is left of machines that have booted and gone: no cgroup, mount, interface, descriptor, process or range of ids",
  async () => {
    const ids: string[] = [];
    /** Boots a machine, ends and removes it. Returns the first of its ids on the host. */
    const boot = async (end: string) => {
      const id = await run();
      ids.push(id);
      await until(async () => (await logOf(id)).includes("up\r\n"), "it is up");
      const uidMap = readFileSync(`/proc/${(await daemon.inspect(id)).State.Pid}/uid_map`, "utf8");
      await daemon.request("POST", `/containers/${id}/${end}`);
      await daemon.request("DELETE", `/containers/${id}?force=1`);
      await until(() => daemon.leftovers(ids).every((path) => !ids.some((each) => path.includes(each))), "it has gone");
      return Number(uidMap.trim().split(/\s+/)[1]);
    };
    // A worker that has ended has no namespaces any more, but the daemon has it, and a descriptor of it, until it is reaped.
    const atRest = () =>
      eventually(() => {
        const now = held();
        expect(now).toMatchObject({ children: 0, kept: 0 });
        return now;
      }, PATIENCE_MS);
    const { processes } = await atRest();
    const first = await boot("stop?t=60");
    await until(() => held().processes === processes, "its supervisor has gone");
    const before = await atRest(); // what the first has made the daemon open, it keeps
    for (let i = 0; i < BOOTS; i++) await boot(i % 2 === 0 ? "kill" : "stop?t=60");
    // The lowest range is taken that is free, as it is when the last file of its machine has gone.
    await eventually(async () => expect(await boot("kill")).toBeLessThanOrEqual(first), PATIENCE_MS);
    await eventually(() => expect(held()).toEqual(before), PATIENCE_MS);
  },
  TIMEOUT_MS,
);
