// needs: cc busybox
import { afterEach, describe, expect } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { type Bundle, OciBox } from "../support/oci-box.ts";
import { crashingProgram } from "../support/program.ts";
import { strideOf } from "../support/sample.ts";
import { isAlive, isRoot, rooted, Stage } from "../support/stage.ts";

/*
 * Commands of the OCI runtime that are killed, and commands that get into each other's way: what is left is a container
 * like any other, or something that `delete --force` removes. After that there is nothing.
 */

/** Of the write points. */
const STRIDE = strideOf({ emulated: 3 });
const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const box = isRoot ? new OciBox(stage) : (undefined as unknown as OciBox);

/** The program, dead at the N-th write point; 0: at none. The output goes to a file: init has it, too. */
function crashing(at: number, args: readonly string[], log: string): { signal: string | null; code: number | null } {
  const line = [crashingProgram, "runtime", "--root", box.root, ...args];
  const { signal, status } = spawnSync(
    "sh",
    ["-c", 'log=$1; shift; exec "$@" </dev/null >"$log" 2>&1', "sh", log, ...line],
    {
      env: { ...process.env, LIGHTER_TEST_CRASH_AT: String(at) },
      timeout: 30_000,
    },
  );
  return { signal, code: status };
}

/** Processes whose environment says that they are of this container. */
function processesOf(id: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`LIGHTER_TEST_BOX=${id}`) && isAlive(pid)
        );
      } catch {
        return false; // it has just ended
      }
    });
}

const marked = (config: OciConfig, { id }: Bundle) => {
  config.process!.env!.push(`LIGHTER_TEST_BOX=${id}`);
};

/** Deletes by force, twice: the second finds nothing and says so by its exit code alone. */
function expectDeletable({ id }: Bundle): void {
  for (let round = 0; round < 2; round++)
    expect([id, box.cli(["delete", "--force", id])]).toEqual([id, { code: 0, out: "", err: "" }]);
  expect(existsSync(join(box.root, id))).toBe(false);
  expect(stage.leftovers()).toEqual([]);
  expect(processesOf(id)).toEqual([]);
}

afterEach(() => {
  if (isRoot) expect(stage.leftovers()).toEqual([]);
});

describe("a command that dies by SIGKILL at any write point leaves what delete --force removes", () => {
  const sleeper = ["/bin/sleep", "1000"];
  const commands: Record<string, { before: string[][]; args: (bundle: Bundle) => string[]; hooks?: boolean }> = {
    create: {
      before: [],
      args: ({ id, directory }) => ["create", "--bundle", directory, "--pid-file", join(directory, "pid"), id],
      hooks: true,
    },
    "run --detach": { before: [], args: ({ id, directory }) => ["run", "--detach", "--bundle", directory, id] },
    start: { before: [["create"]], args: ({ id }) => ["start", id] },
    "exec --detach": {
      before: [["create"], ["start"]],
      args: ({ id }) => ["exec", "--detach", id, "/bin/sleep", "1000"],
    },
    delete: { before: [["create"], ["start"]], args: ({ id }) => ["delete", "--force", id], hooks: true },
  };
  for (const [name, { before, args, hooks }] of Object.entries(commands))
    rooted(name, () => {
      let at = 1;
      for (let ended = false; !ended; at += STRIDE) {
        const bundle = box.bundle(sleeper, (config, own) => {
          marked(config, own);
          const hook = [{ path: "/bin/true" }];
          if (hooks) config.hooks = { createRuntime: hook, poststop: hook };
        });
        const log = join(bundle.directory, "log");
        for (const [command] of before) {
          const given =
            command === "create" ? ["create", "--bundle", bundle.directory, bundle.id] : [command!, bundle.id];
          expect([crashing(0, given, log), readFileSync(log, "utf8")]).toEqual([{ signal: null, code: 0 }, ""]);
        }
        const { signal, code } = crashing(at, args(bundle), log);
        const said = readFileSync(log, "utf8");
        if (signal === "SIGKILL") expect(said).toContain(`crash at write point ${at}: `);
        else expect([code, said]).toEqual([0, ""]);
        ended = signal === null;
        // Also as others see it: by its state, and in the list.
        if (existsSync(join(box.root, bundle.id, "state.json")))
          expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toMatch(/^(created|running|stopped)$/);
        expect(box.cli(["list", "--quiet"]).code).toBe(0);
        expectDeletable(bundle);
      }
      expect(at).toBeGreaterThan(3); // it has write points
    });
});

rooted("create that dies by SIGKILL at any moment leaves what delete --force removes", async () => {
  const deaths = { early: 0, late: 0 };
  for (let after = 0; after < 45; after += 3) {
    const bundle = box.bundle(["/bin/sleep", "1000"], marked);
    const child = spawn(box.program, ["--root", box.root, "create", "--bundle", bundle.directory, bundle.id], {
      stdio: "ignore",
    });
    const exited = once(child, "exit");
    const timer = setTimeout(() => child.kill("SIGKILL"), after);
    await exited;
    clearTimeout(timer);
    deaths[child.signalCode === "SIGKILL" ? "early" : "late"]++;
    expectDeletable(bundle);
  }
  expect(deaths.early).toBeGreaterThan(0);
});

rooted(
  "a launcher that dies by SIGKILL while its container is created fails the create, and nothing is left",
  async () => {
    const bundle = box.bundle(["/bin/sleep", "1000"], (config, own) => {
      marked(config, own);
      // By the launcher's child's parent: the launcher, whose own name says so.
      const kill =
        "read state; pid=$(echo \"$state\" | sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); kill -9 $(awk '/^PPid/ { print $2 }' /proc/$pid/status)";
      config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", kill], env: ["PATH=/usr/bin:/bin"] }] };
    });
    const log = join(bundle.directory, "log");
    const { code } = crashing(0, ["create", "--bundle", bundle.directory, bundle.id], log);
    expect([code, readFileSync(log, "utf8")]).toEqual([1, expect.stringContaining("create failed: ")]);
    expect(existsSync(join(box.root, bundle.id))).toBe(false);
    expectDeletable(bundle);
  },
);

/** Exit codes and errors of all, run at the same time. */
async function atOnce(lines: readonly (readonly string[])[]): Promise<{ code: number | null; err: string }[]> {
  return await Promise.all(
    lines.map(async (args, index) => {
      const log = join(box.directory, `at-once-${index}`);
      const line = [
        "-c",
        'log=$1; shift; exec "$@" </dev/null >/dev/null 2>"$log"',
        "sh",
        log,
        box.program,
        "--root",
        box.root,
        ...args,
      ];
      const child = spawn("sh", line, { stdio: "ignore" });
      await once(child, "exit");
      const err = readFileSync(log, "utf8");
      rmSync(log);
      return { code: child.exitCode, err };
    }),
  );
}

describe("of commands for one name at the same time", () => {
  rooted("one create makes the container, and the others say that it exists", async () => {
    const bundle = box.bundle(["/bin/sleep", "1000"], marked);
    const create = ["create", "--bundle", bundle.directory, bundle.id];
    const ran = await atOnce(Array.from({ length: 8 }, () => create));
    expect(ran.filter(({ code }) => code === 0).length).toBe(1);
    for (const { code, err } of ran) if (code !== 0) expect(err).toContain("exist");
    expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("created");
    expect(box.cli(["start", bundle.id])).toEqual({ code: 0, out: "", err: "" });
    expect(processesOf(bundle.id).length).toBe(1);
    expectDeletable(bundle);
  });

  rooted("one start starts it, and the others say that it runs", async () => {
    const bundle = box.bundle("echo once >> /data/count; exec sleep 1000", marked);
    expect((await atOnce([["create", "--bundle", bundle.directory, bundle.id]]))[0]!.code).toBe(0);
    const ran = await atOnce(Array.from({ length: 6 }, () => ["start", bundle.id]));
    expect(ran.filter(({ code }) => code === 0).length).toBe(1);
    for (const { code, err } of ran) if (code !== 0) expect(err).toContain("already running");
    while (!existsSync(join(bundle.rootfs, "data/count"))) await new Promise((resolve) => setTimeout(resolve, 2));
    expect(readFileSync(join(bundle.rootfs, "data/count"), "utf8")).toBe("once\n");
    expectDeletable(bundle);
  });

  rooted("one delete deletes it, with --force all are content", async () => {
    const bundle = box.bundle(["/bin/sleep", "1000"], marked);
    const create = ["create", "--bundle", bundle.directory, bundle.id];
    await atOnce([create]);
    const plain = await atOnce(Array.from({ length: 6 }, () => ["delete", bundle.id]));
    expect(plain.filter(({ code }) => code === 0).length).toBe(1);
    for (const { code, err } of plain) if (code !== 0) expect(err).toContain("does not exist");
    await atOnce([create]);
    const forced = await atOnce(Array.from({ length: 6 }, () => ["delete", "--force", bundle.id]));
    expect(forced).toEqual(Array.from({ length: 6 }, () => ({ code: 0, err: "" })));
    expectDeletable(bundle);
  });

  rooted("creates and deletes in any order leave one container or none, and the name free in the end", async () => {
    const bundle = box.bundle(["/bin/sleep", "1000"], marked);
    for (let round = 0; round < 5; round++) {
      const lines = Array.from({ length: 10 }, (_, index) =>
        index % 2 === 0 ? ["create", "--bundle", bundle.directory, bundle.id] : ["delete", "--force", bundle.id],
      );
      const ran = await atOnce(lines);
      for (const [index, { code, err }] of ran.entries())
        if (index % 2 === 1) expect([code, err]).toEqual([0, ""]);
        else if (code !== 0) expect(err).toMatch(/exist|deleted/);
      const state = box.cli(["state", bundle.id]);
      if (state.code === 0) expect(JSON.parse(state.out).status).toBe("created");
      expectDeletable(bundle);
    }
    expect((await atOnce([["create", "--bundle", bundle.directory, bundle.id]]))[0]).toEqual({ code: 0, err: "" });
    expectDeletable(bundle);
  });
});

rooted("a container whose program is gone by its start ends with exit code 255, by no signal", () => {
  const bundle = box.bundle(["/bin/gone"], (config, own) => {
    marked(config, own);
    // The first process of a pid namespace gets no signals that it does not expect, SIGPIPE among them.
    config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "pid");
  });
  writeFileSync(join(bundle.rootfs, "bin/gone"), "#!/bin/sh\n", { mode: 0o755 });
  // Perl is the first process of a pid namespace, and so inherits init, as whoever calls a runtime does.
  const parent = `my ($runtime, $root, $directory, $id) = @ARGV;
    system("$runtime --root $root create --bundle $directory --pid-file $directory/pid $id </dev/null >/dev/null") == 0 or die;
    unlink "$directory/rootfs/bin/gone" or die;
    system("$runtime --root $root start $id");
    open(my $file, "$directory/pid"); my $init = <$file>;
    while ((my $pid = wait) > 0) { $pid == $init and print $? >> 8, " ", $? & 127, "\\n" }`;
  const ran = spawnSync(
    "unshare",
    ["-pf", "--mount-proc", "perl", "-e", parent, box.program, box.root, bundle.directory, bundle.id],
    {
      encoding: "utf8",
    },
  );
  expect(ran.stdout).toBe("255 0\n");
  expectDeletable(bundle);
});
