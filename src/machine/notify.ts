/** Reads what an init says of its machine by sd_notify(3). */
import { basename } from "node:path";
import { SIGNALS } from "../base/signals.ts";
import { endingOf } from "./init.ts";

/** How far a machine is. An init that does not say has it running from its first moment. */
type MachineStatus = "starting" | "running" | "stopping";

/** The state of a machine that runs. */
export interface MachineState {
  status: MachineStatus;
  /** The file name of process 1: "systemd", "busybox", "init". */
  init: string;
  /** True if the init says how far it is. */
  notifies: boolean;
  /** The targets that are reached, the latest last. */
  targets: readonly string[];
  /** The init's own words. */
  text: string;
}

const STATUS_MAX_LENGTH = 256;
/** Those that no running system is without. */
const BASIC = new Set(["basic.target", "sysinit.target"]);

/**
 * Reads the state off an init's lines of "NAME=value", whose order is that in which they were said.
 * Source: systemd's src/core/manager.c and main.c, observed with version 257; sd_notify(3).
 */
export function parseMachineState(notified: string, executable: string): MachineState {
  const init = basename(executable.replace(/ \(deleted\)$/, ""));
  const notifies = notified !== "" || init === "systemd";
  const targets = new Set<string>();
  let status: MachineStatus = notifies ? "starting" : "running";
  let text = "";
  for (const [name, value] of variablesOf(notified)) {
    status = statusAfter(name, value) ?? status;
    if (name === "STATUS") text = value;
    if (name.startsWith("X_SYSTEMD_UNIT_")) targets.delete(value);
    if (name === "X_SYSTEMD_UNIT_ACTIVE") targets.add(value);
  }
  return { status, init, notifies, targets: [...targets], text };
}

function statusAfter(name: string, value: string): MachineStatus | undefined {
  switch (name) {
    case "READY":
      return "running";
    case "STOPPING":
    case "X_SYSTEMD_SHUTDOWN":
      return "stopping";
    case "X_SYSTEMD_UNIT_ACTIVE":
      return value === "shutdown.target" ? "stopping" : undefined;
    case "X_SYSTEMD_UNIT_INACTIVE":
      return BASIC.has(value) ? "stopping" : undefined;
  }
  return undefined;
}

/** The end of a machine's run, in a word: by itself, by somebody's kill, or unexpectedly. */
export type MachineEnd = "poweroff" | "reboot" | "halt" | "exit" | "killed" | "crash";

/** Tells why a machine has ended. `wasKilled`: somebody has asked for that. */
export function endOfMachine(signal: number, notified: string, wasKilled: boolean): MachineEnd {
  const ending = endingOf(signal);
  // The kernel does not tell a halt from a poweroff.
  const isHalt = () => variablesOf(notified).some(([name, value]) => name === "X_SYSTEMD_SHUTDOWN" && value === "halt");
  if (ending !== undefined) return ending === "poweroff" && isHalt() ? "halt" : ending;
  if (signal === 0) return "exit";
  return wasKilled && signal === SIGNALS.KILL ? "killed" : "crash";
}

/** Returns the variables, without what is not to be shown on a terminal. */
function variablesOf(notified: string): [name: string, value: string][] {
  const lines = notified.split("\n").filter((line) => line.includes("="));
  return lines.map((line) => {
    const at = line.indexOf("=");
    return [
      line.slice(0, at),
      line
        .slice(at + 1)
        .replace(/\p{C}/gu, "")
        .slice(0, STATUS_MAX_LENGTH),
    ];
  });
}
