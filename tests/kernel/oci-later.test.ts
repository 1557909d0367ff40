// needs: cc busybox ps
import { afterEach, beforeAll, describe, expect } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import type { Op, Program } from "../../src/linux/program/op.ts";
import { compileLater } from "../../src/runtime/later.ts";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { type Bundle, OciBox, type Ran, script } from "../support/oci-box.ts";
import { isAlive, isRoot, rooted, Stage } from "../support/stage.ts";

/*
 * The programs of a created container's later commands. They are played by a copy of dist/lighter-runtime beside a
 * `lighter` that only notes that it was called: so one sees what was done without it, and what was left to it.
 */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const box = isRoot ? new OciBox(stage) : (undefined as unknown as OciBox);
const folder = isRoot ? join(box.directory, "alone") : "";
const called = join(folder, "called");
const SLEEP = "while :; do sleep 1; done";
const LEFT = 42;

beforeAll(() => {
  if (!isRoot) return;
  mkdirSync(folder);
  copyFileSync("dist/lighter-runtime", join(folder, "lighter-runtime"));
  script(join(folder, "lighter"), `#!/bin/sh\necho "$@" >>${called}\nexit ${LEFT}\n`);
});

afterEach(() => {
  if (isRoot) rmSync(called, { force: true });
});

/** Without `lighter`. */
function alone(...args: string[]): Ran {
  return box.runtime(join(folder, "lighter-runtime"), args);
}

const DONE: Ran = { code: 0, out: "", err: "" };
const LEFT_TO_LIGHTER: Ran = { code: LEFT, out: "", err: "" };

function statusOf({ id }: Bundle): string {
  return JSON.parse(box.cli(["state", id]).out).status;
}

function stateOf({ id }: Bundle): { pid: number; pidStartTime: number; cgroupsPath: string } {
  return JSON.parse(readFileSync(join(box.root, id, "state.json"), "utf8"));
}

/** The whole life of a created container, in the hands of `act`. */
function created(act: (bundle: Bundle) => void, change?: (config: OciConfig, bundle: Bundle) => void): void {
  const bundle = box.bundle(SLEEP, change);
  box.running(bundle, () => act(bundle), "create");
}

async function ended(pid: number): Promise<void> {
  while (isAlive(pid)) await Bun.sleep(1);
}

describe("later commands of a created container", () => {
  rooted("start, kill and delete need no lighter, and do what they do with it", async () => {
    const bundle = box.bundle(SLEEP);
    await box.running(
      bundle,
      async () => {
        const { pid } = stateOf(bundle);
        expect(statusOf(bundle)).toBe("created");
        expect(alone("start", bundle.id)).toEqual(DONE);
        expect(statusOf(bundle)).toBe("running");
        expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).toStartWith("/bin/sh\0");
        expect(existsSync(join(box.root, bundle.id, "exec.fifo"))).toBe(false);
        expect(alone("kill", bundle.id, "KILL")).toEqual(DONE);
        await ended(pid);
        expect(alone("delete", bundle.id)).toEqual(DONE);
        expect(existsSync(join(box.root, bundle.id))).toBe(false);
        expect(stage.leftovers()).toEqual([]);
        expect(existsSync(called)).toBe(false);
      },
      "create",
    );
  });

  rooted("delete right after a kill waits for the end, without lighter", async () => {
    for (let round = 0; round < 20; round++) {
      const bundle = box.bundle(SLEEP);
      await box.running(
        bundle,
        async () => {
          expect(alone("start", bundle.id)).toEqual(DONE);
          expect(alone("kill", bundle.id, "KILL")).toEqual(DONE);
          expect(alone("delete", bundle.id)).toEqual(DONE);
          expect(existsSync(join(box.root, bundle.id))).toBe(false);
        },
        "create",
      );
    }
    expect(existsSync(called)).toBe(false);
  });

  rooted("state says in every state what lighter says", async () => {
    const bundle = box.bundle(SLEEP, (config) => {
      config.annotations = { "org.example.näme": 'a "text"\n' };
    });
    const { id } = bundle;
    const program = resolve("dist/lighter");
    const same = (status: string) => {
      const ran = alone("state", id);
      expect(ran).toEqual(box.runtime(program, ["state", id], { argv0: "lighter-runtime" }));
      expect(JSON.parse(ran.out).status).toBe(status);
    };
    await box.running(
      bundle,
      async () => {
        same("created");
        expect(alone("start", id)).toEqual(DONE);
        same("running");
        expect(box.cli(["pause", id]).code).toBe(0);
        expect(alone("state", id)).toEqual(LEFT_TO_LIGHTER);
        expect(box.cli(["resume", id]).code).toBe(0);
        const { pid } = stateOf(bundle);
        expect(alone("kill", id, "KILL")).toEqual(DONE);
        await ended(pid);
        same("stopped");
        expect(alone("delete", id)).toEqual(DONE);
        expect(alone("state", id)).toEqual(LEFT_TO_LIGHTER);
      },
      "create",
    );
  });

  rooted("a state that is too long to be written at once is left to lighter", () => {
    created(
      ({ id }) => {
        expect(existsSync(join(box.root, id, "state.program"))).toBe(false);
        expect(alone("state", id)).toEqual(LEFT_TO_LIGHTER);
      },
      (config) => {
        config.annotations = { long: "x".repeat(4096) };
      },
    );
  });

  rooted("signals by name and number, and the log that is asked for", async () => {
    const traps = 'for s in HUP TERM USR1 USR2; do trap "echo $s >>/data/got" $s; done; echo ready >/data/got';
    const bundle = box.bundle(`${traps}; while :; do sleep 0.02; done`);
    const got = join(bundle.rootfs, "data/got");
    const log = join(bundle.directory, "log");
    await box.running(
      bundle,
      async () => {
        const heard = async (text: string) => {
          while (!(existsSync(got) && readFileSync(got, "utf8").includes(text))) await Bun.sleep(1);
        };
        expect(alone("--log", log, "--log-format", "json", "start", bundle.id)).toEqual(DONE);
        expect(readFileSync(log, "utf8")).toBe("");
        await heard("ready");
        for (const [signal, name] of [
          ["SIGHUP", "HUP"],
          ["10", "USR1"],
          ["USR2", "USR2"],
          [undefined, "TERM"],
        ]) {
          expect(alone(`--log=${log}`, "kill", bundle.id, ...(signal === undefined ? [] : [signal]))).toEqual(DONE);
          await heard(name!);
        }
        expect(existsSync(called)).toBe(false);
      },
      "create",
    );
  });

  rooted("what is said in another way is left to lighter, word for word", () => {
    created(({ id }) => {
      const lines = [
        ["kill", "--all", id],
        ["kill", id, "RTMIN"],
        ["kill", id, "0"],
        ["kill", id, "65"],
        ["kill", id, "NONSENSE"],
        ["kill", id, "TERM", "more"],
        ["start"],
        ["start", id, "more"],
        ["start", "--help"],
        ["start", `../${id}`],
        ["start", ".."],
        ["delete", "--force", "nobody"],
        ["--debug", "start", id],
        ["--log-format", "xml", "start", id],
        ["--log", "/no/such/folder/log", "start", id],
        ["--rootless", "true", "start", id],
        ["list", "-q"],
        ["--version"],
      ];
      for (const line of lines) {
        rmSync(called, { force: true });
        expect([line, alone(...line)]).toEqual([line, LEFT_TO_LIGHTER]);
        expect(readFileSync(called, "utf8")).toBe(`--root ${box.root} ${line.join(" ")}\n`);
      }
    });
  });

  rooted("a container in another state is left as it is", async () => {
    const bundle = box.bundle(SLEEP);
    const { id } = bundle;
    await box.running(
      bundle,
      async () => {
        expect(alone("delete", id)).toEqual(LEFT_TO_LIGHTER); // not stopped
        expect(statusOf(bundle)).toBe("created");
        expect(alone("start", id)).toEqual(DONE);
        expect(alone("start", id)).toEqual(LEFT_TO_LIGHTER); // twice
        expect(box.cli(["pause", id]).code).toBe(0);
        expect(alone("kill", id, "KILL")).toEqual(LEFT_TO_LIGHTER); // frozen: it would not die
        expect(statusOf(bundle)).toBe("paused");
        expect(box.cli(["resume", id]).code).toBe(0);
        expect(alone("delete", "--force", id)).toEqual(LEFT_TO_LIGHTER);
        expect(statusOf(bundle)).toBe("running");
        const { pid } = stateOf(bundle);
        expect(alone("kill", id, "KILL")).toEqual(DONE);
        await ended(pid);
        expect(alone("kill", id, "KILL")).toEqual(LEFT_TO_LIGHTER);
        expect(alone("start", id)).toEqual(LEFT_TO_LIGHTER);
        expect(alone("delete", "--force", id)).toEqual(DONE);
        expect(alone("delete", id)).toEqual(LEFT_TO_LIGHTER); // gone
      },
      "create",
    );
  });

  rooted("cgroups that the container made, and processes that outlived its init, go with it", async () => {
    const bundle = box.bundle(SLEEP, (config) => {
      config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "pid");
    });
    await box.running(
      bundle,
      async () => {
        expect(alone("start", bundle.id)).toEqual(DONE);
        const exec = ["exec", "--detach", bundle.id, "/bin/sleep", "1000"];
        expect(box.cli(exec, { stdio: "ignore" }).code).toBe(0); // a pipe would stay open as long as that
        const pids = JSON.parse(box.cli(["ps", "--format", "json", bundle.id]).out) as number[];
        const { pid, cgroupsPath } = stateOf(bundle);
        for (const { mountPoint } of [...stage.host.v1, ...(stage.host.v2 ? [stage.host.v2] : [])])
          mkdirSync(`${mountPoint}${cgroupsPath}/below`);
        expect(alone("kill", bundle.id, "KILL")).toEqual(LEFT_TO_LIGHTER); // who kills all of them
        process.kill(pid, "SIGKILL");
        await ended(pid);
        const { code } = alone("delete", bundle.id);
        // v1 says EBUSY of a cgroup with others below it, v2 too: the op removes those.
        expect(code).toBe(0);
        for (const each of pids) await ended(each);
        expect(stage.leftovers()).toEqual([]);
      },
      "create",
    );
  });

  rooted("with hooks there is more to do than programs say", () => {
    for (const name of ["startContainer", "poststart", "poststop"] as const)
      created(
        ({ id }) => {
          expect(alone("start", id)).toEqual(LEFT_TO_LIGHTER);
          expect(existsSync(join(box.root, id, "start.program"))).toBe(false);
        },
        (config) => {
          config.hooks = { [name]: [{ path: "/bin/true" }] };
        },
      );
  });

  rooted("a damaged program is none", () => {
    created(({ id }) => {
      const path = join(box.root, id, "start.program");
      const bytes = readFileSync(path);
      for (const damaged of [bytes.subarray(0, 100), Buffer.alloc(0), Buffer.concat([bytes, bytes])]) {
        writeFileSync(path, damaged);
        expect(alone("start", id)).toEqual(LEFT_TO_LIGHTER);
      }
    });
  });

  rooted("another process that has got the pid is not signalled", () => {
    created((bundle) => {
      const { pid, pidStartTime } = stateOf(bundle);
      writeFileSync(
        join(box.root, bundle.id, "kill.program"),
        encodeProgram(laterOf(bundle, { pidStartTime: pidStartTime + 1 }).kill),
      );
      expect(alone("kill", bundle.id, "KILL")).toEqual(LEFT_TO_LIGHTER);
      expect(isAlive(pid)).toBe(true);
    });
  });

  rooted("whichever op fails, the command that is done again from its beginning succeeds", async () => {
    for (const command of ["start", "kill", "delete"] as const)
      for (let at = 0; ; at++) {
        const bundle = box.bundle(SLEEP);
        let tried = true;
        await box.running(
          bundle,
          async () => {
            const programs = laterOf(bundle);
            const { pid } = stateOf(bundle);
            if (command !== "start") expect(alone("start", bundle.id)).toEqual(DONE);
            if (command === "delete") {
              expect(alone("kill", bundle.id, "KILL")).toEqual(DONE);
              await ended(pid);
            }
            const ops = programs[command].host;
            // Behind the byte that lets init go on there is nothing that fails.
            const last =
              command === "start" ? ops.findIndex((op) => op.kind === "call" && op.name === "write") : ops.length;
            tried = at <= last;
            if (!tried) return;
            const path = join(box.root, bundle.id, `${command}.program`);
            writeFileSync(path, encodeProgram(failingAt(programs[command], at)));
            expect(alone(command, bundle.id)).toEqual(LEFT_TO_LIGHTER);
            // Once state.json has gone, there is no such container any more, but what `delete --force` removes.
            const isGone = command === "delete" && !existsSync(join(box.root, bundle.id, "state.json"));
            const args = isGone ? [command, "--force", bundle.id] : [command, bundle.id];
            expect([command, at, box.cli(args)]).toEqual([command, at, DONE]);
            if (command === "delete") expect(existsSync(join(box.root, bundle.id))).toBe(false);
          },
          "create",
        );
        expect(stage.leftovers()).toEqual([]);
        if (!tried) break;
      }
  });
});

function laterOf(bundle: Bundle, change: { pidStartTime?: number } = {}) {
  const files = { directory: join(box.root, bundle.id), stateFile: "state.json", startFifo: "exec.fifo" };
  const stateTexts = { created: "", running: "", stopped: "" };
  return compileLater({ ...files, ...stateOf(bundle), cgroups: detectCgroupHost(), stateTexts, ...change });
}

/** The program with an op before number `at` that fails. */
function failingAt(program: Program, at: number): Program {
  const failing: Op = { kind: "checkText", path: "/dev/null", text: "x", why: "to fail" };
  return { ...program, host: program.host.toSpliced(at, 0, failing) };
}
