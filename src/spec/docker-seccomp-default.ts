/**
 * Docker's default seccomp profile, as our own table: what a container may call, by subject.
 * Equal in effect to moby/profiles seccomp v0.2.3, which Docker 29.4.3 to 29.8 have, on amd64 and arm64; rules for other
 * architectures are left out.
 *
 * An allow-list: the default is EPERM, so what is not here is what is blocked. Blocked on purpose, and not by accident:
 * io_uring (a second, unfiltered way to make system calls), keyctl and friends (the kernel keyring has no namespace),
 * userfaultfd (makes kernel races winnable), kexec, swapon, pivot_root, nfsservctl, vm86, move_pages and migrate_pages.
 */
import type { DockerSeccompProfile, DockerSeccompRule } from "./docker-seccomp.ts";

const words = (text: string) => text.trim().split(/\s+/);
const allow = (text: string): DockerSeccompRule => ({ names: words(text), action: "SCMP_ACT_ALLOW" });

/** Calls that every container may make. */
const ALWAYS = {
  // The kernel checks each of these against the file's permissions and the container's mounts.
  files: `
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown
    lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat
    openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat
    renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range
    syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev`,
  extendedAttributes: `
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`,
  // These show only what is in the container's own mount namespace.
  mountQueries: "listmount statmount",
  pollingAndEvents: `
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
    fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect pipe pipe2 poll ppoll
    ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4`,
  // The old asynchronous interface; io_uring stays blocked.
  asynchronousIo: `
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioprio_get ioprio_set`,
  memory: `
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
    remap_file_pages`,
  // clone, clone3 and ptrace have rules of their own below.
  processes: `
    capget capset execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getsid gettid kill
    pidfd_open pidfd_send_signal prctl prlimit64 getrlimit getrusage setpgid setpriority setrlimit setsid tgkill times
    tkill ugetrlimit vfork wait4 waitid waitpid`,
  users: `
    getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32
    getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32`,
  signals: `
    pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn`,
  // uretprobe is called by the trampoline the kernel itself puts into probed programs.
  threadsAndScheduling: `
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield set_robust_list set_thread_area set_tid_address uretprobe`,
  // These read the clock; setting it needs CAP_SYS_TIME, which adjtimex and clock_adjtime check themselves.
  time: `
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64`,
  // socket has rules of its own below. Old 32-bit programs make any of these by socketcall, whose arguments are in memory, so
  // those rules do not reach it; without it such programs would have no network at all.
  sockets: `
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
    send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`,
  // These see the container's own ipc namespace only.
  interprocess: `
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
    msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`,
  // These let programs confine themselves further.
  selfConfinement: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
  system: "getrandom sysinfo uname",
};

/**
 * Calls that a capability unlocks: the kernel would check it anyway, but the filter keeps the code behind the call out of reach.
 */
const BY_CAPABILITY: Record<string, string> = {
  CAP_BPF: "bpf",
  CAP_DAC_READ_SEARCH: "open_by_handle_at",
  CAP_PERFMON: "perf_event_open",
  CAP_SYS_ADMIN: `
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
    lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
    sethostname setns syslog umount umount2 unshare`,
  CAP_SYS_BOOT: "reboot",
  CAP_SYS_CHROOT: "chroot",
  CAP_SYS_MODULE: "delete_module finit_module init_module",
  CAP_SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
  CAP_SYS_PACCT: "acct",
  CAP_SYS_PTRACE: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
  CAP_SYS_RAWIO: "ioperm iopl",
  CAP_SYS_TIME: "clock_settime clock_settime64 settimeofday stime",
  CAP_SYS_TTY_CONFIG: "vhangup",
  CAP_SYSLOG: "syslog",
};

const AF_ALG = 38;
const AF_VSOCK = 40;

/**
 * All address families but two. AF_ALG, the kernel's cryptography, has a record of local root holes (CVE-2026-31431); AF_VSOCK
 * reaches the hypervisor past every network namespace.
 */
const SOCKET_RULES: DockerSeccompRule[] = [
  { ...allow("socket"), args: [{ index: 0, op: "SCMP_CMP_LT", value: AF_ALG }] },
  { ...allow("socket"), args: [{ index: 0, op: "SCMP_CMP_EQ", value: AF_ALG + 1 }] },
  { ...allow("socket"), args: [{ index: 0, op: "SCMP_CMP_GT", value: AF_VSOCK }] },
];

/** PER_LINUX and PER_LINUX32, each also with UNAME26, and the query. Others turn on old, little-tested kernel code. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const CLONE_NAMESPACES = 0x7e020000;
const ENOSYS = 38;
const EPERM = 1;

/** A new copy of the profile; the caller may change it. */
export function defaultProfile(): DockerSeccompProfile {
  const withoutAdmin = { excludes: { caps: ["CAP_SYS_ADMIN"] } };
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    archMap: [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    ],
    syscalls: [
      allow(Object.values(ALWAYS).join(" ")),
      // Before Linux 4.8 a tracer could change a call after its filter had run.
      { ...allow("process_vm_readv process_vm_writev ptrace"), includes: { minKernel: "4.8" } },
      ...SOCKET_RULES,
      ...PERSONALITIES.map(
        (value): DockerSeccompRule => ({
          ...allow("personality"),
          args: [{ index: 0, op: "SCMP_CMP_EQ", value }],
        }),
      ),
      {
        ...allow("arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"),
        includes: { arches: ["arm", "arm64"] },
      },
      { ...allow("arch_prctl modify_ldt"), includes: { arches: ["amd64"] } },
      ...Object.entries(BY_CAPABILITY).map(([capability, names]) => ({
        ...allow(names),
        includes: { caps: [capability] },
      })),
      // Making processes and threads is allowed, but not new namespaces: a user namespace opens much more of the kernel.
      {
        ...allow("clone"),
        args: [{ index: 0, op: "SCMP_CMP_MASKED_EQ", value: CLONE_NAMESPACES, valueTwo: 0 }],
        ...withoutAdmin,
      },
      // Its flags are in memory, where a filter cannot look. ENOSYS makes libc fall back to clone, whose flags it can see.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS, ...withoutAdmin },
    ],
  };
}
