/** Root file systems with an init, for tests of machines. */
import { readFileSync } from "node:fs";
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
