import { O, type OpList, slot, text, words } from "../linux/program/builder.ts";
import type { Supervise } from "../linux/program/op.ts";
import type { OciProcess } from "../spec/oci-runtime.ts";
import type { StdioPlan } from "./types.ts";

const AT_EMPTY_PATH = 0x1000;
const KEEP_ID = 0xffffffff;
const DEVPTS_SUPER_MAGIC = 0x1cd1;

/** Host side, before the clone: the pipes, given to the process's user so that it can reopen /dev/stdout. */
export function openPipes(host: OpList, plan: StdioPlan, uidHost: number, gidHost: number): void {
  if (plan.terminal) return;
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

/** Host side, after the clone: give up the child's ends, or take the terminal's master from it. */
export function takeOver(host: OpList, plan: StdioPlan): void {
  if (plan.terminal) {
    host.add({ kind: "receive", out: "terminal", why: "take the terminal's master from the child" });
    return;
  }
  for (const end of ["in.r", "out.w", "err.w"]) host.close(end, "the child's end of a pipe");
}

/** In the child. */
export function connectStdio(init: OpList, plan: StdioPlan): void {
  const ends = plan.terminal ? ["tty", "tty", "tty"] : ["in.r", "out.w", "err.w"];
  for (const [fd, end] of ends.entries()) init.call("dup3", [slot(end), fd, 0], ["stdin", "stdout", "stderr"][fd]!);
  if (plan.terminal) init.call("ioctl.TIOCSCTTY", [slot("tty"), 0], "make it the controlling terminal");
}

/**
 * In the child, once the container's devpts is mounted: a terminal of its own. The image or a volume may have put
 * anything at /dev/pts/ptmx, so what was opened is checked to be the multiplexer of a devpts.
 */
export function openTerminal(init: OpList, root: string, process: OciProcess): void {
  const why = "open a terminal of the container's own devpts";
  init.openInRoot(root, "dev/pts/ptmx", O.RDWR | O.NOCTTY, "ptmx", why, { noSymlinks: true });
  init.add({ kind: "checkFilesystem", fd: "ptmx", magic: DEVPTS_SUPER_MAGIC, why: "/dev/pts is a devpts" });
  init.add({ kind: "checkDevice", fd: "ptmx", major: 5, minor: 2, why: "/dev/pts/ptmx is the multiplexer" });
  init.call("ioctl.TIOCSPTLCK", [slot("ptmx"), words([0], "unlocked")], why);
  init.call("ioctl.TIOCGPTPEER", [slot("ptmx"), O.RDWR | O.NOCTTY | O.CLOEXEC], why, { out: "tty" });
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
  init.add({ kind: "send", fd: "ptmx", why: "hand the terminal's master to the supervisor" });
}

/** The slots the supervisor reads and writes. */
export function supervisedStdio(plan: StdioPlan): Pick<Supervise, "stdin" | "stdout" | "stderr" | "terminal"> {
  if (plan.terminal) return { terminal: "terminal" };
  return { stdout: "out.r", stderr: "err.r", ...(plan.stdin ? { stdin: "in.w" } : {}) };
}
