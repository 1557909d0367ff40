/**
 * The differences between the versions of the API in requests and answers. Handlers make every field that any version has; this
 * table says which versions lack it. Other differences (a content type, a default) are made where they occur, by `apiMinor`.
 *
 * Source: moby api/docs/CHANGELOG.md ("Engine API version history"), the section of the version in each row.
 */

type Document =
  | "info"
  | "create"
  | "connect"
  | "container"
  | "container summary"
  | "image"
  | "image summary"
  | "network"
  | "network create";

interface Change {
  document: Document;
  /** The field's path: names joined by "."; "*" is every member of an object or list. */
  path: string;
  /** The first version that has it. */
  added?: number;
  /** The first version that no longer has it. */
  removed?: number;
}

/**
 * The changes to a container's settings, in requests and in answers. A client of an older version did not mean fields that its
 * version lacks.
 */
const hostConfigChanges = (document: Document): Change[] => [
  { document, path: "HostConfig.CgroupnsMode", added: 41 },
  { document, path: "HostConfig.Annotations", added: 43 },
  { document, path: "HostConfig.Mounts.*.BindOptions.NonRecursive", added: 40 },
  { document, path: "HostConfig.Mounts.*.BindOptions.CreateMountpoint", added: 42 },
  { document, path: "HostConfig.Mounts.*.BindOptions.ReadOnlyNonRecursive", added: 44 },
  { document, path: "HostConfig.Mounts.*.BindOptions.ReadOnlyForceRecursive", added: 44 },
];

export const CHANGES: readonly Change[] = [
  { document: "info", path: "ExecutionDriver", removed: 25 },
  { document: "info", path: "Warnings", added: 39 },
  { document: "info", path: "PidsLimit", added: 40 },
  { document: "info", path: "CgroupVersion", added: 41 },
  { document: "info", path: "KernelMemory", removed: 42 },
  { document: "info", path: "KernelMemoryTCP", removed: 42 }, // "if they are not supported"
  { document: "info", path: "CDISpecDirs", added: 44 },
  { document: "info", path: "Runtimes.*.status", added: 44 },
  { document: "info", path: "RegistryConfig.AllowNondistributableArtifactsCIDRs", removed: 49 },
  { document: "info", path: "RegistryConfig.AllowNondistributableArtifactsHostnames", removed: 49 },
  { document: "info", path: "ContainerdCommit.Expected", removed: 49 },
  { document: "info", path: "RuncCommit.Expected", removed: 49 },
  { document: "info", path: "InitCommit.Expected", removed: 49 },
  { document: "info", path: "BridgeNfIptables", removed: 50 },
  { document: "info", path: "BridgeNfIp6tables", removed: 50 },

  ...hostConfigChanges("create"),
  { document: "create", path: "HostConfig.ConsoleSize", added: 42 },
  { document: "create", path: "Healthcheck.StartInterval", added: 44 },
  { document: "create", path: "NetworkingConfig.EndpointsConfig.*.MacAddress", added: 44 },
  { document: "create", path: "NetworkingConfig.EndpointsConfig.*.GwPriority", added: 48 },
  { document: "connect", path: "EndpointConfig.MacAddress", added: 44 },
  { document: "connect", path: "EndpointConfig.GwPriority", added: 48 },

  ...hostConfigChanges("container"),
  { document: "container", path: "NetworkSettings.Networks.*.GwPriority", added: 48 },
  { document: "container summary", path: "HostConfig.Annotations", added: 46 },
  { document: "container summary", path: "NetworkSettings.Networks.*.GwPriority", added: 48 },

  { document: "image summary", path: "VirtualSize", removed: 44 },
  { document: "image", path: "VirtualSize", removed: 44 },
  { document: "image", path: "Container", removed: 45 },
  { document: "image", path: "ContainerConfig", removed: 45 },
  ...[
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "NetworkDisabled",
    "MacAddress",
    "StopTimeout",
  ].map((name): Change => ({ document: "image", path: `Config.${name}`, removed: 50 })),

  { document: "network", path: "EnableIPv4", added: 48 },
  { document: "network create", path: "EnableIPv4", added: 48 },
];

const changesByDocument = new Map<Document, Change[]>();
for (const change of CHANGES)
  changesByDocument.set(change.document, [...(changesByDocument.get(change.document) ?? []), change]);

/** A copy without the fields that the version lacks; members that are not touched are shared. */
export function shapeFor<T extends object>(document: Document, apiMinor: number, value: T): T {
  let shaped: unknown = value;
  for (const { path, added = 0, removed = Number.POSITIVE_INFINITY } of changesByDocument.get(document) ?? [])
    if (apiMinor < added || apiMinor >= removed) shaped = without(shaped, path.split("."));
  return shaped as T;
}

function without(value: unknown, [name = "", ...rest]: readonly string[]): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (name === "*") {
    if (Array.isArray(value)) return value.map((each) => without(each, rest));
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, without(each, rest)]));
  }
  if (Array.isArray(value) || !Object.hasOwn(value, name)) return value;
  if (rest.length === 0) return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, key === name ? without(each, rest) : each]),
  );
}
