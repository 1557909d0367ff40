/**
 * Options of the drivers whose interfaces are above a link of the host, their parent.
 * Source: libnetwork/drivers/macvlan/macvlan_network.go, libnetwork/drivers/ipvlan/ipvlan_network.go.
 */

import { LighterError } from "../../base/errors.ts";
import { shortId } from "../../base/ids.ts";
import type { AboveLink } from "../../runtime/types.ts";
import { isLinkName, parseMtuOption } from "./bridge-options.ts";
import type { NetworkDriver, NetworkRecord } from "./types.ts";

const PARENT = "parent";
const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;
const IPVLAN_MODES = ["l2", "l3", "l3s"] as const;
const IPVLAN_FLAGS = ["bridge", "private", "vepa"] as const;

export type ParentDriver = "macvlan" | "ipvlan";

interface ParentOptions {
  /** "" if none is named: containers reach one another only. */
  parent: string;
  above: AboveLink;
  /** 0: the parent's. */
  mtu: number;
}

function isParentDriver(driver: NetworkDriver): driver is ParentDriver {
  return driver === "macvlan" || driver === "ipvlan";
}

/** @throws LighterError "invalid", with Docker's texts */
export function parseParentOptions(driver: ParentDriver, options: Readonly<Record<string, string>>): ParentOptions {
  const parent = options[PARENT] ?? "";
  const above = driver === "macvlan" ? parseMacvlan(options) : parseIpvlan(options);
  if (parent === "lo") throw invalid(`loopback interface is not a valid ${driver} parent link`);
  if (!isLinkName(parent)) throw invalid(`invalid parent: "${parent}"`);
  return { parent, above, mtu: parseMtuOption(options) };
}

function parseMacvlan(options: Readonly<Record<string, string>>): AboveLink {
  const mode = oneOf(MACVLAN_MODES, options.macvlan_mode, (given) => {
    return `requested macvlan mode '${given}' is not valid, 'bridge' mode is the macvlan driver default`;
  });
  return { type: "macvlan", mode };
}

function parseIpvlan(options: Readonly<Record<string, string>>): AboveLink {
  const mode = oneOf(IPVLAN_MODES, options.ipvlan_mode, (given) => {
    return `requested ipvlan mode '${given}' is not valid, 'l2' mode is the ipvlan driver default`;
  });
  const flag = oneOf(IPVLAN_FLAGS, options.ipvlan_flag, (given) => {
    return `requested ipvlan flag '${given}' is not valid, 'bridge' is the ipvlan driver default`;
  });
  return { type: "ipvlan", mode, flag };
}

/** The first one is the default. */
function oneOf<T extends string>(
  known: readonly T[],
  given: string | undefined,
  complaint: (given: string) => string,
): T {
  if (given === undefined || given === "") return known[0]!;
  const found = known.find((each) => each === given);
  if (found === undefined) throw invalid(complaint(given));
  return found;
}

/** Of a record, whose options were checked when it was made. Undefined: its driver has no parents. */
export function parentOptionsOf({ driver, options }: NetworkRecord): ParentOptions | undefined {
  return isParentDriver(driver) ? parseParentOptions(driver, options) : undefined;
}

/** Of the link that leads nowhere, which a network without a parent has for one. */
export function dummyNameOf({ driver, id }: Pick<NetworkRecord, "driver" | "id">): string {
  return `${driver === "macvlan" ? "dm" : "di"}-${shortId(id)}`;
}

/** Nobody outside is reached from it: where it has no parent, there is nothing outside. */
export function leadsNowhere(network: NetworkRecord): boolean {
  return network.internal || parentOptionsOf(network)?.parent === "";
}

/** The kernel looks at addresses only: nobody is asked for a router's. */
export function isRouted(network: NetworkRecord): boolean {
  const above = parentOptionsOf(network)?.above;
  return above?.type === "ipvlan" && above.mode !== "l2";
}

/** Its containers may have a gateway. */
export function hasRouter(network: NetworkRecord): boolean {
  return !leadsNowhere(network) && !isRouted(network);
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}
