/** Numbers of the kernel's interface that more than one file needs. Source: the kernel's headers in include/uapi. */

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const SOCK_STREAM_CLOEXEC = 0o1 | 0o2000000;
export const SOCK_DGRAM_CLOEXEC = 0o2 | 0o2000000;

export const SOL_SOCKET = 1;
export const SO_PASSCRED = 16;
export const SO_ATTACH_FILTER = 26;
export const MSG_NOSIGNAL_DONTWAIT = 0x4040;

/** The size of sun_path, with its NUL. Source: unix(7). */
export const SUN_PATH_BYTES = 108;

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
/** A flag of linkat(2). */
export const AT_SYMLINK_FOLLOW = 0x400;
/** A flag of unlinkat(2). */
export const AT_REMOVEDIR = 0x200;
export const AT_EMPTY_PATH = 0x1000;
/** The argument of chown(2) that leaves the owner, or the group, as it is. */
export const KEEP_ID = 0xffffffff;

/** Operations of flock(2). */
export const LOCK_EX = 2;
export const LOCK_UN = 8;

/** A flag of PR_SET_SECUREBITS: changes of ids leave capabilities alone. Source: capabilities(7). */
export const SECBIT_NO_SETUID_FIXUP = 4;

export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MNT_DETACH = 2;

/** With its NUL. */
export const PATH_MAX = 4096;
export const O_CLOEXEC = 0o2000000;

/** What calls return in place of a result, negative as the kernel has it. */
export const ENOENT = -2;
export const EINTR = -4;
export const EAGAIN = -11;
export const EBUSY = -16;
export const EEXIST = -17;
export const EISDIR = -21;
export const ENOTEMPTY = -39;
export const ELOOP = -40;
export const ECONNRESET = -104;

/** Types of entries. Source: readdir(3). */
export const DT_UNKNOWN = 0;
export const DT_DIR = 4;

/** Commands of fcntl(2). */
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;

/** Events of poll(2). */
export const POLLIN = 1;
export const POLLOUT = 4;

/** The first argument of sigprocmask(2), and the size of the kernel's set of signals. */
export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;
export const SIGSET_BYTES = 8;

/** A clock of clock_gettime(2). */
export const MONOTONIC = 1;
