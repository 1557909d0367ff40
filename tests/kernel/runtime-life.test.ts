import { describe, expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseExitRecord } from "../../src/linux/process/exit-record.ts";
import { createRuntime, type Supervised } from "../../src/runtime/mod.ts";
import { until } from "../support/eventually.ts";
import {
  ALL,
  failureOf,
  finish,
  isAlive,
  isRoot,
  OUTPUT,
  parentOf,
  readUntil,
  rooted,
  Stage,
} from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* From a container's start to its end: signals, exit records, who cleans up after whom, and execs in between. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const hybridOrUnified = testIf(isRoot && stage.host.v2 !== undefined, isRoot ? "no cgroup v2 here" : "needs root");

type Change = NonNullable<Parameters<Stage["config"]>[2]>;

const hostPids: Change = (config) => {
  config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "pid");
};

/** A runtime of its own, as a daemon that has been restarted has it. */
const restarted = () => createRuntime({ execRoot: stage.execRoot, launcher: readFileSync("dist/launcher") });

function isSupervised(found: unknown): found is Supervised {
  return typeof found === "object" && found !== null && "gone" in found;
}

describe("the end", () => {
  rooted("is recorded on disk before anyone is told, with the times of start and end", async () => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const request = stage.request(["/bin/sh", "-c", "exit 42"], { attach: [] });
    const container = await stage.runtime.start(request);
    const record = await container.exited;
    const raw = parseExitRecord(readFileSync(join(request.runDirectory, "exit")));
    expect(raw).toMatchObject({ exitCode: 42, signal: 0, startedAtNs: record.startedAtNs });
    expect(record).toMatchObject({ exitCode: 42, signal: 0, oomKilled: false });
    const slackNs = 20_000_000n; // Date.now() and the kernel's clock differ by their resolutions
    expect(record.startedAtNs).toBeGreaterThanOrEqual(before - slackNs);
    expect(record.finishedAtNs).toBeGreaterThanOrEqual(record.startedAtNs);
    expect(record.finishedAtNs).toBeLessThanOrEqual(BigInt(Date.now()) * 1_000_000n + slackNs);
    await container.gone;
    expect(readdirSync(request.runDirectory)).toEqual(["exit"]);
  });

  rooted("is told before the root's file system goes, which the supervisor holds until then", async () => {
    const { pid, end } = await stage.sleeper({ layered: true });
    const root = statSync(`/proc/${pid}/root/.`);
    const fds = `/proc/${parentOf(pid)}/fd`;
    const held = readdirSync(fds).map((fd) => statSync(join(fds, fd)));
    expect(held.filter(({ dev, ino }) => dev === root.dev && ino === root.ino)).toHaveLength(1);
    await end();
  });

  rooted("every exit code is told as it is", async () => {
    for (let code = 0; code < 256; code += 32) {
      const codes = Array.from({ length: 32 }, (_, index) => code + index);
      // One container after the other would take long; all at once would take much of a small machine.
      const records = await Promise.all(codes.map((each) => stage.run(`exit ${each}`)));
      expect(records.map(({ exitCode }) => exitCode)).toEqual(codes);
      expect(new Set(records.map(({ signal }) => signal))).toEqual(new Set([0]));
    }
  });

  rooted("a container over its memory limit is killed, and its record says so", async () => {
    const memory = { limit: 32 * 2 ** 20, swap: 32 * 2 ** 20 };
    const ran = await stage.run(["/usr/bin/perl", "-e", "my $s = 'x' x (64 * 2 ** 20); print length $s"], {
      change: (config) => {
        config.linux!.resources!.memory = memory;
      },
    });
    expect(ran).toMatchObject({ exitCode: 137, signal: 9, oomKilled: true, stdout: "" });
  });

  rooted("a container under its memory limit is not said to have been over it", async () => {
    const ran = await stage.run("exit 1", {
      change: (config) => {
        config.linux!.resources!.memory = { limit: 32 * 2 ** 20 };
      },
    });
    expect(ran).toMatchObject({ exitCode: 1, oomKilled: false });
  });

  rooted("a container starts in 6 MiB of memory, and with less fails clearly or starts", async () => {
    for (const mib of [6, 5, 4, 1]) {
      const started = stage.run(["/bin/true"], {
        change: (config) => {
          config.linux!.resources!.memory = { limit: mib * 2 ** 20, swap: mib * 2 ** 20 };
        },
      });
      const outcome = await started.then(
        ({ exitCode }) => exitCode,
        (error: { code: string }) => error.code,
      );
      expect(mib === 6 ? [0] : [0, 137, "kernel"]).toContain(outcome);
    }
  });

  rooted("a pids limit holds forks back", async () => {
    const script = "my $n = 0; while (defined(my $p = fork)) { $p or sleep 100; $n++ } print $n; kill 9, -1 if 0";
    const ran = await stage.run(["/usr/bin/perl", "-e", script], {
      change: (config) => {
        config.linux!.resources!.pids = { limit: 20 };
      },
    });
    expect(ran.stdout).toBe("19");
  });

  rooted("orphans are reaped while it runs, and killed with it, also in the host's pid namespace", async () => {
    const script = `
      for (1..20) { fork or do { fork or exit; exit } }
      fork or do { fork or do { exec "sleep", "1000"; }; exit };
      while (wait > 0) {}
      $| = 1; print "ready\\n"; <STDIN>; exit 3`;
    const request = stage.request(["/usr/bin/perl", "-e", script], { attach: [ALL], change: hostPids });
    const container = await stage.runtime.start(request);
    await readUntil(container.attached[0]!, (text) => text.includes("ready"));
    const supervisor = parentOf(container.pid);
    // The supervisor is a subreaper: the orphans are its children, and only the sleeping one is left.
    const children = () => readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, "utf8").trim().split(" ");
    await until(() => children().length === 2, "dead orphans are reaped");
    const orphan = Number(children().find((pid) => Number(pid) !== container.pid));
    await until(() => readFileSync(`/proc/${orphan}/cmdline`, "utf8").startsWith("sleep"), "it is the sleeping one");
    container.attached[0]!.end("\n");
    expect(await container.exited).toMatchObject({ exitCode: 3 });
    await container.gone;
    await until(() => !isAlive(orphan), "it was killed");
    expect(stage.leftovers()).not.toContain(request.id);
  });

  hybridOrUnified("processes that made cgroups below their own are killed, and those cgroups removed", async () => {
    const request = stage.request(["/bin/sh", "-c", "sleep 1000 & echo $!; read go; exit 0"], {
      attach: [ALL],
      change: hostPids,
    });
    const container = await stage.runtime.start(request);
    const text = await readUntil(container.attached[0]!, (text) => /\d+\n/.test(text));
    const pid = Number(/(\d+)\n/.exec(text)![1]);
    const inner = `${stage.host.v2!.mountPoint}/${stage.parent}/${request.id}/inner/most`;
    mkdirSync(inner, { recursive: true });
    writeFileSync(`${inner}/cgroup.procs`, String(pid));
    container.attached[0]!.end("\n");
    await container.gone;
    await until(() => !isAlive(pid), "it was killed"); // the kernel lets it leave its cgroup first, then die
    expect(existsSync(inner)).toBe(false);
    expect(stage.leftovers()).not.toContain(request.id);
  });

  rooted("no signal but SIGKILL and SIGSTOP does anything to the supervisor", async () => {
    const container = await stage.runtime.start(stage.request(["/bin/sh", "-c", "read go; exit 3"], { attach: [ALL] }));
    const supervisor = parentOf(container.pid);
    for (let number = 1; number <= 64; number++) if (number !== 9 && number !== 19) process.kill(supervisor, number);
    container.attached[0]!.end("\n");
    expect(await container.exited).toMatchObject({ exitCode: 3 });
    await container.gone;
  });

  rooted("signals reach the process, and say whether there was one", async () => {
    const script =
      "$| = 1; $SIG{USR1} = sub { print qq(usr1\\n) }; $SIG{TERM} = sub { exit 5 }; print qq(ready\\n); sleep 1 while 1";
    const container = await stage.runtime.start(stage.request(["/usr/bin/perl", "-e", script], { attach: [OUTPUT] }));
    const [socket] = container.attached;
    await readUntil(socket!, (text) => text.includes("ready"));
    expect(await container.signal(10)).toBe(true);
    await readUntil(socket!, (text) => text.includes("usr1"));
    expect(await failureOf(container.signal(999))).toMatchObject({ code: "kernel", detail: { errno: "EINVAL" } });
    expect(await container.signal(15)).toBe(true);
    expect(await container.exited).toMatchObject({ exitCode: 5, signal: 0 });
    await container.gone;
    expect(await container.signal(15)).toBe(false);
    socket!.destroy();
  });

  rooted("disconnecting leaves the process running", async () => {
    const sleeper = await stage.sleeper();
    sleeper.container.disconnect();
    const found = await restarted().reconnect(sleeper.request.runDirectory);
    if (!isSupervised(found)) throw new Error(`found ${JSON.stringify(found)}`);
    expect(isAlive(sleeper.pid)).toBe(true);
    await found.signal(9);
    await found.gone;
  });
});

describe("a supervisor that is killed", () => {
  for (const [name, change] of [
    ["as root", () => {}],
    ["as another user", (config) => Object.assign(config.process!, { user: { uid: 1000, gid: 1000 } })],
    [
      // Its execve gives it capabilities back, whereupon the kernel forgets the parent-death signal.
      "if it can",
      (config) => Object.assign(config.process!, { capabilities: { bounding: ["CAP_CHOWN"] } }),
    ],
    ["in the host's pid namespace", hostPids],
  ] as [string, Change][])
    rooted(`takes its container along, ${name}, and \`cleanup\` leaves nothing`, async () => {
      const sleeper = await stage.sleeper({ change });
      const { container, pid, request } = sleeper;
      process.kill(parentOf(pid), "SIGKILL");
      expect(await failureOf(container.exited)).toMatchObject({ code: "unavailable" });
      await container.gone;
      if (name !== "if it can") await until(() => !isAlive(pid), "the process was killed");
      expect(await restarted().reconnect(request.runDirectory)).toBe("lost");
      expect(stage.leftovers()).toContain(request.id);
      await restarted().cleanup(request);
      await until(() => !isAlive(pid), "it was killed");
      expect(stage.leftovers()).not.toContain(request.id);
      expect(existsSync(request.runDirectory)).toBe(false);
      await restarted().cleanup(request);
    });

  rooted("while its container is being created leaves nothing either", async () => {
    const request = stage.request(["/bin/sleep", "1000"], { attach: [] });
    const created = await stage.runtime.create(request);
    process.kill(parentOf(created.pid), "SIGKILL");
    expect(await failureOf(created.start())).toMatchObject({ code: "unavailable" });
    await until(() => !isAlive(created.pid), "the process was killed");
    await stage.runtime.cleanup(request);
    expect(stage.leftovers()).not.toContain(request.id);
  });
});

describe("reconnecting", () => {
  rooted("to a live container gives its pid, its end, signals and its output from then on", async () => {
    const container = await stage.runtime.start(
      stage.request(["/bin/sh", "-c", "read line; echo $line; read line; exit 9"], {
        attach: [{ ...ALL, closeStdinOnEnd: false }],
      }),
    );
    container.disconnect();
    container.attached[0]!.destroy();
    const found = await restarted().reconnect(stage.runDirectory(idOf(container)));
    if (!isSupervised(found)) throw new Error("not running");
    expect(found.pid).toBe(container.pid);
    const socket = await found.attach(ALL);
    socket.write("hello\n");
    await readUntil(socket, (text) => text.includes("hello"));
    socket.write("end\n");
    expect(await found.exited).toMatchObject({ exitCode: 9 });
    await found.gone;
  });

  rooted("after the end gives the record", async () => {
    const request = stage.request(["/bin/sh", "-c", "exit 9"], { attach: [] });
    const container = await stage.runtime.start(request);
    const record = await container.exited;
    expect(await restarted().reconnect(request.runDirectory)).toEqual(record);
    await container.gone;
    expect(await restarted().reconnect(request.runDirectory)).toEqual(record);
  });

  rooted("to one that never was, or to half a record, says lost", async () => {
    expect(await restarted().reconnect(stage.runDirectory("never"))).toBe("lost");
    const directory = stage.runDirectory("half");
    mkdirSync(directory);
    writeFileSync(join(directory, "exit"), "LIXT");
    expect(await restarted().reconnect(directory)).toBe("lost");
  });

  rooted("to one that is created and not started is possible", async () => {
    const request = stage.request(["/bin/sh", "-c", "exit 4"], { attach: [] });
    const created = await stage.runtime.create(request);
    const found = await restarted().reconnect(request.runDirectory);
    if (!isSupervised(found)) throw new Error("not created");
    expect(found.pid).toBe(created.pid);
    await created.start();
    expect(await found.exited).toMatchObject({ exitCode: 4 });
    await found.gone;
  });
});

describe("create", () => {
  rooted("sets everything up and runs nothing until start", async () => {
    const request = stage.request(["/bin/sh", "-c", "echo ran >/data/created"], { attach: [] });
    const created = await stage.runtime.create(request);
    expect(existsSync(join(stage.rootfs, "data/created"))).toBe(false);
    expect(readlinkSync(`/proc/${created.pid}/exe`)).toContain("lighter-launcher");
    expect(readlinkSync(`/proc/${created.pid}/root`)).toBe("/");
    expect(readlinkSync(`/proc/${created.pid}/ns/mnt`)).not.toBe(readlinkSync("/proc/self/ns/mnt"));
    await created.start();
    expect(await failureOf(created.start())).toMatchObject({ code: expect.stringMatching(/conflict|unavailable/) });
    expect(await created.exited).toMatchObject({ exitCode: 0 });
    await created.gone;
    expect(readFileSync(join(stage.rootfs, "data/created"), "utf8")).toBe("ran\n");
  });

  rooted("a container that is killed before its start has ended with 137, and nothing is left of it", async () => {
    const request = stage.request(["/bin/true"], { attach: [] });
    const created = await stage.runtime.create(request);
    expect(await created.signal(9)).toBe(true);
    expect(await created.exited).toMatchObject({ exitCode: 137, signal: 9 });
    await created.gone;
    expect(await failureOf(created.start())).toMatchObject({ code: "unavailable" });
    expect(await restarted().reconnect(request.runDirectory)).toMatchObject({ exitCode: 137 });
    expect(stage.leftovers()).not.toContain(request.id);
  });

  rooted("a start that crosses the end of init is told why, not that nothing waits", async () => {
    const request = stage.request(["/bin/true"], { attach: [] });
    const created = await stage.runtime.create(request);
    const supervisor = parentOf(created.pid);
    process.kill(supervisor, "SIGSTOP");
    const isStopped = () => /^State:\s+T/m.test(readFileSync(`/proc/${supervisor}/status`, "utf8"));
    await until(isStopped, "the supervisor has stopped");
    process.kill(created.pid, "SIGKILL");
    await until(() => !isAlive(created.pid), "init has ended");
    const failure = failureOf(created.start());
    process.kill(supervisor, "SIGCONT");
    const outcomes = /^(kernel|unavailable)$/; // it was heard first, or the end was
    expect(await failure).toMatchObject({ code: expect.stringMatching(outcomes) });
    await created.gone;
    expect(stage.leftovers()).not.toContain(request.id);
  });

  rooted("a program that is missing is told at start, by `exited` too, and nothing is left", async () => {
    const request = stage.request(["/nowhere"], { attach: [] });
    const created = await stage.runtime.create(request);
    expect(await failureOf(created.start())).toMatchObject({ code: "exec-not-found" });
    expect(await failureOf(created.exited)).toMatchObject({ code: "exec-not-found" });
    await created.gone;
    expect(stage.leftovers()).not.toContain(request.id);
  });

  rooted("a cgroup that somebody else runs in is refused and left alone", async () => {
    const first = await stage.sleeper();
    const request = stage.request(["/bin/true"], { attach: [] });
    request.config.linux!.cgroupsPath = first.request.config.linux!.cgroupsPath!;
    expect(await failureOf(stage.runtime.start(request))).toMatchObject({
      code: "conflict",
      message: "container's cgroup is not empty: 1 process(es) found",
    });
    expect(isAlive(first.pid)).toBe(true);
    expect(stage.leftovers()).toContain(first.request.id);
    expect(existsSync(request.runDirectory)).toBe(false);
    expect(await first.end()).toMatchObject({ signal: 9 });
  });
});

describe("exec", () => {
  rooted("runs in all of the container's namespaces and in its cgroup, as number 2 and later", async () => {
    const sleeper = await stage.sleeper({
      change: (config) => {
        config.linux!.namespaces!.push({ type: "time" });
      },
    });
    try {
      const names = ["cgroup", "ipc", "mnt", "net", "pid", "time", "uts"];
      const script = `for i in ${names.join(" ")}; do readlink /proc/self/ns/$i; done; cat /proc/self/cgroup; hostname; echo $$`;
      const { stdout, stderr, exitCode } = await stage.exec(sleeper, `${script}; exit 12`);
      expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 12 });
      const lines = stdout.trim().split("\n");
      expect(lines.slice(0, names.length)).toEqual(
        names.map((name) => readlinkSync(`/proc/${sleeper.pid}/ns/${name}`)),
      );
      const cgroups = lines.slice(names.length, -2);
      const visible = cgroups.filter((line) => !/^\d+:name=(?!systemd)/.test(line));
      expect(visible.filter((line) => !line.endsWith(":/"))).toEqual([]);
      expect(lines.at(-2)).toBe("box");
      expect(Number(lines.at(-1))).toBeGreaterThan(1);
    } finally {
      await sleeper.end();
    }
  });

  rooted("has the user, environment, directory, capabilities, filter and limits of its process", async () => {
    const sleeper = await stage.sleeper({
      change: (config) => {
        config.linux!.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
          syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
        };
      },
    });
    try {
      const script =
        "id -u; id -G; echo $WORD; pwd; grep CapEff /proc/self/status; grep CapBnd /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj; (mkdir /tmp/x) 2>&1; ls /proc/self/fd | wc -l";
      const { stdout, stderr } = await stage.exec(sleeper, script, {
        process: {
          user: { uid: 77, gid: 78, additionalGids: [79] },
          env: ["PATH=/bin:/usr/bin", "WORD=word"],
          cwd: "/usr",
          capabilities: { bounding: ["CAP_CHOWN"] },
          rlimits: [{ type: "RLIMIT_NOFILE", soft: 64, hard: 64 }],
          oomScoreAdj: 99,
        },
      });
      expect(stderr).toBe("");
      expect(stdout).toMatch(
        /^77\n78 79\nword\n\/usr\nCapEff:\t0{16}\nCapBnd:\t0{15}1\n64\n99\n.*No space left on device\n4\n$/,
      );
    } finally {
      await sleeper.end();
    }
  });

  rooted("has stdin, and a terminal of the container's devpts", async () => {
    const sleeper = await stage.sleeper();
    try {
      expect((await stage.exec(sleeper, "cat", { stdin: "in" })).stdout).toBe("in");
      const { stdout } = await stage.exec(sleeper, "tty; stty size; : </dev/tty && echo controlling", {
        terminal: true,
        process: { consoleSize: { height: 20, width: 70 }, user: { uid: 5, gid: 6 } },
      });
      expect(stdout.replaceAll("\r", "")).toBe("/dev/pts/0\n20 70\ncontrolling\n");
    } finally {
      await sleeper.end();
    }
  });

  rooted("of a program that is missing or no program says so, and leaves nothing", async () => {
    const sleeper = await stage.sleeper();
    try {
      expect(await failureOf(stage.exec(sleeper, ["nowhere"]))).toMatchObject({ code: "exec-not-found" });
      expect(await failureOf(stage.exec(sleeper, ["/usr"]))).toMatchObject({ code: "exec-denied" });
      const request = stage.execRequest(sleeper, ["/nowhere"]);
      expect(await failureOf(stage.runtime.exec(request))).toMatchObject({ code: "exec-not-found" });
      expect(existsSync(request.runDirectory)).toBe(false);
      expect(isAlive(sleeper.pid)).toBe(true);
    } finally {
      await sleeper.end();
    }
  });

  rooted("thirty at once all end with their own codes", async () => {
    const sleeper = await stage.sleeper();
    try {
      const codes = Array.from({ length: 30 }, (_, index) => index);
      const records = await Promise.all(codes.map((code) => stage.exec(sleeper, `echo ${code}; exit ${code}`)));
      expect(records.map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual(
        codes.map((code) => [code, `${code}\n`]),
      );
    } finally {
      await sleeper.end();
    }
  });

  rooted("in a container that has ended fails clearly, and leaves nothing", async () => {
    const sleeper = await stage.sleeper();
    await sleeper.end();
    const request = stage.execRequest(sleeper, ["/bin/true"]);
    expect(await failureOf(stage.runtime.exec(request))).toMatchObject({
      code: "kernel",
      detail: { errno: expect.stringMatching(/ESRCH|ENOENT/) },
      message: expect.stringContaining("the container's init"),
    });
    expect(existsSync(request.runDirectory)).toBe(false);
  });

  rooted("that still runs ends with its container", async () => {
    const sleeper = await stage.sleeper();
    const process = await stage.runtime.exec(stage.execRequest(sleeper, ["/bin/sleep", "1000"], { attach: [] }));
    await sleeper.end();
    expect(await process.exited).toMatchObject({ exitCode: 137, signal: 9 });
    await process.gone;
  });

  rooted("ends when its supervisor is killed, and the container runs on", async () => {
    const sleeper = await stage.sleeper();
    const process_ = await stage.runtime.exec(
      stage.execRequest(sleeper, ["/bin/sleep", "1000"], { attach: [], process: { user: { uid: 5, gid: 5 } } }),
    );
    process.kill(parentOf(process_.pid), "SIGKILL");
    expect(await failureOf(process_.exited)).toMatchObject({ code: "unavailable" });
    await until(() => !isAlive(process_.pid), "the process was killed");
    expect(isAlive(sleeper.pid)).toBe(true);
    await sleeper.end();
  });
});

rooted("twenty containers start at once", async () => {
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, index) => stage.run(`hostname; echo ${index}`, { stdin: "" })),
  );
  expect(all.map(({ stdout }) => stdout)).toEqual(all.map((_, index) => `box\n${index}\n`));
});

rooted("ends at the end of a process, not of the output that a background process holds open", async () => {
  const container = await stage.runtime.start(
    stage.request(["/bin/sh", "-c", "sleep 1000 & exit 6"], { attach: [OUTPUT], change: hostPids }),
  );
  expect(await finish(container)).toMatchObject({ exitCode: 6 });
});

function idOf(container: Supervised): string {
  const cgroup = readFileSync(`/proc/${container.pid}/cgroup`, "utf8");
  return new RegExp(`/${stage.parent}/(\\w+)`).exec(cgroup)![1]!;
}
