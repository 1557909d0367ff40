import { expect, test } from "bun:test";
import { endOfMachine, parseMachineState } from "./notify.ts";

const SYSTEMD = "/usr/lib/systemd/systemd";
const ACTIVE = "X_SYSTEMD_UNIT_ACTIVE";
const INACTIVE = "X_SYSTEMD_UNIT_INACTIVE";
const lines = (...all: string[]) => all.map((line) => `${line}\n`).join("");

test.each([
  ["systemd that has not said anything", SYSTEMD, "", "starting", []],
  ["an init that says nothing", "/bin/busybox", "", "running", []],
  [
    "systemd on its way",
    SYSTEMD,
    lines("X_SYSTEMD_HOSTNAME=web", `${ACTIVE}=basic.target`),
    "starting",
    ["basic.target"],
  ],
  ["systemd that began as a shell script", "/usr/bin/dash", lines("X_SYSTEMD_HOSTNAME=web"), "starting", []],
  [
    "systemd that is up",
    SYSTEMD,
    lines(`${ACTIVE}=a.target`, "READY=1", `${ACTIVE}=b.target`),
    "running",
    ["a.target", "b.target"],
  ],
  ["a target that was left", SYSTEMD, lines(`${ACTIVE}=a.target`, "READY=1", `${INACTIVE}=a.target`), "running", []],
  ["a shutdown", SYSTEMD, lines("READY=1", `${INACTIVE}=basic.target`), "stopping", []],
  ["the end of a shutdown", SYSTEMD, lines("READY=1", "X_SYSTEMD_SHUTDOWN=reboot"), "stopping", []],
  ["a reload", SYSTEMD, lines("READY=1", "RELOADING=1"), "running", []],
  [
    "up once more after a soft reboot",
    SYSTEMD,
    lines(`${ACTIVE}=shutdown.target`, "READY=1"),
    "running",
    ["shutdown.target"],
  ],
])("parseMachineState: %s", (_, executable, notified, status, targets) => {
  expect(parseMachineState(notified, executable)).toMatchObject({ status, targets });
});

test("parseMachineState shows nothing that a terminal would take for a command, and little", () => {
  const { text, init } = parseMachineState(`STATUS=a\u001b[31mb\u202e${"c".repeat(300)}\n`, "/sbin/init (deleted)");
  expect([text, init]).toEqual([`a[31mb${"c".repeat(250)}`, "init"]);
});

test.each([
  ["reboot", 1, "", false],
  ["poweroff", 2, "X_SYSTEMD_SHUTDOWN=poweroff\n", false],
  ["halt", 2, "X_SYSTEMD_SHUTDOWN=halt\n", true],
  ["poweroff", 2, "", true],
  ["exit", 0, "X_SYSTEMD_SHUTDOWN=halt\n", false],
  ["killed", 9, "", true],
  ["crash", 9, "", false],
  ["crash", 11, "", true],
])("endOfMachine: %s after signal %p", (end, signal, notified, wasKilled) => {
  expect<string>(endOfMachine(signal, notified, wasKilled)).toBe(end);
});
