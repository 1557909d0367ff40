/** Linux capabilities: names, sets as masks, Docker's --cap-add and --cap-drop, and what capset(2) takes. */
import { ByteWriter } from "../../base/bytes.ts";
import { LighterError } from "../../base/errors.ts";

/** The names by number: CAPABILITIES[21] is "CAP_SYS_ADMIN". Source: linux/capability.h, up to Linux 5.9's newest. */
export const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

export type Capability = (typeof CAPABILITIES)[number];

const NUMBER_BY_NAME: ReadonlyMap<string, number> = new Map(CAPABILITIES.map((name, number) => [name, number]));

/** CAP_CHECKPOINT_RESTORE, in Linux since 5.9: every kernel we run on has all of them. */
export const LAST_CAPABILITY = CAPABILITIES.length - 1;

/** The capabilities that a container gets by default. Source: moby daemon/pkg/oci/caps/defaults.go. */
export const DOCKER_DEFAULT_CAPABILITIES: readonly Capability[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

function isCapability(name: string): name is Capability {
  return NUMBER_BY_NAME.has(name);
}

/**
 * Parses a capability's name, in any case, with or without "CAP_".
 * @throws LighterError ("invalid") with Docker's text.
 */
export function parseCapability(name: string): Capability {
  const upper = name.toUpperCase();
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (!isCapability(full)) throw new LighterError("invalid", `unknown capability: ${JSON.stringify(full)}`);
  return full;
}

export function capabilityNumber(capability: Capability): number {
  return NUMBER_BY_NAME.get(capability)!;
}

/** A set as a mask: bit n is capability number n, as in `CapEff:` of /proc/<pid>/status. */
export function capabilityMask(capabilities: Iterable<Capability>): bigint {
  let mask = 0n;
  for (const capability of capabilities) mask |= 1n << BigInt(capabilityNumber(capability));
  return mask;
}

/** The set of a mask, in order of number. Bits of capabilities newer than our list are left out. */
export function capabilitiesOf(mask: bigint): Capability[] {
  return CAPABILITIES.filter((_, number) => (mask >> BigInt(number)) & 1n);
}

/** A name in --cap-add and --cap-drop that stands for all capabilities. */
const ALL = "ALL";

function parseOption(names: readonly string[], option: "CapAdd" | "CapDrop"): { all: boolean; named: Capability[] } {
  try {
    const named = names.filter((name) => name.toUpperCase() !== ALL).map(parseCapability);
    return { all: names.some((name) => name.toUpperCase() === ALL), named };
  } catch (error) {
    if (error instanceof LighterError)
      throw new LighterError(error.code, `invalid ${option}: ${error.message}`, { cause: error });
    throw error;
  }
}

interface CapabilityChanges {
  /** Names as parseCapability() takes them, or "ALL". */
  capAdd?: readonly string[];
  capDrop?: readonly string[];
  privileged?: boolean;
  /** The capabilities that "ALL" means: those that the daemon has itself. If absent, all there are. */
  available?: readonly Capability[];
}

/**
 * The capabilities of a container: `basics` with the changes, without repeats.
 *
 * The order is Docker's: privileged gives all; else adding ALL gives all but the named drops; else dropping ALL leaves only the
 * named adds; else drops are applied before adds, so a capability that is in both stays.
 * Source: moby daemon/pkg/oci/caps/utils.go, TweakCapabilities().
 * @throws LighterError ("invalid") with Docker's text, `invalid CapAdd: unknown capability: "CAP_FOO"`.
 */
export function tweakCapabilities(basics: readonly Capability[], changes: CapabilityChanges): Capability[] {
  const available = changes.available ?? CAPABILITIES;
  const add = parseOption(changes.capAdd ?? [], "CapAdd");
  const drop = parseOption(changes.capDrop ?? [], "CapDrop");
  if (changes.privileged) return [...available];
  if (add.all) return available.filter((capability) => !drop.named.includes(capability));
  const kept = drop.all ? [] : basics.filter((capability) => !drop.named.includes(capability));
  return [...new Set([...kept, ...add.named])];
}

/** _LINUX_CAPABILITY_VERSION_3: 64 bits a set, in two words. */
const CAPABILITY_VERSION_3 = 0x20080522;

/** `struct __user_cap_header_struct` for the calling thread. */
export function encodeCapsetHeader(): Uint8Array<ArrayBuffer> {
  return new ByteWriter(8).u32(CAPABILITY_VERSION_3).u32(0).finish();
}

/**
 * `struct __user_cap_data_struct[2]` for capset(2): the low words of the three sets, then the high words.
 *
 *   0           4           8             12          16          20            24
 *   | effective | permitted | inheritable | effective | permitted | inheritable |
 *   '------------- bits 0–31 -------------'------------- bits 32–63 ------------'
 */
export function encodeCapsetData(
  sets: Record<"effective" | "permitted" | "inheritable", bigint>,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(24);
  for (const shift of [0n, 32n])
    for (const set of [sets.effective, sets.permitted, sets.inheritable])
      writer.u32(Number((set >> shift) & 0xffffffffn));
  return writer.finish();
}
