/** What pods need of whoever gives them a network. */

/** A pod to be connected. */
export interface NetworkedPod {
  id: string;
  name: string;
  namespace: string;
  uid: string;
  /** Where the network namespace is found; undefined once it is gone. */
  namespacePath: string | undefined;
  annotations: ReadonlyMap<string, string>;
  cgroupParent: string;
  portMappings: readonly PortMapping[];
  dns: { servers: readonly string[]; searches: readonly string[]; options: readonly string[] };
}

export interface PortMapping {
  protocol: "tcp" | "udp" | "sctp";
  containerPort: number;
  hostPort: number;
  hostIp: string;
}

/** Whether pods can be connected; if not, why. */
type NetworkReadiness = { isReady: true } | { isReady: false; reason: string; message: string };

export interface PodNetwork {
  readiness(): Promise<NetworkReadiness>;
  /** Connects a pod. Resolves with its addresses, the main one first. `signal` ends it, and so does `detach`; that leaves nothing. */
  attach(pod: NetworkedPod, signal: AbortSignal): Promise<string[]>;
  /** Disconnects a pod, whether or not it is connected, or still there. */
  detach(podId: string): Promise<void>;
}
