/** Labels of Linux security modules. */
import { LighterError } from "../base/errors.ts";
import { apparmorEnabled } from "../linux/apparmor/enabled.ts";
import type { OpList } from "../linux/program/builder.ts";
import type { OciLinux, OciProcess } from "../spec/oci-runtime.ts";
import type { HostFacts } from "./host-facts.ts";
import { PRIVATE_PROC } from "./proc.ts";

/* What Linux security modules apply to a process: AppArmor's profile, SELinux's label. */

function selinuxEnabled(host: HostFacts): boolean {
  return host.readText?.("/sys/fs/selinux/enforce") !== undefined;
}

/**
 * Whether the process gets a label, which takes a procfs.
 * @throws LighterError ("not-supported") if the host lacks the module that a label is for. Without AppArmor, every process is
 * "unconfined".
 */
export function needsLabels(host: HostFacts, process: OciProcess): boolean {
  const { apparmorProfile, selinuxLabel } = process;
  if (selinuxLabel && !selinuxEnabled(host))
    throw new LighterError(
      "not-supported",
      "process.selinuxLabel: selinux label is specified in config, but selinux is disabled or not supported",
    );
  const apparmor = apparmorProfile && (apparmorProfile !== "unconfined" || apparmorEnabled(host.readText));
  if (apparmor && !apparmorEnabled(host.readText))
    throw new LighterError(
      "not-supported",
      "process.apparmorProfile: apparmor: config provided but apparmor not supported",
    );
  return Boolean(apparmor || selinuxLabel);
}

/**
 * In the child, with the private procfs open: sets the label that applies from the next execve(2) on. Each module has a directory
 * of its own since Linux 5.1 and 5.8; before, one of them had the files for itself.
 * Source: Documentation/admin-guide/LSM/index.rst, aa_change_onexec(2), setexeccon(3).
 */
export function labelOnExec(init: OpList, host: HostFacts, process: OciProcess): void {
  const { apparmorProfile, selinuxLabel } = process;
  if (apparmorProfile && apparmorEnabled(host.readText)) {
    const why = `process.apparmorProfile "${apparmorProfile}"`;
    const own = host.readText?.("/proc/self/attr/apparmor/current") !== undefined;
    init.write(PRIVATE_PROC, `self/attr/${own ? "apparmor/" : ""}exec`, `exec ${apparmorProfile}`, why);
  }
  if (selinuxLabel) init.write(PRIVATE_PROC, "self/attr/exec", selinuxLabel, "process.selinuxLabel");
}

/** The label for mounts. @throws LighterError ("not-supported") if `linux.mountLabel` is set and there is no SELinux. */
export function mountLabelOf(host: HostFacts, linux: OciLinux | undefined): string | undefined {
  const label = linux?.mountLabel;
  if (!label) return undefined;
  if (!selinuxEnabled(host))
    throw new LighterError("not-supported", "linux.mountLabel: selinux is disabled or not supported on this host");
  return label;
}
