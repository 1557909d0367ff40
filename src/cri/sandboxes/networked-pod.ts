/** A sandbox as its network sees it. */
import type { Container } from "../../engine/mod.ts";
import type { NetworkedPod, PortMapping } from "../network.ts";
import { sandboxConfig } from "../pods.ts";

/** By the number of the protocol. Source: Protocol in api.proto. */
const PROTOCOLS: readonly PortMapping["protocol"][] = ["tcp", "udp", "sctp"];

export function networkedPod(sandbox: Container): NetworkedPod {
  const { metadata, annotations, portMappings, dnsConfig, linux } = sandboxConfig(sandbox);
  const { pid } = sandbox.record;
  return {
    id: sandbox.id,
    name: metadata?.name ?? "",
    namespace: metadata?.namespace ?? "",
    uid: metadata?.uid ?? "",
    namespacePath: sandbox.isRunning && pid !== 0 ? `/proc/${pid}/ns/net` : undefined,
    annotations,
    cgroupParent: linux?.cgroupParent ?? "",
    portMappings: portMappings.flatMap(({ protocol, containerPort, hostPort, hostIp }) =>
      hostPort === 0 ? [] : [{ protocol: PROTOCOLS[protocol] ?? "tcp", containerPort, hostPort, hostIp }],
    ),
    dns: dnsConfig ?? { servers: [], searches: [], options: [] },
  };
}
