/** Our runtime under Podman (with conmon): what its users see is what they see with runc. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TerminalSession } from "../support/terminal.ts";
import { describeIf } from "../support/test-if.ts";
import { makeBusyboxRootfs, type Outcome, type RunOptions, runProgram } from "./cli-support.ts";
import { asOurs, PROBE, sections } from "./oci-probe.ts";
import {
  both,
  plain as plainOutcome,
  RUNTIMES,
  type RuntimeName,
  removeCgroupParents,
  Scratch,
  tracesOf,
  until,
  whyNot,
} from "./oci-support.ts";

const reason = whyNot("podman", "conmon", "catatonit", "runc", "busybox");

let scratch: Scratch;
const at = (path: string) => join(scratch.directory, path);

/** Its own storage, state and configuration for each runtime, so that the two can be used at a time. */
function podmanLine(runtime: RuntimeName, ...args: string[]): string[] {
  const own = ["--root", at(`${runtime}/root`), "--runroot", at(`${runtime}/run`), "--tmpdir", at(`${runtime}/tmp`)];
  const path = runtime === "runc" ? "runc" : scratch.runtime;
  return ["podman", ...own, "--cgroup-manager", "cgroupfs", "--runtime", path, ...args];
}

const env = () => ({
  CONTAINERS_CONF: at("containers.conf"),
  CONTAINERS_STORAGE_CONF: at("storage.conf"),
  PODMAN_IGNORE_CGROUPSV1_WARNING: "1",
});

const podman = (runtime: RuntimeName, args: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  runProgram(podmanLine(runtime, ...args), { ...options, env: { ...env(), ...options.env } });

/** The directory as the image: an overlay over it is the container's. */
const ROOTFS = () => ["--network", "none", "--rootfs", `${at("image")}:O`];

/** Without what names the runtime or where its things are. */
function plain(runtime: RuntimeName, { stdout, stderr, code }: Outcome): Outcome {
  const bare = (text: string) => text.replaceAll(scratch.runtime, "runc").replaceAll(at(runtime), "OWN");
  return plainOutcome({ stdout: bare(stdout), stderr: bare(stderr), code });
}

/** A container that runs until the block ends, when nothing of it may be left. */
class Container {
  private constructor(
    readonly runtime: RuntimeName,
    readonly id: string,
  ) {}

  static async start(runtime: RuntimeName, flags: readonly string[], ...command: string[]): Promise<Container> {
    const started = await podman(runtime, ["run", "--detach", ...flags, ...ROOTFS(), ...command]);
    if (started.code !== 0) throw new Error(started.stderr);
    return new Container(runtime, started.stdout.trim());
  }

  /** `podman VERB FLAGS ID ARGS` */
  async do(verb: string, flags: readonly string[] = [], ...args: string[]): Promise<Outcome> {
    return plain(this.runtime, await podman(this.runtime, [verb, ...flags, this.id, ...args]));
  }

  async inspect(format: string): Promise<string> {
    return (await this.do("inspect", ["--format", format])).stdout.trim();
  }

  get traces(): string[] {
    return tracesOf(this.id, [at(`${this.runtime}/tmp`), "/run/runc", "/run/lighter-runtime"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    expect(await this.do("rm", ["--force", "--time", "0"])).toMatchObject({ code: 0 });
    await until(
      () => this.traces,
      (traces) => traces.length === 0,
    );
  }
}

describeIf(reason)("under Podman", () => {
  beforeAll(async () => {
    scratch = new Scratch();
    await makeBusyboxRootfs(at("image"));
    // Podman asks only those runtimes for errors as JSON whose names it knows to have that.
    const engine = ['events_logger = "file"', 'runtime_supports_json = ["runc", "lighter-runtime"]'];
    writeFileSync(
      at("containers.conf"),
      ["[engine]", ...engine, "[network]", 'firewall_driver = "none"', ""].join("\n"),
    );
    writeFileSync(at("storage.conf"), '[storage]\ndriver = "overlay"\n');
  });

  afterAll(async () => {
    for (const runtime of RUNTIMES) await podman(runtime, ["rm", "--all", "--force", "--time", "0"]);
    await until(
      () => tracesOf(scratch.directory),
      (traces) => traces.length === 0,
    );
    removeCgroupParents("libpod_parent");
    scratch[Symbol.dispose]();
  });

  test.each<[string, string[], string[], RunOptions?]>([
    ["a program's end", [], ["sh", "-c", "echo out; echo err >&2; exit 42"]],
    ["a missing program", [], ["nope"]],
    ["a missing path", [], ["/no/such"]],
    ["a file that is no program", [], ["/etc/passwd"]],
    ["a directory", [], ["/bin"]],
    ["a signal", [], ["sh", "-c", "kill -9 $$"]],
    ["standard input", ["-i"], ["sh", "-c", "cat; echo end"], { stdin: "a\nb" }],
    ["an init", ["--init"], ["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 3"]],
    [
      "a user, a directory, an environment",
      ["-u", "user", "-w", "/tmp", "-e", "A=1"],
      ["sh", "-c", "id; pwd; echo $A"],
    ],
    ["a read-only root", ["--read-only", "--tmpfs", "/t"], ["sh", "-c", "touch /t/a; touch /a"]],
    ["a volume", ["-v", "/usr:/v:ro"], ["sh", "-c", "touch /v/a; ls -d /v/bin"]],
    ["a device", ["--device", "/dev/zero:/dev/z:r"], ["sh", "-c", "head -c 2 /dev/z | wc -c; echo 1 > /dev/z"]],
    ["a sysctl", ["--sysctl", "kernel.msgmax=1111"], ["cat", "/proc/sys/kernel/msgmax"]],
    ["a sysctl the kernel refuses", ["--sysctl", "kernel.shmmax=abc"], ["true"]],
    [
      "ulimits",
      ["--ulimit", "nofile=100:200", "--pids-limit", "50"],
      ["sh", "-c", "ulimit -n; cat /sys/fs/cgroup/pids/pids.max"],
    ],
    [
      "no capabilities",
      ["--cap-drop", "all", "--security-opt", "no-new-privileges"],
      ["grep", "-E", "Cap|NoNew", "/proc/self/status"],
    ],
    [
      "a user namespace",
      ["--uidmap", "0:100000:65536", "-v", "/usr:/usr:ro"],
      ["sh", "-c", "cat /proc/self/uid_map; id"],
    ],
    [
      "the host's namespaces",
      ["--pid", "host", "--ipc", "host", "--uts", "host"],
      ["sh", "-c", "hostname; readlink /proc/self/ns/ipc"],
    ],
  ])("%s: both runtimes give the same output, error and exit code", async (...[, flags, command, options]) => {
    const { runc, lighter } = await both(async (runtime) =>
      plain(runtime, await podman(runtime, ["run", "--rm", ...flags, ...ROOTFS(), ...command], options)),
    );
    expect(lighter).toEqual(runc);
  });

  test.each([[[]], [["--privileged", "--memory", "64m", "--cpus", "0.5"]], [["-t", "--init"]]])(
    "a container with %j is the same from within",
    async (flags) => {
      const seen = await both(async (runtime) => {
        const { stdout } = await podman(runtime, ["run", "--rm", ...flags, ...ROOTFS(), "sh", "-c", PROBE]);
        return sections(stdout.replaceAll(at(runtime), "OWN"));
      });
      expect(seen.lighter).toEqual(asOurs(seen.runc, seen.lighter));
    },
  );

  test("exec: output, exit code, user, directory, what is missing, and one in the background", async () => {
    const seen = await both(async (runtime) => {
      await using container = await Container.start(runtime, [], "sleep", "1000");
      return [
        await container.do("exec", [], "sh", "-c", "echo out; echo err >&2; exit 7"),
        await container.do("exec", ["-u", "user", "-w", "/tmp", "-e", "B=2"], "sh", "-c", "id; pwd; echo $B"),
        await container.do("exec", ["--privileged"], "grep", "Cap", "/proc/self/status"),
        await container.do("exec", [], "nope"),
        await container.do("exec", [], "/etc/passwd"),
        await container.do("exec", ["-w", "/nope"], "pwd"),
        await container.do("exec", ["-t"], "tty"),
        { ...(await container.do("exec", ["-d"], "sleep", "999")), stdout: "an id" },
        await container.do("top", [], "args"),
      ];
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.map(({ code }) => code)).toEqual([7, 0, 0, 127, 126, 127, 0, 0, 0]);
  });

  test.each(RUNTIMES)("%s: a terminal, for run and exec", async (runtime) => {
    const session = (...args: string[]) =>
      new TerminalSession(podmanLine(runtime, ...args), { rows: 30, columns: 90, env: env() });
    const outside = session("run", "--rm", "-it", "--name", "tty", ...ROOTFS(), "sh");
    try {
      await outside.shows("# ");
      outside.type("tty; test -c /dev/console && echo has''-console\r");
      await outside.shows("/dev/pts/0");
      await outside.shows("has-console");
      const inside = session("exec", "-it", "tty", "sh");
      try {
        await until(
          () => {
            inside.type("stty size\r");
            return inside.showsWithin("30 90", 300);
          },
          (shown) => shown,
        );
        inside.type("exit 5\r");
        expect(await inside.ended()).toBe(5);
      } finally {
        inside.close();
      }
      outside.type("exit 4\r");
      expect(await outside.ended()).toBe(4);
    } finally {
      outside.close();
    }
  });

  test("create, init, start, pause, unpause, update, stats, kill, stop: the same states and numbers", async () => {
    const seen = await both(async (runtime) => {
      const script = 'trap "echo got USR1" USR1; trap "" TERM; echo ready; while :; do sleep 0.05; done';
      await using container = await Container.start(runtime, ["--memory", "64m"], "sh", "-c", script);
      const logs = (part: string) =>
        until(
          async () => (await container.do("logs")).stdout,
          (text) => text.includes(part),
        );
      const status = () => container.inspect("{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}");
      await logs("ready");
      const states = [await status()];
      for (const verb of ["pause", "unpause"]) states.push(`${(await container.do(verb)).code}`, await status());
      const updated = await container.do("update", ["--memory", "32m", "--pids-limit", "77", "--cpus", "0.25"]);
      const files = "memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us".split(" ");
      const paths = files.map((file) => `/sys/fs/cgroup/${file}`);
      const limits = (await container.do("exec", [], "cat", ...paths)).stdout;
      const format = "{{.PIDs}} {{.MemLimit}} {{.MemUsage}}";
      const [pids, limit, usage] = (await container.do("stats", ["--no-stream", "--format", format])).stdout.split(" ");
      await container.do("kill", ["--signal", "USR1"]);
      await logs("got USR1");
      const stopped = (await container.do("stop", ["--time", "1"])).code;
      states.push(await until(status, (text) => !text.startsWith("stopped")));
      const again = [(await container.do("start")).code, (await container.do("kill")).code];
      await container.do("wait");
      states.push(await until(status, (text) => !text.startsWith("stopped"))); // until Podman has cleaned up
      return {
        states,
        updated: updated.code,
        limits,
        stats: [Number(pids) > 0, limit, Number.parseFloat(usage ?? "") > 0],
        stopped,
        again,
      };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter.states).toEqual([
      "running 0 false",
      ...["0", "paused 0 false"],
      ...["0", "running 0 false"],
      "exited 137 false",
      "exited 137 false",
    ]);
  });

  test("create, init and start one by one; and the runtime's name is shown", async () => {
    const seen = await both(async (runtime) => {
      const created = await podman(runtime, ["create", ...ROOTFS(), "sh", "-c", "exit 9"]);
      const id = created.stdout.trim();
      const state = async () => (await podman(runtime, ["inspect", "-f", "{{.State.Status}}", id])).stdout.trim();
      const states = [await state()];
      for (const verb of ["init", "start"]) {
        expect((await podman(runtime, [verb, id])).code).toBe(0);
        if (verb === "init") states.push(await state());
      }
      const code = (await podman(runtime, ["wait", id])).stdout.trim();
      const name = (await podman(runtime, ["inspect", "-f", "{{.OCIRuntime}}", id])).stdout.trim();
      const removed = await podman(runtime, ["rm", id]);
      return { states, code, removed: removed.code, name: name.replace(scratch.runtime, "runc") };
    });
    expect(seen.lighter).toEqual(seen.runc);
    expect(seen.lighter).toEqual({ states: ["created", "initialized"], code: "9", removed: 0, name: "runc" });
  });

  test("what has ended or could not start leaves nothing: no cgroup, mount, state or process", async () => {
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const command = index % 2 === 0 ? ["sh", "-c", `exit ${index}`] : ["nope"];
        const { code } = await podman("lighter", ["run", "--rm", ...ROOTFS(), ...command]);
        expect(code).toBe(index % 2 === 0 ? index : 127);
      }),
    );
    expect((await podman("lighter", ["ps", "--all", "--quiet"])).stdout).toBe("");
    await until(
      () => [...globSync("/run/lighter-runtime/*"), ...tracesOf(at("lighter"))],
      (left) => left.length === 0,
    );
  });
});
