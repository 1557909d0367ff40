/** Root file systems with an init, for tests of machines. */
import { existsSync, readFileSync } from "node:fs";
import type { RawHeader } from "./image-tar.ts";

/** Entries of an archive with busybox's init, which says "up" on its console and waits. `prefix` precedes every name. */
export function busyboxRoot(prefix = ""): RawHeader[] {
  const applets = ["sh", "init", "reboot", "poweroff", "halt"];
  return [
    { name: "bin/busybox", content: readFileSync(Bun.which("busybox")!), mode: 0o755 },
    ...applets.map((name) => ({ name: `bin/${name}`, type: "2", linkName: "busybox" })),
    { name: "sbin/init", type: "2", linkName: "../bin/busybox" },
    { name: "etc/inittab", content: "::sysinit:/bin/busybox echo up\n::once:/bin/busybox sleep 1000000\n" },
    { name: "etc/machine-id", content: `${"a".repeat(32)}\n` },
    { name: "etc/passwd", content: "root:x:0:0:root:/:/bin/sh\n" },
  ].map((entry) => ({ ...entry, name: prefix + entry.name }));
}

/** Whether the host has what a machine with the root of `systemdRoot` needs. */
export const hasSystemd = existsSync("/usr/lib/systemd/systemd") && existsSync("/usr/bin/dbus-daemon");

/** Entries of an archive for the host's systemd, with the host's /usr, and nothing enabled but what its package has to start. */
export function systemdRoot(): RawHeader[] {
  const links = ["bin", "sbin", "lib", "lib64"].filter((name) => existsSync(`/${name}`));
  return [
    ...links.map((name) => ({ name, type: "2", linkName: `usr/${name}` })),
    // One that is there: else this was a first boot, at which everything that is installed is enabled.
    { name: "etc/machine-id", content: `${"a".repeat(32)}\n` },
    { name: "etc/passwd", content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" },
    { name: "etc/group", content: "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n" },
    { name: "etc/resolv.conf", type: "2", linkName: "../run/systemd/resolve/stub-resolv.conf" },
    { name: "var/lib/place", content: "" },
    { name: "root/place", content: "" },
  ];
}
