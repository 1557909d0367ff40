/** Our runtime under a real containerd, driven by ctr: what it says and does is what it does with runc. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, globSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dockerArchive } from "../support/image-archive.ts";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf, testIf } from "../support/test-if.ts";
import { makeBusyboxRootfs, type Outcome, runProgram } from "./cli-support.ts";
import { asOurs, PROBE, sections } from "./oci-probe.ts";
import {
  both,
  plain,
  RUNTIMES,
  type RuntimeName,
  removeCgroupParents,
  Scratch,
  tracesOf,
  until,
  whyNoMetrics,
  whyNot,
} from "./oci-support.ts";

const reason = whyNot("containerd", "containerd-shim-runc-v2", "ctr", "runc", "busybox");
const noMetrics = whyNoMetrics();
const IMAGE = "docker.io/library/busybox:latest";

let scratch: Scratch;
let daemon: ChildProcess;
const at = (path: string) => join(scratch.directory, path);
const ctrLine = (...args: string[]) => ["ctr", "--address", at("sock"), ...args];
const ctr = (...args: string[]): Promise<Outcome> => runProgram(ctrLine(...args));
const binary = (runtime: RuntimeName) => ["--runc-binary", runtime === "runc" ? "runc" : scratch.runtime];
/** "run" from the image, `args` after its flags: the id, and the command. */
const run = (runtime: RuntimeName, flags: readonly string[], ...args: string[]) =>
  ctr("run", ...binary(runtime), ...flags, IMAGE, ...args);

/**
 * What a script says. Through a file: of a program that ends at once, ctr may stop copying before it has read all.
 * The id of the container is "ID".
 */
async function said(runtime: RuntimeName, flags: readonly string[], script: string): Promise<string> {
  const id = `said-${runtime}`;
  mkdirSync(at(`${id}`), { recursive: true, mode: 0o777 });
  writeFileSync(at(`${id}/heard`), "", { mode: 0o666 });
  chmodSync(at(`${id}/heard`), 0o666);
  const mount = ["--mount", `type=bind,src=${at(id)}/heard,dst=/heard,options=bind`];
  const outcome = await run(runtime, ["--rm", ...mount, ...flags], id, "sh", "-c", `exec > /heard 2>&1\n${script}`);
  if (outcome.stderr !== "") throw new Error(outcome.stderr);
  return readFileSync(at(`${id}/heard`), "utf8").replaceAll(id, "ID");
}

/** Private: with a root, a state and sockets of its own, and nothing that listens elsewhere. */
function configToml(): string {
  const unused = ["grpc.v1.cri", "internal.v1.opt", "nri.v1.nri", "snapshotter.v1.devmapper", "snapshotter.v1.zfs"];
  return [
    "version = 2",
    `root = "${at("root")}"`,
    `state = "${at("state")}"`,
    `disabled_plugins = [${unused.map((name) => `"io.containerd.${name}"`).join(", ")}]`,
    `[grpc]\naddress = "${at("sock")}"`,
    `[ttrpc]\naddress = "${at("sock.ttrpc")}"`,
  ].join("\n");
}

async function importBusybox(): Promise<void> {
  await makeBusyboxRootfs(at("image"));
  expect((await runProgram(["tar", "-C", at("image"), "-cf", at("layer.tar"), "."])).code).toBe(0);
  const layer = Buffer.from(await Bun.file(at("layer.tar")).arrayBuffer());
  const image = { layers: [layer], config: { Env: ["PATH=/bin"], Cmd: ["sh"] }, tags: ["busybox:latest"] };
  writeFileSync(at("busybox.tar"), dockerArchive(image));
  expect(await ctr("images", "import", at("busybox.tar"))).toMatchObject({ code: 0 });
}

/** A task that runs until the block ends, when nothing of it may be left. */
class Task {
  private constructor(readonly id: string) {}

  static async start(runtime: RuntimeName, flags: readonly string[], ...command: string[]): Promise<Task> {
    const id = `${runtime}-${crypto.randomUUID()}`;
    const started = await run(runtime, ["--detach", ...flags], id, ...command);
    if (started.code !== 0) throw new Error(started.stderr);
    return new Task(id);
  }

  /** `ctr task VERB`, with this task after the flags. */
  async do(verb: string, flags: readonly string[] = [], ...args: string[]): Promise<Outcome> {
    const { stdout, stderr, code } = plain(await ctr("task", verb, ...flags, this.id, ...args));
    return { stdout: stdout.replaceAll(this.id, "ID"), stderr: stderr.replaceAll(this.id, "ID"), code };
  }

  exec(flags: readonly string[], ...command: string[]): Promise<Outcome> {
    return this.do("exec", ["--exec-id", crypto.randomUUID(), ...flags], ...command);
  }

  /** RUNNING, PAUSED, STOPPED */
  async status(): Promise<string | undefined> {
    const lines = (await ctr("task", "ls")).stdout.split("\n");
    return lines.find((line) => line.startsWith(this.id))?.split(/ +/)[2];
  }

  async pids(): Promise<number> {
    return (await this.do("ps")).stdout.trim().split("\n").length - 1;
  }

  get traces(): string[] {
    return tracesOf(this.id, [at("state"), "/run/containerd/runc", "/run/lighter-runtime"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.do("rm", ["--force"]);
    expect(await ctr("containers", "rm", this.id)).toMatchObject({ code: 0 });
    await until(
      () => this.traces,
      (traces) => traces.length === 0,
    );
  }
}

describeIf(reason)("under containerd", () => {
  beforeAll(async () => {
    scratch = new Scratch();
    chmodSync(scratch.directory, 0o711); // who is root in a user namespace must get through
    writeFileSync(at("config.toml"), configToml());
    const log = openSync(at("log"), "w");
    daemon = spawn("containerd", ["--config", at("config.toml")], { stdio: ["ignore", log, log], detached: true });
    await until(
      () => ctr("version"),
      ({ code }) => code === 0,
    );
    await importBusybox();
  }, 60_000);

  afterAll(async () => {
    const ended = once(daemon, "exit");
    daemon.kill("SIGTERM");
    await ended;
    removeCgroupParents("default");
    scratch[Symbol.dispose]();
    for (const left of globSync("/run/containerd/runc/default")) rmSync(left, { recursive: true }); // ctr's own default
  }, 30_000);

  test.each<[string, string[], string[]]>([
    ["a program's end", [], ["sh", "-c", "exit 42"]],
    ["a signal", [], ["sh", "-c", "kill -9 $$"]],
    ["a missing program", [], ["nope"]],
    ["a file that is no program", [], ["/etc/passwd"]],
    ["a directory", [], ["/bin"]],
    ["a file mounted over a directory", ["--mount", "type=bind,src=/etc/passwd,dst=/tmp,options=bind"], ["true"]],
    ["a quota that is too small", ["--cpu-quota", "1", "--cpu-period", "100000"], ["true"]],
  ])("%s: both runtimes give the same error and exit code", async (...[, flags, command]) => {
    const { runc, lighter } = await both((runtime) => run(runtime, ["--rm", ...flags], `one-${runtime}`, ...command));
    expect(plain(lighter)).toEqual(plain(runc));
  });

  test.each<[string, string[], string]>([
    ["a user, a directory, an environment", ["--user", "user", "--cwd", "/tmp", "--env", "A=1"], "id; pwd; env"],
    ["a working directory that is made", ["--cwd", "/made/for/it"], "pwd"],
    ["a read-only root", ["--read-only"], "touch /a"],
    ["a bind mount", ["--mount", "type=bind,src=/usr,dst=/v,options=rbind:ro"], "touch /v/a; ls -d /v/bin"],
    [
      "a filter",
      ["--seccomp", "--cap-add", "CAP_SYS_ADMIN"],
      "grep -E 'Cap|Sec|NoNew' /proc/self/status; unshare -m true",
    ],
    ["the host's network", ["--net-host", "--hostname", "hh"], "hostname; readlink /proc/self/ns/net"],
    ["a device", ["--device", "/dev/fuse"], "ls -ln /dev/fuse | cut -c1-40; cat /dev/fuse"],
  ])("%s: the same from within", async (...[, flags, script]) => {
    const { runc, lighter } = await both((runtime) => said(runtime, flags, script));
    expect(lighter).toEqual(runc);
    expect(lighter).not.toBe("");
  });

  test("stdin, stdout and stderr are carried", async () => {
    const seen = await both(async (runtime) => {
      const line = ctrLine("run", "--rm", ...binary(runtime), IMAGE, `stdio-${runtime}`);
      const child = spawn(line[0]!, [...line.slice(1), "sh", "-c", "echo out; echo err >&2; cat; exit 42"]);
      const heard = ["", ""];
      child.stdout.on("data", (chunk: Buffer) => (heard[0] += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (heard[1] += chunk.toString()));
      child.stdin.write("in\n");
      await until(
        () => heard.join("|"),
        (text) => text === "out\nin\n|err\n",
      );
      child.stdin.end();
      return (await once(child, "close"))[0];
    });
    expect(seen).toEqual({ runc: 42, lighter: 42 });
  });

  test("a container in a user namespace is root in it, and 100000 outside", async () => {
    const flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
    const script = "id -u; cat /proc/self/uid_map; touch /made; stat -c %u /made /dev/null";
    // One after the other: ctr names the remapped snapshot after the mapping.
    for (const runtime of RUNTIMES)
      expect((await said(runtime, flags, script)).split(/\s+/)).toEqual([
        "0",
        "0",
        "100000",
        "65536",
        "0",
        "65534",
        "",
      ]);
  });

  test.each([[[]], [["--privileged", "--memory-limit", "67108864", "--cpus", "0.5"]]])(
    "a container with %j is the same from within",
    async (flags) => {
      const cgroups = "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid:nodev:noexec";
      const seen = await both(async (runtime) => {
        const output = await said(runtime, ["--mount", cgroups, ...flags], PROBE);
        return sections(output.replaceAll(/snapshots\/\d+/g, "snapshots/N"));
      });
      expect(seen.lighter).toEqual(asOurs(seen.runc, seen.lighter));
    },
  );

  test("exec: exit code, user, directory, what is missing, and one in the background", async () => {
    const seen = await both(async (runtime) => {
      await using task = await Task.start(runtime, [], "sleep", "1000");
      const outcomes = [
        await task.exec([], "sh", "-c", "id > /tmp/said; pwd >> /tmp/said; exit 7"),
        await task.exec(["--user", "user", "--cwd", "/etc"], "sh", "-c", "test $(id -u):$(pwd) = 1000:/etc"),
        await task.exec([], "grep", "-q", "uid=0", "/tmp/said"),
        await task.exec([], "nope"),
        await task.exec([], "/etc/passwd"),
        await task.exec(["--cwd", "/nope"], "pwd"),
        await task.exec(["--detach"], "sleep", "1000"),
      ];
      return { outcomes, pids: await task.pids() };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.outcomes.map(({ code }) => code)).toEqual([7, 0, 0, 1, 1, 1, 0]);
    expect(seen.lighter.pids).toBe(2);
  });

  test.each(RUNTIMES)("%s: a terminal, for run and exec", async (runtime) => {
    const id = `tty-${runtime}`;
    const session = new TerminalSession(ctrLine("run", "--rm", "--tty", ...binary(runtime), IMAGE, id, "sh"), {
      rows: 30,
      columns: 90,
    });
    try {
      await session.shows("# ");
      session.type("tty; test -c /dev/console && echo has''-console\r");
      await session.shows("/dev/pts/0");
      await session.shows("has-console");
      await until(
        () => {
          session.type("stty size\r");
          return session.showsWithin("30 90", 300);
        },
        (shown) => shown,
      );
      const inside = new TerminalSession(ctrLine("task", "exec", "--tty", "--exec-id", "e", id, "sh"));
      try {
        await inside.shows("# ");
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

  test("pause, resume, kill by signal and of one exec, and the end: the same states", async () => {
    const seen = await both(async (runtime) => {
      mkdirSync(at(runtime));
      const mount = ["--mount", `type=bind,src=${at(runtime)},dst=/t,options=rbind:rw`];
      const script = 'trap "touch /t/signalled" USR1; touch /t/ready; while :; do sleep 0.02; done';
      await using task = await Task.start(runtime, mount, "sh", "-c", script);
      const made = (name: string) =>
        until(
          () => Bun.file(at(`${runtime}/${name}`)).exists(),
          (exists) => exists,
        );
      await made("ready");
      const states = [await task.status()];
      for (const verb of ["pause", "resume"]) {
        states.push((await task.do(verb)).stderr, await task.status());
      }
      await task.do("kill", ["--signal", "USR1"]);
      await made("signalled");
      await ctr("task", "exec", "--detach", "--exec-id", `e-${runtime}`, task.id, "sleep", "1000");
      await task.do("kill", ["--exec-id", `e-${runtime}`, "--signal", "KILL"]);
      states.push(await task.status());
      await task.do("kill", ["--signal", "KILL"]);
      await until(
        () => task.status(),
        (status) => status === "STOPPED",
      );
      const exec = await task.exec([], "true");
      return { states, exec: { ...exec, stderr: exec.stderr.replace(/[0-9a-f-]{36}/, "EXEC") } };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.states).toEqual(["RUNNING", "", "PAUSED", "", "RUNNING", "RUNNING"]);
  });

  testIf(noMetrics === undefined, noMetrics ?? "")("metrics have the container's numbers and limits", async () => {
    const seen = await both(async (runtime) => {
      await using task = await Task.start(
        runtime,
        ["--memory-limit", "67108864"],
        "sh",
        "-c",
        "yes > /dev/null & wait",
      );
      const metrics = async () => JSON.parse((await ctr("task", "metrics", "--format", "json", task.id)).stdout);
      const { pids, memory, cpu } = await until(metrics, (answer) => answer.pids.current === 2);
      const usage = memory.usage?.usage ?? memory.usage;
      return {
        pids: pids.current,
        limit: memory.usage?.limit ?? memory.usage_limit,
        memory: usage > 0 && usage < 67108864,
        cpu: (cpu.usage?.total ?? cpu.usage_usec) > 0,
      };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter).toEqual({ pids: 2, limit: 67108864, memory: true, cpu: true });
  });

  test("what has ended or could not start leaves nothing: no cgroup, mount, state, shim or process", async () => {
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const command = index % 2 === 0 ? ["sh", "-c", `exit ${index}`] : ["nope"];
        const { code } = await run("lighter", ["--rm"], `many-${index}`, ...command);
        expect(code).toBe(index % 2 === 0 ? index : 1);
      }),
    );
    await until(
      () => [
        ...globSync(at("state/*.task/default/*")),
        ...globSync("/run/containerd/runc/default/*"),
        ...tracesOf("many-"),
      ],
      (left) => left.length === 0,
    );
    expect((await ctr("containers", "ls", "--quiet")).stdout).toBe("");
    await until(
      () => tracesOf(at("sock")).filter((trace) => trace.includes("containerd-shim")),
      (shims) => shims.length === 0,
    );
  });
});
