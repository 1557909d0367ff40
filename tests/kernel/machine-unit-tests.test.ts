/**
 * systemd's own unit tests as root of a machine: the quick ones among those that ask the kernel. scripts/systemd-tests.ts runs
 * all of them, and beside LXC.
 */
import { expect, test } from "bun:test";
import { TestDaemon } from "../support/daemon.ts";
import { filesOf, usrWith, withoutFiles } from "../support/debian-files.ts";
import { dockerArchive } from "../support/image-archive.ts";
import { rawTar } from "../support/image-tar.ts";
import { hasSystemd, systemdRoot } from "../support/machine-root.ts";
import { isRoot } from "../support/stage.ts";
import { describeIf } from "../support/test-if.ts";

const whyNot =
  (isRoot ? undefined : "needs root") ??
  (hasSystemd ? undefined : "needs systemd, dbus-daemon") ??
  withoutFiles("systemd-tests", "libsystemd-shared");
const TIMEOUT_MS = 170_000;

const NAMES = `async audit-util capability cgroup cgroup-cpu cgroup-mask cgroup-setup cgroup-unit-default cgroup-util
  chase chown-rec clock core-unit creds daemon dev-setup device-util emergency-action execve fs-util hostname-setup
  libmount login loopback memfd-util mempress mount-util mountpoint-util namespace netlink network os-util
  pidref process-util psi-util raw-clone rlimit-util rm-rf sched-prio seccomp secure-bits socket-util stat-util
  sysctl-util tmpfile-util udev-manager umask-util umount unit-file user-util userns-restrict watch-pid
  xattr-util`.split(/\s+/);

/** Runs each test, and says which fail. 77 is a test's word for "skipped". */
const RUNNER = `export LD_LIBRARY_PATH=$(echo /mnt/usr/lib/*/systemd); cd /tmp
for name; do
  timeout -k 5 60 /usr/lib/systemd/tests/unit-tests/test-$name >output 2>&1 </dev/null
  case $? in 0) passed="$passed." ;; 77) ;; *) echo "$name: $? $(tail -n 3 output)" ;; esac
done; echo "$passed"`;

describeIf(whyNot)("systemd's unit tests in a machine", () => {
  test(
    "pass, but for few that skip themselves",
    async () => {
      await using daemon = await TestDaemon.start();
      const archive = dockerArchive({ layers: [rawTar(...systemdRoot())], tags: ["init:systemd"], config: {} });
      await daemon.request("POST", "/images/load", archive, { "Content-Type": "application/x-tar" });
      const Binds = [`${filesOf("libsystemd-shared")}:/mnt:ro`];
      const HostConfig = { Runtime: "machine", NetworkMode: "none", Binds, Mounts: [usrWith("systemd-tests")] };
      const id = await daemon.run({ Image: "init:systemd", Cmd: ["/usr/lib/systemd/systemd"], HostConfig });
      expect((await (await daemon.wait(id, "running")).answer).StatusCode).toBe(0);
      const body = { Cmd: ["/bin/sh", "-c", RUNNER, "sh", ...NAMES], AttachStdout: true, Tty: true };
      const { json } = await daemon.request("POST", `/containers/${id}/exec`, body);
      const said = await (await daemon.hijack(`/exec/${json.Id}/start`, { body: '{"Tty":true}' })).untilEnd();
      expect(said).toMatch(/^\.+\r\n$/);
      expect(said.length).toBeGreaterThan(NAMES.length * 0.9); // a few depend on the kernel's settings
    },
    TIMEOUT_MS,
  );
});
