/** Lists what the runtime can do, for `features`. */
import { CAPABILITIES } from "../linux/capability/mod.ts";
import { mountOptionNames } from "../linux/mount/options.ts";
import { SECCOMP_NAMES } from "../linux/seccomp/mod.ts";
import { SPEC_VERSION } from "../spec/oci-version.ts";
import { NAMESPACE_TYPES } from "../spec/parse-oci-config.ts";
import { MEMORY_POLICY_NAMES } from "./scheduling.ts";

/**
 * The features that this runtime implements, whatever the host has. Lists are those that the code itself uses; a test compares
 * the rest with what compiling a config refuses. Source: runtime-spec features.md, features-linux.md.
 */
export function features(): object {
  const mountOptions = mountOptionNames();
  const { actions, operators, archs, flags } = SECCOMP_NAMES;
  return {
    ociVersionMin: "1.0.0",
    ociVersionMax: SPEC_VERSION,
    hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
    mountOptions,
    linux: {
      namespaces: NAMESPACE_TYPES.toSorted(),
      capabilities: CAPABILITIES,
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: true },
      seccomp: {
        enabled: true,
        actions: actions.toSorted(),
        operators: operators.toSorted(),
        archs: archs.toSorted(),
        knownFlags: flags.toSorted(),
        supportedFlags: flags.toSorted(),
      },
      apparmor: { enabled: true },
      selinux: { enabled: true },
      intelRdt: { enabled: true },
      memoryPolicy: MEMORY_POLICY_NAMES,
      netDevices: { enabled: true },
      mountExtensions: { idmap: { enabled: mountOptions.includes("idmap") } },
    },
  };
}
