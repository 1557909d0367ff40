/** The seccomp filter of machines. */
import type { OciSeccomp } from "../spec/oci-runtime.ts";

const words = (text: string) => text.trim().split(/\s+/);

/**
 * System calls that no machine has a use for, or cannot have: a deny-list, since an init and what it starts call nearly all that
 * there is, and the kernel checks each against the user namespace. Also denied: what has no namespace, or gives an attacker more
 * of the kernel than its programs need (bpf, io_uring, perf, userfaultfd).
 */
const DENIED = {
  kernelAndModules: "kexec_load kexec_file_load init_module finit_module delete_module create_module query_module",
  filesPastTheirDirectories: "open_by_handle_at",
  hostsLog: "syslog",
  hostsResources: "swapon swapoff acct quotactl quotactl_fd iopl ioperm nfsservctl lookup_dcookie",
  surface:
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register vm86 vm86old uselib _sysctl",
} as const satisfies Record<string, string>;

const ARCHITECTURES = {
  amd64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

/** Returns the filter of a machine that names none. */
export function machineSeccomp(arch: "amd64" | "arm64"): OciSeccomp {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ARCHITECTURES[arch],
    syscalls: [{ names: Object.values(DENIED).flatMap(words), action: "SCMP_ACT_ERRNO", errnoRet: 1 /* EPERM */ }],
  };
}
