/** Options of the macvlan driver. Source: libnetwork/drivers/macvlan/macvlan.go, macvlan_network.go. */
import { LighterError } from "../../base/errors.ts";
import { isLinkName, parseMtuOption } from "./bridge-options.ts";
import type { NetworkRecord } from "./types.ts";

const PARENT = "parent";
const MODE = "macvlan_mode";
const MODES = ["bridge", "private", "vepa", "passthru"] as const;

export type MacvlanMode = (typeof MODES)[number];

export interface MacvlanOptions {
  /** "" if none is named: containers reach one another only. */
  parent: string;
  mode: MacvlanMode;
  /** 0: the parent's. */
  mtu: number;
}

/** @throws LighterError "invalid", with Docker's texts */
export function parseMacvlanOptions(options: Readonly<Record<string, string>>): MacvlanOptions {
  const parent = options[PARENT] ?? "";
  const given = options[MODE] || "bridge";
  const mode = MODES.find((each) => each === given);
  if (mode === undefined)
    throw new LighterError(
      "invalid",
      `requested macvlan mode '${given}' is not valid, 'bridge' mode is the macvlan driver default`,
    );
  if (parent === "lo") throw new LighterError("invalid", "loopback interface is not a valid macvlan parent link");
  if (!isLinkName(parent)) throw new LighterError("invalid", `invalid parent: "${parent}"`);
  return { parent, mode, mtu: parseMtuOption(options) };
}

/** Of a record, whose options were checked when it was made. */
export function macvlanOptionsOf({ options }: NetworkRecord): MacvlanOptions {
  return parseMacvlanOptions(options);
}
