/** Ops for a process's stdin, stdout, stderr, terminal and other fds. */
import { O, type OpList, slot, text, words } from "../linux/program/builder.ts";
import { FIRST_CARRIED_FD, LISTEN_FD } from "../linux/program/format.ts";
import type { Supervise } from "../linux/program/op.ts";
import { AT_EMPTY_PATH, KEEP_ID } from "../linux/sys/abi.ts";
import type { OciProcess } from "../spec/oci-runtime.ts";
import type { ExecRequest, HandOver, StartRequest, StdioPlan } from "./types.ts";

const DEVPTS_SUPER_MAGIC = 0x1cd1;

const CLOSE_RANGE_CLOEXEC = 4;
const EVERY_FD = 0xffffffff;

/** Fds of ours with which the launcher is started, and their numbers there. */
export interface CarriedFds {
  /** stdin, stdout and stderr, and the preserved fds from 3 on. */
  own: readonly number[];
  firstOwn: number;
  sync: number;
  startFifo: number;
  consoleSocket: number;
}

/** The fds to carry; undefined if there are none, and the sync socket takes the listening socket's number. */
export function carriedFds({ stdio, preserveFds = 0, handOver }: StartRequest | ExecRequest): CarriedFds | undefined {
  if (!stdio.inherit && preserveFds === 0 && handOver === undefined) return undefined;
  const own = Array.from({ length: 3 + preserveFds }, (_, fd) => fd);
  const sync = FIRST_CARRIED_FD + own.length;
  return { own, firstOwn: FIRST_CARRIED_FD, sync, startFifo: sync + 1, consoleSocket: sync + 2 };
}

/** The fds in the order of their numbers, from FIRST_CARRIED_FD on. */
export function fdsToCarry(fds: CarriedFds | undefined, handOver: HandOver = {}): (number | undefined)[] {
  if (fds === undefined) return [];
  return [...fds.own, undefined, handOver.startFifoFd, handOver.consoleSocketFd];
}

/** In the child, last: closes what is open beyond stdio, the preserved fds and what is still needed until execve(2). */
export function closeOthers(init: OpList, fds: CarriedFds | undefined, handOver: HandOver | undefined): void {
  // Must really close, and before chdir: a working directory of /proc/self/fd/N must find nothing (CVE-2024-21626).
  if (fds === undefined) {
    init.call("close_range", [LISTEN_FD + 1, EVERY_FD, 0], "close everything but stdio");
    return;
  }
  init.call("close_range", [fds.own.length, fds.sync - 1, 0], "close everything but stdio and what is preserved");
  const waits = handOver?.startFifoFd !== undefined;
  init.call("close_range", [waits ? fds.startFifo + 1 : fds.sync + 1, EVERY_FD, 0], "close everything else");
  if (waits)
    init.call("close_range", [fds.startFifo, fds.startFifo, CLOSE_RANGE_CLOEXEC], "not the container's to keep");
}

/** Host side, before the clone: opens the pipes, and gives them to the process's user so that it can reopen /dev/stdout. */
export function openPipes(host: OpList, plan: StdioPlan, uidHost: number, gidHost: number): void {
  if (plan.terminal || plan.inherit) return;
  const ends: string[] = ["out.w", "err.w"];
  if (plan.stdin) {
    host.add({ kind: "pipe", read: "in.r", write: "in.w", why: "stdin" });
    ends.push("in.r");
  } else {
    host.open("/dev/null", O.RDONLY, "in.r", "stdin: nothing to read");
  }
  host.add({ kind: "pipe", read: "out.r", write: "out.w", why: "stdout" });
  host.add({ kind: "pipe", read: "err.r", write: "err.w", why: "stderr" });
  if (uidHost === 0 && gidHost === 0) return;
  for (const end of ends)
    host.call("fchownat", [slot(end), text(""), uidHost, gidHost, AT_EMPTY_PATH], "the user may reopen /dev/stdout");
}

/** Host side, after the clone: closes the child's ends. */
export function takeOver(host: OpList, plan: StdioPlan): void {
  if (plan.terminal || plan.inherit) return;
  for (const end of ["in.r", "out.w", "err.w"]) host.close(end, "the child's end of a pipe");
}

/** In the child: connects its stdin, stdout and stderr. */
export function connectStdio(init: OpList, plan: StdioPlan, fds: CarriedFds | undefined): void {
  const names = ["stdin", "stdout", "stderr"];
  const ends = plan.terminal ? ["tty", "tty", "tty"] : ["in.r", "out.w", "err.w"];
  for (const [fd, end] of ends.entries())
    init.call("dup3", [plan.inherit && fds ? fds.firstOwn + fd : slot(end), fd, 0], names[fd]!);
  // In ascending order, since each gets a lower number than it had.
  for (const fd of fds?.own.slice(names.length) ?? []) init.call("dup3", [fds!.firstOwn + fd, fd, 0], "a preserved fd");
  if (plan.terminal) init.call("ioctl.TIOCSCTTY", [slot("tty"), 0], "make it the controlling terminal");
}

/**
 * In the child, once the container's devpts is mounted: opens a terminal of its own. The image or a volume may have put anything
 * at /dev/pts/ptmx, so what was opened is checked to be the multiplexer of a devpts.
 */
export function openTerminal(init: OpList, root: string, process: OciProcess, { plainLines }: StdioPlan): void {
  const why = "open a terminal of the container's own devpts";
  init.openInRoot(root, "dev/pts/ptmx", O.RDWR | O.NOCTTY, "ptmx", why, { noSymlinks: true });
  init.add({ kind: "checkFilesystem", fd: "ptmx", magic: DEVPTS_SUPER_MAGIC, why: "/dev/pts is a devpts" });
  init.add({
    kind: "checkDevice",
    fd: "ptmx",
    type: "character",
    major: 5,
    minor: 2,
    why: "/dev/pts/ptmx is the multiplexer",
  });
  init.call("ioctl.TIOCSPTLCK", [slot("ptmx"), words([0], "unlocked")], why);
  init.call("ioctl.TIOCGPTPEER", [slot("ptmx"), O.RDWR | O.NOCTTY | O.CLOEXEC], why, { out: "tty" });
  if (plainLines)
    init.call(
      "ioctl.TCSETS",
      [slot("tty"), { data: encodeTermios(), show: "as new, without ONLCR" }],
      "lines end as they are written",
    );
  const { height = 0, width = 0 } = process.consoleSize ?? {};
  if (height > 0 && width > 0) {
    const size = new Uint8Array(8);
    const view = new DataView(size.buffer);
    view.setUint16(0, Math.min(height, 0xffff), true);
    view.setUint16(2, Math.min(width, 0xffff), true);
    init.call("ioctl.TIOCSWINSZ", [slot("ptmx"), { data: size, show: `${height}x${width}` }], "process.consoleSize");
  }
  const uid = process.user?.uid ?? 0;
  if (uid !== 0)
    init.call("fchownat", [slot("tty"), text(""), uid, KEEP_ID, AT_EMPTY_PATH], "the terminal is the user's");
  init.add({ kind: "send", fd: "ptmx", why: "hand the terminal's master to the launcher" });
}

/**
 * The `struct termios` of a new terminal, except that nothing is put before the end of a line:
 *
 *   0       4       8       12      16     17        36
 *   | iflag | oflag | cflag | lflag | line | cc[19]  |
 *
 * Source: drivers/tty/tty_io.c, tty_std_termios; asm-generic/termbits.h.
 */
function encodeTermios(): Uint8Array {
  const [ICRNL, IXON, OPOST] = [0o400, 0o2000, 1];
  const [B38400, CS8, CREAD] = [0o17, 0o60, 0o200];
  const [ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHOCTL, ECHOKE, IEXTEN] = [
    1, 2, 0o10, 0o20, 0o40, 0o1000, 0o4000, 0o100000,
  ];
  const data = new Uint8Array(36);
  const view = new DataView(data.buffer);
  view.setUint32(0, ICRNL | IXON, true);
  view.setUint32(4, OPOST, true);
  view.setUint32(8, B38400 | CS8 | CREAD, true);
  view.setUint32(12, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN, true);
  data.set([3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16], 17);
  return data;
}

/** The fds that the supervisor reads and writes, or hands on. */
export function supervisedStdio(
  { terminal, stdin, inherit }: StdioPlan,
  fds: CarriedFds | undefined,
  handOver: HandOver | undefined,
): Pick<Supervise, "stdin" | "stdout" | "stderr" | "terminal" | "consoleFd"> {
  if (terminal) return fds && handOver?.consoleSocketFd !== undefined ? { consoleFd: fds.consoleSocket } : { terminal };
  if (inherit) return {};
  return { stdout: "out.r", stderr: "err.r", ...(stdin ? { stdin: "in.w" } : {}) };
}
