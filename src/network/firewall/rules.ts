/**
 * The chains of the firewall's table. They are the same whatever networks and ports there are (sets.ts).
 *
 *   guard        raw          nothing from our bridges comes from or goes to 127.0.0.0/8
 *   prerouting   dstnat       packets to an address of the host: publish
 *   output       dstnat       packets of the host to an address of its own: publish
 *   publish                   sends packets for a published port to its container
 *   forward      filter       drops what must not pass
 *   into                      says what may come into a network
 *   postrouting  srcnat       packets that would not find their way back get another source
 *
 * No chain opens anything: "accept" ends a chain of ours, and those of the other tables are asked as well.
 */
import { parseIpAddress } from "../../base/ip-address.ts";
import {
  type BaseChain,
  CT_STATE,
  CT_STATUS_DNAT,
  compare,
  connection,
  destinationType,
  FAMILY,
  hostU32,
  interfaceName,
  jump,
  lookup,
  mask,
  masquerade,
  meta,
  nat,
  newChain,
  newRule,
  PRIORITY,
  payload,
  RTN_LOCAL,
  type Table,
  verdict,
} from "../../linux/nftables/mod.ts";
import { BRIDGE_GROUP, type Families } from "../host-settings.ts";
import { IP_FAMILIES, type IpFamily, SETS } from "./sets.ts";

type Rule = ReturnType<typeof meta>[];

/** For each family, where a header has the addresses. */
const HEADER = {
  ip: { source: 12, destination: 16, bytes: 4 },
  ip6: { source: 8, destination: 24, bytes: 16 },
} as const;

const isFamily = (family: IpFamily): Rule => [meta("nfproto", 0), compare(0, "==", Uint8Array.of(FAMILY[family]))];
const nameIn = (key: "iifname" | "oifname", set: { name: string }): Rule => [meta(key, 0), lookup(set.name, 0)];
const sourceIn = (family: IpFamily, set: { name: string }, into?: number): Rule => [
  ...isFamily(family),
  payload("network", HEADER[family].source, HEADER[family].bytes, 0),
  lookup(set.name, 0, into),
];
const isLoopback = (end: "source" | "destination"): Rule => [
  ...isFamily("ip"),
  payload("network", HEADER.ip[end], 1, 0),
  compare(0, "==", Uint8Array.of(127)),
];
const LOOPBACK6 = parseIpAddress("::1");
const isLoopback6 = (end: "source" | "destination"): Rule => [
  ...isFamily("ip6"),
  payload("network", HEADER.ip6[end], HEADER.ip6.bytes, 0),
  compare(0, "==", LOOPBACK6),
];
const connectionHas = (key: "state" | "status", bits: number): Rule => [
  connection(key, 0),
  mask(0, hostU32(bits)),
  compare(0, "!=", hostU32(0)),
];
/** Matches packets on the way to the network that they come from. */
const staysInSubnet = (family: IpFamily): Rule => [
  ...isFamily(family),
  meta("oifname", 0),
  payload("network", HEADER[family].source, HEADER[family].bytes, 4), // an interface's name takes four registers
  lookup(SETS.subnets[family].name, 0),
];

/** Looks up the container's address and port. A port on one address of the host comes first. */
function publishRules(family: IpFamily): Rule[] {
  const { destination, bytes } = HEADER[family];
  const words = bytes / 4;
  const target: Rule = [nat("dnat", family, { address: 0, port: words })];
  const key = (at: number): Rule => [meta("l4proto", at), payload("transport", 2, 2, at + 1)];
  return [
    [
      ...isFamily(family),
      payload("network", destination, bytes, 0),
      ...key(words),
      lookup(SETS.portsAt[family].name, 0, 0),
      ...target,
    ],
    [...isFamily(family), ...key(0), lookup(SETS.ports[family].name, 0, 0), ...target],
  ];
}

const toPublish: Rule = [destinationType(0), compare(0, "==", hostU32(RTN_LOCAL)), jump("publish")];

function forwardRules(guarded: Families): Rule[] {
  return [
    [...connectionHas("state", CT_STATE.established | CT_STATE.related), verdict("accept")],
    // Within one network: with bridge-nf-call-iptables, packets from one container to another pass here, too.
    [meta("iifname", 0), meta("oifname", 4), lookup(SETS.icc.name, 0), verdict("accept")],
    // Between isolated ports, packets go through the host, which answers for each (`forwardWithin`). Answers are accepted above.
    [
      ...isFamily("ip"),
      meta("iifname", 0),
      payload("network", HEADER.ip.source, HEADER.ip.bytes, 4),
      payload("network", HEADER.ip.destination, HEADER.ip.bytes, 5),
      meta("l4proto", 6),
      payload("transport", 2, 2, 7),
      lookup(SETS.links.name, 0),
      verdict("accept"),
    ],
    [...nameIn("iifname", SETS.internal), verdict("drop")],
    [...nameIn("oifname", SETS.internal), verdict("drop")],
    [...nameIn("oifname", SETS.bridges), jump("into")],
    [...nameIn("iifname", SETS.bridges), verdict("accept")],
    ...(guarded.ipv4 ? [[...isFamily("ip"), jump("foreign")]] : []),
    ...(guarded.ipv6 ? [[...isFamily("ip6"), jump("foreign")]] : []),
  ];
}

/** Lets into a network only packets for published ports, wherever they come from, and what its gateway modes allow. */
function intoRules(): Rule[] {
  const toPort = (family: IpFamily, at: number): Rule => {
    const { destination, bytes } = HEADER[family];
    const next = at + bytes / 4;
    return [payload("network", destination, bytes, at), meta("l4proto", next), payload("transport", 2, 2, next + 1)];
  };
  return [
    [...connectionHas("status", CT_STATUS_DNAT), verdict("accept")],
    ...IP_FAMILIES.flatMap((family) => [
      [
        ...isFamily(family),
        meta("oifname", 0),
        meta("l4proto", 4),
        lookup(SETS.open[family].name, 0),
        verdict("accept"),
      ],
      [...isFamily(family), ...toPort(family, 0), lookup(SETS.routed[family].name, 0), verdict("accept")],
      [
        ...isFamily(family),
        meta("iifname", 0),
        ...toPort(family, 4),
        lookup(SETS.trusted[family].name, 0),
        verdict("accept"),
      ],
    ]),
    [verdict("drop")],
  ];
}

/** Matches packets between interfaces that are not ours, in a family that was not forwarded before we turned that on. */
function foreignRules(): Rule[] {
  const group = hostU32(BRIDGE_GROUP);
  const bridge = interfaceName("bridge"); // kinds are as long as names
  return [
    [meta("iifgroup", 0), compare(0, "==", group), verdict("accept")],
    [meta("oifgroup", 0), compare(0, "==", group), verdict("accept")],
    // With bridge-nf-call-iptables, packets that a bridge forwards pass here, with the bridge as both interfaces. They passed
    // before we came.
    [meta("iifkind", 0), compare(0, "==", bridge), meta("oifkind", 0), compare(0, "==", bridge), verdict("accept")],
    [verdict("drop")],
  ];
}

function postroutingRules(): Rule[] {
  return [
    // From the host's loopback address: a container could not answer there.
    [...nameIn("oifname", SETS.bridges), ...isLoopback("source"), masquerade()],
    [...nameIn("oifname", SETS.bridges), ...isLoopback6("source"), masquerade()],
    // To a published port of the same network: the answer must not go straight to the client.
    ...IP_FAMILIES.map((family) => [
      ...connectionHas("status", CT_STATUS_DNAT),
      ...staysInSubnet(family),
      masquerade(),
    ]),
    ...IP_FAMILIES.map((family) => [...staysInSubnet(family), verdict("accept")]),
    ...IP_FAMILIES.map((family) => [...sourceIn(family, SETS.sources[family], 0), nat("snat", family, { address: 0 })]),
    ...IP_FAMILIES.map((family) => [...sourceIn(family, SETS.masquerade[family]), masquerade()]),
  ];
}

interface RuleOptions {
  /** Families in which packets are dropped if they pass between two interfaces that are not ours. */
  guarded: Families;
  /**
   * True if ::1 leads to published ports. Where it cannot lead there, connections must be refused at once rather than time out.
   */
  loopback6: boolean;
}

interface Chain {
  name: string;
  base?: BaseChain;
  rules: Rule[];
}

/** The chains; those to which rules jump come first. */
function chains({ guarded, loopback6 }: RuleOptions): Chain[] {
  return [
    { name: "publish", rules: IP_FAMILIES.flatMap(publishRules) },
    { name: "into", rules: intoRules() },
    { name: "foreign", rules: foreignRules() },
    {
      name: "guard",
      base: { type: "filter", hook: "prerouting", priority: PRIORITY.raw },
      rules: (["destination", "source"] as const).map((end) => [
        ...nameIn("iifname", SETS.bridges),
        ...isLoopback(end),
        verdict("drop"),
      ]),
    },
    {
      name: "prerouting",
      base: { type: "nat", hook: "prerouting", priority: PRIORITY.dstnat },
      // This runs before routing: there, a neighbour's packet to 127.0.0.1 would be refused for coming from elsewhere.
      rules: [[...isLoopback("destination"), verdict("accept")], toPublish],
    },
    {
      name: "output",
      base: { type: "nat", hook: "output", priority: PRIORITY.dstnat },
      rules: [...(loopback6 ? [] : [[...isLoopback6("destination"), verdict("accept")]]), toPublish],
    },
    {
      name: "forward",
      base: { type: "filter", hook: "forward", priority: PRIORITY.filter },
      rules: forwardRules(guarded),
    },
    {
      name: "postrouting",
      base: { type: "nat", hook: "postrouting", priority: PRIORITY.srcnat },
      rules: postroutingRules(),
    },
  ];
}

/** Makes the chains of a table that has the sets already. */
export function chainMessages(table: Table, options: RuleOptions): Uint8Array[] {
  return chains(options).flatMap(({ name, base, rules }) => [
    newChain(table, name, base),
    ...rules.map((expressions) => newRule(table, name, expressions)),
  ]);
}
