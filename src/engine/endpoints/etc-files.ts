/**
 * Files in a container's /etc that tell of its networks, kept right while it runs. Each is bind-mounted, so it is written in
 * place: another file of that name would not be seen inside.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { HOSTS_FILE_MAX_BYTES } from "../../base/limits.ts";
import { resolvConfPath, type Upstream } from "../../network/dns/mod.ts";
import {
  formatHostsLine,
  type HostEtcFiles,
  isUserDefined,
  ownHostNames,
  planContainerResolvConf,
} from "../config/mod.ts";
import type { EndpointState } from "../networks/types.ts";
import type { ContainerRecord } from "../state/record.ts";

type HostsLine = [address: string, names: string];

/** Returns lines of /etc/hosts for the addresses a container has. */
export function ownHosts({ config, networking }: ContainerRecord): HostsLine[] {
  return networking.endpoints.flatMap(({ state }) => (state === undefined ? [] : hostsOf(state, ownHostNames(config))));
}

/** Returns the lines for one endpoint. */
export function hostsOf({ ipv4, ipv6 }: EndpointState, names: string): HostsLine[] {
  return [ipv4, ipv6].flatMap((address) => (address === undefined ? [] : [[address.address, names] as HostsLine]));
}

/** Tells whether a container uses our resolver: on user-defined networks containers find each other by name. */
export function usesResolver({ networking }: ContainerRecord): boolean {
  return networking.endpoints.some(({ networkName, state }) => state !== undefined && isUserDefined(networkName));
}

/** Removes lines and adds others. Whatever else the container has written stays. */
export function changeHosts(
  path: string,
  isRemoved: (address: string, names: string) => boolean,
  added: readonly HostsLine[],
): void {
  const text = readBounded(path);
  if (text === undefined) return;
  const isKept = (line: string) => {
    // The container may have written any bytes: no regular expression here, it could take long over them.
    const [address = "", ...names] = line.trim().split(/\s+/);
    return names.length === 0 || address.startsWith("#") || !isRemoved(address, names.join(" "));
  };
  const kept = text.split("\n").filter(isKept).join("\n");
  const end = kept === "" || kept.endsWith("\n") ? "" : "\n";
  writeFileSync(path, kept + end + added.map(formatHostsLine).join(""));
}

/** Points the container to our resolver, unless it has written something else there. */
export function useResolver(record: ContainerRecord, path: string): void {
  const host = readHostEtcFiles();
  const textWith = (usesResolver: boolean, ipv6: boolean) =>
    planContainerResolvConf(record.hostConfig, host, { usesResolver, ipv6 }).text;
  const text = readBounded(path);
  // The file may have been written when the container had no IPv6.
  if (text === textWith(false, false) || text === textWith(false, true))
    writeFileSync(path, textWith(true, hasIpv6(record)));
}

export function hasIpv6({ networking }: ContainerRecord): boolean {
  return networking.endpoints.some(({ state }) => state?.ipv6 !== undefined);
}

/** Plans which servers our resolver asks. `forwards`: the container has a way out itself. */
export function planUpstream(record: ContainerRecord, forwards: boolean): Upstream {
  const facts = { usesResolver: true, ipv6: hasIpv6(record) };
  const { servers, keepsSingleLabels } = planContainerResolvConf(record.hostConfig, readHostEtcFiles(), facts);
  return { servers, keepsSingleLabels, forwards };
}

/**
 * Reads a file of the container; undefined if there is none, or if the container has turned it into something that no hosts file
 * is.
 */
function readBounded(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    return fstatSync(fd).size > HOSTS_FILE_MAX_BYTES ? undefined : readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Reads the host's own files. A missing one is as good as an empty one. */
export function readHostEtcFiles(): HostEtcFiles {
  const etcText = readHostFile(ETC_RESOLV_CONF);
  const path = resolvConfPath(etcText);
  const text = path === ETC_RESOLV_CONF ? etcText : readHostFile(path);
  return { hosts: readHostFile("/etc/hosts"), resolvConf: text || etcText, resolvConfPath: path };
}

const ETC_RESOLV_CONF = "/etc/resolv.conf";

function readHostFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}
