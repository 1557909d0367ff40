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
  /** The parent's name; "" if none is named: containers reach one another only. */
  parent: string;
  above: AboveLink;
  /** The MTU; 0: the parent's. */
  mtu: number;
}

function isParentDriver(driver: NetworkDriver): driver is ParentDriver {
  return driver === "macvlan" || driver === "ipvlan";
}

/** Parses the options. @throws LighterError "invalid", with Docker's texts */
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

/** Checks that a value is one of the allowed ones; the first one is the default. */
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

/** Returns the options in a record, which were checked when it was made; undefined if its driver has no parents. */
export function parentOptionsOf({ driver, options }: NetworkRecord): ParentOptions | undefined {
  return isParentDriver(driver) ? parseParentOptions(driver, options) : undefined;
}

/** Returns the name of the link that leads nowhere, which serves as parent for a network without one. */
export function dummyNameOf({ driver, id }: Pick<NetworkRecord, "driver" | "id">): string {
  return `${driver === "macvlan" ? "dm" : "di"}-${shortId(id)}`;
}

/** Tells whether nobody outside is reached from the network: without a parent there is nothing outside. */
export function leadsNowhere(network: NetworkRecord): boolean {
  return network.internal || parentOptionsOf(network)?.parent === "";
}

/** Tells whether the kernel looks at addresses only, so that no router is needed. */
export function isRouted(network: NetworkRecord): boolean {
  const above = parentOptionsOf(network)?.above;
  return above?.type === "ipvlan" && above.mode !== "l2";
}

/** Tells whether the network's containers may have a gateway. */
export function hasRouter(network: NetworkRecord): boolean {
  return !leadsNowhere(network) && !isRouted(network);
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}
