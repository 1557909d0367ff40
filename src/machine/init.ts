/** Recognises the kind of an init, by looking at process 1 and not at names of images, and knows what each understands. */
import { basename } from "node:path";
import { SIGNALS } from "../base/signals.ts";

/** The facts of /proc about process 1 of a machine. */
export interface InitFacts {
  /** The target of /proc/PID/exe. */
  executable: string;
  /** The text of /proc/PID/status. */
  status: string;
}

/** The number of SIGRTMIN+3 with glibc: systemd's halt. */
const RTMIN_PLUS_3 = 37;

const RUNIT = new Set(["runit", "runit-init"]);
/** Inits that take SIGINT for ctrl-alt-del, and so for a shutdown in good order: sysvinit, runit, s6. */
const CTRL_ALT_DEL = new Set(["init", ...RUNIT, "s6-svscan", "s6-linux-init"]);

const fileOf = ({ executable }: InitFacts) => basename(executable.replace(/ \(deleted\)$/, ""));

/**
 * Returns a program of the machine that has this init shut down, for one that no signal tells to: runit waits for a file, and at
 * SIGINT Debian's runs a script that waits 14 seconds. Source: runit-init(8).
 */
export function shutdownCommand(facts: InitFacts): string[] | undefined {
  return RUNIT.has(fileOf(facts)) ? ["/sbin/runit-init", "0"] : undefined;
}

/**
 * Returns the signal at which this init shuts the machine down. A plain program gets SIGTERM, as in every container; that is what
 * OpenRC's own init takes for a shutdown, too.
 * Sources: systemd(1), "Signals"; init(8) of sysvinit; init/init.c of busybox; openrc-init(8); runit(8); s6-svscan's manual.
 */
export function shutdownSignal(facts: InitFacts): number {
  const { status } = facts;
  const file = fileOf(facts);
  const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? "";
  const blocked = maskOf(status, "SigBlk");
  // systemd blocks what it reads from a signalfd. Inits that block whatever there is read something else.
  if (has(blocked, RTMIN_PLUS_3) && !has(blocked, SIGNALS.QUIT!)) return RTMIN_PLUS_3;
  // The signals that an init waits for by sigtimedwait(2), as busybox's does, are not shown.
  if (file === "busybox") return name === "init" || name === "linuxrc" ? SIGNALS.USR2! : SIGNALS.TERM!;
  const caught = maskOf(status, "SigCgt");
  const onlyTerm = has(caught, SIGNALS.TERM!) && !has(caught, SIGNALS.INT!);
  return CTRL_ALT_DEL.has(file) && !onlyTerm ? SIGNALS.INT! : SIGNALS.TERM!;
}

function has(mask: bigint, signal: number): boolean {
  return (mask & (1n << BigInt(signal - 1))) !== 0n;
}

function maskOf(status: string, field: "SigBlk" | "SigCgt"): bigint {
  const digits = new RegExp(`^${field}:\\s*([0-9a-f]{1,16})$`, "m").exec(status)?.[1];
  return digits === undefined ? 0n : BigInt(`0x${digits}`);
}

/** The way in which a machine has ended by its own will. */
export type Ending = "reboot" | "poweroff";

/**
 * Tells how a machine ended, by the signal that has ended process 1. Nobody can send it those two: where process 1 has no handler
 * they do nothing, so they come from reboot(2) alone. Source: reboot(2), "Behavior inside PID namespaces".
 */
export function endingOf(signal: number): Ending | undefined {
  if (signal === SIGNALS.HUP) return "reboot";
  return signal === SIGNALS.INT ? "poweroff" : undefined;
}
