/**
 * The system calls a program may make, by the name its ops use. From these rows come the launcher's check table
 * (launcher/program.h), the types of the builder, and the text of a listing.
 *
 * A row is the whole contract of a call: the launcher refuses (EPROTO) a call that is not here, a pointer where
 * a number belongs, and a buffer that is too short. No call here makes the kernel write to the launcher's memory.
 */

/** How an argument is checked and shown. */
export type ArgKind =
  /** A number, or a slot's value. */
  | { is: "number"; show: NumberForm }
  /** A NUL-terminated string in the blob; with `orNull`, 0 is allowed. */
  | { is: "string"; orNull?: boolean }
  /** At least `bytes` in the blob. */
  | { is: "struct"; bytes: number }
  /** As many bytes in the blob as the argument `lengthIn` says, times `unit`. */
  | { is: "buffer"; lengthIn: number; unit: number };

/** How a number is shown. */
export type NumberForm = "decimal" | "octal" | "hex" | "fd" | FlagTable;

export type FlagTable = readonly (readonly [name: string, value: number])[];

export interface Call {
  /** The suffix of the kernel's `__NR_` constant. */
  nr: string;
  /** The one value that an argument must have: it picks one request of a multiplexer (ioctl, prctl). */
  fixed?: { index: number; value: number; name: string };
  args: readonly ArgKind[];
}

/** Bits of `resolve` in struct open_how. Source: openat2(2). */
export const RESOLVE = { NO_MAGICLINKS: 0x02, NO_SYMLINKS: 0x04, IN_ROOT: 0x10 } as const;

const O_FLAGS: FlagTable = [
  ["O_PATH", 0o10000000],
  ["O_WRONLY", 0o1],
  ["O_RDWR", 0o2],
  ["O_CREAT", 0o100],
  ["O_EXCL", 0o200],
  ["O_NOCTTY", 0o400],
  ["O_TRUNC", 0o1000],
  ["O_APPEND", 0o2000],
  ["O_NONBLOCK", 0o4000],
  ["O_DIRECTORY", 0o200000],
  ["O_NOFOLLOW", 0o400000],
  ["O_CLOEXEC", 0o2000000],
];
const AT_FLAGS: FlagTable = [
  ["AT_SYMLINK_NOFOLLOW", 0x100],
  ["AT_REMOVEDIR", 0x200],
  ["AT_EMPTY_PATH", 0x1000],
  ["AT_RECURSIVE", 0x8000],
  ["OPEN_TREE_CLONE", 1],
  ["OPEN_TREE_CLOEXEC", 0o2000000],
];
const MS_FLAGS: FlagTable = [
  ["MS_RDONLY", 1],
  ["MS_NOSUID", 2],
  ["MS_NODEV", 4],
  ["MS_NOEXEC", 8],
  ["MS_REMOUNT", 32],
  ["MS_BIND", 4096],
  ["MS_REC", 16384],
  ["MS_UNBINDABLE", 1 << 17],
  ["MS_PRIVATE", 1 << 18],
  ["MS_SLAVE", 1 << 19],
  ["MS_SHARED", 1 << 20],
];
const MOUNT_ATTR_FLAGS: FlagTable = [
  ["MOUNT_ATTR_RDONLY", 0x1],
  ["MOUNT_ATTR_NOSUID", 0x2],
  ["MOUNT_ATTR_NODEV", 0x4],
  ["MOUNT_ATTR_NOEXEC", 0x8],
  ["MOUNT_ATTR_NOATIME", 0x10],
  ["MOUNT_ATTR_STRICTATIME", 0x20],
  ["MOUNT_ATTR_NODIRATIME", 0x80],
  ["MOUNT_ATTR_IDMAP", 0x100000],
  ["MOUNT_ATTR_NOSYMFOLLOW", 0x200000],
];
const MOVE_FLAGS: FlagTable = [
  ["F_EMPTY_PATH", 0x4],
  ["T_EMPTY_PATH", 0x40],
];
export const CLONE_FLAGS: FlagTable = [
  ["CLONE_NEWTIME", 0x80],
  ["CLONE_NEWNS", 0x20000],
  ["CLONE_NEWCGROUP", 0x2000000],
  ["CLONE_NEWUTS", 0x4000000],
  ["CLONE_NEWIPC", 0x8000000],
  ["CLONE_NEWUSER", 0x10000000],
  ["CLONE_NEWPID", 0x20000000],
  ["CLONE_NEWNET", 0x40000000],
];
const FSCONFIG_COMMANDS: FlagTable = [
  ["FSCONFIG_SET_FLAG", 0],
  ["FSCONFIG_SET_STRING", 1],
  ["FSCONFIG_CMD_CREATE", 6],
  ["FSCONFIG_CMD_RECONFIGURE", 7],
];
const FSPICK_FLAGS: FlagTable = [
  ["FSPICK_CLOEXEC", 1],
  ["FSPICK_EMPTY_PATH", 8],
];
const RLIMITS: FlagTable = [
  ["RLIMIT_CPU", 0],
  ["RLIMIT_FSIZE", 1],
  ["RLIMIT_DATA", 2],
  ["RLIMIT_STACK", 3],
  ["RLIMIT_CORE", 4],
  ["RLIMIT_RSS", 5],
  ["RLIMIT_NPROC", 6],
  ["RLIMIT_NOFILE", 7],
  ["RLIMIT_MEMLOCK", 8],
  ["RLIMIT_AS", 9],
  ["RLIMIT_LOCKS", 10],
  ["RLIMIT_SIGPENDING", 11],
  ["RLIMIT_MSGQUEUE", 12],
  ["RLIMIT_NICE", 13],
  ["RLIMIT_RTPRIO", 14],
  ["RLIMIT_RTTIME", 15],
];
/** The RLIMIT_ numbers by name. Source: getrlimit(2), asm-generic/resource.h. */
export const RLIMIT_NUMBERS: ReadonlyMap<string, number> = new Map(RLIMITS);
const SIGNALS: FlagTable = [["SIGKILL", 9]];
/** The tables whose values exclude one another; every other FlagTable is a set of bits. */
export const ENUM_TABLES: ReadonlySet<FlagTable> = new Set([FSCONFIG_COMMANDS, RLIMITS, SIGNALS]);

const number = (show: NumberForm): ArgKind => ({ is: "number", show });
const fd = number("fd");
const decimal = number("decimal");
const octal = number("octal");
const hex = number("hex");
const path: ArgKind = { is: "string" };
const pathOrNull: ArgKind = { is: "string", orNull: true };
const struct = (bytes: number): ArgKind => ({ is: "struct", bytes });

const PR = { nr: "prctl" } as const;
const IOCTL = { nr: "ioctl" } as const;

export const CALLS = {
  openat: { nr: "openat", args: [fd, path, number(O_FLAGS), octal] },
  openat2: { nr: "openat2", args: [fd, path, struct(24), decimal] },
  close: { nr: "close", args: [fd] },
  close_range: { nr: "close_range", args: [decimal, hex, decimal] },
  dup3: { nr: "dup3", args: [fd, decimal, number(O_FLAGS)] },
  mkdirat: { nr: "mkdirat", args: [fd, path, octal] },
  mknodat: { nr: "mknodat", args: [fd, path, octal, hex] },
  symlinkat: { nr: "symlinkat", args: [path, fd, path] },
  unlinkat: { nr: "unlinkat", args: [fd, path, number(AT_FLAGS)] },
  fchownat: { nr: "fchownat", args: [fd, path, decimal, decimal, number(AT_FLAGS)] },
  umask: { nr: "umask", args: [octal] },
  chdir: { nr: "chdir", args: [path] },
  fchdir: { nr: "fchdir", args: [fd] },
  chroot: { nr: "chroot", args: [path] },

  mount: { nr: "mount", args: [pathOrNull, path, pathOrNull, number(MS_FLAGS), pathOrNull] },
  umount2: { nr: "umount2", args: [path, decimal] },
  pivot_root: { nr: "pivot_root", args: [path, path] },
  fsopen: { nr: "fsopen", args: [path, decimal] },
  fsconfig: { nr: "fsconfig", args: [fd, number(FSCONFIG_COMMANDS), pathOrNull, pathOrNull, decimal] },
  fspick: { nr: "fspick", args: [fd, path, number(FSPICK_FLAGS)] },
  fsmount: { nr: "fsmount", args: [fd, decimal, number(MOUNT_ATTR_FLAGS)] },
  open_tree: { nr: "open_tree", args: [fd, path, number(AT_FLAGS)] },
  move_mount: { nr: "move_mount", args: [fd, path, fd, path, number(MOVE_FLAGS)] },
  mount_setattr: { nr: "mount_setattr", args: [fd, path, number(AT_FLAGS), struct(32), decimal] },

  unshare: { nr: "unshare", args: [number(CLONE_FLAGS)] },
  setns: { nr: "setns", args: [fd, number(CLONE_FLAGS)] },
  pidfd_open: { nr: "pidfd_open", args: [decimal, decimal] },
  setsid: { nr: "setsid", args: [] },
  sethostname: { nr: "sethostname", args: [{ is: "buffer", lengthIn: 1, unit: 1 }, decimal] },
  setdomainname: { nr: "setdomainname", args: [{ is: "buffer", lengthIn: 1, unit: 1 }, decimal] },
  socket: { nr: "socket", args: [decimal, hex, decimal] },
  bind: { nr: "bind", args: [fd, { is: "buffer", lengthIn: 2, unit: 1 }, decimal] },
  setsockopt: { nr: "setsockopt", args: [fd, decimal, decimal, struct(4), decimal] },
  connect: { nr: "connect", args: [fd, { is: "buffer", lengthIn: 2, unit: 1 }, decimal] },

  personality: { nr: "personality", args: [hex] },
  sched_setattr: { nr: "sched_setattr", args: [decimal, struct(56), decimal] },
  sched_setaffinity: { nr: "sched_setaffinity", args: [decimal, decimal, { is: "buffer", lengthIn: 1, unit: 1 }] },
  set_mempolicy: { nr: "set_mempolicy", args: [hex, { is: "buffer", lengthIn: 2, unit: 1 }, decimal] },
  ioprio_set: { nr: "ioprio_set", args: [decimal, decimal, hex] },

  prlimit64: { nr: "prlimit64", args: [decimal, number(RLIMITS), struct(16), decimal] },
  setgroups: { nr: "setgroups", args: [decimal, { is: "buffer", lengthIn: 0, unit: 4 }] },
  setresgid: { nr: "setresgid", args: [decimal, decimal, decimal] },
  setresuid: { nr: "setresuid", args: [decimal, decimal, decimal] },
  capset: { nr: "capset", args: [struct(8), struct(24)] },
  seccomp: { nr: "seccomp", args: [decimal, hex, struct(16)] },
  keyctl: { nr: "keyctl", args: [decimal, path] },
  bpf: { nr: "bpf", args: [decimal, struct(128), decimal] },

  "prctl.PR_SET_PDEATHSIG": { ...PR, fixed: prctl(1), args: [hex, number(SIGNALS)] },
  "prctl.PR_SET_DUMPABLE": { ...PR, fixed: prctl(4), args: [hex, decimal] },
  "prctl.PR_SET_KEEPCAPS": { ...PR, fixed: prctl(8), args: [hex, decimal] },
  "prctl.PR_SET_SECUREBITS": { ...PR, fixed: prctl(28), args: [hex, hex] },
  "prctl.PR_SET_CHILD_SUBREAPER": { ...PR, fixed: prctl(36), args: [hex, decimal] },
  "prctl.PR_SET_NO_NEW_PRIVS": { ...PR, fixed: prctl(38), args: [hex, decimal, decimal, decimal, decimal] },
  "prctl.PR_CAP_AMBIENT": { ...PR, fixed: prctl(47), args: [hex, decimal, decimal, decimal, decimal] },

  "ioctl.TCSETS": { ...IOCTL, fixed: ioctl(0x5402), args: [fd, hex, struct(36)] },
  "ioctl.TIOCSCTTY": { ...IOCTL, fixed: ioctl(0x540e), args: [fd, hex, decimal] },
  "ioctl.TIOCSWINSZ": { ...IOCTL, fixed: ioctl(0x5414), args: [fd, hex, struct(8)] },
  "ioctl.TIOCSPTLCK": { ...IOCTL, fixed: ioctl(0x40045431), args: [fd, hex, struct(4)] },
  "ioctl.TIOCGPTPEER": { ...IOCTL, fixed: ioctl(0x5441), args: [fd, hex, number(O_FLAGS)] },
  "ioctl.SIOCSIFFLAGS": { ...IOCTL, fixed: ioctl(0x8914), args: [fd, hex, struct(40)] },

  flock: { nr: "flock", args: [fd, decimal] },
  write: { nr: "write", args: [fd, { is: "buffer", lengthIn: 2, unit: 1 }, decimal] },
  pidfd_send_signal: { nr: "pidfd_send_signal", args: [fd, number(SIGNALS), pathOrNull, decimal] },
  renameat2: { nr: "renameat2", args: [fd, path, fd, path, hex] },
} as const satisfies Record<string, Call>;

export type CallName = keyof typeof CALLS;

export const CALL_NAMES = Object.keys(CALLS) as CallName[];

export function callOf(name: CallName): Call {
  return CALLS[name];
}

function prctl(value: number) {
  return { index: 0, value, name: "option" };
}

function ioctl(value: number) {
  return { index: 1, value, name: "request" };
}
