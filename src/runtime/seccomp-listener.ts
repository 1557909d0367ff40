/** Passes a filter's listener to a seccomp agent. */
import { utf8 } from "../base/bytes.ts";
import { LighterError } from "../base/errors.ts";
import { type OpList, slot } from "../linux/program/builder.ts";
import type { Slot } from "../linux/program/op.ts";
import { filterOf } from "../linux/seccomp/memo.ts";
import { AF_UNIX, SOCK_STREAM_CLOEXEC, SUN_PATH_BYTES } from "../linux/sys/abi.ts";
import { unixAddress } from "../linux/sys/unix-address.ts";
import type { OciConfig, OciSeccomp } from "../spec/oci-runtime.ts";

/**
 * The slot of the connection to the seccomp agent, the program that answers for system calls with SCMP_ACT_NOTIFY. It gets the
 * listener's fd and the container process state as JSON. The connection is made while nothing of the container runs yet; a helper
 * of the launcher's takes the fd out of the process, since every system call that could send it may be filtered.
 * Source: runtime-spec config-linux.md#containerprocessstate, seccomp_unotify(2).
 */
const AGENT: Slot = "agent";

/** The path of the agent's socket. @throws LighterError ("invalid") for metadata that nobody would get. */
export function listenerPathOf(seccomp: OciSeccomp | undefined): string | undefined {
  if (!seccomp) return undefined;
  if (seccomp.listenerMetadata && !seccomp.listenerPath)
    throw new LighterError("invalid", "linux.seccomp.listenerMetadata needs linux.seccomp.listenerPath");
  return filterOf(seccomp).listenerPath;
}

/** Host side, before the clone: connects to the agent. */
export function connectAgent(host: OpList, path: string | undefined): void {
  if (path === undefined) return;
  const field = "linux.seccomp.listenerPath";
  if (!path.startsWith("/") || utf8(path).length >= SUN_PATH_BYTES)
    throw new LighterError("invalid", `${field} "${path}" is not an absolute path of a socket`);
  const address = unixAddress(path);
  const why = `${field} ${path}`;
  host.call("socket", [AF_UNIX, SOCK_STREAM_CLOEXEC, 0], why, { out: AGENT });
  const failed = `${why}: failed to connect with seccomp agent`;
  host.call("connect", [slot(AGENT), { data: address, show: path }, address.length], failed);
}

/** The process with the filter: of a start, where `containerPid` is not known yet, or of an exec. */
interface ListenedProcess {
  id: string;
  config: OciConfig;
  bundle: string;
  containerPid?: number;
}

/** Host side, after the clone: forwards the listener. */
export function forwardListener(host: OpList, path: string | undefined, process: ListenedProcess, pid: Slot): void {
  if (path === undefined) return;
  const [before, between, after] = formatProcessState(process);
  const why = "send the seccomp listener to the agent";
  host.add({ kind: "forwardFd", pid, socket: AGENT, before, between, after, why });
  host.close(AGENT, "the forwarder has it");
}

/** The state as JSON, cut where the launcher puts the process's pid. */
function formatProcessState({ id, config, bundle, containerPid }: ListenedProcess): [string, string, string] {
  const { ociVersion, annotations } = config;
  const metadata = config.linux?.seccomp?.listenerMetadata;
  const status = containerPid === undefined ? "creating" : "running";
  const rest = JSON.stringify({ bundle, ...(annotations ? { annotations } : {}) }).slice(1);
  const start = `${JSON.stringify({ ociVersion, fds: ["seccompFd"] }).slice(0, -1)},"pid":`;
  const middle = `${metadata ? `,"metadata":${JSON.stringify(metadata)}` : ""},"state":${JSON.stringify({ ociVersion, id, status }).slice(0, -1)},"pid":`;
  const end = `,${rest}}`;
  return containerPid === undefined ? [start, middle, end] : [start, `${middle}${containerPid}${end}`, ""];
}
