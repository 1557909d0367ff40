/** A sandbox as its network sees it. */
import type { Container } from "../../engine/mod.ts";
import type { NetworkedPod, PortMapping } from "../network.ts";
import { type SandboxConfig, sandboxConfig } from "../pods.ts";
import { NODE } from "./namespace-modes.ts";

/** By the number of the protocol. Source: Protocol in api.proto. */
const PROTOCOLS: readonly PortMapping["protocol"][] = ["tcp", "udp", "sctp"];

/** Where its network namespace is found; undefined once it is gone. */
export function namespacePathOf({ isRunning, record: { pid } }: Container): string | undefined {
  return isRunning && pid !== 0 ? `/proc/${pid}/ns/net` : undefined;
}

export function usesHostNetwork(config: SandboxConfig): boolean {
  return config.linux?.securityContext?.namespaceOptions?.network === NODE;
}

export function networkedPod(sandbox: Container): NetworkedPod {
  const { metadata, annotations, portMappings, dnsConfig, linux } = sandboxConfig(sandbox);
  return {
    id: sandbox.id,
    name: metadata?.name ?? "",
    namespace: metadata?.namespace ?? "",
    uid: metadata?.uid ?? "",
    namespacePath: namespacePathOf(sandbox),
    annotations,
    cgroupParent: linux?.cgroupParent ?? "",
    portMappings: portMappings.flatMap(({ protocol, containerPort, hostPort, hostIp }) =>
      hostPort === 0 ? [] : [{ protocol: PROTOCOLS[protocol] ?? "tcp", containerPort, hostPort, hostIp }],
    ),
    dns: dnsConfig ?? { servers: [], searches: [], options: [] },
  };
}
