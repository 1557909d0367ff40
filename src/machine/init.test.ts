import { expect, test } from "bun:test";
import { endingOf, shutdownCommand, shutdownSignal } from "./init.ts";

const mask = (...signals: number[]) =>
  signals
    .reduce((all, signal) => all | (1n << BigInt(signal - 1)), 0n)
    .toString(16)
    .padStart(16, "0");

const status = (name: string, blocked: number[], caught: number[]) =>
  `Name:\t${name}\nSigBlk:\t${mask(...blocked)}\nSigIgn:\t${mask(1)}\nSigCgt:\t${mask(...caught)}\n`;

test.each([
  ["systemd, whatever its file is called", "/usr/lib/systemd/systemd", "systemd", [2, 15, 37, 38], [11], 37],
  ["systemd under another name", "/sbin/init", "x", [37], [], 37],
  ["busybox, which waits for signals unseen", "/bin/busybox", "init", [], [20], 12],
  ["a busybox that was replaced", "/bin/busybox (deleted)", "linuxrc", [], [10, 12, 15], 12],
  ["a shell of busybox", "/bin/busybox", "sh", [], [2], 15],
  ["sysvinit", "/usr/sbin/init", "init", [], [1, 2, 10, 30], 2],
  ["OpenRC's own", "/usr/sbin/openrc-init", "openrc-init", [1, 3, 10, 12, 37, 64], [2, 15, 17, 30], 15],
  ["runit", "/sbin/runit", "runit", [18], [], 2],
  ["an init that looks at SIGTERM alone", "/sbin/init", "init", [], [15], 15],
  ["a program that catches real-time signals", "/usr/bin/java", "java", [], [37], 15],
  ["a plain program", "/usr/bin/sleep", "sleep", [], [], 15],
] as const)("%s is told to shut down by its own signal", (_, executable, name, blocked, caught, signal) => {
  expect(shutdownSignal({ executable, status: status(name, [...blocked], [...caught]) })).toBe(signal);
});

test("runit is told to shut down by its own program, and no other init", () => {
  const commandOf = (executable: string) => shutdownCommand({ executable, status: "" });
  expect(commandOf("/usr/sbin/runit")).toEqual(["/sbin/runit-init", "0"]);
  expect(commandOf("/sbin/runit (deleted)")).toEqual(["/sbin/runit-init", "0"]);
  expect(["/usr/sbin/init", "/usr/bin/runsvdir", ""].map(commandOf)).toEqual([undefined, undefined, undefined]);
});

test("a status that says nothing means a plain program", () => {
  expect(shutdownSignal({ executable: "", status: "" })).toBe(15);
});

test("reboot(2) is told by the signal that ends process 1", () => {
  expect([1, 2, 9, 15, 0].map(endingOf)).toEqual(["reboot", "poweroff", undefined, undefined, undefined]);
});
