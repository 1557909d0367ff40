/** Options of the bridge driver. Source: libnetwork/drivers/bridge/labels.go, libnetwork/netlabel/labels.go. */

import { LighterError } from "../../base/errors.ts";
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { shortId } from "../../base/ids.ts";
import { isIpAddress } from "../../base/ip-address.ts";
import { IPV6_MTU_MIN, LINK_NAME_MAX_LENGTH, MTU_MAX } from "../../base/limits.ts";
import type { Family } from "../../network/ipam/mod.ts";
import type { GatewayMode } from "../../network/types.ts";
import type { NetworkRecord } from "./types.ts";

export const BRIDGE_NAME = "com.docker.network.bridge.name";
export const DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge";
export const ENABLE_ICC = "com.docker.network.bridge.enable_icc";
export const ENABLE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade";
export const HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4";
export const MTU = "com.docker.network.driver.mtu";
const INTERFACE_PREFIX = "com.docker.network.container_iface_prefix";
const HOST_IPV4 = "com.docker.network.host_ipv4";
const HOST_IPV6 = "com.docker.network.host_ipv6";

const GATEWAY_MODE_IPV4 = "com.docker.network.bridge.gateway_mode_ipv4";
const GATEWAY_MODE_IPV6 = "com.docker.network.bridge.gateway_mode_ipv6";
const INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4";
const TRUSTED_INTERFACES = "com.docker.network.bridge.trusted_host_interfaces";
const GATEWAY_MODES: readonly GatewayMode[] = ["nat", "nat-unprotected", "routed", "isolated"];

export interface BridgeOptions {
  /** The bridge's name; "": made of the network's id. */
  bridgeName: string;
  isDefault: boolean;
  /** True if containers of the network reach one another. */
  icc: boolean;
  masquerade: boolean;
  /** The host's address for published ports that name none; "": all addresses. */
  hostBinding: string;
  /** The MTU; 0: the kernel's default. */
  mtu: number;
  /** The beginning of interface names in containers: "eth". */
  interfacePrefix: string;
  /** The addresses, at most one a family, that outgoing packets get instead of the one that the host would choose. */
  hostAddresses: readonly string[];
  gatewayModes: { ipv4: GatewayMode; ipv6: GatewayMode };
  /** True if the bridge has no IPv4 address: somebody else on it is its containers' gateway. */
  inhibitIPv4: boolean;
  /** Interfaces of the host from which published ports are reached by containers' addresses, too. */
  trustedInterfaces: readonly string[];
}

/**
 * Parses the options of a bridge. Options that no driver knows have no effect, as with Docker.
 * @throws LighterError "invalid", with Docker's texts
 */
export function parseBridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const isOn = (label: string, byDefault: boolean) => {
    const text = options[label];
    if (text === undefined) return byDefault;
    const value = parseGoBoolean(text);
    if (value !== undefined) return value;
    throw parseError(label, text, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
  };
  const address = (label: string) => {
    const text = options[label] ?? "";
    if (text !== "" && !isIpAddress(text)) throw parseError(label, text, "nil ip");
    return text;
  };
  const bridgeName = options[BRIDGE_NAME] ?? "";
  if (!isLinkName(bridgeName)) throw new LighterError("invalid", `invalid bridge name: "${bridgeName}"`);
  const interfacePrefix = options[INTERFACE_PREFIX] ?? "";
  if (!isLinkName(`${interfacePrefix}00`))
    throw new LighterError("invalid", `invalid ${INTERFACE_PREFIX}: "${interfacePrefix}"`);
  return {
    bridgeName,
    isDefault: isOn(DEFAULT_BRIDGE, false),
    icc: isOn(ENABLE_ICC, true),
    masquerade: isOn(ENABLE_MASQUERADE, true),
    hostBinding: address(HOST_BINDING),
    mtu: parseMtuOption(options),
    interfacePrefix: interfacePrefix || "eth",
    hostAddresses: [address(HOST_IPV4), address(HOST_IPV6)].filter((text) => text !== ""),
    gatewayModes: {
      ipv4: parseGatewayMode(GATEWAY_MODE_IPV4, options[GATEWAY_MODE_IPV4]),
      ipv6: parseGatewayMode(GATEWAY_MODE_IPV6, options[GATEWAY_MODE_IPV6]),
    },
    inhibitIPv4: isOn(INHIBIT_IPV4, false),
    trustedInterfaces: parseInterfaces(options[TRUSTED_INTERFACES] ?? ""),
  };
}

function parseGatewayMode(label: string, text = ""): GatewayMode {
  const mode = GATEWAY_MODES.find((each) => each === (text || "nat"));
  if (mode === undefined) throw parseError(label, text, `unknown gateway mode ${text}`);
  return mode;
}

/** Parses "eth0:eth1". */
function parseInterfaces(text: string): string[] {
  const names = [...new Set(text.split(":").filter((name) => name !== ""))];
  for (const name of names)
    if (!isLinkName(name)) throw parseError(TRUSTED_INTERFACES, text, `${JSON.stringify(name)} is no interface's name`);
  return names;
}

/** Tells whether the bridge itself has an address of the family: through it containers reach the host and what is beyond. */
export function bridgeHas(family: Family, { gatewayModes, inhibitIPv4 }: BridgeOptions): boolean {
  return family === 4 ? gatewayModes.ipv4 !== "isolated" && !inhibitIPv4 : gatewayModes.ipv6 !== "isolated";
}

/** Returns the options in a record; they were checked when it was made. */
export function bridgeOptionsOf({ options }: NetworkRecord): BridgeOptions {
  return parseBridgeOptions(options);
}

/** Returns the name of a bridge network's bridge. */
export function bridgeNameOf(network: NetworkRecord): string {
  return bridgeOptionsOf(network).bridgeName || `br-${shortId(network.id)}`;
}

/** Tells whether a link may have this name, or the name is "". Source: net/core/dev.c, dev_valid_name. */
export function isLinkName(name: string): boolean {
  return Buffer.byteLength(name) <= LINK_NAME_MAX_LENGTH && name !== "." && name !== ".." && !/[\s/:\0]/.test(name);
}

/** Parses the MTU option of any driver; 0 if there is none. @throws LighterError "invalid" */
export function parseMtuOption(options: Readonly<Record<string, string>>): number {
  const text = options[MTU] ?? "0";
  if (!/^[+-]?\d{1,18}$/.test(text))
    throw parseError(MTU, text, `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  const mtu = Number(text);
  if (mtu < 0 || mtu > MTU_MAX) throw new LighterError("invalid", `invalid MTU number: ${mtu}`);
  return mtu;
}

/** Tells whether the MTU is too small: the kernel switches IPv6 off on such a link. */
export function isTooShortForIpv6({ mtu, enableIPv6 }: { mtu: number; enableIPv6: boolean }): boolean {
  return enableIPv6 && mtu > 0 && mtu < IPV6_MTU_MIN;
}

function parseError(label: string, value: string, why: string): LighterError {
  return new LighterError("invalid", `failed to parse ${label} value: ${value} (${why})`);
}
