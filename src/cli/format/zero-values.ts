/**
 * Completes objects of the API for the `--format` of `inspect`, `info` and `version`. The stock client's templates walk
 * Go's types: a field that the daemon left out is there with Go's zero value, and a list or map that is null prints as
 * an empty one.
 */

import { ELSE } from "./template.ts";

/** Makes a value null in JSON, as Go's nil is. */
const isNull = { toJSON: { value: () => null } };
const ZERO = {
  pointer: null,
  list: Object.defineProperties([], isNull),
  map: Object.defineProperties({}, isNull),
  texts: ofTexts(Object.defineProperties({}, isNull)),
  text: "",
  number: 0,
  boolean: false,
} as const;

/** Marks `map` as one from text to text. */
export function ofTexts(map: object): object {
  return Object.defineProperty(map, ELSE, { value: "", enumerable: false });
}

/** Fields of a type. `alias` is "NAME=JSON-NAME" for a field whose Go name differs; only the last name differs. */
type Fields = Partial<Record<keyof typeof ZERO | "alias", string>>;

const CONFIG: Fields = {
  pointer: "Config.Healthcheck Config.StopTimeout",
  list: "Config.Env Config.Cmd Config.Entrypoint Config.OnBuild Config.Shell",
  map: "Config.ExposedPorts Config.Volumes",
  texts: "Config.Labels",
  text: "Config.MacAddress Config.StopSignal",
  boolean: "Config.ArgsEscaped Config.NetworkDisabled",
};

const HOST_CONFIG_LISTS =
  "Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps BlkioWeightDevice CapAdd CapDrop " +
  "DeviceCgroupRules DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links MaskedPaths Mounts " +
  "ReadonlyPaths SecurityOpt Ulimits VolumesFrom";

/**
 * Paths of fields that may be left out or null; `*` stands for every entry of a list or map.
 * Source: the API's reference.
 */
const FIELDS: Readonly<Record<string, readonly Fields[]>> = {
  container: [
    CONFIG,
    {
      pointer:
        "Node SizeRw SizeRootFs State.Health HostConfig.Init HostConfig.MemorySwappiness HostConfig.OomKillDisable " +
        "HostConfig.PidsLimit NetworkSettings.Networks.*.IPAMConfig",
      list:
        "Args ExecIDs Mounts NetworkSettings.SecondaryIPAddresses NetworkSettings.SecondaryIPv6Addresses " +
        `${HOST_CONFIG_LISTS.replace(/\w+/g, "HostConfig.$&")} NetworkSettings.Ports.* ` +
        "NetworkSettings.Networks.*.Links NetworkSettings.Networks.*.Aliases NetworkSettings.Networks.*.DNSNames",
      map: "HostConfig.PortBindings NetworkSettings.Ports NetworkSettings.Networks",
      texts:
        "GraphDriver.Data HostConfig.Annotations HostConfig.LogConfig.Config HostConfig.StorageOpt HostConfig.Sysctls " +
        "HostConfig.Tmpfs NetworkSettings.Networks.*.DriverOpts",
      text: "Mounts.*.Name Mounts.*.Driver HostConfig.Runtime",
      alias:
        "ID=Id HostConfig.CPUCount=CpuCount HostConfig.CPUPercent=CpuPercent HostConfig.CPUPeriod=CpuPeriod " +
        "HostConfig.CPUQuota=CpuQuota HostConfig.CPURealtimePeriod=CpuRealtimePeriod " +
        "HostConfig.CPURealtimeRuntime=CpuRealtimeRuntime HostConfig.CPUShares=CpuShares HostConfig.DNS=Dns " +
        "HostConfig.DNSOptions=DnsOptions HostConfig.DNSSearch=DnsSearch HostConfig.NanoCPUs=NanoCpus",
      number: "HostConfig.KernelMemory HostConfig.KernelMemoryTCP",
    },
  ],
  image: [
    CONFIG,
    {
      pointer: "ContainerConfig",
      list: "RepoTags RepoDigests RootFS.Layers",
      texts: "GraphDriver.Data",
      text: "Author Comment Container Created DockerVersion OsVersion Parent Variant",
      number: "VirtualSize",
      alias: "ID=Id",
    },
  ],
  network: [
    { list: "IPAM.Config Peers", map: "Containers Services", texts: "IPAM.Options Labels Options", alias: "ID=Id" },
  ],
  info: [
    {
      pointer: "Swarm.Cluster ClientInfo.Platform",
      list: "DefaultAddressPools SystemStatus Warnings ServerErrors ClientErrors",
      text: "ProductLicense ClientInfo.DefaultAPIVersion",
      number: "Swarm.Nodes Swarm.Managers",
      boolean: "KernelMemory KernelMemoryTCP",
      alias:
        "BridgeNfIP6tables=BridgeNfIp6tables CPUCfsPeriod=CpuCfsPeriod CPUCfsQuota=CpuCfsQuota HTTPProxy=HttpProxy " +
        "HTTPSProxy=HttpsProxy",
    },
  ],
  version: [
    {
      pointer: "Client.Platform",
      text: "Server.BuildTime Server.GitCommit",
      boolean: "Server.Experimental",
      alias: "Client.APIVersion=ApiVersion Server.APIVersion=ApiVersion",
    },
  ],
  volume: [{ pointer: "ClusterVolume UsageData", map: "Status", texts: "Labels Options", text: "CreatedAt" }],
};

interface Tree {
  children: Map<string, Tree>;
  zero?: unknown;
  /** Name that the API uses for the field. */
  alias?: string | undefined;
}

function treeOf(all: readonly Fields[]): Tree {
  const root: Tree = { children: new Map() };
  for (const fields of all)
    for (const [kind, paths] of Object.entries(fields))
      for (const path of paths.split(" ")) {
        let tree = root;
        const [goPath = "", alias] = path.split("=");
        for (const name of goPath.split(".")) {
          const child = tree.children.get(name) ?? { children: new Map() };
          tree.children.set(name, child);
          tree = child;
        }
        if (kind === "alias") tree.alias = alias;
        else tree.zero = ZERO[kind as keyof typeof ZERO];
      }
  return root;
}

/**
 * Returns `object` with the fields of its type that the API left out. These are not enumerable, so that nobody lists
 * them or writes them as JSON.
 */
export function withZeroValues(type: string, object: object): object {
  return filled(treeOf(FIELDS[type] ?? []), object) as object;
}

function filled(tree: Tree, value: unknown): unknown {
  if (value === null) return "zero" in tree ? tree.zero : null;
  if (typeof value !== "object") return value;
  if (tree.zero === ZERO.texts) return ofTexts({ ...value });
  if (tree.children.size === 0) return value;
  const every = tree.children.get("*");
  if (Array.isArray(value)) return every === undefined ? value : value.map((item) => filled(every, item));
  const result: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    const child = tree.children.get(name) ?? every;
    result[name] = child === undefined ? item : filled(child, item);
  }
  for (const [name, child] of tree.children)
    if (name !== "*" && ("zero" in child || child.alias !== undefined) && !Object.hasOwn(result, name))
      Object.defineProperty(result, name, {
        value: child.alias === undefined ? child.zero : result[child.alias],
        enumerable: false,
      });
  return result;
}
