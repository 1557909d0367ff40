/** Gives a container what its devices need. Source: container-device-interface, pkg/cdi/container-edits.go. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { OciConfig, OciDevice, OciDeviceRule, OciHook } from "../../spec/oci-runtime.ts";
import type { HostProbe } from "../config/mod.ts";
import type { CdiDeviceNode, CdiHook, ContainerEdits } from "./spec.ts";

/**
 * Adds the edits to a config.
 * @param isMapped true for a container in a user namespace: it gets the host's own nodes, since only the host's root may make
 * nodes
 * @throws LighterError "internal" for a device that is missing; "not-supported" for hooks that would run in a user namespace
 */
export function injectEdits(
  config: OciConfig,
  all: readonly ContainerEdits[],
  probe: Pick<HostProbe, "device">,
  isMapped: boolean,
): OciConfig {
  if (all.length === 0) return config;
  if (isMapped) refuseInsideHooks(all);
  const { process, linux = {} } = config;
  const nodes = all.flatMap(({ deviceNodes }) => deviceNodes.map((node) => completeNode(node, config, probe)));
  const devices = new Map((linux.devices ?? []).map((device) => [posix.normalize(device.path), device]));
  for (const { device, hostPath } of nodes)
    devices.set(device.path, isMapped ? ({ ...device, hostPath } as OciDevice) : device);
  const rules = nodes.flatMap(({ device: { type, major = 0, minor = 0 }, access }): OciDeviceRule[] =>
    type === "p" ? [] : [{ allow: true, type: type === "b" ? "b" : "c", major, minor, access }],
  );
  const intelRdt = all.findLast((edits) => edits.intelRdt !== undefined)?.intelRdt;
  const gids = all.flatMap(({ additionalGids }) => additionalGids);
  const hooks = withHooks(
    config.hooks ?? {},
    all.flatMap((edits) => edits.hooks),
  );
  return {
    ...config,
    ...(process === undefined
      ? {}
      : {
          process: {
            ...process,
            env: withVariables(
              process.env ?? [],
              all.flatMap(({ env }) => env),
            ),
            ...(gids.length === 0 || process.user === undefined
              ? {}
              : {
                  user: {
                    ...process.user,
                    additionalGids: [...new Set([...(process.user.additionalGids ?? []), ...gids])],
                  },
                }),
          },
        }),
    mounts: withMounts(config.mounts ?? [], all),
    ...(Object.keys(hooks).length === 0 ? {} : { hooks }),
    linux: {
      ...linux,
      ...(devices.size === 0 ? {} : { devices: [...devices.values()] }),
      resources: { ...linux.resources, devices: [...(linux.resources?.devices ?? []), ...rules] },
      ...(intelRdt === undefined ? {} : { intelRdt: { ...intelRdt } }),
    },
  };
}

/** Completes a node: missing fields are as on the host. Nodes belong to the container's user, unless the spec says otherwise. */
function completeNode(
  { path, hostPath = path, permissions, ...given }: CdiDeviceNode,
  { process }: OciConfig,
  probe: Pick<HostProbe, "device">,
): { device: OciDevice; hostPath: string; access: string } {
  const isComplete =
    given.type === "p" || (given.type !== undefined && given.major !== undefined && given.minor !== undefined);
  const found = isComplete ? undefined : probe.device(hostPath);
  if (!isComplete && found === undefined)
    throw new LighterError(
      "internal",
      `CDI device injection failed: ${JSON.stringify(hostPath)} is no device node of the host`,
    );
  const { uid, gid } = process?.user ?? {};
  const device: OciDevice = {
    path: posix.normalize(path),
    type: given.type ?? found!.type,
    ...(given.type === "p" ? {} : { major: given.major ?? found!.major, minor: given.minor ?? found!.minor }),
    ...((given.fileMode ?? found?.mode) === undefined ? {} : { fileMode: given.fileMode ?? found!.mode }),
    ...((given.uid ?? uid) ? { uid: given.uid ?? uid! } : {}),
    ...((given.gid ?? gid) ? { gid: given.gid ?? gid! } : {}),
  };
  return { device, hostPath: found?.path ?? hostPath, access: permissions };
}

/** Sets variables; one that exists keeps its place. */
function withVariables(env: readonly string[], added: readonly string[]): string[] {
  const nameOf = (variable: string) => variable.slice(0, variable.indexOf("="));
  const all = new Map([...env, ...added].map((variable) => [nameOf(variable), variable]));
  return [...all.values()];
}

/** Adds mounts, replacing others at the same place; parents come before children. */
function withMounts(mounts: NonNullable<OciConfig["mounts"]>, all: readonly ContainerEdits[]) {
  const added = new Map(
    all.flatMap((edits) =>
      edits.mounts.map(({ hostPath, containerPath, type, options }) => {
        const destination = posix.normalize(containerPath);
        const isBind = options.includes("bind") || options.includes("rbind");
        const kind = type ?? (isBind || options.length === 0 ? "bind" : undefined);
        const chosen = options.length === 0 && kind === "bind" ? ["rbind", "rprivate"] : [...options];
        return [
          destination,
          { destination, source: hostPath, ...(kind === undefined ? {} : { type: kind }), options: chosen },
        ] as const;
      }),
    ),
  );
  const kept = mounts.filter(({ destination }) => !added.has(posix.normalize(destination)));
  const depth = (path: string) => path.split("/").length;
  const sorted = [...added.values()].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...kept, ...sorted];
}

function withHooks(hooks: NonNullable<OciConfig["hooks"]>, added: readonly CdiHook[]): NonNullable<OciConfig["hooks"]> {
  const all: Record<string, OciHook[]> = Object.fromEntries(
    Object.entries(hooks).map(([name, list]) => [name, [...list]]),
  );
  for (const { hookName, ...hook } of added) all[hookName] = [...(all[hookName] ?? []), hook];
  return all;
}

/** Refuses hooks in a user namespace: they would run as somebody who may read neither the bundle nor, often, the program. */
function refuseInsideHooks(all: readonly ContainerEdits[]): void {
  const hook = all.flatMap(({ hooks }) => hooks).find(({ hookName }) => INSIDE.includes(hookName));
  if (hook === undefined) return;
  throw new LighterError("not-supported", `CDI device injection failed: a ${hook.hookName} hook in a user namespace`, {
    hint: "use --userns=host",
  });
}

const INSIDE: readonly string[] = ["createContainer", "startContainer"];
