/**
 * Files that tell a machine who and where it is. They are its own from then on: no mount keeps its programs from replacing them.
 */

/** A file that a start writes (the runtime's `RootFile`). */
export interface MachineFile {
  path: string;
  text: string;
  replaces?: boolean;
  mode?: number;
}

/** Returns the machine's id, in the words of machine-id(5): a version 4 UUID without hyphens. */
export function machineUuid(containerId: string): string {
  const digits = containerId.slice(0, 32);
  const variant = ((Number.parseInt(digits[16]!, 16) & 3) | 8).toString(16);
  return `${digits.slice(0, 12)}4${digits.slice(13, 16)}${variant}${digits.slice(17)}`;
}

/** The directory of credentials in /run/host, which its root alone may read. */
export const CREDENTIALS_DIRECTORY = "credentials";
/** The name of the socket in /run/host on which the init says how the machine is. */
export const NOTIFY_NAME = "notify";

/** Returns the files in /run/host, by name. Source: systemd.io/CONTAINER_INTERFACE. */
export function hostFiles(id: string): Record<string, string> {
  return { "container-manager": "lighter\n", "container-uuid": `${machineUuid(id)}\n` };
}

interface EtcFacts {
  id: string;
  /** True if the machine has never run. */
  first: boolean;
  /** The text of /etc/hostname, one line. */
  hostname: string;
  /** The texts of a container's files of these names, without its own addresses. */
  hosts: string;
  resolvConf: string;
  /** The content of the image's /etc/machine-id. */
  machineId: string | undefined;
}

/**
 * Returns the files in /etc. The name is written once: whoever changes it inside means it. Its own name is at 127.0.1.1, as on
 * any Debian, since addresses may be others at each start. The resolver is told at each start, also to systemd-resolved, whose
 * link /etc/resolv.conf stays one.
 */
export function etcFiles({ id, first, hostname, hosts, resolvConf, machineId }: EtcFacts): MachineFile[] {
  const files: MachineFile[] = [
    { path: "/etc/resolv.conf", text: resolvConf, replaces: true },
    { path: "/run/systemd/resolved.conf.d/lighter.conf", text: resolvedConf(resolvConf) },
  ];
  if (!first) return files;
  files.push({ path: "/etc/hostname", text: hostname });
  files.push({ path: "/etc/hosts", text: `${hosts}127.0.1.1\t${hostname}` });
  // An id that comes with the image would be every copy's.
  if (/^[0-9a-f]{32}\n?$/.test(machineId ?? ""))
    files.push({ path: "/etc/machine-id", text: `${machineUuid(id)}\n`, replaces: true });
  return files;
}

/**
 * What a resolv.conf says, for systemd-resolved, which by itself asks no server for a name without a dot, as those of other
 * containers are. Source: resolved.conf(5).
 */
function resolvedConf(resolvConf: string): string {
  const wordsAfter = (keyword: string) =>
    [...resolvConf.matchAll(new RegExp(`^[ \\t]*${keyword}[ \\t]+(.*)$`, "gm"))]
      .flatMap((match) => match[1]!.split(/\s+/))
      .filter((word) => word !== "" && word !== ".")
      .join(" ");
  const lines = [`DNS=${wordsAfter("nameserver")}`, `Domains=${wordsAfter("search")}`, "ResolveUnicastSingleLabel=yes"];
  return `[Resolve]\n${lines.join("\n")}\n`;
}
