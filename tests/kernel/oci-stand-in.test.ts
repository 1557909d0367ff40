import { describe, expect } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { detectCgroupHost } from "../../src/linux/cgroup/mod.ts";
import { encodeFrame } from "../../src/linux/process/frames.ts";
import { encodeProgram } from "../../src/linux/program/encode.ts";
import { EXIT_HEADER_BYTES, EXIT_MAGIC, EXIT_VERSION, FRAME } from "../../src/linux/program/format.ts";
import type { Program } from "../../src/linux/program/op.ts";
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

const running = ({ id, directory }: Bundle, ...flags: string[]) =>
  waiting(["run", ...flags, "--bundle", directory, id]);
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
        const execs = await Promise.all([1, 2, 3].map(() => waiting(["exec", bundle.id, ...SLEEP])));
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
    const exec = await waiting(["exec", bundle.id, ...SLEEP]);
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

/* The program alone: the test is the supervisor at the other end. */

const CONNECTION = 9;
/** The exit code of who is executed where an op fails: ours, if the process's is not known. */
const OTHERWISE = 77;
/** An open directory, as a container's. */
const STATE = 8;

/** Plays the program of a stand-in, and gives its exit code; `say` is the supervisor's side of the connection. */
async function play(
  name: string,
  say: (socket: Socket) => void,
  program: (plan: StandInPlan) => Program,
): Promise<{ code: number; called: boolean }> {
  const directory = join(box.directory, name);
  const otherwise = `${directory}.otherwise`;
  script(otherwise, `#!/bin/sh\n: >${directory}.called\nexit ${OTHERWISE}\n`);
  const plan: StandInPlan = {
    end: { kind: "exec", directory },
    argv: [],
    signals: [],
    otherwise: { path: otherwise, argv: [otherwise], env: [] },
  };
  writeFileSync(`${directory}.program`, encodeProgram(program(plan)));
  const programFd = openSync(`${directory}.program`, "r");
  const server = createServer(say).listen(`${directory}.sock`);
  await once(server, "listening");
  // Python connects, and becomes the launcher: that has its connection as an open fd, blocking.
  const python = `import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); os.dup2(s.fileno(), ${CONNECTION})
os.dup2(os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY), ${STATE}); os.execv(sys.argv[2], ["stand-in"])`;
  const child = spawn("/usr/bin/python3", ["-c", python, `${directory}.sock`, resolve("dist/launcher")], {
    stdio: [programFd, "inherit", "inherit"],
  });
  closeSync(programFd);
  const [code] = await once(child, "exit");
  server.close();
  return { code, called: existsSync(`${directory}.called`) };
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
  const started = encodeFrame(FRAME.STARTED, new Uint8Array(4));
  const compiled = (plan: StandInPlan) => compileStandIn(plan, CONNECTION);

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
        const bytes = Buffer.concat([started, exited(status, captured), encodeFrame(FRAME.RESULT, new Uint8Array(4))]);
        const say = async (socket: Socket) => {
          if (pieces === "whole") socket.write(bytes);
          else
            for (const byte of bytes.subarray(0, 300)) await new Promise((sent) => socket.write(Buffer.of(byte), sent));
          if (pieces === "bytes") socket.write(bytes.subarray(300));
          socket.end();
        };
        const ended = await play(`code-${status}-${pieces}`, say, compiled);
        expect([status, pieces, ended]).toEqual([status, pieces, { code, called: false }]);
      }
  });

  rooted("leaves what is no record to others", async () => {
    const cases: Record<string, Uint8Array> = {
      nothing: new Uint8Array(0),
      "cut-off": exited(0).subarray(0, -1),
      "too-short": encodeFrame(FRAME.EXITED, new Uint8Array(8)),
      "too-long": Buffer.from([FRAME.EXITED, 0, 0, 0, 255, 255, 255, 255]),
    };
    for (const [name, bytes] of Object.entries(cases))
      expect([name, await play(name, (socket) => socket.end(bytes), compiled)]).toEqual([
        name,
        { code: OTHERWISE, called: true },
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
      { kind: "nothing", stateFd: STATE },
      { kind: "exec", directory: "/nowhere" },
      { kind: "container", container, stateFd: STATE },
    ];
    for (const end of ends)
      for (let at = 1, count = 2; at < count; at++) {
        const ended = await play(
          `${end.kind}-${at}`,
          (socket) => socket.end(exited(5 << 8)),
          (plan) => {
            const program = compileStandIn({ ...plan, end }, CONNECTION);
            count = program.host.length + 2;
            const failing = { kind: "checkText", path: "/dev/null", text: "x", why: "to fail" } as const;
            return { ...program, host: program.host.toSpliced(at, 0, failing) };
          },
        );
        // The last round's op comes behind all others.
        expect([end.kind, at, ended]).toEqual([end.kind, at, { code: 5, called: true }]);
      }
  });
});
