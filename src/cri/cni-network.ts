/** The network of pods by plugins. */

import { Cni, type CniOptions } from "../network/cni/mod.ts";
import type { NetworkedPod, PodNetwork } from "./network.ts";
import { parseQuantity } from "./quantity.ts";

/** The name that every pod's interface has. */
const INTERFACE = "eth0";

export class CniNetwork implements PodNetwork {
  readonly #cni: Cni;

  constructor(options: CniOptions) {
    this.#cni = new Cni(options);
  }

  async readiness(): ReturnType<PodNetwork["readiness"]> {
    const problem = await this.#cni.problem();
    if (problem === undefined) return { isReady: true };
    const message = `Network plugin returns error: ${problem}`;
    return { isReady: false, reason: "NetworkPluginNotReady", message };
  }

  attach(pod: NetworkedPod, signal: AbortSignal): Promise<string[]> {
    return this.#cni.add(attachmentOf(pod), signal);
  }

  detach(podId: string): Promise<void> {
    return this.#cni.remove(podId);
  }

  /** Takes over from the last daemon. `living`: where the network namespace of each pod is found. */
  takeOver(living: ReadonlyMap<string, string | undefined>): Promise<void> {
    return this.#cni.takeOver(living);
  }
}

/** Sources: containernetworking/cni CONVENTIONS.md; the arguments and capabilities that containerd gives. */
function attachmentOf(pod: NetworkedPod) {
  const { id, name, namespace, uid, namespacePath, portMappings, dns, cgroupParent, annotations } = pod;
  return {
    ...{ containerId: id, namespacePath, interfaceName: INTERFACE },
    args: {
      IgnoreUnknown: "1",
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: id,
      K8S_POD_UID: uid,
    },
    capabilities: {
      ...(portMappings.length === 0
        ? {}
        : { portMappings: portMappings.map(({ hostIp, ...rest }) => ({ ...rest, hostIP: hostIp })) }),
      ...bandwidthOf(annotations),
      ...(dns.servers.length + dns.searches.length + dns.options.length === 0 ? {} : { dns }),
      ...(cgroupParent === "" ? {} : { cgroupPath: cgroupParent }),
      "io.kubernetes.cri.pod-annotations": Object.fromEntries(annotations),
    },
  };
}

/** The most that a burst may have: the plugins count in 32 bits. */
const BURST_BITS = 2 ** 31 - 1;

/** The limits of a pod's traffic, in bits a second, which users write into annotations. */
function bandwidthOf(annotations: ReadonlyMap<string, string>): object {
  const of = (way: "ingress" | "egress") => {
    const text = annotations.get(`kubernetes.io/${way}-bandwidth`);
    return text === undefined ? {} : { [`${way}Rate`]: parseQuantity(text), [`${way}Burst`]: BURST_BITS };
  };
  const limits = { ...of("ingress"), ...of("egress") };
  return Object.keys(limits).length === 0 ? {} : { bandwidth: limits };
}
