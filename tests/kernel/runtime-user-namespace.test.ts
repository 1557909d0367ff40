import { describe, expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { failureOf, isRoot, rooted, Stage } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

/* Containers whose root is an ordinary user on the host. */

const stage = isRoot ? new Stage() : (undefined as unknown as Stage);
const FIRST = 100_000;
const CAP_SYS_RESOURCE = 24n;
const effective = BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]}`);
const mayRaiseLimits = isRoot && ((effective >> CAP_SYS_RESOURCE) & 1n) === 1n;

/** Root inside is user 100000 outside. */
function mapped(config: OciConfig): void {
  const mappings = [{ containerID: 0, hostID: FIRST, size: 65536 }];
  config.linux!.namespaces!.push({ type: "user" });
  config.linux!.uidMappings = mappings;
  config.linux!.gidMappings = mappings;
}

/** The root file system becomes the container's: 100000's. */
function giveAway(directory: string): void {
  chownSync(directory, FIRST, FIRST);
  for (const name of readdirSync(directory)) if (name !== "usr") lchownSync(join(directory, name), FIRST, FIRST);
}
if (isRoot) {
  giveAway(stage.rootfs);
  chmodSync(stage.directory, 0o711);
}

describe("a user namespace", () => {
  rooted("maps root to the host's user, in the namespace and on disk", async () => {
    const { stdout, stderr } = await stage.run("id -u; id -G; cat /proc/self/uid_map; : >/data/file; stat -c %u /usr", {
      change: mapped,
    });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^0\n0\n +0 +100000 +65536\n65534\n$/);
    const { uid, gid } = lstatSync(join(stage.rootfs, "data/file"));
    expect([uid, gid]).toEqual([FIRST, FIRST]);
  });

  rooted("has all that the others have: mounts, devices, loopback, hostname, cgroup, masks", async () => {
    const script = [
      "hostname",
      "cat /sys/class/net/lo/flags",
      "head -c 2 /dev/zero | wc -c; echo x >/dev/null && echo null",
      "stat -c '%F %t:%T' /dev/null /dev/tty",
      "wc -c </proc/keys; ls /sys/firmware | wc -l",
      "(echo 1 >/proc/sys/kernel/domainname) 2>&1",
      "grep CapEff /proc/self/status",
      "mkdir /tmp/m && mount -t tmpfs none /tmp/m 2>&1",
    ].join("; ");
    const { stdout } = await stage.run(script, { change: mapped });
    expect(stdout).toMatch(
      /^box\n0x9\n2\nnull\ncharacter special file 1:3\ncharacter special file 5:0\n0\n0\n.*Read-only file system\nCapEff:\t00000000a80425fb\n/,
    );
    expect(stdout).toMatch(/mount.*(permission denied|must be superuser|Operation not permitted)/i);
  });

  rooted("lets its processes be other users in it, who own their stdio", async () => {
    const { stdout } = await stage.run("id -u; stat -Lc %u /proc/self/fd/1; echo again >/dev/stdout", {
      change: (config) => {
        mapped(config);
        config.process!.user = { uid: 1000, gid: 1000, additionalGids: [5] };
      },
    });
    expect(stdout).toBe("1000\n1000\nagain\n");
    const unmapped = stage.run(["/bin/true"], {
      change: (config) => {
        mapped(config);
        config.process!.user = { uid: 70_000, gid: 0 };
      },
    });
    expect(await failureOf(unmapped)).toMatchObject({ code: "invalid", message: expect.stringContaining("70000") });
  });

  rooted("has a terminal", async () => {
    const { stdout } = await stage.run("tty; stat -c %u /dev/pts/0 /dev/console; : </dev/tty && echo controlling", {
      change: mapped,
      terminal: true,
    });
    expect(stdout).toBe("/dev/pts/0\r\n0\r\n0\r\ncontrolling\r\n");
  });

  testIf(mayRaiseLimits, isRoot ? "needs CAP_SYS_RESOURCE" : "needs root")(
    "may have higher limits than its root could set itself",
    async () => {
      const rlimits = [
        { type: "RLIMIT_NOFILE", soft: 4, hard: 5 },
        { type: "RLIMIT_MSGQUEUE", soft: 900_000, hard: 950_000 },
        { type: "RLIMIT_CORE", soft: 0, hard: -1 },
      ];
      const change = (config: OciConfig) => {
        mapped(config);
        config.process!.rlimits = rlimits;
      };
      const script = "ulimit -Sn; ulimit -Hn; cat /proc/self/limits";
      const sleeper = await stage.sleeper({ change: mapped });
      for (const ran of [
        await stage.run(script, { change }),
        await stage.exec(sleeper, script, { process: { rlimits } }),
      ]) {
        expect(ran.stdout).toStartWith("4\n5\n");
        expect(ran.stdout).toMatch(/^Max msgqueue size +900000 +950000 +bytes/m);
        expect(ran.stdout).toMatch(/^Max core file size +0 +unlimited +bytes/m);
      }
      await sleeper.end();
    },
  );

  rooted("is entered by exec, as its root and as another user, also with a terminal", async () => {
    const sleeper = await stage.sleeper({ change: mapped });
    try {
      const script = "id -u; readlink /proc/self/ns/user; stat -Lc %u /proc/self/fd/1; echo again >/dev/stdout";
      const asRoot = await stage.exec(sleeper, script);
      expect(asRoot.stdout).toBe(`0\n${readlinkSync(`/proc/${sleeper.pid}/ns/user`)}\n0\nagain\n`);
      const asUser = await stage.exec(sleeper, script, { process: { user: { uid: 7, gid: 7 } } });
      expect(asUser.stdout).toBe(`7\n${readlinkSync(`/proc/${sleeper.pid}/ns/user`)}\n7\nagain\n`);
      const onTerminal = await stage.exec(sleeper, "tty; stat -c %u /dev/pts/0", { terminal: true });
      expect(onTerminal.stdout).toBe("/dev/pts/0\r\n0\r\n");
      expect(readFileSync(`/proc/${sleeper.pid}/status`, "utf8")).toMatch(/^Uid:\t100000\t100000\t100000\t100000$/m);
    } finally {
      await sleeper.end();
    }
  });

  rooted("and a new time namespace go together", async () => {
    const { stdout, stderr } = await stage.run("cat /proc/self/timens_offsets | tr -s ' '", {
      change: (config) => {
        mapped(config);
        config.linux!.namespaces!.push({ type: "time" });
        config.linux!.timeOffsets = { boottime: { secs: 1000, nanosecs: 0 } };
      },
    });
    expect({ stdout, stderr }).toMatchObject({ stderr: "", stdout: expect.stringContaining("boottime 1000 0") });
  });

  rooted("whose mapping the kernel refuses is a clear error", async () => {
    const started = stage.run(["/bin/true"], {
      change: (config) => {
        mapped(config);
        config.linux!.uidMappings = [
          { containerID: 0, hostID: FIRST, size: 10 },
          { containerID: 5, hostID: FIRST + 100, size: 10 },
        ];
      },
    });
    expect(await failureOf(started)).toMatchObject({
      code: "kernel",
      detail: { errno: "EINVAL" },
      message: expect.stringContaining("linux.uidMappings"),
    });
  });

  rooted("needs a bind source that its root can reach, and says which it is", async () => {
    const secret = join(stage.directory, "secret");
    mkdirSync(secret, { mode: 0o700 });
    writeFileSync(join(secret, "file"), "secret");
    const { stdout } = await stage.run("cat /data/secret/file 2>&1; ls -d /data/secret", {
      change: (config) => {
        mapped(config);
        config.mounts!.push({ destination: "/data/secret", type: "bind", source: secret, options: ["rbind"] });
      },
    });
    expect(stdout).toMatch(/Permission denied\n\/data\/secret\n$/);
  });
});
