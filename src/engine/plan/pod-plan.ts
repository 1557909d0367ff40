/** What Kubernetes asks of a container beyond Docker's words. */
import type { ResolvedUser } from "../../image/mod.ts";
import { parseCapability } from "../../linux/capability/mod.ts";
import type { OciConfig, OciProcess } from "../../spec/oci-runtime.ts";
import type { MountPoint } from "../config/mounts.ts";
import type { PodRecord } from "../state/record.ts";

/**
 * The groups of a pod's user: those of the image's /etc/group even beside a group that was asked for, or with the policy "strict"
 * none that nobody asked for.
 * @param byName resolves a user without a group
 */
export function groupsOfPod(
  pod: PodRecord,
  resolved: ResolvedUser,
  user: string,
  byName: (user: string) => ResolvedUser,
): ResolvedUser {
  if (pod.groups === "strict") return { ...resolved, additionalGids: [] };
  if (!user.includes(":")) return resolved;
  const [name = ""] = user.split(":");
  const { gid, additionalGids } = byName(name);
  return { ...resolved, additionalGids: additionalGids.filter((each) => each !== gid) };
}

/** Adds the limits for which Docker has no words. */
export function withPodLimits(config: OciConfig, pod: PodRecord | undefined): OciConfig {
  if (pod?.limits === undefined) return config;
  return { ...config, linux: { ...config.linux, resources: { ...config.linux?.resources, ...pod.limits } } };
}

/** Marks the binds whose files have the owners that the container sees. */
export function withPodMounts(points: readonly MountPoint[], pod: PodRecord | undefined): readonly MountPoint[] {
  const mapped = pod?.mappedMounts ?? [];
  if (mapped.length === 0) return points;
  return points.map((point) => (mapped.includes(point.destination) ? { ...point, isMapped: true } : point));
}

/** Lets programs keep capabilities across execve(2) as any user. Source: capabilities(7), "Ambient". */
export function withAmbient(process: OciProcess, pod: PodRecord | undefined): OciProcess {
  const { capabilities } = process;
  if (pod?.ambient === undefined || capabilities === undefined) return process;
  const wanted = pod.ambient.map((name) => (name.toUpperCase() === "ALL" ? "ALL" : parseCapability(name)));
  const { permitted = [] } = capabilities;
  const ambient = wanted.includes("ALL") ? permitted : permitted.filter((name) => wanted.some((each) => each === name));
  return { ...process, capabilities: { ...capabilities, inheritable: [...ambient], ambient: [...ambient] } };
}
