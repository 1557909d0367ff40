/** Our runtime under a real dockerd: what its users see is what they see with runc in the same daemon. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { globSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf, testIf } from "../support/test-if.ts";
import { type Outcome, PrivateDocker, type RunOptions } from "./cli-support.ts";
import { asOurs, PROBE, sections } from "./oci-probe.ts";
import {
  both,
  plain,
  RUNTIMES,
  type RuntimeName,
  Scratch,
  tracesOf,
  until,
  whyNoMetrics,
  whyNot,
} from "./oci-support.ts";

const reason = whyNot("docker", "dockerd", "containerd", "runc", "busybox");
const noMetrics = whyNoMetrics();

let scratch: Scratch;
let daemon: PrivateDocker;
const run = ["run", "--rm", "--network", "none"];

function docker(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return daemon.docker(args, options);
}

/** A container that runs until the block ends, when nothing of it may be left. */
class Container {
  private constructor(
    readonly name: string,
    readonly id: string,
  ) {}

  static async start(runtime: RuntimeName, flags: readonly string[], ...command: string[]): Promise<Container> {
    const name = `${runtime}-${crypto.randomUUID().slice(0, 8)}`;
    const image = ["busybox", ...command];
    const started = await docker([
      "run",
      "-d",
      "--name",
      name,
      "--runtime",
      runtime,
      "--network",
      "none",
      ...flags,
      ...image,
    ]);
    if (started.code !== 0) throw new Error(started.stderr);
    return new Container(name, started.stdout.trim());
  }

  async inspect(format: string): Promise<string> {
    return (await docker(["inspect", "-f", format, this.name])).stdout.trim();
  }

  exec(flags: readonly string[], ...command: string[]): Promise<Outcome> {
    return docker(["exec", ...flags, this.name, ...command]);
  }

  get traces(): string[] {
    return tracesOf(this.id, [join(daemon.folder, "exec"), "/run/docker", "/run/lighter-runtime"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const removed = await docker(["rm", "-f", this.name]);
    if (removed.code !== 0) throw new Error(removed.stderr);
    await until(
      () => this.traces,
      (traces) => traces.length === 0,
    );
  }
}

/** A file of a cgroup v1 controller or, where there is none, of cgroup v2. */
function cgroupFile(id: string, v1: string, v2: string): string {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").trim().split("\n");
  const controller = v1.split(".")[0]!;
  for (const line of mounts) {
    const [path = "", type = "", options = ""] = [
      line.split(" ")[4],
      ...(line.split(" - ")[1] ?? "").split(" ").toSpliced(1, 1),
    ];
    const file =
      type === "cgroup" && options.split(",").includes(controller) ? v1 : type === "cgroup2" ? v2 : undefined;
    if (file === undefined) continue;
    try {
      return readFileSync(join(path, "docker", id, file), "utf8").trim();
    } catch {} // not this hierarchy
  }
  throw new Error(`no ${v1} and no ${v2} of ${id}`);
}

describeIf(reason)("under dockerd", () => {
  beforeAll(async () => {
    scratch = new Scratch();
    daemon = await PrivateDocker.start(["--add-runtime", `lighter=${scratch.runtime}`]);
  }, 90_000);

  afterAll(async () => {
    await daemon.stop();
    scratch[Symbol.dispose]();
  }, 60_000);

  test.each<[string, string[], string[], RunOptions?]>([
    ["a program's end", [], ["sh", "-c", "echo out; echo err >&2; exit 42"]],
    ["a missing program", [], ["nope"]],
    ["a missing path", [], ["/no/such"]],
    ["a file that is no program", [], ["/etc/passwd"]],
    ["a directory", [], ["/bin"]],
    ["an empty name", [], [""]],
    ["a file over a directory", ["-v", "/etc/passwd:/tmp"], ["true"]],
    ["a directory over a file", ["-v", "/tmp:/etc/passwd"], ["true"]],
    ["a signal", ["--init"], ["sh", "-c", "kill -9 $$"]],
    ["standard input", ["-i"], ["sh", "-c", "cat; echo end"], { stdin: "a\nb" }],
    ["a missing working directory", ["-w", "/made/for/it"], ["pwd"]],
    ["a full pids cgroup", ["--pids-limit", "1"], ["sh", "-c", "true | true"]],
    ["a read-only root", ["--read-only", "--tmpfs", "/tmp"], ["sh", "-c", "echo 1 > /tmp/a; echo 1 > /a"]],
    ["a volume", ["-v", "/usr:/v:ro"], ["sh", "-c", "touch /v/a; ls -d /v/bin"]],
    ["a forbidden device", [], ["sh", "-c", "mknod /tmp/a b 7 0 && cat /tmp/a"]],
    [
      "an allowed device",
      ["--device", "/dev/zero:/dev/z:r"],
      ["sh", "-c", "head -c 2 /dev/z | wc -c; echo 1 > /dev/z"],
    ],
    ["a sysctl", ["--sysctl", "kernel.msgmax=1111"], ["cat", "/proc/sys/kernel/msgmax"]],
    ["a sysctl that is the host's", ["--sysctl", "kernel.panic=5"], ["true"]],
    ["a sysctl the kernel refuses", ["--sysctl", "kernel.shmmax=abc"], ["true"]],
    ["a limit above the host's", ["--ulimit", "nofile=99999999999:99999999999"], ["true"]],
    ["a quota that is too small", ["--cpus", "0.001"], ["true"]],
    ["an unknown user", ["-u", "nobody9"], ["true"]],
    ["the user of a missing program", ["-u", "user"], ["nope"]],
  ])("%s: both runtimes give the same output, error and exit code", async (...[, flags, command, options]) => {
    // Rest, not a list: in a row of three, a fourth parameter would be taken for a "done" callback.
    const { runc, lighter } = await both((runtime) =>
      docker([...run, "--runtime", runtime, ...flags, "busybox", ...command], options),
    );
    expect(plain(lighter)).toEqual(plain(runc));
  });

  test("exit codes are Docker's: the program's own, 127 without it, 126 if it cannot be executed", async () => {
    const codes = await Promise.all(
      // runc's for a path below a file is 125, since dockerd takes its words for a mount's.
      [["sh", "-c", "exit 42"], ["nope"], ["/etc/passwd/x"], ["/etc/passwd"], ["true"]].map(
        async (command) => (await docker([...run, "--runtime", "lighter", "busybox", ...command])).code,
      ),
    );
    expect(codes).toEqual([42, 127, 127, 126, 0]);
  });

  test.each<[string[]]>([
    [[]],
    [["--privileged"]],
    [["--read-only", "--tmpfs", "/t:size=1m,mode=700", "-u", "user"]],
    [["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1000:1000", "--group-add", "5"]],
    [["--cap-add", "SYS_ADMIN", "--cap-drop", "CHOWN", "--security-opt", "seccomp=unconfined"]],
    [["--ulimit", "nofile=100:200", "--oom-score-adj", "300", "-w", "/new/dir", "-e", "HOME=/x"]],
    [["--init", "--hostname", "hh", "--domainname", "dd", "--device", "/dev/zero:/dev/z:r"]],
    [["--pid", "host", "--ipc", "host", "--uts", "host"]],
    [["--cgroupns", "private", "--shm-size", "1m", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50"]],
    [["--security-opt", "systempaths=unconfined", "-v", "/etc:/a/b:ro", "-v", "/usr:/u"]],
    [["--cgroupns", "host", "-t"]],
  ])("a container with %j is the same from within", async (flags) => {
    const { runc, lighter } = await both((runtime) =>
      docker([...run, "--runtime", runtime, ...flags, "busybox", "sh", "-c", PROBE]),
    );
    const own = sections(lighter.stdout);
    expect(own).toEqual(asOurs(sections(runc.stdout), own));
    expect([lighter.stderr, lighter.code]).toEqual([runc.stderr, runc.code]);
  });

  test("-v with propagation: a mount made on the host shows in the container where the volume says so", async () => {
    const shared = join(scratch.directory, "shared");
    const spawn = (...command: string[]) => expect(Bun.spawnSync(command).exitCode).toBe(0);
    mkdirSync(join(shared, "sub"), { recursive: true });
    spawn("mount", "--bind", shared, shared);
    spawn("mount", "--make-shared", shared);
    try {
      const seen = await both(async (runtime) => {
        const flags = [
          "-v",
          `${shared}:/slave:rslave`,
          "-v",
          `${shared}:/private:rprivate`,
          "-v",
          `${shared}:/ro:ro,rslave`,
        ];
        await using container = await Container.start(runtime, flags, "sleep", "1000");
        const sub = join(shared, `${runtime}`);
        mkdirSync(sub);
        spawn("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", sub);
        const script = `for p in slave private ro; do grep -c " /$p/${runtime} " /proc/self/mountinfo; done; touch /ro/x`;
        const shown = await container.exec([], "sh", "-c", script);
        spawn("umount", sub);
        return plain(shown);
      });
      expect(seen.lighter).toEqual(seen.runc);
      expect(seen.lighter.stdout).toBe("1\n0\n1\n");
    } finally {
      spawn("umount", "-l", shared);
    }
  });

  test("exec: output, exit code, user, environment, directory, terminal, and what is missing", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(runtime, ["-e", "A=1"], "sleep", "1000");
      const outcomes = [
        await container.exec([], "sh", "-c", "echo out; echo err >&2; exit 7"),
        await container.exec(
          ["-u", "user", "-w", "/tmp", "-e", "B=2"],
          "sh",
          "-c",
          "id; pwd; env | sort; grep Cap /proc/self/status",
        ),
        await container.exec(["--privileged"], "grep", "Cap", "/proc/self/status"),
        await container.exec([], "nope"),
        await container.exec([], "/etc/passwd"),
        await container.exec(["-u", "nobody9"], "true"),
        await container.exec(["-w", "/nope"], "pwd"),
        await container.exec(["-d"], "sh", "-c", "echo detached > /tmp/d"),
        await container.exec(["-t"], "sh", "-c", "tty; stty size"),
        await docker(["exec", "-i", container.name, "cat"], { stdin: "in" }),
        await container.exec([], "cat", "/proc/self/cgroup"),
        await container.exec(
          [],
          "sh",
          "-c",
          "readlink /proc/self/ns/mnt /proc/1/ns/mnt /proc/self/ns/pid /proc/1/ns/pid | sort | uniq -c | wc -l",
        ),
      ];
      return outcomes.map(plain);
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.map(({ code }) => code)).toEqual([7, 0, 0, 126, 126, 126, 126, 0, 0, 0, 0, 0]);
  });

  test.each(RUNTIMES)("%s: a terminal, for run and exec", async (runtime) => {
    const env = { DOCKER_HOST: daemon.host };
    const name = `tty-${runtime}`;
    const session = new TerminalSession(
      ["docker", ...run, "-it", "--name", name, "--runtime", runtime, "busybox", "sh"],
      { rows: 30, columns: 90, env },
    );
    try {
      await session.shows("# ");
      session.type("tty; test -t 0 && echo is''-terminal\r");
      await session.shows("/dev/pts/0");
      await session.shows("is-terminal");
      const inside = new TerminalSession(["docker", "exec", "-it", name, "sh"], { rows: 20, columns: 66, env });
      try {
        await until(
          async () => {
            inside.type("stty size\r");
            return await inside.showsWithin("20 66", 300);
          },
          (shown) => shown,
        );
        inside.type("tty; exit 5\r");
        await inside.shows("/dev/pts/1");
        expect(await inside.ended()).toBe(5);
      } finally {
        inside.close();
      }
      session.type("exit 4\r");
      expect(await session.ended()).toBe(4);
    } finally {
      session.close();
    }
  });

  test("pause stops it, resume lets it go on, and the state is shown", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(runtime, [], "sh", "-c", "while :; do echo x; sleep 0.02; done");
      const status = () => container.inspect("{{.State.Status}} {{.State.Paused}}");
      const lines = async () => (await docker(["logs", container.name])).stdout.length;
      await until(lines, (count) => count > 0);
      const states = [await status()];
      await docker(["pause", container.name]);
      states.push(await status());
      const exec = plain(await container.exec([], "true"));
      const [before, after] = [await lines(), await lines()];
      await docker(["unpause", container.name]);
      states.push(await status());
      await until(lines, (count) => count > after);
      await docker(["pause", container.name]); // and is removed like that
      return { states, stoodStill: after === before, code: exec.code };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter).toMatchObject({ states: ["running false", "paused true", "running false"], stoodStill: true });
  });

  test("update changes the cgroup's limits", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(
        runtime,
        ["--memory", "64m", "--memory-swap", "64m"],
        "sleep",
        "1000",
      );
      const flags = [
        "--memory",
        "32m",
        "--memory-swap",
        "48m",
        "--pids-limit",
        "77",
        "--cpu-shares",
        "512",
        "--cpus",
        "0.25",
      ];
      const updated = await docker(["update", ...flags, container.name]);
      const limits = [
        cgroupFile(container.id, "memory.limit_in_bytes", "memory.max"),
        cgroupFile(container.id, "pids.max", "pids.max"),
        cgroupFile(container.id, "cpu.shares", "cpu.weight"),
        cgroupFile(container.id, "cpu.cfs_quota_us", "cpu.max"),
      ];
      const again = await docker(["update", "--memory", "1m", container.name]);
      return { code: updated.code, limits, again: again.code };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.limits.slice(0, 2)).toEqual([`${32 << 20}`, "77"]);
  });

  testIf(noMetrics === undefined, noMetrics ?? "")("stats has numbers, top the processes", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(
        runtime,
        ["--memory", "64m"],
        "sh",
        "-c",
        "yes >/dev/null & sleep 1000",
      );
      const format = "{{.CPUPerc}} {{.MemPerc}} {{.PIDs}}";
      const stats = async () => (await docker(["stats", "--no-stream", "--format", format, container.name])).stdout;
      const [cpu, memory, pids] = (await stats())
        .trim()
        .split(" ")
        .map((word) => Number.parseFloat(word));
      const top = (await docker(["top", container.name, "-o", "pid,args"])).stdout;
      const programs = top
        .trim()
        .split("\n")
        .map((line) => line.trim().replace(/^\d+ +/, ""));
      return { cpu: cpu! > 1, memory: memory! > 0, pids, programs: programs.sort() };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter).toMatchObject({ cpu: true, memory: true, pids: 2 });
  });

  test("kill sends the signal that is asked for; stop kills what ignores TERM", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(
        runtime,
        [],
        ...["sh", "-c", 'trap "echo got USR1" USR1; trap "" TERM; echo ready; while :; do sleep 0.05; done'],
      );
      const logs = async () => (await docker(["logs", container.name])).stdout;
      await until(logs, (text) => text.includes("ready"));
      await docker(["kill", "-s", "USR1", container.name]);
      await until(logs, (text) => text.includes("got USR1"));
      const stopped = await docker(["stop", "-t", "1", container.name]);
      const ended = await container.inspect("{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}");
      const twice = plain(await docker(["kill", container.name]));
      return { code: stopped.code, ended, twice: { ...twice, stderr: twice.stderr.replace(container.name, "NAME") } };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.ended).toBe("exited 137 false");
  });

  testIf(noMetrics === undefined, noMetrics ?? "")("a container out of memory is reported as such", async () => {
    const seen = await both(async (runtime) => {
      const script = "head -c 100m /dev/zero | tail > /dev/null; echo survived $?; exec tail /dev/zero";
      await using container = await Container.start(
        runtime,
        ["--memory", "16m", "--memory-swap", "16m"],
        "sh",
        "-c",
        script,
      );
      const code = (await docker(["wait", container.name])).stdout.trim();
      return { code, oom: await container.inspect("{{.State.OOMKilled}}") };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter).toEqual({ code: "137", oom: "true" });
  });

  test("a container that has ended leaves nothing: no cgroup, mount, state or process; and it can be started again", async () => {
    await using container = await Container.start("lighter", [], "sh", "-c", "sleep 1000 & exec sleep 1000");
    const before = container.traces;
    expect(before.filter((trace) => trace.startsWith("/sys/fs/cgroup")).length).toBeGreaterThan(0);
    expect(before.filter((trace) => trace.includes("runtime-")).length).toBeGreaterThan(0);
    for (let round = 0; round < 2; round++) {
      await docker(["kill", container.name]);
      await until(
        () => container.traces,
        (traces) => traces.length === 0,
      );
      expect((await docker(["start", container.name])).code).toBe(0);
    }
  });

  test("what cannot start leaves nothing, and its name is free again", async () => {
    for (const command of ["nope", "/etc/passwd"]) {
      const created = await docker([
        "create",
        "--name",
        "broken",
        "--runtime",
        "lighter",
        "--network",
        "none",
        "busybox",
        command,
      ]);
      const id = created.stdout.trim();
      expect((await docker(["start", "broken"])).code).toBe(1);
      await until(
        () => tracesOf(id, ["/run/docker"]),
        (traces) => traces.length === 0,
      );
      expect((await docker(["rm", "broken"])).code).toBe(0);
    }
  });

  test("namespaces of another container can be joined", async () => {
    const seen = await both(async (runtime) => {
      await using peer = await Container.start(runtime, ["--ipc", "shareable"], "sleep", "1000");
      const flags = ["--pid", `container:${peer.name}`, "--ipc", `container:${peer.name}`];
      const script =
        "for n in pid ipc uts mnt; do test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) && echo $n; done; tr '\\0' ' ' < /proc/1/cmdline";
      const network = [
        "run",
        "--rm",
        "--network",
        `container:${peer.name}`,
        "--runtime",
        runtime,
        "--cap-add",
        "SYS_PTRACE",
      ];
      return plain(await docker([...network, ...flags, "busybox", "sh", "-c", script]));
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.stdout).toBe("pid\nipc\nsleep 1000 ");
  });

  test("20 containers at once all run, and end with their own exit codes", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        docker([...run, "--runtime", "lighter", "busybox", "sh", "-c", `echo ${index}; exit ${index}`]),
      ),
    );
    expect(outcomes).toEqual(outcomes.map((_, index) => ({ stdout: `${index}\n`, stderr: "", code: index })));
    const socket = join(daemon.folder, "exec/containerd/containerd.sock"); // each shim has it as an argument
    await until(
      () => [...globSync(join(daemon.folder, "exec/runtime-*/moby/*")), ...tracesOf(socket)],
      (left) => left.length === 0,
    );
  });
});
