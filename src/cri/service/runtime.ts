/** Version, Status, RuntimeConfig and UpdateRuntimeConfig. */
import { VERSION } from "../../base/version.ts";
import type { Cri } from "../cri.ts";

/** The version of the interface between kubelet and runtimes, before there were versions of it. */
const KUBE_API_VERSION = "0.1.0";
/** Source: CgroupDriver in api.proto. */
const [SYSTEMD, CGROUPFS] = [0, 1];

export function version() {
  return {
    version: KUBE_API_VERSION,
    runtimeName: "lighter",
    runtimeVersion: VERSION,
    runtimeApiVersion: "v1",
  };
}

export async function status(cri: Cri, { verbose }: { verbose: boolean }) {
  const network = await cri.network.readiness();
  const features = { recursiveReadOnlyMounts: true, userNamespaces: cri.host.rights.idmappedMounts };
  const config = { dataRoot: cri.engine.paths.dataRoot, cgroup: cri.host.cgroup.mode, cgroupDriver: cri.cgroupDriver };
  return {
    status: {
      conditions: [
        { type: "RuntimeReady", status: true },
        network.isReady
          ? { type: "NetworkReady", status: true }
          : { type: "NetworkReady", status: false, reason: network.reason, message: network.message },
      ],
    },
    info: verbose ? new Map([["config", JSON.stringify(config)]]) : new Map<string, string>(),
    runtimeHandlers: RUNTIME_HANDLERS.map((name) => ({ name, features })),
    features: { supplementalGroupsPolicy: true },
  };
}

/** The handlers of pods: the default, and its name. */
export const RUNTIME_HANDLERS: readonly string[] = ["", "lighter"];

export function runtimeConfig({ cgroupDriver }: Cri) {
  return { linux: { cgroupDriver: cgroupDriver === "systemd" ? SYSTEMD : CGROUPFS } };
}
