/** Turns a failed op into an error message. */
import { type ErrorCode, type ErrorDetail, LighterError } from "../base/errors.ts";
import { PlayError, type PlayFailure } from "../linux/process/supervisor.ts";
import type { Arg, Op, Program } from "../linux/program/op.ts";
import { errnoText } from "../linux/sys/errno.ts";

/**
 * The error for a start that failed: the op's purpose, its call, and what the kernel said. For the entrypoint itself it uses
 * Docker's words, because Docker's clients look for them to choose between the exit codes 126 and 127.
 */
export function explainFailure(error: unknown, program: Program): unknown {
  if (!(error instanceof PlayError)) return error;
  const { failure } = error;
  const ops = [...program.host, ...program.init, ...program.cleanup];
  const op = ops[failure.opIndex];
  if (!op) return withoutOp(failure);
  if (op.kind === "execute" || op.kind === "checkExecutable") return entrypointError(program, failure);
  const { errno, opIndex } = failure;
  const busy = errno === "EBUSY" ? cgroupOf(op, program) : undefined;
  if (busy !== undefined)
    return new LighterError("kernel", `adding pid of the process to cgroups ${busy}: ${errnoText(errno)}`, {
      ...{ errno, opIndex },
      hint: "a cgroup that has handed its controllers down takes no processes",
    });
  const hint = hintFor(op, errno);
  return new LighterError("kernel", `${op.why}: ${callName(op)}: ${errno} (${wording(op, errno)})`, {
    errno,
    opIndex,
    ...(hint ? { hint } : {}),
  });
}

function withoutOp({ errno }: PlayFailure): LighterError {
  if (errno === "EPROTO")
    return new LighterError("internal", "the launcher refused the program: it is from another build", { errno });
  if (errno === "ECHILD")
    return new LighterError("kernel", "the container's first process was killed while it was set up", {
      errno,
      hint: "its memory limit may be too low to start in",
    });
  return new LighterError("kernel", `the launcher failed: ${errno} (${errnoText(errno)})`, { errno });
}

/** The file of the v2 cgroup into which the op would put a process. */
function cgroupOf(op: Op, { host }: Program): string | undefined {
  if (op.kind === "write") return op.path.endsWith("/cgroup.procs") ? op.path : undefined;
  if (op.kind !== "clone") return undefined;
  const opening = host.findLast((each) => each.kind === "call" && each.out !== undefined && each.out === op.cgroup);
  const path = opening?.kind === "call" ? opening.args[1] : undefined;
  return typeof path === "object" && "text" in path ? `${path.text}/cgroup.procs` : undefined;
}

/** The call's name, which the message shows with "(2)". */
function callName(op: Op): string {
  switch (op.kind) {
    case "call":
      return op.name.replace(/^(\w+)\.(\w+)$/, "$1(2) $2").replace(/^(\w+)$/, "$1(2)");
    case "write":
      return `write(2) to ${op.path}`;
    case "writeByPid":
      return `write(2) to ${op.prefix}PID${op.suffix}`;
    case "clone":
      return "clone3(2)";
    case "openTarget":
      return `openat2(2) of /${op.path}`;
    case "pipe":
      return "pipe2(2)";
    case "netlink":
      return "netlink(7)";
    case "dropBounding":
      return "prctl(2) PR_CAPBSET_DROP";
    default:
      return op.kind;
  }
}

/** The text for an errno, corrected where it would mislead for this call. */
function wording(op: Op, errno: string): string {
  if (errno === "ELOOP" && (op.kind === "openTarget" || (op.kind === "call" && op.name === "openat2")))
    return "a symbolic link where a plain directory must be";
  if (op.kind === "call" && op.name === "open_tree" && errno === "ENOENT") return "source does not exist";
  if (errno === "ENOENT" && op.kind === "write" && /^self\/attr\/(apparmor\/)?exec$/.test(op.path))
    return "the profile is not loaded";
  if (errno === "EINVAL" && isOverlay(op))
    return "the kernel's log has the reason; what is written to cannot be on an overlay, for one";
  // A file over a directory: mount(2) would fail with ENOTDIR, by whose words the stock daemon recognises what is wrong.
  if (op.kind === "call" && op.name === "move_mount" && errno === "EINVAL") return errnoText("ENOTDIR");
  return errnoText(errno);
}

function isOverlay(op: Op): boolean {
  if (op.kind !== "call" || op.name !== "mount") return false;
  const type = op.args[2];
  return typeof type === "object" && "text" in type && type.text === "overlay";
}

function hintFor(op: Op, errno: string): string | undefined {
  if (errno === "ENOSPC" && op.kind === "call" && op.name === "move_mount") return "raise the sysctl fs.mount-max";
  if (errno === "EINVAL" && op.kind === "call" && op.name === "mount_setattr" && isIdmap(op.args[3]))
    return "the file system cannot map owners; ext4, XFS, btrfs and tmpfs can";
  if (errno === "EPERM" && op.kind === "call" && op.name === "sched_setattr")
    return "process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE wants all of them";
  if (errno === "ENOSPC" && op.kind === "clone") return "raise the limits in /proc/sys/user";
  return undefined;
}

/** Whether these are attributes that `OpList.mapOwners` makes, with a slot's value in them. */
function isIdmap(attributes: Arg | undefined): boolean {
  return typeof attributes === "object" && "shared" in attributes;
}

function entrypointError({ init }: Program, { errno, opIndex }: PlayFailure): LighterError {
  const execute = init.at(-1);
  const file = (execute?.kind === "execute" && execute.argv[0]) || "";
  const detail = { errno, opIndex };
  const failed = (code: ErrorCode, why: string) =>
    new LighterError(code, `exec: ${JSON.stringify(file)}: ${why}`, detail);
  const isPath = file.includes("/");
  switch (errno) {
    case "ENOENT":
    case "ENOTDIR":
      return isPath ? failed("exec-not-found", `stat ${file}: no such file or directory`) : notInPath(file, detail);
    case "EISDIR":
      return isPath ? failed("exec-denied", errnoText(errno)) : notInPath(file, detail);
    case "EACCES":
    case "EPERM":
      return failed("exec-denied", "permission denied");
    case "ELIBACC":
      return new LighterError("exec-not-found", `exec ${file}: no such file or directory`, {
        ...detail,
        hint: "the file is there: what is missing is its interpreter, named behind its #! or as its dynamic linker",
      });
    case "ENOEXEC":
      return failed("exec-denied", "exec format error");
    default:
      return failed("exec-denied", errnoText(errno));
  }
}

/** The error for a name without a slash that is in no directory of PATH. */
export function notInPath(file: string, detail: ErrorDetail = {}): LighterError {
  return new LighterError(
    "exec-not-found",
    `exec: ${JSON.stringify(file)}: executable file not found in $PATH`,
    detail,
  );
}
