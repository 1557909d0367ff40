/**
 * Moves network devices of the host into a container, with the name asked for and the addresses that they have. They are neither
 * made nor removed here: with the container's network namespace the kernel gives hardware back, and ends virtual devices.
 * Source: runtime-spec config-linux.md#network-devices.
 */
import { LighterError } from "../base/errors.ts";
import { ADDRESS_INDEX_AT, encodeReplaceAddress, type LinkAddress } from "../linux/netlink/addresses.ts";
import type { Attribute } from "../linux/netlink/attributes.ts";
import { attr } from "../linux/netlink/attributes.ts";
import {
  checkLinkName,
  encodeGetLink,
  encodeMoveLink,
  encodeSetLink,
  IFLA,
  LINK_INDEX_AT,
} from "../linux/netlink/links.ts";
import type { NetlinkRequest, OpList } from "../linux/program/builder.ts";
import type { OciConfig } from "../spec/oci-runtime.ts";
import { hasNamespace } from "./mounts/plan.ts";
import { SLOT_INIT } from "./namespaces.ts";

export interface NetDevice {
  hostName: string;
  name: string;
  addresses: readonly LinkAddress[];
}

/**
 * Plans the devices.
 * @param addresses Each device's addresses on the host, by its name there.
 * @throws LighterError ("invalid") for a name that no device can have, and without a network namespace to move it to
 */
export function planNetDevices(
  config: OciConfig,
  addresses: Readonly<Record<string, readonly LinkAddress[]>> = {},
): NetDevice[] {
  const devices = Object.entries(config.linux?.netDevices ?? {});
  if (devices.length > 0 && !hasNamespace(config, "network"))
    throw new LighterError("invalid", "linux.netDevices needs a network namespace");
  return devices.map(([hostName, device]) => {
    const name = device.name || hostName;
    for (const each of [hostName, name]) checkLinkName(each);
    return { hostName, name, addresses: addresses[hostName] ?? [] };
  });
}

/** Host side, after the clone: moves the devices. */
export function moveNetDevices(host: OpList, devices: readonly NetDevice[]): void {
  for (const { hostName, name } of devices) {
    const why = `linux.netDevices: ${hostName} becomes the container's ${name}`;
    const index = `device ${name}`;
    host.netlink("route", [{ message: encodeGetLink(hostName) }], why, { out: index });
    const places = new Map<Attribute, number>();
    const into = attr.u32(IFLA.NET_NS_PID, 0);
    const message = encodeMoveLink(name, into, places);
    const from = [
      { at: LINK_INDEX_AT, slot: index },
      { at: places.get(into)!, slot: SLOT_INIT },
    ];
    host.netlink("route", [{ message, from }], why);
  }
  if (devices.length > 0) host.add({ kind: "send", why: "linux.netDevices are moved" });
}

/** In the child, in its network namespace: sets the devices up. */
export function takeNetDevices(init: OpList, devices: readonly NetDevice[]): void {
  if (devices.length > 0) init.add({ kind: "receive", why: "wait until linux.netDevices are moved" });
  for (const { name, addresses } of devices) {
    const why = `linux.netDevices: ${name} has its addresses, and is up`;
    const index = `device ${name}`;
    const of = (message: Uint8Array, at: number): NetlinkRequest => ({ message, from: [{ at, slot: index }] });
    init.netlink("route", [{ message: encodeGetLink(name) }], why, { out: index });
    init.netlink(
      "route",
      [
        ...addresses.map((address) => of(encodeReplaceAddress(0, address), ADDRESS_INDEX_AT)),
        of(encodeSetLink(0, { isUp: true }), LINK_INDEX_AT),
      ],
      why,
    );
  }
}
