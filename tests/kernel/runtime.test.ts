import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { NamespaceType, OciConfig } from "../../src/spec/oci-runtime.ts";
import { failureOf, isRoot, rooted, Stage } from "../support/stage.ts";

/* What a container is given, as it sees it itself. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);

describe("namespaces", () => {
  const files: [NamespaceType, string][] = [
    ["pid", "pid"],
    ["network", "net"],
    ["mount", "mnt"],
    ["ipc", "ipc"],
    ["uts", "uts"],
    ["cgroup", "cgroup"],
    ["time", "time"],
  ];
  const host = (file: string) => readlinkSync(`/proc/self/ns/${file}`);
  const list = `for i in ${files.map(([, file]) => file).join(" ")}; do readlink /proc/self/ns/$i; done`;

  rooted("those asked for are new, the others are the host's", async () => {
    for (const type of ["pid", "network", "ipc", "uts", "cgroup", "time"] as const) {
      const { stdout, stderr } = await stage.run(list, {
        change: (config) => {
          config.linux!.namespaces = [{ type: "mount" }, { type }];
          delete config.hostname;
          if (type !== "network") config.mounts = config.mounts!.filter(({ type }) => type !== "sysfs");
        },
      });
      expect(stderr).toBe("");
      const inside = stdout.trim().split("\n");
      const differing = files.filter(([, file], index) => inside[index] !== host(file)).map(([each]) => each as string);
      expect(differing.sort()).toEqual(["mount", type].sort());
    }
  });

  rooted("in a pid namespace of its own the process is number 1, and procfs shows no other", async () => {
    const { stdout } = await stage.run("echo $$; cd /proc; echo [0-9]*");
    expect(stdout).toBe("1\n1\n");
  });

  rooted("the loopback interface of a new network namespace is up, and there is no other", async () => {
    const script = "cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /sys/class/net/lo/flags";
    const interfaces = (await stage.run(script)).stdout.trim().split(/\s+/);
    // A kernel may have tunnels built in, whose first device is in every namespace.
    expect(
      interfaces.filter((name) => !/^(sit|tunl|gre|gretap|erspan|ip6tnl|ip6gre|ip_vti|ip6_vti)0$/.test(name)),
    ).toEqual(["lo", "0x9"]);
    const talk = `perl -MSocket -e '
      socket(my $s, AF_INET, SOCK_STREAM, 0); bind($s, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die; listen($s, 1);
      socket(my $c, AF_INET, SOCK_STREAM, 0); connect($c, getsockname($s)) or die $!; print "connected\n"'`;
    expect((await stage.run(talk)).stdout).toBe("connected\n");
  });

  rooted("hostname and domainname are set", async () => {
    const { stdout } = await stage.run("uname -n; cat /proc/sys/kernel/domainname", {
      change: (config) => {
        config.domainname = "example.org";
      },
    });
    expect(stdout).toBe("box\nexample.org\n");
  });

  rooted("a cgroup namespace shows the container's cgroup as the root", async () => {
    const { stdout } = await stage.run("cat /proc/self/cgroup");
    expect(
      stdout
        .trim()
        .split("\n")
        .filter((line) => line.includes(stage.parent)),
    ).toEqual([]);
    const without = await stage.run("cat /proc/self/cgroup", {
      change: (config) => {
        config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "cgroup");
      },
    });
    const hierarchies = stage.host.v1.length + (stage.host.v2 ? 1 : 0);
    expect(without.stdout.split("\n").filter((line) => line.includes(`:/${stage.parent}/`))).toHaveLength(hierarchies);
  });

  rooted("clocks of a time namespace are offset, and those of the host stay", async () => {
    const before = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    const { stdout } = await stage.run("cat /proc/uptime; cat /proc/self/timens_offsets", {
      change: (config) => {
        config.linux!.namespaces!.push({ type: "time" });
        config.linux!.timeOffsets = {
          boottime: { secs: 100_000, nanosecs: 0 },
          monotonic: { secs: 200_000, nanosecs: 5 },
        };
      },
    });
    const inside = Number(stdout.split(" ")[0]);
    expect(inside - before).toBeGreaterThan(99_990);
    expect(inside - before).toBeLessThan(101_000);
    expect(stdout).toMatch(/monotonic +200000 +5\nboottime +100000 +0/);
    expect(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) - before).toBeLessThan(90_000);
  });

  rooted("another container's network, ipc, uts and pid namespaces are joined by path", async () => {
    const first = await stage.sleeper();
    try {
      const joined = ["network", "ipc", "uts", "pid"] as const;
      const file = { network: "net", ipc: "ipc", uts: "uts", pid: "pid" } as const;
      const script = joined.map((type) => `readlink /proc/self/ns/${file[type]}`).join("; ");
      const { stdout, stderr } = await stage.run(`${script}; echo $$ $(tr '\\0' ' ' </proc/1/cmdline)`, {
        change: (config) => {
          delete config.hostname;
          config.linux!.namespaces = config.linux!.namespaces!.map(({ type }) =>
            (joined as readonly string[]).includes(type)
              ? { type, path: `/proc/${first.pid}/ns/${file[type as (typeof joined)[number]]}` }
              : { type },
          );
        },
      });
      expect(stderr).toBe("");
      const lines = stdout.trim().split("\n");
      expect(lines.slice(0, 4)).toEqual(joined.map((type) => readlinkSync(`/proc/${first.pid}/ns/${file[type]}`)));
      expect(lines[4]).toMatch(/^\d+ \/bin\/sleep 1000/);
      expect(lines[4]).not.toMatch(/^1 /);
    } finally {
      await first.end();
    }
  });
});

describe("file systems", () => {
  /** Mount point to its options and type, as the container sees them. */
  async function mountinfo(
    change: Parameters<Stage["config"]>[2],
  ): Promise<Map<string, { options: string; type: string; rest: string }>> {
    const { stdout, stderr } = await stage.run("cat /proc/self/mountinfo", { ...(change ? { change } : {}) });
    expect(stderr).toBe("");
    return new Map(
      stdout
        .trim()
        .split("\n")
        .map((line) => {
          const fields = line.split(" ");
          const at = fields.indexOf("-");
          return [
            fields[4]!,
            { options: fields[5]!, type: fields[at + 1]!, rest: fields.slice(6, at).join(" ") + fields[at + 3] },
          ];
        }),
    );
  }

  rooted("mounts have the types and options asked for, in the order listed", async () => {
    const mounts = await mountinfo((config) => {
      config.mounts!.push(
        {
          destination: "/data/a/b",
          type: "tmpfs",
          source: "tmpfs",
          options: ["size=1m", "mode=700", "noexec", "noatime"],
        },
        { destination: "/data/a/b/c", type: "bind", source: "/usr/lib", options: ["bind", "ro", "nosuid", "nodev"] },
        { destination: "/data/file", type: "bind", source: "/etc/passwd", options: ["rbind", "noexec"] },
        { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
      );
    });
    expect(mounts.get("/data/a/b")).toMatchObject({ type: "tmpfs", options: "rw,noexec,noatime" });
    expect(mounts.get("/data/a/b")?.rest).toContain("size=1024k,mode=700");
    expect(mounts.get("/data/a/b/c")?.options).toMatch(/^ro,nosuid,nodev/);
    expect(mounts.get("/data/file")?.options).toMatch(/^rw,noexec/);
    expect(mounts.get("/proc")).toMatchObject({ type: "proc", options: "rw,nosuid,nodev,noexec,relatime" });
    expect(mounts.get("/sys")).toMatchObject({ type: "sysfs", options: "ro,nosuid,nodev,noexec,relatime" });
    expect(mounts.get("/dev/mqueue")).toMatchObject({ type: "mqueue" });
    expect(mounts.get("/proc/sys")?.options).toMatch(/^ro/);
  });

  rooted("nothing of the host is mounted but what was asked for, and nothing is left mounted on the host", async () => {
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const mounts = await mountinfo(undefined);
    const expected = ["/", "/proc", "/dev", "/dev/pts", "/sys", "/dev/shm", "/usr"];
    const hidden = ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger", "/proc/kcore", "/proc/keys", "/sys/firmware"];
    const allowed = new Set([...expected, ...hidden]);
    expect([...mounts.keys()].filter((path) => !allowed.has(path) && !path.startsWith("/usr/"))).toEqual([]);
    expect(expected.filter((path) => !mounts.has(path))).toEqual([]);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
  });

  rooted("propagation is private, or as asked for", async () => {
    const mounts = await mountinfo((config) => {
      config.linux!.rootfsPropagation = "slave";
      config.mounts!.push(
        { destination: "/data/shared", type: "bind", source: "/etc", options: ["rbind", "rshared"] },
        { destination: "/data/private", type: "bind", source: "/etc", options: ["rbind", "rprivate"] },
        { destination: "/data/unbindable", type: "bind", source: "/etc", options: ["rbind", "unbindable"] },
      );
    });
    expect(mounts.get("/data/shared")?.rest).toMatch(/shared:\d+/);
    expect(mounts.get("/data/private")?.rest).not.toMatch(/shared|master/);
    expect(mounts.get("/data/unbindable")?.rest).toContain("unbindable");
  });

  rooted("masked files and directories read empty, and read-only ones refuse writes", async () => {
    const script = [
      "wc -c </proc/keys",
      "ls /sys/firmware | wc -l",
      "(echo 1 >/proc/sys/kernel/domainname) 2>&1",
      "(: >/sys/firmware/x) 2>&1",
      "(: >/etc/masked) 2>&1; ls /data/hidden; cat /data/secret",
    ].join("; ");
    const { stdout } = await stage.run(script, {
      change: (config) => {
        config.mounts!.push(
          { destination: "/data/hidden", type: "bind", source: "/etc", options: ["rbind", "ro"] },
          { destination: "/data/secret", type: "bind", source: "/etc/passwd", options: ["rbind", "ro"] },
        );
        config.linux!.maskedPaths!.push("/data/hidden", "/data/secret", "/data/missing");
        config.linux!.readonlyPaths!.push("/etc", "/data/missing");
      },
    });
    const lines = stdout.trim().split("\n");
    expect(lines.slice(0, 2)).toEqual(["0", "0"]);
    expect(lines.slice(2)).toEqual([
      expect.stringMatching(/domainname: Read-only file system/),
      expect.stringMatching(/firmware.*: Read-only file system/),
      expect.stringMatching(/masked: Read-only file system/),
    ]);
  });

  rooted("a read-only root refuses writes, and its tmpfs mounts take them", async () => {
    const { stdout, exitCode } = await stage.run("(: >/x) 2>&1; : >/dev/shm/y && echo shm; : >/dev/z && echo dev", {
      change: (config) => {
        config.root!.readonly = true;
      },
    });
    expect(stdout).toMatch(/^.*Read-only file system\nshm\ndev\n$/);
    expect(exitCode).toBe(0);
  });

  rooted("a read-only /dev has its devices all the same", async () => {
    const { stdout } = await stage.run("(: >/dev/x) 2>&1; echo >/dev/null && echo ok", {
      change: (config) => {
        config.mounts!.find(({ destination }) => destination === "/dev")!.options!.push("ro");
      },
    });
    expect(stdout).toMatch(/Read-only file system\nok\n$/);
  });

  rooted("the working directory is made if the image lacks it", async () => {
    const { stdout } = await stage.run("pwd; stat -c '%a %u' .", {
      change: (config) => {
        config.process!.cwd = "/data/work/deep//";
      },
    });
    expect(stdout).toBe("/data/work/deep\n755 0\n");
  });

  rooted("devices work: null, zero, full, random, tty links, fd links", async () => {
    const script = [
      "echo x >/dev/null && echo null",
      "head -c 3 /dev/zero | wc -c",
      "(cat /usr/bin/true >/dev/full) 2>&1",
      "head -c 5 /dev/urandom | wc -c",
      "stat -c '%F %t:%T %a' /dev/tty /dev/random",
      "readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/core /dev/ptmx",
      "echo out >/dev/stdout; echo err >/dev/stderr",
      "stat -c '%a %g' /dev/pts/ptmx",
    ].join("; ");
    const { stdout, stderr } = await stage.run(script);
    expect(stdout.split("\n")).toEqual([
      "null",
      "3",
      expect.stringMatching(/No space left on device/),
      "5",
      "character special file 5:0 666",
      "character special file 1:8 666",
      "/proc/self/fd",
      "/proc/self/fd/0",
      "/proc/self/fd/1",
      "/proc/self/fd/2",
      ...(existsSync("/proc/kcore") ? ["/proc/kcore"] : []),
      "pts/ptmx",
      "out",
      "666 0",
      "",
    ]);
    expect(stderr).toBe("err\n");
  });

  rooted(
    "listed devices are made with their owner and mode, also outside of /dev, and others cannot be opened",
    async () => {
      const { stdout } = await stage.run(
        "stat -c '%F %t:%T %a %u:%g' /dev/net/thing /dev/null /data/pipe /kmsg; (cat /kmsg) 2>&1 | head -c 200",
        {
          change: (config) => {
            config.linux!.devices = [
              { path: "/dev/net/thing", type: "c", major: 10, minor: 200, fileMode: 0o640, uid: 7, gid: 8 },
              { path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 0o622 },
              { path: "/data/pipe", type: "p", fileMode: 0o600 },
              { path: "/kmsg", type: "c", major: 1, minor: 11 },
            ];
          },
        },
      );
      expect(stdout.split("\n")).toEqual([
        "character special file a:c8 640 7:8",
        "character special file 1:3 622 0:0",
        "fifo 0:0 600 0:0",
        "character special file 1:b 666 0:0",
        expect.stringMatching(/Operation not permitted/),
        "",
      ]);
    },
  );
});

describe("a /dev", () => {
  const script = "stat -c '%n %F' /dev/null /dev/tty; readlink /dev/fd; stat -c %F /data/again /dev/extra 2>/dev/null";
  const devices = [
    { path: "/data/again", type: "c", major: 1, minor: 3 },
    { path: "/dev/extra", type: "c", major: 1, minor: 3 },
  ];
  const withoutMount = (config: OciConfig) => {
    config.mounts = config.mounts!.filter(({ destination }) => !destination.startsWith("/dev"));
    config.linux!.devices = devices;
  };
  const made = "/dev/null character special file\n/dev/tty character special file\n/proc/self/fd\n";

  rooted("of the image gets its devices too, each time the same root is started", async () => {
    for (let i = 0; i < 2; i++)
      expect((await stage.run(script, { change: withoutMount })).stdout).toBe(
        `${made}${"character special file\n".repeat(2)}`,
      );
  });

  rooted("that is bound is left as it is", async () => {
    const bound = join(stage.directory, "bound-dev");
    mkdirSync(bound);
    const { stdout } = await stage.run("ls /dev", {
      change: (config) => {
        withoutMount(config);
        config.mounts!.push({ destination: "/dev", type: "bind", source: bound, options: ["rbind"] });
      },
    });
    expect(stdout).toBe("");
    expect(readdirSync(bound)).toEqual([]);
  });
});

describe("the process", () => {
  const status = (field: string) => `grep '^${field}:' /proc/self/status`;

  rooted("has the five capability sets asked for, exactly", async () => {
    const { stdout } = await stage.run("grep ^Cap /proc/self/status", {
      change: (config) => {
        config.process!.user = { uid: 1000, gid: 1000 };
        config.process!.capabilities = {
          bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_PTRACE"],
          permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
          inheritable: ["CAP_KILL", "CAP_NET_RAW"],
          effective: ["CAP_CHOWN"],
          ambient: ["CAP_NET_RAW"],
        };
      },
    });
    // What execve(2) makes of them for another user than root: permitted and effective are the ambient set.
    const ambient = 1n << 13n;
    const inheritable = (1n << 5n) | ambient;
    const bounding = 1n | (1n << 5n) | ambient | (1n << 19n);
    const hex = (mask: bigint) => mask.toString(16).padStart(16, "0");
    expect(stdout).toBe(
      [
        `CapInh:\t${hex(inheritable)}`,
        `CapPrm:\t${hex(ambient)}`,
        `CapEff:\t${hex(ambient)}`,
        `CapBnd:\t${hex(bounding)}`,
        `CapAmb:\t${hex(ambient)}`,
        "",
      ].join("\n"),
    );
  });

  rooted(
    "as root has Docker's default capabilities as permitted, effective and bounding set, and no others",
    async () => {
      const { stdout } = await stage.run("grep ^Cap /proc/self/status | cut -f2");
      expect(stdout).toBe("0000000000000000\n00000000a80425fb\n00000000a80425fb\n00000000a80425fb\n0000000000000000\n");
    },
  );

  rooted("without capabilities has none", async () => {
    const { stdout } = await stage.run("grep ^Cap /proc/self/status | cut -f2", {
      change: (config) => {
        config.process!.capabilities = {};
      },
    });
    expect(stdout).toBe("0000000000000000\n".repeat(5));
  });

  rooted("is under its seccomp filter, with no_new_privs and without", async () => {
    for (const noNewPrivileges of [false, true])
      for (const uid of [0, 1000]) {
        const { stdout } = await stage.run(`${status("Seccomp")}; ${status("NoNewPrivs")}; (mkdir /tmp/d) 2>&1`, {
          change: (config) => {
            config.process!.noNewPrivileges = noNewPrivileges;
            config.process!.user = { uid, gid: uid };
            config.linux!.seccomp = {
              defaultAction: "SCMP_ACT_ALLOW",
              architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
              syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
            };
          },
        });
        expect(stdout).toMatch(
          new RegExp(`^Seccomp:\t2\nNoNewPrivs:\t${noNewPrivileges ? 1 : 0}\n.*No space left on device\n$`),
        );
      }
  });

  rooted("without seccomp and no_new_privs has neither", async () => {
    const { stdout } = await stage.run(`${status("Seccomp")}; ${status("NoNewPrivs")}`);
    expect(stdout).toBe("Seccomp:\t0\nNoNewPrivs:\t0\n");
  });

  rooted("has the user, group, additional groups and umask asked for", async () => {
    const { stdout } = await stage.run("id -u; id -g; id -G; umask; grep -E '^(Uid|Gid)' /proc/self/status", {
      change: (config) => {
        config.process!.user = { uid: 1234, gid: 2345, additionalGids: [5, 3456, 2345], umask: 0o077 };
      },
    });
    expect(stdout).toBe("1234\n2345\n2345 5 3456\n0077\nUid:\t1234\t1234\t1234\t1234\nGid:\t2345\t2345\t2345\t2345\n");
  });

  rooted("has no groups of the daemon, umask 022, and no signal ignored", async () => {
    const { stdout } = await stage.run("grep '^Groups' /proc/self/status; umask");
    expect(stdout).toBe("Groups:\t \n0022\n");
    expect((await stage.run(["/bin/cat", "/proc/self/status"])).stdout).toContain("SigIgn:\t0000000000000000\n");
  });

  rooted("has the rlimits, sysctls and oom_score_adj asked for", async () => {
    const script =
      "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; cat /proc/self/oom_score_adj";
    const { stdout } = await stage.run(script, {
      change: (config) => {
        config.process!.rlimits = [
          { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
          { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        ];
        config.process!.oomScoreAdj = 321;
        config.linux!.sysctl = { "net.ipv4.ip_forward": "1", "kernel.msgmax": "8000" };
      },
    });
    expect(stdout).toBe("100\n200\n0\n1\n8000\n321\n");
    expect(readFileSync("/proc/self/oom_score_adj", "utf8")).not.toBe("321\n");
  });

  rooted("a sysctl may be written with dots or with slashes, and needs a key that stays in /proc/sys", async () => {
    const withKey = (key: string) =>
      stage.run("cat /proc/sys/net/ipv4/conf/lo/rp_filter", {
        change: (config) => {
          config.linux!.sysctl = { [key]: "2" };
        },
      });
    expect((await withKey("net.ipv4.conf.lo.rp_filter")).stdout).toBe("2\n");
    expect((await withKey("net/ipv4/conf/lo/rp_filter")).stdout).toBe("2\n");
    expect(await failureOf(withKey("net.ipv4.conf.l/o.rp_filter"))).toMatchObject({
      code: "kernel",
      detail: { errno: "ENOENT" },
      message: expect.stringContaining("sys/net/ipv4/conf/l.o/rp_filter"),
    });
    for (const key of ["../sysrq-trigger", "kernel/../../sysrq-trigger", "kernel\0x"])
      expect(await failureOf(withKey(key))).toMatchObject({ code: "invalid" });
  });

  rooted("has no fd above 2, no signal blocked or ignored, and leads its own session", async () => {
    const script = `perl -e '
      opendir(my $d, "/proc/self/fd"); my @n = grep { /^\\d+$/ && $_ != fileno($d) } readdir($d); print join(" ", sort @n), "\\n";
      open(my $s, "/proc/self/status"); print grep { /^SigBlk/ } <$s>; print getpgrp() == $$ ? "leader\\n" : "no\\n"'`;
    const { stdout } = await stage.run(["/usr/bin/perl", "-e", script.slice(script.indexOf("'") + 1, -1)]);
    expect(stdout).toBe("0 1 2\nSigBlk:\t0000000000000000\nleader\n");
  });

  rooted("a working directory of /proc/self/fd/N is refused for every N, as no fd of the host is open", async () => {
    for (let fd = 3; fd <= 30; fd++) {
      const started = stage.run("readlink /proc/self/cwd; ls", {
        change: (config) => {
          config.process!.cwd = `/proc/self/fd/${fd}`;
        },
      });
      const { detail } = await started.then(
        ({ stdout }) => Promise.reject(new Error(`fd ${fd}: ran in ${stdout}`)),
        (error: { detail: { errno: string } }) => error,
      );
      expect(["ENOENT", "ELOOP", "EACCES", "ENOTDIR"]).toContain(detail.errno);
    }
  });

  rooted("is the first file of its PATH that can be executed", async () => {
    const run = (path: string, file: string) =>
      stage.run([file, "x"], {
        change: (config) => {
          config.process!.env = [`PATH=${path}`];
        },
      });
    expect((await run("/nowhere:/etc/passwd:/usr/bin", "echo")).stdout).toBe("x\n");
    const missing = { code: "exec-not-found", detail: { errno: "ENOENT" } };
    expect(await failureOf(run("/nowhere", "echo"))).toMatchObject({
      ...missing,
      message: 'exec: "echo": executable file not found in $PATH',
    });
    expect(await failureOf(run("", "echo"))).toMatchObject(missing);
    expect(await failureOf(run("/usr/bin", "/nowhere/echo"))).toMatchObject({
      ...missing,
      message: 'exec: "/nowhere/echo": stat /nowhere/echo: no such file or directory',
    });
    expect(await failureOf(run("/usr/bin", "/usr/share"))).toMatchObject({
      code: "exec-denied",
      message: 'exec: "/usr/share": permission denied',
    });
    expect(await failureOf(run("/nowhere:/usr", "share"))).toMatchObject({ code: "exec-denied" });
  });

  rooted("that cannot be executed for its interpreter is not said to be missing itself", async () => {
    const path = join(stage.rootfs, "data/no-interpreter");
    writeFileSync(path, "#!/nonesuch\n", { mode: 0o755 });
    for (const program of ["/data/no-interpreter", "no-interpreter"])
      expect(
        await failureOf(
          stage.run("", {
            change: (config) => {
              config.process!.args = [program];
              config.process!.env = ["PATH=/usr/bin:/data"];
            },
          }),
        ),
      ).toMatchObject({
        code: "exec-not-found",
        message: `exec ${program}: no such file or directory`,
        detail: { hint: expect.stringContaining("interpreter") },
      });
    rmSync(path);
  });

  rooted("ends with every exit code, and with 128 and the signal that killed it", async () => {
    const codes = [0, 1, 2, 42, 125, 126, 127, 128, 200, 255];
    for (const code of codes) expect(await stage.run(`exit ${code}`)).toMatchObject({ exitCode: code, signal: 0 });
    for (const signal of [1, 2, 6, 9, 11, 15]) {
      const sleeper = await stage.sleeper({
        args: ["/usr/bin/perl", "-e", "$SIG{$_}='DEFAULT' for keys %SIG; sleep 1000"],
        change: hostPids,
      });
      await sleeper.container.signal(signal);
      expect(await sleeper.container.exited).toMatchObject({ exitCode: 128 + signal, signal });
      await sleeper.container.gone;
    }
  });
});

/** Process 1 of a pid namespace is spared all signals that it does not handle. */
function hostPids(config: { linux?: { namespaces?: { type: string }[] } }): void {
  config.linux!.namespaces = config.linux!.namespaces!.filter(({ type }) => type !== "pid") as never;
}

test("dist/launcher is there", () => {
  expect(existsSync("dist/launcher")).toBe(true);
  expect(statSync("dist/launcher").mode & 0o111).not.toBe(0);
});
