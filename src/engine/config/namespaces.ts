/** Reads the namespace modes of a container (network, PID, IPC, UTS, cgroup) and plans its namespaces. */
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { NamespaceType, OciLinux } from "../../spec/oci-runtime.ts";
import { invalid } from "./errors.ts";
import type { HostFacts } from "./host.ts";

/** Another container, whose namespace is joined. */
export interface Peer {
  /** The pid of its init, on the host. */
  pid: number;
  /** The hostname of a container whose network is shared. */
  hostname?: string;
  /** True if a container whose IPC namespace is shared uses the host's. */
  isHost?: boolean;
}

/** The peers of a container, found by `peerReferences`. */
export interface Peers {
  network?: Peer;
  pid?: Peer;
  ipc?: Peer;
  /** Only within a pod: Docker has no word for it. */
  uts?: Peer;
}

interface ContainerMode {
  kind: "container";
  id: string;
}

/** A mode that may name another container. */
export type NamespaceMode = { kind: "private" | "host" | "none" | "shareable" } | ContainerMode;

const CONTAINER = "container:";

/** The default network of Docker: "" and "default" stand for it. */
export const DEFAULT_NETWORK = "bridge";

/** The network of a container: another container's, or one by name, which may be `none` or `host`. */
export type NetworkMode = { kind: "bridge" | "host" | "none" } | { kind: "network"; name: string } | ContainerMode;

/** Parses a network mode. @throws LighterError "invalid" */
export function parseNetworkMode(mode: string | null | undefined): NetworkMode {
  switch (mode ?? "") {
    case "":
    case "default":
    case DEFAULT_NETWORK:
      return { kind: "bridge" };
    case "none":
      return { kind: "none" };
    case "host":
      return { kind: "host" };
  }
  const name = mode ?? "";
  if (name !== "container" && !name.startsWith(CONTAINER)) return { kind: "network", name };
  return parseContainerMode(name, "Invalid network mode: invalid container format container:<name|id>");
}

/** Parses a PID mode. @throws LighterError "invalid", as do the three below. */
export function parsePidMode(mode: string | null | undefined): NamespaceMode {
  if (!mode) return { kind: "private" };
  if (mode === "host") return { kind: "host" };
  return parseContainerMode(mode, `invalid PID mode: ${mode}`);
}

export function parseIpcMode(mode: string | null | undefined): NamespaceMode {
  if (!mode || mode === "private") return { kind: "private" };
  if (mode === "host" || mode === "none" || mode === "shareable") return { kind: mode };
  return parseContainerMode(mode, `invalid IPC mode: ${mode}`);
}

export function parseUtsMode(mode: string | null | undefined): "private" | "host" {
  if (!mode) return "private";
  if (mode !== "host") throw invalid(`invalid UTS mode: ${mode}`);
  return "host";
}

export function parseCgroupnsMode(mode: string | null | undefined): "private" | "host" {
  if (!mode) return "private";
  if (mode !== "host" && mode !== "private") throw invalid(`invalid cgroup namespace mode: ${mode}`);
  return mode;
}

function parseContainerMode(mode: string, message: string): ContainerMode {
  if (!mode.startsWith(CONTAINER)) throw invalid(message);
  const id = mode.slice(CONTAINER.length);
  if (id === "") throw invalid(message);
  return { kind: "container", id };
}

/** Returns the containers (names or ids) that a container's modes name, for the engine to look up. */
export function peerReferences(hostConfig: DockerHostConfig): { network?: string; pid?: string; ipc?: string } {
  const network = parseNetworkMode(hostConfig.NetworkMode);
  const pid = parsePidMode(hostConfig.PidMode);
  const ipc = parseIpcMode(hostConfig.IpcMode);
  return {
    ...(network.kind === "container" ? { network: network.id } : {}),
    ...(pid.kind === "container" ? { pid: pid.id } : {}),
    ...(ipc.kind === "container" ? { ipc: ipc.id } : {}),
  };
}

/**
 * Checks the modes and what conflicts with them; returns warnings.
 * @param config what was asked for, without the image's settings: a port that the image exposes conflicts with nothing
 * @throws LighterError "invalid", with Docker's texts; "not-supported"
 */
export function validateNamespaces(config: DockerContainerConfig, hostConfig: DockerHostConfig): string[] {
  const network = parseNetworkMode(hostConfig.NetworkMode);
  parsePidMode(hostConfig.PidMode);
  parseIpcMode(hostConfig.IpcMode);
  const uts = parseUtsMode(hostConfig.UTSMode);
  parseCgroupnsMode(hostConfig.CgroupnsMode);

  const hostname = config.Hostname ?? "";
  if (uts === "host" && hostname !== "") throw invalid("conflicting options: hostname and the UTS mode");
  if (network.kind === "container") {
    if (hostname !== "") throw invalid("conflicting options: hostname and the network mode");
    if ((hostConfig.Dns ?? []).length > 0) throw invalid("conflicting options: dns and the network mode");
    if ((hostConfig.ExtraHosts ?? []).length > 0)
      throw invalid("conflicting options: custom host-to-IP mapping and the network mode");
    if (hasPorts(hostConfig) || hostConfig.PublishAllPorts)
      throw invalid("conflicting options: port publishing and the container type network mode");
    if (Object.keys(config.ExposedPorts ?? {}).length > 0)
      throw invalid("conflicting options: port exposing and the container type network mode");
  }
  if ((hostConfig.Links ?? []).length > 0 && (network.kind === "container" || network.kind === "host"))
    throw invalid(
      `conflicting options: ${network.kind} type ${network.kind === "host" ? "networking" : "network"} can't be used ` +
        "with links. This would result in undefined behavior",
    );
  return hasPorts(hostConfig) && network.kind === "host"
    ? ["Published ports are discarded when using host network mode"]
    : [];
}

function hasPorts(hostConfig: DockerHostConfig): boolean {
  return Object.keys(hostConfig.PortBindings ?? {}).length > 0;
}

/**
 * Plans `linux.namespaces`, in Docker's order and then ours: Docker has no time namespace, and on cgroup v1 no cgroup namespace.
 */
export function planNamespaces(
  hostConfig: DockerHostConfig,
  peers: Peers,
  host: HostFacts,
): NonNullable<OciLinux["namespaces"]> {
  const namespaces: NonNullable<OciLinux["namespaces"]> = [{ type: "mount" }];
  const add = (type: NamespaceType, mode: NamespaceMode | NetworkMode, peer: Peer | undefined, file: string) => {
    if (mode.kind === "host") return;
    if (mode.kind !== "container") namespaces.push({ type });
    else if (peer === undefined) throw invalid(`cannot join the ${type} namespace of "${mode.id}": it is not running`);
    else namespaces.push({ type, path: `/proc/${peer.pid}/ns/${file}` });
  };
  add("network", parseNetworkMode(hostConfig.NetworkMode), peers.network, "net");
  if (parseUtsMode(hostConfig.UTSMode) === "private")
    namespaces.push(peers.uts === undefined ? { type: "uts" } : { type: "uts", path: `/proc/${peers.uts.pid}/ns/uts` });
  add("pid", parsePidMode(hostConfig.PidMode), peers.pid, "pid");
  add("ipc", parseIpcMode(hostConfig.IpcMode), peers.ipc, "ipc");
  if (parseCgroupnsMode(hostConfig.CgroupnsMode) === "private") namespaces.push({ type: "cgroup" });
  if (host.timeNamespaces) namespaces.push({ type: "time" });
  return namespaces;
}
