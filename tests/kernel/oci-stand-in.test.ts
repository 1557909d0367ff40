// needs: cc busybox python3
import { describe, expect } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { randomId } from "../../src/base/ids.ts";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { encodeFrame } from "../../src/linux/process/frames.ts";
import { readProcessStat } from "../../src/linux/process/process-stat.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import { EXIT_HEADER_BYTES, EXIT_MAGIC, EXIT_VERSION, FRAME } from "../../src/linux/program/format.ts";
import type { Program } from "../../src/linux/program/op.ts";
import { makeFifo } from "../../src/linux/sys/fifo.ts";
import { tryLockExclusive } from "../../src/linux/sys/flock.ts";
import { compileStandIn, type StandInPlan } from "../../src/runtime/stand-in.ts";
import { eventually, until } from "../support/eventually.ts";
import { type Bundle, OciBox, script } from "../support/oci-box.ts";
import { isRoot, rooted, Stage } from "../support/stage.ts";

/* What waits for the end of a foreground `run` or `exec`: the launcher, in the place of the process that began it. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const box = isRoot ? new OciBox(stage) : (undefined as unknown as OciBox);

interface Waiting {
  pid: number;
  /** What it says up to its end, and its exit code. */
  ended: Promise<{ code: number | null; err: string }>;
}

function isStandIn(pid: number): boolean {
  try {
    const isLauncher = readlinkSync(`/proc/${pid}/exe`).startsWith("/memfd:lighter-launcher");
    return isLauncher && readFileSync(`/proc/${pid}/comm`, "latin1") === "lighter-runtime\n"; // which it says of itself
  } catch {
    return false; // not there yet
  }
}

/** A command of the runtime, once the launcher has its place. */
async function waiting(args: readonly string[]): Promise<Waiting> {
  const child = spawn(box.program, ["--root", box.root, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = endOf(child);
  await until(() => isStandIn(child.pid!), "the launcher takes the place");
  return { pid: child.pid!, ended };
}

async function endOf(child: ChildProcess): Promise<{ code: number | null; err: string }> {
  let err = "";
  child.stderr?.on("data", (bytes: Buffer) => (err += bytes));
  await once(child, "close");
  return { code: child.exitCode, err };
}

/** A `run` whose process has started, or ended. */
async function running({ id, directory }: Bundle, ...flags: string[]): Promise<Waiting> {
  const run = await waiting(["run", ...flags, "--bundle", directory, id]);
  const isStarted = () => readPid(id) > 0 && !isLocked(join(box.root, id));
  await Promise.race([run.ended, until(isStarted, "it has started")]);
  return run;
}

/** An `exec` whose process has started. */
async function executing({ id, rootfs }: Bundle): Promise<Waiting> {
  const begun = `data/begun-${randomId()}`;
  const exec = await waiting(["exec", id, "/bin/sh", "-c", `echo >/${begun}; exec sleep 1000`]);
  await until(() => existsSync(join(rootfs, begun)), "it has started");
  return exec;
}

function readPid(id: string): number {
  return JSON.parse(readFileSync(join(box.root, id, "state.json"), "utf8")).pid;
}

function isLocked(directory: string): boolean {
  const fd = openSync(directory, "r");
  try {
    return !tryLockExclusive(fd);
  } finally {
    closeSync(fd);
  }
}

const stateOf = ({ id }: Bundle) => join(box.root, id);
const SLEEP = ["/bin/sleep", "1000"];
const TRAPS = (ready: string) =>
  `for s in HUP USR1 WINCH; do trap "echo $s >>/data/got" $s; done; trap "exit 9" TERM; echo >${ready}; while :; do sleep 0.02; done`;

function supervisorOf(pid: number): number {
  const found = readdirSync("/proc").find((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      return stat.includes("(lighter) ") && stat.slice(stat.lastIndexOf(")")).split(" ")[2] === String(pid);
    } catch {
      return false; // not a process, or no more
    }
  });
  return Number(found);
}

/** The bytes of memory that a process has in use, from its own pages and its program's. */
function residentKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

describe("a foreground command", () => {
  rooted("run waits in little memory, passes signals on, and ends with the container's code", async () => {
    const bundle = box.bundle(TRAPS("/data/ready"));
    const { pid, ended } = await running(bundle);
    expect(residentKiB(pid)).toBeLessThan(1024);
    const line = ["lighter-runtime", "--root", box.root, "run", "--bundle", bundle.directory, bundle.id];
    expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).toBe(`${line.join("\0")}\0`);
    await until(() => existsSync(join(bundle.rootfs, "data/ready")), "the traps are set");
    for (const name of ["HUP", "USR1", "WINCH"] as const) {
      process.kill(pid, `SIG${name}`);
      await eventually(() => expect(readFileSync(join(bundle.rootfs, "data/got"), "utf8")).toEndWith(`${name}\n`));
    }
    process.kill(pid, "SIGTERM");
    expect(await ended).toEqual({ code: 9, err: "" });
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });

  rooted("exec, too, and leaves nothing", async () => {
    const bundle = box.bundle(SLEEP);
    const run = await running(bundle);
    const before = readdirSync(stateOf(bundle));
    const { pid, ended } = await waiting(["exec", bundle.id, "/bin/sh", "-c", TRAPS("/data/ready")]);
    expect(residentKiB(pid)).toBeLessThan(1024);
    await until(() => existsSync(join(bundle.rootfs, "data/ready")), "the traps are set");
    process.kill(pid, "SIGTERM");
    expect(await ended).toEqual({ code: 9, err: "" });
    expect(readdirSync(stateOf(bundle))).toEqual(before);
    expect(box.cli(["kill", bundle.id, "KILL"]).code).toBe(0);
    expect(await run.ended).toEqual({ code: 137, err: "" });
  });

  for (const own of [true, false])
    rooted(`run and the exec in it end at the same time, ${own ? "with" : "without"} a pid namespace`, async () => {
      for (let round = 0; round < 8; round++) {
        const bundle = box.bundle(SLEEP, (config) => {
          if (!own) config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "pid");
        });
        const run = await running(bundle);
        const execs = await Promise.all([1, 2, 3].map(() => executing(bundle)));
        expect(box.cli(["kill", bundle.id, "KILL"]).code).toBe(0);
        for (const { ended } of [run, ...execs]) expect(await ended).toEqual({ code: 137, err: "" });
        expect(existsSync(stateOf(bundle))).toBe(false);
        expect(stage.leftovers()).toEqual([]);
      }
    });

  rooted("the flag with which it is finished names nothing but an exec, or this very container", () => {
    const bundle = box.bundle(SLEEP);
    box.running(bundle, () => {
      for (const id of ["", "..", "../../x", "/etc", "0123456789abcde", "0123456789abcdeG"]) {
        const { code, err } = box.cli(["exec", `--finish=${id}`, "--", bundle.id]);
        expect([id, code, err]).toEqual([id, 255, expect.stringContaining(`invalid exec ID: ${id}`)]);
      }
      const { code, err } = box.cli(["run", "--finish=1", "--", bundle.id]);
      expect([code, err]).toEqual([1, expect.stringContaining("container does not exist")]);
      expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("running");
    });
  });

  rooted("run --keep leaves the container", async () => {
    const bundle = box.bundle(SLEEP);
    const { ended } = await running(bundle, "--keep");
    expect(box.cli(["kill", bundle.id, "KILL"]).code).toBe(0);
    expect(await ended).toEqual({ code: 137, err: "" });
    expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("stopped");
    expect(box.cli(["delete", bundle.id])).toEqual({ code: 0, out: "", err: "" });
  });

  rooted("whose supervisor was killed says so, and leaves nothing", async () => {
    const bundle = box.bundle(SLEEP);
    const run = await running(bundle);
    const exec = await executing(bundle);
    process.kill(supervisorOf(exec.pid), "SIGKILL");
    const execEnd = await exec.ended;
    expect(execEnd.code).toBe(255);
    expect(execEnd.err).toContain('msg="exec failed: the supervisor is gone"');
    process.kill(supervisorOf(run.pid), "SIGKILL");
    const runEnd = await run.ended;
    expect(runEnd.code).toBe(1);
    expect(runEnd.err).toContain('msg="lighter-runtime run failed: the supervisor is gone"');
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });

  rooted("run does not touch another container that has got the name meanwhile", async () => {
    const bundle = box.bundle(SLEEP);
    const first = await running(bundle);
    process.kill(first.pid, "SIGSTOP");
    expect(box.cli(["delete", "--force", bundle.id])).toEqual({ code: 0, out: "", err: "" });
    const second = await running(bundle);
    process.kill(first.pid, "SIGCONT");
    expect(await first.ended).toEqual({ code: 137, err: "" });
    expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("running");
    expect(box.cli(["kill", bundle.id, "KILL"]).code).toBe(0);
    expect(await second.ended).toEqual({ code: 137, err: "" });
  });

  rooted("run that is killed leaves what delete --force removes", async () => {
    const bundle = box.bundle(SLEEP);
    const { pid } = await running(bundle);
    process.kill(pid, "SIGKILL");
    expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("running");
    expect(box.cli(["delete", "--force", bundle.id])).toEqual({ code: 0, out: "", err: "" });
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });
});

describe("a start that fails is tried once more, by who can say what is wrong", () => {
  const started = 'unable to start container process: exec: \\"/bin/is-not-there\\": stat /bin/is-not-there';

  rooted("of run and of exec, and leaves nothing", async () => {
    const bundle = box.bundle(["/bin/is-not-there"]);
    const failed = box.run(bundle);
    expect([failed.code, failed.err]).toEqual([1, expect.stringContaining(`run failed: ${started}`)]);
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);

    const other = box.bundle(SLEEP);
    const run = await running(other);
    const before = readdirSync(stateOf(other));
    const pidFile = join(box.directory, "not-started.pid");
    const exec = box.cli(["exec", "--pid-file", pidFile, other.id, "/bin/is-not-there"]);
    expect(existsSync(pidFile)).toBe(false);
    expect([exec.code, exec.err]).toEqual([255, expect.stringContaining(`exec failed: ${started}`)]);
    expect(readdirSync(stateOf(other))).toEqual(before);
    expect(box.cli(["kill", other.id, "KILL"]).code).toBe(0);
    expect(await run.ended).toEqual({ code: 137, err: "" });
  });

  rooted("before anything has run, where the pid file cannot be written", async () => {
    const pidFile = join(box.directory, "no-such-directory/pid");
    const bundle = box.bundle("echo >>/data/ran");
    const failed = box.cli(["run", "--pid-file", pidFile, "--bundle", bundle.directory, bundle.id]);
    expect([failed.code, failed.err]).toEqual([1, expect.stringContaining("ENOENT")]);
    expect(existsSync(stateOf(bundle))).toBe(false);
    box.running(box.bundle(SLEEP), () => {}); // nothing is in the way of others
    expect(existsSync(join(bundle.rootfs, "data/ran"))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });

  rooted("and leaves a cgroup that is another container's alone, with all that is in it", async () => {
    const first = box.bundle(SLEEP);
    const run = await running(first);
    const cgroupsPath = `/${stage.parent}/${first.id}`;
    const second = box.bundle(SLEEP, (config) => {
      config.linux!.cgroupsPath = cgroupsPath;
    });
    const failed = box.run(second);
    expect([failed.code, failed.err]).toEqual([
      1,
      expect.stringContaining("container's cgroup is not empty: 1 process(es) found"),
    ]);
    expect(existsSync(stateOf(second))).toBe(false);
    expect(JSON.parse(box.cli(["state", first.id]).out).status).toBe("running");
    expect(box.cli(["kill", first.id, "KILL"]).code).toBe(0);
    expect(await run.ended).toEqual({ code: 137, err: "" });
  });

  /** A `run` whose start waits for `release`, and then fails. */
  async function hanging(): Promise<{ bundle: Bundle; run: Waiting; release: () => void }> {
    const fifo = join(box.directory, `fifo-${randomId()}`);
    makeFifo(fifo);
    const bundle = box.bundle(SLEEP, (config) => {
      config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "ipc");
      config.linux!.namespaces.push({ type: "ipc", path: fifo });
    });
    const run = await waiting(["run", "--bundle", bundle.directory, bundle.id]);
    const release = () => {
      const fd = openSync(fifo, constants.O_RDWR); // stays open: the launcher may not be there yet
      void run.ended.then(() => closeSync(fd));
    };
    return { bundle, run, release };
  }

  rooted("unless it is ended while it hangs, which it can be", async () => {
    const { bundle, run, release } = await hanging();
    process.kill(run.pid, "SIGTERM");
    await until(() => !existsSync(`/proc/${run.pid}`), "it ends");
    release(); // the launcher, which has its stderr, too
    expect(await run.ended).toEqual({ code: null, err: "" });
    expect(box.cli(["delete", "--force", bundle.id])).toEqual({ code: 0, out: "", err: "" });
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });

  rooted("unless it has been deleted meanwhile", async () => {
    const { bundle, run, release } = await hanging();
    // The C program: it waits in the kernel, which can be seen.
    const deleting = spawn("dist/lighter-runtime", ["--root", box.root, "delete", "--force", bundle.id], {
      stdio: "ignore",
    });
    const deleted = endOf(deleting);
    const isWaiting = () => new RegExp(`-> FLOCK .* ${deleting.pid} `).test(readFileSync("/proc/locks", "latin1"));
    await until(isWaiting, "it waits for the lock");
    release();
    expect(await deleted).toMatchObject({ code: 0 });
    const { code, err } = await run.ended;
    expect([code, err]).toEqual([1, expect.stringContaining("the container was deleted while it was being created")]);
    expect(existsSync(stateOf(bundle))).toBe(false);
    expect(stage.leftovers()).toEqual([]);
  });

  rooted("unless that container, or exec, is another one's", () => {
    const bundle = box.bundle(SLEEP);
    box.running(bundle, () => {
      const { code, err } = box.cli(["run", "--again=1", "--bundle", bundle.directory, bundle.id]);
      expect([code, err]).toEqual([1, expect.stringContaining("container with given ID already exists")]);
      for (const id of ["", "..", "../../x", "0123456789abcde"])
        expect(box.cli(["exec", `--again=${id}`, bundle.id, "true"]).err).toContain(`invalid exec ID: ${id}`);
      expect(JSON.parse(box.cli(["state", bundle.id]).out).status).toBe("running");
    });
  });
});

/* The program alone: the test is the supervisor at the other end. */

const CONNECTION = 9;
/** An open directory, as a container's, and a copy of stdin. */
const STATE = 8;
const STDIN = 7;
/** The exit code of who is executed where an op fails: ours, if the process's is not known. */
const OTHERWISE = 77;
const INPUT = "what stdin holds";

interface Played {
  code: number;
  /** "again" or "finish"; "" if nobody was executed. */
  called: string;
}

/** Plays the program of a stand-in; `say` is the supervisor's side of the connection. */
async function play(
  name: string,
  say: (socket: Socket) => void,
  program: (plan: StandInPlan) => Program,
): Promise<Played> {
  const directory = join(box.directory, name);
  mkdirSync(directory);
  const otherwise = join(directory, "otherwise");
  script(otherwise, `#!/bin/sh\ncat >${directory}/input\necho $1 >${directory}/called\nexit ${OTHERWISE}\n`);
  const plan: StandInPlan = {
    state: { fd: STATE, file: "state", texts: ["[", ",", "]"] },
    pidFile: { path: join(directory, "pid"), temporary: join(directory, ".pid") },
    end: { kind: "exec", directory: join(directory, "run") },
    argv: [],
    signals: [],
    preserved: [],
    otherwise: { path: otherwise, env: [], again: [otherwise, "again"], finish: [otherwise, "finish"] },
  };
  const programPath = join(directory, "program");
  writeFileSync(programPath, encodeProgram(program(plan)));
  writeFileSync(join(directory, "stdin"), INPUT);
  const programFd = openSync(programPath, "r");
  const socketPath = join(directory, "socket");
  const server = createServer(say).listen(socketPath);
  await once(server, "listening");
  // Python connects, and becomes the launcher: that has its connection as an open fd, blocking.
  const python = `import os, socket, sys
directory, launcher = sys.argv[1:]
s = socket.socket(socket.AF_UNIX); s.connect(directory + "/socket"); os.dup2(s.fileno(), ${CONNECTION})
os.dup2(os.open(directory, os.O_RDONLY), ${STATE}); os.dup2(os.open(directory + "/stdin", os.O_RDONLY), ${STDIN})
os.execv(launcher, ["stand-in"])`;
  const child = spawn("/usr/bin/python3", ["-c", python, directory, resolve("dist/launcher")], {
    stdio: [programFd, "inherit", "inherit"],
  });
  closeSync(programFd);
  const [code] = await once(child, "exit");
  server.close();
  const read = (file: string) => {
    const path = join(directory, file);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const called = read("called").trim();
  if (called === "again") expect([name, read("input")]).toEqual([name, INPUT]);
  if (called === "") {
    // Of this process, which has no other by the name of init.
    const pid = process.pid;
    expect([name, read("pid"), read("state")]).toEqual([name, `${pid}`, `[${pid},${readProcessStat(pid)!.startTime}]`]);
  }
  return { code, called };
}

function exited(status: number, captured = ""): Uint8Array {
  const record = Buffer.alloc(EXIT_HEADER_BYTES + captured.length);
  record.writeUInt32LE(EXIT_MAGIC, 0);
  record.writeUInt32LE(EXIT_VERSION, 4);
  record.writeInt32LE(status, 8);
  record.writeUInt32LE(captured.length, 12);
  record.write(captured, EXIT_HEADER_BYTES, "latin1");
  return encodeFrame(FRAME.EXITED, record);
}

describe("a stand-in", () => {
  const pid = new Uint8Array(Uint32Array.of(process.pid).buffer);
  const ready = encodeFrame(FRAME.CREATED, pid);
  const started = Buffer.concat([encodeFrame(FRAME.RESULT, new Uint8Array(4)), encodeFrame(FRAME.STARTED, pid)]);
  const failed = encodeFrame(FRAME.FAILED, new Uint8Array(8));
  const compiled = (plan: StandInPlan) => compileStandIn(plan, CONNECTION, STDIN);

  rooted("takes the code from the record, however it arrives", async () => {
    const codes: [status: number, captured: string, code: number][] = [
      [0, "", 0],
      [7 << 8, "oom 1\n", 7],
      [255 << 8, "x".repeat(4096), 255],
      [15, "", 143],
      [11 | 0x80, "", 139], // and left a core
    ];
    for (const [status, captured, code] of codes)
      for (const pieces of ["whole", "bytes"]) {
        const after = encodeFrame(FRAME.RESULT, new Uint8Array(4));
        const bytes = Buffer.concat([ready, started, exited(status, captured), after]);
        const say = async (socket: Socket) => {
          if (pieces === "whole") socket.write(bytes);
          else
            for (const byte of bytes.subarray(0, 300)) await new Promise((sent) => socket.write(Buffer.of(byte), sent));
          if (pieces === "bytes") socket.write(bytes.subarray(300));
          socket.end();
        };
        const ended = await play(`code-${status}-${pieces}`, say, compiled);
        expect([status, pieces, ended]).toEqual([status, pieces, { code, called: "" }]);
      }
  });

  rooted("leaves what is no record to others, and a start that has failed, or has not begun", async () => {
    const tooLong = Buffer.from([FRAME.EXITED, 0, 0, 0, 255, 255, 255, 255]);
    const cases: Record<string, [called: string, ...said: Uint8Array[]]> = {
      nothing: ["again"],
      "not-ready": ["again", started],
      "never-ready": ["again", failed],
      "bad-from-the-start": ["again", tooLong],
      "not-started": ["again", ready, failed],
      "bad-at-the-start": ["again", ready, tooLong],
      // Whether it has run nobody can know: so it is not run again.
      "perhaps-started": ["finish", ready],
      "no-record": ["finish", ready, started],
      "cut-off": ["finish", ready, started, exited(0).subarray(0, -1)],
      "too-short": ["finish", ready, started, encodeFrame(FRAME.EXITED, new Uint8Array(8))],
      "too-long": ["finish", ready, started, tooLong],
    };
    for (const [name, [called, ...said]] of Object.entries(cases))
      expect([name, await play(name, (socket) => socket.end(Buffer.concat(said)), compiled)]).toEqual([
        name,
        { code: OTHERWISE, called },
      ]);
  });

  rooted("leaves the rest to others whichever op fails, and ends with the code all the same", async () => {
    const container = {
      directory: "/nowhere",
      stateFile: "none",
      cgroups: detectCgroupHost(),
      cgroupsPath: "/nowhere",
    };
    const ends: StandInPlan["end"][] = [
      { kind: "nothing" },
      { kind: "exec", directory: "/nowhere" },
      { kind: "container", container },
    ];
    for (const end of ends)
      for (let at = 1, count = 2; at < count; at++) {
        let before: string[] = [];
        const ended = await play(
          `${end.kind}-${at}`,
          (socket) => socket.end(Buffer.concat([ready, started, exited(5 << 8)])),
          (plan) => {
            const program = compiled({ ...plan, end });
            count = program.host.length + 2;
            before = program.host.slice(0, at).flatMap((op) => ("out" in op && op.out !== undefined ? [op.out] : []));
            const failing = { kind: "checkText", path: "/dev/null", text: "x", why: "to fail" } as const;
            return { ...program, host: program.host.toSpliced(at, 0, failing) };
          },
        );
        // The last round's op comes behind all others.
        const code = before.includes("code") ? 5 : OTHERWISE;
        expect([end.kind, at, ended]).toEqual([
          end.kind,
          at,
          { code, called: before.includes("started") ? "finish" : "again" },
        ]);
      }
  });
});
