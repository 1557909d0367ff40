// needs: cc busybox
import { describe, expect } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { OciConfig, OciHook } from "../../src/spec/oci-runtime.ts";
import { until } from "../support/eventually.ts";
import { OciBox, type Ran } from "../support/oci-box.ts";
import { runtimeProgram } from "../support/program.ts";
import { isAlive, isRoot, rooted, Stage } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* What callers and configs written for runc count on beyond the specification. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const box = isRoot ? new OciBox(stage) : (undefined as unknown as OciBox);

describe("a process", () => {
  const cpus = () => /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]!;
  const GREP = ["/bin/grep", "Cpus_allowed_list", "/proc/self/status"];
  const taskset = Bun.which("taskset");
  const withCpus = testIf(
    isRoot && taskset !== null && /[-,]/.test(isRoot ? cpus() : ""),
    "needs root, taskset and two CPUs",
  );
  const onFirst = (args: readonly string[]) => {
    const line = [taskset!, "-c", cpus().split(/[-,]/)[0]!, box.program, "--root", box.root, ...args];
    const { exitCode, stdout, stderr } = Bun.spawnSync(line, { stdin: "ignore", timeout: 30_000 });
    return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
  };

  withCpus("of run or exec has the CPUs of its container, not those of its caller", () => {
    const all = { code: 0, out: `Cpus_allowed_list:\t${cpus()}\n`, err: "" };
    const bundle = box.bundle(GREP);
    expect(onFirst(["run", "-b", bundle.directory, bundle.id])).toEqual(all);
    const sleeper = box.bundle("sleep 1000");
    box.running(sleeper, () => expect(onFirst(["exec", sleeper.id, ...GREP])).toEqual(all));
    const second = cpus().split(/[-,]/)[1]!;
    box.configure(bundle, GREP, (config) => {
      config.linux!.resources!.cpu = { cpus: second, mems: "0" };
    });
    const ran = onFirst(["run", "-b", bundle.directory, bundle.id]);
    if (!/cpuset/.test(ran.err)) expect(ran).toEqual({ ...all, out: `Cpus_allowed_list:\t${second}\n` });
  });

  const MASKS = ["/bin/grep", "-E", "Cap(Inh|Amb|Bnd)", "/proc/self/status"];
  const masks = (inheritable: string, bounding: string, ambient: string) =>
    `CapInh:\t${inheritable.padStart(16, "0")}\nCapBnd:\t${bounding.padStart(16, "0")}\nCapAmb:\t${ambient.padStart(16, "0")}\n`;

  rooted(
    "starts without capabilities that nobody knows, and ambient ones that cannot be raised: with a warning",
    () => {
      const bundle = box.bundle(MASKS, ({ process }) => {
        const some = ["CAP_KILL", "CAP_CHOWN", "CAP_NONSENSE"];
        process!.capabilities = {
          ...{ bounding: [...some, "OTHER"], effective: some, permitted: some },
          ...{ inheritable: ["CAP_KILL"], ambient: ["CAP_KILL", "CAP_CHOWN"] },
        };
      });
      const { code, out, err } = box.run(bundle);
      expect([code, out]).toEqual([0, masks("20", "21", "20")]);
      expect(err).toContain('level=warning msg="ignoring unknown or unavailable capabilities: [CAP_NONSENSE OTHER]"\n');
      expect(err).toContain("can't raise ambient capability CAP_CHOWN: operation not permitted");
      expect(err).not.toContain("CAP_KILL");
    },
  );

  rooted("of `exec --cap` has it as an ambient one, too, where the container has inheritable ones", () => {
    for (const [inheritable, expected] of [
      [["CAP_CHOWN", "CAP_SYSLOG"], masks("400000001", "400000021", "400000001")],
      [[], masks("0", "400000021", "0")],
    ] as const) {
      const bundle = box.bundle("sleep 1000", ({ process }) => {
        process!.capabilities = {
          ...{
            bounding: ["CAP_KILL", "CAP_CHOWN", ...inheritable],
            effective: ["CAP_KILL"],
            permitted: ["CAP_KILL", "CAP_CHOWN"],
          },
          ...{ inheritable: [...inheritable], ambient: inheritable.length > 0 ? ["CAP_CHOWN"] : [] },
        };
      });
      box.running(bundle, () =>
        expect(box.cli(["exec", "--cap", "CAP_SYSLOG", bundle.id, ...MASKS])).toEqual({
          code: 0,
          out: expected,
          err: "",
        }),
      );
    }
    const bundle = box.bundle("sleep 1000");
    box.running(bundle, () => {
      const { code, err } = box.cli(["exec", "--cap", "CAP_NONSENSE", bundle.id, "true"]);
      expect([code, err]).toEqual([0, expect.stringContaining("capabilities: [CAP_NONSENSE]")]);
    });
  });

  rooted("has the last of two variables of one name, and a home directory in place of an empty one", () => {
    const bundle = box.bundle(["/bin/env"], ({ process }) => {
      process!.env = ["A=1", "HOME=/first", "B=2", "A=3", "HOME="];
    });
    expect(box.run(bundle)).toEqual({ code: 0, out: "B=2\nA=3\nHOME=/\n", err: "" });
    const sleeper = box.bundle("sleep 1000", ({ process }) => {
      process!.env = ["PATH=/nowhere", "PATH=/bin", "A=1", "HOME=/first"];
    });
    box.running(sleeper, () =>
      expect(box.cli(["exec", "-e", "A=2", "-e", "A=3", "-e", "HOME=/second", sleeper.id, "env"])).toEqual({
        ...{ code: 0, out: "PATH=/bin\nA=3\nHOME=/second\n", err: "" },
      }),
    );
  });
});

describe("a cgroup", () => {
  const hierarchies = () => [...stage.host.v1, ...(stage.host.v2 ? [stage.host.v2] : [])];
  const directoriesOf = (id: string) => hierarchies().map(({ mountPoint }) => `${mountPoint}/${stage.parent}/${id}`);
  const make = (id: string) => {
    for (const directory of directoriesOf(id)) mkdirSync(directory, { recursive: true });
  };
  const freezer = () => stage.host.v1.find(({ controllers }) => controllers.includes("freezer"))?.mountPoint;
  const canFreeze = isRoot && (stage.host.mode === "unified" || freezer() !== undefined);

  rooted("that is there and empty is used, and goes with its container", () => {
    for (const act of [
      (id: string, directory: string) => expect(box.cli(["run", "-b", directory, id]).out).toContain(`/${id}`),
      (id: string, directory: string) => {
        const stdio = ["ignore", "ignore", "ignore"] as const;
        expect(box.cli(["create", "-b", directory, id], { stdio: [...stdio] }).code).toBe(0);
        expect(box.cli(["start", id]).err).toBe("");
        expect(box.cli(["delete", "--force", id]).err).toBe("");
      },
    ]) {
      const bundle = box.bundle(["/bin/cat", "/proc/self/cgroup"], ({ linux }) => {
        linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== "cgroup");
      });
      make(bundle.id);
      act(bundle.id, bundle.directory);
      for (const directory of directoriesOf(bundle.id))
        expect([directory, existsSync(directory)]).toEqual([directory, false]);
    }
  });

  rooted("in which somebody is already is refused and left as it is", () => {
    const first = box.bundle("sleep 1000");
    box.running(first, () => {
      const second = box.bundle("true", ({ linux }) => {
        linux!.cgroupsPath = `/${stage.parent}/${first.id}`;
      });
      for (const command of ["run", "create"]) {
        const { code, err } = box.cli([command, "-b", second.directory, second.id]);
        expect([code, err]).toEqual([
          1,
          expect.stringContaining("container's cgroup is not empty: 1 process(es) found"),
        ]);
      }
      expect(JSON.parse(box.cli(["state", first.id]).out).status).toBe("running");
      expect(box.cli(["state", second.id]).err).toContain("does not exist");
    });
  });

  testIf(canFreeze, "needs root and a freezer")("that is frozen is refused, as nothing would run in it", () => {
    const bundle = box.bundle("true");
    const root = freezer() ?? stage.host.v2!.mountPoint;
    const directory = `${root}/${stage.parent}/${bundle.id}`;
    mkdirSync(directory, { recursive: true });
    const [file, frozen, thawed] = freezer() ? ["freezer.state", "FROZEN", "THAWED"] : ["cgroup.freeze", "1", "0"];
    writeFileSync(`${directory}/${file}`, frozen!);
    try {
      for (const command of ["run", "create"]) {
        const { code, err } = box.cli([command, "-b", bundle.directory, bundle.id]);
        expect([code, err]).toEqual([1, expect.stringContaining("container's cgroup unexpectedly frozen")]);
      }
    } finally {
      writeFileSync(`${directory}/${file}`, thawed!);
      rmdirSync(directory);
    }
  });
});

describe("a config of runtime-spec 1.3", () => {
  const ip = Bun.which("ip");
  const unshare = Bun.which("unshare");
  const withIp = testIf(isRoot && ip !== null && unshare !== null, "needs root, ip and unshare");

  withIp("gives a network device of the host to the container, with its addresses and the name asked for", () => {
    const show =
      "for i in here there; do cat /sys/class/net/$i/address; done; cat /proc/net/fib_trie | grep -o 10.9.8.7 | head -1; cat /sys/class/net/here/flags";
    const bundle = box.bundle(show, ({ linux }) => {
      Object.assign(linux!, { netDevices: { far: { name: "here" }, there: {} } });
    });
    const links = "ip link add far address 02:00:00:00:00:01 type veth peer name there address 02:00:00:00:00:02";
    const run = `'${box.program}' --root '${box.root}' run -b '${bundle.directory}' ${bundle.id}`;
    const line = `${links} && ip address add 10.9.8.7/24 dev far && ${run} && { ip -o link | grep -cE "far|there" || true; }`;
    const ran = Bun.spawnSync([unshare!, "--net", "sh", "-c", line], { stdin: "ignore", timeout: 30_000 });
    expect([ran.exitCode, ran.stderr.toString()]).toEqual([0, ""]);
    const [here, there, address, flags, left] = ran.stdout.toString().split("\n");
    expect([here, there, address]).toEqual(["02:00:00:00:00:01", "02:00:00:00:00:02", "10.9.8.7"]);
    expect([Number(flags) & 1, left]).toEqual([1, "0"]); // up; and none is left
  });

  withIp("names the device that is not there, and wants a network namespace", () => {
    const bundle = box.bundle("true", ({ linux }) => {
      Object.assign(linux!, { netDevices: { none7: {} } });
    });
    expect(box.run(bundle).err).toMatch(/linux.netDevices: none7 becomes the container's none7: .*ENODEV/);
    box.configure(bundle, "true", ({ linux }) => {
      linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== "network");
      Object.assign(linux!, { netDevices: { none7: {} } });
    });
    expect(box.run(bundle).err).toContain("linux.netDevices needs a network namespace");
  });

  const isNuma = existsSync("/proc/self/numa_maps");
  testIf(isRoot && isNuma, "needs root, and a kernel with NUMA")(
    "sets the memory policy of the process and of execs",
    () => {
      const bundle = box.bundle(
        ["/bin/sh", "-c", "grep -m1 -o 'bind[^ ]*' /proc/self/numa_maps; exec sleep 1000"],
        ({ linux }) => {
          linux!.memoryPolicy = { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] };
        },
      );
      box.running(bundle, () => {
        const ran = box.cli(["exec", bundle.id, "grep", "-m1", "-o", "bind[^ ]*", "/proc/self/numa_maps"]);
        expect(ran).toEqual({ code: 0, out: "bind=static:0\n", err: "" });
        expect(readFileSync(`/proc/${box.pid(bundle)}/numa_maps`, "utf8")).toContain(" bind=static:0");
      });
    },
  );
});

describe("--debug", () => {
  rooted("says each op with its reason, in the format asked for, and no variable's value", () => {
    const bundle = box.bundle("sleep 1000", ({ process, linux }) => {
      process!.env!.push("SECRET=hush");
      linux!.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["acct"], action: "SCMP_ACT_ERRNO" }] };
    });
    const log = join(bundle.directory, "log");
    const { id, directory } = bundle;
    for (const args of [
      ["create", "-b", directory, id],
      ["start", id],
      ["exec", "-e", "OTHER=hush", id, "true"],
      ["kill", id, "KILL"],
      ["delete", "--force", id],
    ]) {
      writeFileSync(log, "");
      const flags = ["--debug", "--log", log, "--log-format", "json"];
      const stderr = openSync(join(directory, "stderr"), "a"); // a pipe would stay open as long as the container
      expect([args, box.cli([...flags, ...args], { stdio: ["ignore", "ignore", stderr] }).code]).toEqual([args, 0]);
      closeSync(stderr);
      expect(readFileSync(join(directory, "stderr"), "utf8")).toBe("");
      const lines = readFileSync(log, "utf8").trim().split("\n");
      const messages = lines.map((line) => (JSON.parse(line) as { level: string; msg: string }).msg);
      const has = (pattern: RegExp) => expect(messages).toContainEqual(expect.stringMatching(pattern));
      if (args[0] === "create") has(/^\d+ mkdirat .*# the container's cgroup$/);
      if (args[0] === "create" || args[0] === "exec") {
        const last = args[0] === "exec" ? "setns_init: about to exec" : "init: closing the pipe to signal completion";
        const stages = ["nsexec container setup", "child process in init()", "seccomp filter flags: 4", last];
        expect(messages.filter((message) => !/^\d+ /.test(message))).toEqual(stages);
        expect(messages[messages.indexOf(last) + 1]).toMatch(/^\d+ execve .*# run ".*"$/);
      } else expect(messages.length).toBeGreaterThan(0);
      expect(readFileSync(log, "utf8")).not.toContain("hush");
    }
  });

  rooted("without a log writes them to standard error, as text", () => {
    const bundle = box.bundle("echo fine");
    const { code, out, err } = box.cli(["--debug", "run", "-b", bundle.directory, bundle.id]);
    expect([code, out]).toEqual([0, "fine\n"]);
    expect(
      err
        .trim()
        .split("\n")
        .every((line) => /^time="\S+" level=debug msg="/.test(line)),
    ).toBe(true);
    expect(err).toMatch(/msg="\d+ clone3 /);
  });
});

describe("a container that waits for its start", () => {
  rooted("is ended by the signals that end any process", async () => {
    for (const [signal, runs] of [
      ["TERM", false],
      ["HUP", false],
      ["USR2", true],
    ] as const) {
      const bundle = box.bundle("sleep 1000");
      await box.running(
        bundle,
        async () => {
          const status = () => JSON.parse(box.cli(["state", bundle.id]).out).status;
          expect(box.cli(["kill", bundle.id, signal])).toEqual({ code: 0, out: "", err: "" });
          if (!runs) await until(() => status() === "stopped", "it has ended");
          else {
            expect(box.cli(["start", bundle.id]).err).toBe("");
            expect(status()).toBe("running");
          }
        },
        "create",
      );
    }
  });
});

describe("a mask", () => {
  rooted("of directories is one file system for all, empty and read-only, mounted once for each", () => {
    const bundle = box.bundle(
      "stat -c %d /a /b /a/file /proc/mounts /; ls /a /b; touch /b/x; grep -c ' /a ' /proc/mounts",
      ({ linux }, { rootfs }) => {
        for (const name of ["a", "b"]) {
          mkdirSync(join(rootfs, name));
          writeFileSync(join(rootfs, name, "file"), "secret");
        }
        linux!.maskedPaths = ["/none", "/a", "/b", "/a", "/proc/kcore", "/data/none"];
      },
    );
    const { out, err } = box.run(bundle);
    const [a, b, procfs, root, ...rest] = out.split("\n");
    expect([a === b, a === root, procfs === root]).toEqual([true, false, false]);
    expect(rest.join("\n")).toBe("/a:\n\n/b:\n1\n");
    expect(err).toContain("can't stat '/a/file'");
    expect(err).toContain("Read-only file system");
  });
});

describe("a mount", () => {
  const unshare = Bun.which("unshare");
  const withUnshare = testIf(isRoot && unshare !== null, "needs root and unshare");

  withUnshare("by bind with options has those in place of its source's, but for access times", () => {
    for (const [of, options, expected] of [
      ["ro,noexec,noatime", ["bind", "nosuid", "nodev"], "rw,nosuid,nodev,noatime"],
      ["nosuid,nodev,nodiratime", ["bind", "ro"], "ro,nodiratime,relatime"],
      ["noexec,noatime,nodiratime", ["bind", "relatime"], "rw,relatime"],
      ["ro,noatime", ["bind", "rw"], "rw,noatime"],
      ["ro,nosuid,nodev,noexec,noatime", ["bind"], "ro,nosuid,nodev,noexec,noatime"],
      ["ro,nosuid", ["bind", "rro"], "ro,nosuid,relatime"],
    ] as const) {
      const bundle = box.bundle(["/bin/grep", " /data ", "/proc/self/mountinfo"], (config, { directory }) => {
        mkdirSync(join(directory, "source"));
        config.mounts!.push({ destination: "/data", type: "bind", source: "source", options: [...options] });
      });
      const mount = `mount -t tmpfs -o ${of} none '${bundle.directory}/source'`;
      const run = `exec '${box.program}' --root '${box.root}' run -b '${bundle.directory}' ${bundle.id}`;
      const ran = Bun.spawnSync([unshare!, "-m", "sh", "-c", `${mount} && ${run}`], {
        stdin: "ignore",
        timeout: 30_000,
      });
      expect([of, ran.exitCode, ran.stderr.toString()]).toEqual([of, 0, ""]);
      expect([of, options, ran.stdout.toString().split(" ")[5]]).toEqual([of, options, expected]);
    }
  });

  withUnshare("keeps what a less privileged namespace has locked, and is refused if that is to go", () => {
    for (const [option, expected] of [
      ["nosuid", /^ro,nosuid,noexec/],
      ["rw", /EPERM/],
    ] as const) {
      const bundle = box.bundle(["/bin/grep", " /data ", "/proc/self/mountinfo"], (config, { directory }) => {
        mkdirSync(join(directory, "source"));
        config.mounts!.push({ destination: "/data", type: "bind", source: "source", options: ["bind", option] });
        const { cgroupsPath: _, resources: __, ...linux } = config.linux!;
        const ids = [{ containerID: 0, hostID: 0, size: 65536 }];
        config.linux = { ...linux, uidMappings: ids, gidMappings: ids };
        config.linux.namespaces = [...linux.namespaces!, { type: "user" }];
      });
      const mount = `mount -t tmpfs -o ro,noexec none '${bundle.directory}/source'`;
      const run = `exec '${box.program}' --root '${box.root}' run -b '${bundle.directory}' ${bundle.id}`;
      const ran = Bun.spawnSync([unshare!, "-m", "sh", "-c", `${mount} && ${run}`], {
        stdin: "ignore",
        timeout: 30_000,
      });
      expect(ran.stdout.toString().split(" ")[5] ?? ran.stderr.toString()).toMatch(expected);
    }
  });

  rooted("by bind of something in the root sees the mounts that come before it", () => {
    const bundle = box.bundle(
      ["/bin/cat", "/final/there", "/tmp/file", "/tmp/linked/there"],
      (config, { directory, rootfs }) => {
        mkdirSync(join(directory, "tree/sub"), { recursive: true });
        writeFileSync(join(directory, "tree/sub/there"), "of the tree\n");
        symlinkSync("/data/sub", join(directory, "tree/link"));
        config.mounts!.push(
          { destination: "/data", type: "bind", source: "tree", options: ["bind"] },
          { destination: "/final", type: "bind", source: "rootfs/data/sub", options: ["rbind", "ro"] },
          { destination: "/tmp/file", type: "bind", source: `${rootfs}/final/there`, options: ["bind"] },
          { destination: `${rootfs}/tmp/linked`, type: "bind", source: `${rootfs}/data/link`, options: ["bind"] },
        );
      },
    );
    expect(box.run(bundle)).toEqual({ code: 0, out: "of the tree\n".repeat(3), err: "" });
  });

  rooted("with a relative destination is taken from the root, with a warning", () => {
    const bundle = box.bundle(["/bin/grep", "-c", " /data/here ", "/proc/self/mountinfo"], (config) => {
      config.mounts!.push({ destination: "data/here", type: "tmpfs", source: "tmpfs" });
    });
    const { code, out, err } = box.run(bundle);
    expect([code, out]).toEqual([0, "1\n"]);
    expect(err).toMatch(/^time=\S+ level=warning msg="mount destination \\"data\/here\\" is not absolute/);
  });
});

describe("a command", () => {
  rooted("in the foreground with a terminal ends lines as its program does", () => {
    const lines = "echo one; echo two; stat -c %t /dev/console";
    const bundle = box.bundle(lines, ({ process }) => {
      process!.terminal = true;
    });
    expect(box.run(bundle)).toEqual({ code: 0, out: "one\ntwo\n88\n", err: "" });
    const sleeper = box.bundle("sleep 1000");
    box.running(sleeper, () =>
      expect(box.cli(["exec", "--tty", sleeper.id, "sh", "-c", "echo one; echo two"]).out).toBe("one\ntwo\n"),
    );
  });

  rooted("of a link named runc says so of itself, where it stands in for itself too", () => {
    const link = join(mkdtempSync(join(box.directory, "link-")), "runc");
    symlinkSync(runtimeProgram, link);
    const says = (...args: string[]) => box.runtime(link, args);
    const commit = existsSync(".git") ? "commit: \\S+\n" : "";
    expect(says("--version").out).toMatch(new RegExp(`^runc version \\S+\n${commit}spec: \\S+\n$`));
    expect(says("--help").out).toMatch(/^NAME:\n {3}runc - Open Container Initiative runtime\n/);
    expect(says("kill", "--help").out).toMatch(/^NAME:\n {3}runc kill - /);
    expect(says("nonsense", "--help")).toMatchObject({ code: 1, err: expect.stringContaining("No help topic for") });
    const bundle = box.bundle(["/bin/nonsense"]);
    const failed = 'msg="runc run failed: unable to start container process: exec: ';
    expect(says("run", "--bundle", bundle.directory, bundle.id).err).toContain(failed);
    expect(box.run(bundle).err).toContain(failed.replace("runc", "lighter-runtime"));
  });

  rooted("`spec` has a cgroup namespace where runc has: on cgroup v2 alone", () => {
    const directory = mkdtempSync(join(box.directory, "spec-"));
    expect(box.cli(["spec", "--bundle", directory])).toEqual({ code: 0, out: "", err: "" });
    const { linux } = JSON.parse(readFileSync(join(directory, "config.json"), "utf8")) as OciConfig;
    expect(linux!.namespaces!.some(({ type }) => type === "cgroup")).toBe(stage.host.mode === "unified");
  });

  rooted("`exec --process` reads a pipe", () => {
    const sleeper = box.bundle("sleep 1000");
    const program = JSON.stringify({ cwd: "/", args: ["/bin/echo", "from a pipe"] });
    box.running(sleeper, () => {
      const read = (args: string) =>
        Bun.spawnSync([
          "sh",
          "-c",
          `echo '${program}' | '${box.program}' --root '${box.root}' exec ${args} ${sleeper.id}`,
        ]);
      const ran = read("--process /proc/self/fd/0");
      expect([ran.exitCode, ran.stdout.toString(), ran.stderr.toString()]).toEqual([0, "from a pipe\n", ""]);
      const missing = box.cli(["exec", "--process", "/nowhere", sleeper.id]);
      expect([missing.code, missing.err]).toEqual([255, expect.stringContaining('open \\"/nowhere\\": ENOENT')]);
    });
  });

  const RECEIVE = `
import os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
os.write(1, b"listening\\n")
connection, _ = server.accept()
message, [pidfd], _, _ = socket.recv_fds(connection, 16, 1)
os.write(1, message + b"\\n")
os.read(0, 1)
signal.pidfd_send_signal(pidfd, signal.SIGKILL)
`;
  const python = Bun.which("python3");
  const withPython = testIf(isRoot && python !== null, "needs root and python3");

  /** What came with the pidfd to a program that has killed its process then. */
  async function pidfdOf(act: (socket: string) => void): Promise<string> {
    const directory = mkdtempSync(join(box.directory, "pidfd-"));
    const socket = join(directory, "socket");
    const receiver = Bun.spawn([python!, "-c", RECEIVE, socket], { stdin: "pipe", stdout: "pipe" });
    const reader = receiver.stdout.getReader();
    try {
      expect(Buffer.from((await reader.read()).value!).toString()).toBe("listening\n");
      act(socket);
      const said = Buffer.from((await reader.read()).value!).toString();
      receiver.stdin.end();
      expect(await receiver.exited).toBe(0);
      return said;
    } finally {
      receiver.kill();
    }
  }

  withPython("with --pidfd-socket sends a pidfd of its process: create, run and exec", async () => {
    const stdio: ["ignore", "ignore", "ignore"] = ["ignore", "ignore", "ignore"];
    const status = (id: string) => JSON.parse(box.cli(["state", id]).out).status;
    for (const command of [["create"], ["run", "--detach"]]) {
      const { id, directory } = box.bundle("sleep 1000");
      const start = (socket: string) =>
        expect(box.cli([...command, "--pidfd-socket", socket, "-b", directory, id], { stdio }).code).toBe(0);
      expect(await pidfdOf(start)).toBe("pidfd\n");
      await until(() => status(id) === "stopped", "it has been killed");
      expect(box.cli(["delete", id]).err).toBe("");
    }
    const sleeper = box.bundle("sleep 1000");
    await box.running(sleeper, async () => {
      const exec = (socket: string) =>
        expect(
          box.cli(["exec", "--detach", "--pidfd-socket", socket, sleeper.id, "sleep", "1001"], { stdio }).code,
        ).toBe(0);
      const processes = () => JSON.parse(box.cli(["ps", "--format", "json", sleeper.id]).out) as number[];
      const before = processes().length;
      expect(await pidfdOf(exec)).toBe("pidfd\n");
      await until(() => processes().length === before, "it has been killed");
      expect(status(sleeper.id)).toBe("running");
      const wrong = box.cli(["exec", "--pidfd-socket", "/nowhere", sleeper.id, "true"]);
      expect([wrong.code, wrong.out]).toEqual([255, ""]);
    });
  });

  rooted("`exec --cgroup` runs in a cgroup below the container's, and in no other", () => {
    const sleeper = box.bundle("sleep 1000", ({ linux }) => {
      linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== "cgroup");
    });
    box.running(sleeper, () => {
      const exec = (...flags: string[]) => box.cli(["exec", ...flags, sleeper.id, "cat", "/proc/self/cgroup"]);
      const own = `/${stage.parent}/${sleeper.id}`;
      const mounts = [...stage.host.v1, ...(stage.host.v2 ? [stage.host.v2] : [])];
      for (const { mountPoint } of mounts) mkdirSync(`${mountPoint}${own}/sub`);
      const ended = ({ code, out, err }: Ran) => {
        expect([code, err]).toEqual([0, ""]);
        return out.split("\n").filter((line) => line.includes(own));
      };
      expect(ended(exec("--cgroup", "/sub")).every((line) => line.endsWith(`${own}/sub`))).toBe(true);
      expect(ended(exec("--cgroup", "/")).every((line) => line.endsWith(own))).toBe(true);
      const [first, second] = stage.host.v1.flatMap(({ controllers }) => controllers.slice(0, 1));
      if (first !== undefined && second !== undefined) {
        const lines = ended(exec("--cgroup", `${first},${second}:sub`));
        const below = lines.filter((line) => line.endsWith("/sub")).map((line) => line.split(":")[1]);
        expect(below.sort()).toEqual([first, second].sort());
      }
      for (const [flags, message] of [
        [["--cgroup", ".."], " .. is not a sub cgroup path"],
        [["--cgroup", "a/../../b"], "../b is not a sub cgroup path"],
        [["--cgroup", "none"], `${own}/none/cgroup.procs: no such file or directory`],
        [["--cgroup", "whaaat:/"], "unknown controller whaaat"],
        [["--cgroup", "a", "--cgroup", "b"], "missing <controller>: prefix"],
        [["--cgroup", ":a"], "empty <controller> prefix"],
      ] as const) {
        const { code, err } = exec(...flags);
        expect([flags, code, err]).toEqual([flags, 255, expect.stringContaining(message)]);
      }
    });
  });

  rooted("`run --keep` leaves the container's cgroup until it is deleted", () => {
    for (const extra of [{}, { poststop: [{ path: "/bin/true" }] }]) {
      const bundle = box.bundle("true", (config) => {
        config.hooks = extra;
      });
      const directory = `${(stage.host.v2 ?? stage.host.v1[0]!).mountPoint}/${stage.parent}/${bundle.id}`;
      expect(box.cli(["run", "--keep", "-b", bundle.directory, bundle.id])).toEqual({ code: 0, out: "", err: "" });
      expect(existsSync(directory)).toBe(true);
      expect(box.cli(["delete", bundle.id])).toEqual({ code: 0, out: "", err: "" });
      expect(existsSync(directory)).toBe(false);
      box.configure(bundle, ["/nowhere"], (config) => {
        config.hooks = extra;
      });
      expect(box.cli(["run", "--keep", "-b", bundle.directory, bundle.id]).code).toBe(1);
      expect(existsSync(directory)).toBe(false);
    }
  });

  rooted("`kill` ends all processes of a container that has the host's pids, also without its init", async () => {
    for (const how of ["run", "create"] as const) {
      const bundle = box.bundle("sleep 1000", ({ linux }) => {
        linux!.namespaces = linux!.namespaces!.filter(({ type }) => type !== "pid");
      });
      await box.running(
        bundle,
        async () => {
          if (how === "create") expect(box.cli(["start", bundle.id]).err).toBe("");
          const stdio: ["ignore", "ignore", "ignore"] = ["ignore", "ignore", "ignore"];
          for (const seconds of ["1001", "1002"])
            expect(box.cli(["exec", "--detach", bundle.id, "sleep", seconds], { stdio }).code).toBe(0);
          const pids = JSON.parse(box.cli(["ps", "--format", "json", bundle.id]).out) as number[];
          expect(pids.length).toBeGreaterThanOrEqual(3);
          if (how === "run") {
            const init = box.pid(bundle);
            process.kill(init, "SIGKILL");
            await until(() => !isAlive(init), "init has ended");
          }
          expect(box.cli(["kill", bundle.id, "KILL"])).toEqual({ code: 0, out: "", err: "" });
          await until(() => !pids.some(isAlive), "all have ended");
        },
        how,
      );
    }
  });

  rooted("`start` whose poststart hook fails removes the container", () => {
    const bundle = box.bundle("sleep 1000", (config, { directory }) => {
      const note = { path: "/bin/sh", args: ["sh", "-c", `echo stopped >> ${directory}/seen`] };
      config.hooks = { poststart: [{ path: "/bin/false" }], poststop: [note] };
    });
    box.running(
      bundle,
      () => {
        const { code, err } = box.cli(["start", bundle.id]);
        expect([code, err]).toEqual([1, expect.stringContaining("error running poststart hook #0")]);
        expect(box.cli(["state", bundle.id]).err).toContain("does not exist");
        expect(readFileSync(join(bundle.directory, "seen"), "utf8")).toBe("stopped\n");
      },
      "create",
    );
  });
});

describe("a hook", () => {
  const shell = (text: string, rest: Partial<OciHook> = {}) => ({ path: "/bin/sh", args: ["sh", "-c", text], ...rest });
  /** As `env` prints it, without what a shell adds. */
  const variablesIn = (text: string) =>
    text.split("\n").filter((line) => line !== "" && !/^(PWD|OLDPWD|SHLVL|_)=/.test(line));
  const env = { PATH: process.env.PATH!, OURS: "yes" };

  rooted("without an environment has the runtime's, with an empty one none", () => {
    for (const name of ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] as const)
      for (const [given, expected] of [
        [undefined, expect.arrayContaining(["OURS=yes"])],
        [[], []],
        [["A=1", "A=2"], ["A=2"]],
      ] as const) {
        const bundle = box.bundle("true", (config, { directory }) => {
          const hook = shell(`/usr/bin/env > ${directory}/seen`, given ? { env: [...given] } : {});
          config.hooks = { [name]: [hook] };
        });
        expect([name, box.run(bundle, { env })]).toEqual([name, { code: 0, out: "", err: "" }]);
        const seen = variablesIn(readFileSync(join(bundle.directory, "seen"), "utf8"));
        expect([name, given, seen]).toEqual([name, given, expected]);
      }
  });

  rooted("of startContainer has the environment and the directory of the process, unless it names variables", () => {
    for (const [given, expected] of [
      [undefined, ["B=2", "HOME=/"]],
      [[], ["B=2", "HOME=/"]],
      [["C=3"], ["C=3", "HOME=/"]],
    ] as const) {
      const bundle = box.bundle(["/bin/cat", "/data/seen"], (config) => {
        Object.assign(config.process!, { env: ["B=1", "B=2"], cwd: "/tmp" });
        const hook = shell("/bin/env > /data/seen; /bin/pwd >> /data/seen", given ? { env: [...given] } : {});
        config.hooks = { startContainer: [hook] };
      });
      const { code, out, err } = box.run(bundle, { env });
      expect([code, err]).toEqual([0, ""]);
      const seen = variablesIn(out).filter((line) => !line.startsWith("PATH=")); // the shell's
      expect(seen.sort()).toEqual(["/tmp", ...expected]);
    }
  });

  rooted("of createContainer stands in the root, and those outside in the bundle", () => {
    const bundle = box.bundle("true", (config, { directory }) => {
      const hook = shell(`/bin/pwd >> ${directory}/seen`);
      config.hooks = { createRuntime: [hook], createContainer: [hook], poststart: [hook], poststop: [hook] };
    });
    expect(box.run(bundle, { cwd: "/" })).toEqual({ code: 0, out: "", err: "" });
    const { directory, rootfs } = bundle;
    const seen = readFileSync(join(directory, "seen"), "utf8");
    expect(seen.split("\n")).toEqual([directory, rootfs, directory, directory, ""]);
  });

  const setpriv = Bun.which("setpriv");
  testIf(isRoot && setpriv !== null, "needs root and setpriv")("has no capability that the runtime has not", () => {
    const bundle = box.bundle("true", (config, { directory }) => {
      config.hooks = { createContainer: [shell(`grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status > ${directory}/seen`)] };
    });
    const args = [
      "--bounding-set=-sys_time",
      box.program,
      "--root",
      box.root,
      "run",
      "-b",
      bundle.directory,
      bundle.id,
    ];
    const ran = Bun.spawnSync([setpriv!, ...args], { stdin: "ignore", timeout: 30_000 });
    expect([ran.exitCode, ran.stderr.toString()]).toEqual([0, ""]);
    const masks = readFileSync(join(bundle.directory, "seen"), "utf8").trim().split("\n");
    expect(masks).toHaveLength(3);
    for (const mask of masks) expect((BigInt(`0x${mask.split("\t")[1]}`) >> 25n) & 1n).toBe(0n); // CAP_SYS_TIME
  });

  rooted("that fails is quoted, from wherever it runs", () => {
    for (const name of ["createRuntime", "createContainer", "startContainer", "poststart"] as const) {
      const bundle = box.bundle("sleep 100", (config) => {
        config.hooks = { [name]: [shell("exit 0"), shell("echo out; echo err >&2; exit 3")] };
      });
      const { code, out, err } = box.run(bundle);
      expect([name, code, out]).toEqual([name, 1, ""]);
      expect(err).toContain(`error running ${name} hook #1: exit status 3, output: out\\nerr\\n`);
      expect(box.cli(["state", bundle.id]).err).toContain("container does not exist");
      box.configure(bundle, "sleep 100", (config) => {
        config.hooks = { [name]: [shell("kill -ABRT $$")] };
      });
      expect(box.run(bundle).err).toContain(`error running ${name} hook #0: signal: aborted, output: `);
    }
  });
});
