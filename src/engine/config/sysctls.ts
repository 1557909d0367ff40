/** Plans the sysctls of a container: only those that its own namespaces keep apart from the host's. */
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";
import { parseIpcMode, parseNetworkMode, parseUtsMode } from "./namespaces.ts";

/** The sysctls of System V IPC; those of POSIX queues begin with fs.mqueue. Source: namespaces(7), ipc_namespaces(7). */
const IPC_SYSCTLS: readonly string[] = [
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
];

/**
 * Plans `linux.sysctl`: Docker's defaults for a network namespace of its own (ping and ports below 1024 need no capability there:
 * nothing else listens), the domain name, then the container's own, with dots.
 * Only what a namespace keeps apart may be set; all else would change the host.
 * @param gids how many groups its user namespace has
 * @throws LighterError "invalid", with the texts of runc, to which Docker leaves this.
 */
export function planSysctls(
  config: DockerContainerConfig,
  hostConfig: DockerHostConfig,
  gids = 2 ** 31,
): Record<string, string> {
  const network = parseNetworkMode(hostConfig.NetworkMode).kind;
  const ipc = parseIpcMode(hostConfig.IpcMode).kind;
  const uts = parseUtsMode(hostConfig.UTSMode);
  const sysctls: Record<string, string> = {};
  if (config.Domainname && uts === "private") sysctls["kernel.domainname"] = config.Domainname;
  if (network !== "host" && network !== "container") {
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "0";
    // The ends of the range must be groups that the namespace has.
    sysctls["net.ipv4.ping_group_range"] = `0 ${Math.min(gids, 2 ** 31) - 1}`;
  }
  for (const [given, value] of Object.entries(hostConfig.Sysctls ?? {})) {
    const name = normalizeSysctl(given);
    const shown = JSON.stringify(given);
    if (name.startsWith("net.")) {
      if (network === "host") throw invalid(`sysctl ${shown} not allowed in host network namespace`);
    } else if (IPC_SYSCTLS.includes(name) || name.startsWith("fs.mqueue.")) {
      if (ipc === "host") throw invalid(`sysctl ${shown} is not allowed in the hosts ipc namespace`);
    } else if (name === "kernel.hostname")
      throw invalid(`sysctl ${shown} is not allowed as it conflicts with the OCI "hostname" field`);
    else if (name !== "kernel.domainname" || uts === "host")
      throw invalid(`sysctl ${shown} is not in a separate kernel namespace`);
    if (/[\r\n]/.test(value)) throw invalid(`sysctl ${shown}: the value has a line break`);
    sysctls[name] = value;
  }
  return sysctls;
}

/**
 * Writes a sysctl's name with dots: "net/ipv4/conf/eth0.1/mtu" becomes "net.ipv4.conf.eth0/1.mtu". Source: sysctl(8).
 * Empty and dot components are refused: they would lead out of the directory that was checked.
 */
function normalizeSysctl(name: string): string {
  const separator = /[./]/.exec(name)?.[0] ?? ".";
  const other = separator === "." ? "/" : ".";
  const files = name.split(separator).map((part) => (separator === "." ? part.replaceAll(other, ".") : part));
  if (files.some((file) => file === "" || file === "." || file === ".."))
    throw invalid(`sysctl ${JSON.stringify(name)} is not in a separate kernel namespace`);
  return files.map((file) => file.replaceAll(".", "/")).join(".");
}
