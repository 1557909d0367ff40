/** Reads what `POST /networks/create` asks for, and checks it as far as no other network matters. Pure. */
import { LighterError } from "../../base/errors.ts";
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { IPAM_POOLS_MAX } from "../../base/limits.ts";
import {
  type Cidr,
  contains,
  type Family,
  formatCidr,
  masked,
  overlaps,
  parseCidr,
  parseIp,
} from "../../network/ipam/mod.ts";
import { handled, parseBody } from "../../spec/body-fields.ts";
import type { NetworkSettings } from "./settings.ts";
import type { GivenPool } from "./types.ts";

const ENABLE_IPV4 = "com.docker.network.enable_ipv4";
const ENABLE_IPV6 = "com.docker.network.enable_ipv6";

export interface NetworkRequest {
  name: string;
  driver: string;
  enableIPv4: boolean;
  enableIPv6: boolean;
  internal: boolean;
  attachable: boolean;
  /** True if the network is only a configuration from which others are made. */
  configOnly: boolean;
  /** The name of the configuration that the network is made from; "": none. */
  configFrom: string;
  givenPools: GivenPool[];
  ipamOptions: Record<string, string> | null;
  /** The options, with the defaults of the driver. */
  options: Record<string, string>;
  labels: Record<string, string>;
}

interface IpamConfig {
  Subnet?: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

interface Ipam {
  Driver?: string;
  Options?: Record<string, string>;
  Config?: IpamConfig[];
}

interface NetworkBody {
  Name?: string;
  CheckDuplicate?: boolean;
  Driver?: string;
  Scope?: string;
  EnableIPv4?: boolean;
  EnableIPv6?: boolean;
  IPAM?: Ipam;
  Internal?: boolean;
  Attachable?: boolean;
  Ingress?: boolean;
  ConfigOnly?: boolean;
  ConfigFrom?: { Network?: string };
  Options?: Record<string, string>;
  Labels?: Record<string, string>;
}

const CREATE_FIELDS = {
  Name: handled("string"),
  CheckDuplicate: handled("boolean"),
  Driver: handled("string"),
  Scope: handled("string"),
  EnableIPv4: handled("boolean"),
  EnableIPv6: handled("boolean"),
  IPAM: handled({
    object: {
      Driver: handled("string"),
      Options: handled("stringMap"),
      Config: handled({
        list: {
          Subnet: handled("string"),
          IPRange: handled("string"),
          Gateway: handled("string"),
          AuxiliaryAddresses: handled("stringMap"),
        },
      }),
    },
  }),
  Internal: handled("boolean"),
  Attachable: handled("boolean"),
  Ingress: handled("boolean"),
  ConfigOnly: handled("boolean"),
  ConfigFrom: handled({ object: { Network: handled("string") } }),
  Options: handled("stringMap"),
  Labels: handled("stringMap"),
} satisfies Record<keyof NetworkBody, unknown>;

/** Reads the JSON of a create and keeps the known fields. @throws LighterError as `parseBody` */
export function readNetworkBody(json: unknown): NetworkBody {
  return parseBody(json, CREATE_FIELDS);
}

/**
 * Parses a request. `defaultOptions`: by driver, for networks that do not name them.
 * @throws LighterError "invalid", "forbidden", "not-found", with Docker's texts
 */
export function parseNetworkRequest(
  json: unknown,
  defaultOptions: NetworkSettings["defaultOptions"] = {},
): NetworkRequest {
  const body = readNetworkBody(json);
  const name = body.Name ?? "";
  const ipam = body.IPAM ?? {};
  if (["bridge", "host", "none", "default"].includes(name) || name.startsWith("container:"))
    throw forbidden(`operation is not permitted on predefined ${name} network `);
  checkConfiguration(body);
  if (body.Ingress) throw forbidden("Ingress network can only be global scope network");
  if (body.Scope === "swarm") throw forbidden("cannot create a swarm scoped network when swarm is not active");
  const driver = body.Driver || "bridge";
  const configFrom = body.ConfigFrom?.Network ?? "";
  const options = { ...(configFrom === "" ? defaultOptions[driver] : {}), ...body.Options };
  const enableIPv6 = body.EnableIPv6 ?? isEnabled(options, ENABLE_IPV6, false);
  const givenPools = parsePools(ipam.Config ?? [], enableIPv6);
  if (name.trim() === "" || name.includes("\0")) throw new LighterError("invalid", `invalid name: ${name}`);
  if (!["", "default"].includes(ipam.Driver ?? ""))
    throw new LighterError("not-found", `plugin ${JSON.stringify(ipam.Driver)} not found`);
  return {
    name,
    driver,
    enableIPv4: body.EnableIPv4 ?? isEnabled(options, ENABLE_IPV4, true),
    enableIPv6,
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    configOnly: body.ConfigOnly ?? false,
    configFrom,
    givenPools,
    ipamOptions: ipam.Options ?? null,
    options,
    labels: body.Labels ?? {},
  };
}

/** Tells whether a family is on for a network whose request does not say it. Source: moby daemon/network.go, since 28. */
function isEnabled(options: Readonly<Record<string, string>>, label: string, byDefault: boolean): boolean {
  const text = options[label];
  if (text === undefined) return byDefault;
  const value = parseGoBoolean(text);
  if (value === undefined) throw new LighterError("invalid", `driver-opt ${JSON.stringify(label)} is not a valid bool`);
  return value;
}

/**
 * Checks that a configuration, or a network made from one, says nothing that it may not say. Source: libnetwork/network.go,
 * validateConfiguration.
 */
function checkConfiguration(body: NetworkBody): void {
  const { EnableIPv4 = true, EnableIPv6 = false, IPAM = {}, Labels = {}, Options = {} } = body;
  const isEmpty = (given: object | undefined) => Object.keys(given ?? {}).length === 0;
  if (body.ConfigOnly && (body.Ingress || body.Internal || body.Attachable || (body.Scope ?? "") !== ""))
    throw forbidden(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
  if ((body.ConfigFrom?.Network ?? "") === "") return;
  if (body.ConfigOnly) throw forbidden("a configuration network cannot depend on another configuration network");
  const isConfigured = !EnableIPv4 || EnableIPv6 || !isEmpty(Labels) || !isEmpty(IPAM.Options) || !isEmpty(IPAM.Config);
  if (isConfigured)
    throw forbidden(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  if (!isEmpty(Options))
    throw forbidden("network driver options are not supported if the network depends on a configuration network");
}

/** Parses the pools. @throws LighterError "invalid", with a line for each mistake */
function parsePools(configs: readonly IpamConfig[], enableIPv6: boolean): GivenPool[] {
  if (configs.length > IPAM_POOLS_MAX)
    throw new LighterError("invalid", `IPAM.Config has ${configs.length} entries, more than ${IPAM_POOLS_MAX}`);
  const mistakes = configs.flatMap((config) => mistakesIn(config, enableIPv6));
  if (mistakes.length > 0) {
    const lines = mistakes.length === 1 ? mistakes : mistakes.map((mistake) => `* ${mistake}`);
    throw new LighterError("invalid", `invalid network config:\n${lines.join("\n")}`);
  }
  return configs.map(({ Subnet = "", IPRange = "", Gateway = "", AuxiliaryAddresses = {} }) => ({
    subnet: Subnet,
    ...(IPRange === "" ? {} : { ipRange: IPRange }),
    ...(Gateway === "" ? {} : { gateway: Gateway }),
    ...(Object.keys(AuxiliaryAddresses).length === 0 ? {} : { auxAddresses: AuxiliaryAddresses }),
  }));
}

const FAMILY_NAMES: Readonly<Record<Family, string>> = { 4: "IPv4", 6: "IPv6" };

/** Lists the mistakes in a pool. Source: moby api/types/network/ipam.go, ValidateIPAM. */
function mistakesIn(
  { Subnet = "", IPRange = "", Gateway = "", AuxiliaryAddresses = {} }: IpamConfig,
  enableIPv6: boolean,
): string[] {
  const subnet = parseCidr(Subnet);
  if (subnet === undefined) return [`invalid subnet ${Subnet}: invalid CIDR block notation`];
  if (subnet.family === 6 && !enableIPv6) return [];
  const mistakes: string[] = [];
  if (!isMasked(subnet)) mistakes.push(`invalid subnet ${Subnet}: it should be ${formatCidr(masked(subnet))}`);
  if (IPRange !== "")
    mistakes.push(...mistakesInRange(IPRange, subnet).map((why) => `invalid ip-range ${IPRange}: ${why}`));
  const gateway = mistakeInAddress(Gateway, subnet);
  if (gateway !== undefined) mistakes.push(`invalid gateway ${Gateway}: ${gateway}`);
  for (const [name, address] of Object.entries(AuxiliaryAddresses)) {
    const mistake = mistakeInAddress(address, subnet);
    if (mistake !== undefined) mistakes.push(`invalid auxiliary address ${name}: ${mistake}`);
  }
  return mistakes;
}

function mistakesInRange(text: string, subnet: Cidr): string[] {
  const range = parseCidr(text);
  if (range === undefined) return ["invalid CIDR block notation"];
  if (range.family !== subnet.family) return [`parent subnet is an ${FAMILY_NAMES[subnet.family]} block`];
  const parent = formatCidr(subnet);
  return [
    ...(range.prefixLength < subnet.prefixLength ? [`CIDR block is bigger than its parent subnet ${parent}`] : []),
    ...(isMasked(range) ? [] : [`it should be ${formatCidr(masked(range))}`]),
    ...(overlaps(subnet, range) ? [] : [`parent subnet ${parent} doesn't contain ip-range`]),
  ];
}

function mistakeInAddress(text: string, subnet: Cidr): string | undefined {
  if (text === "") return undefined;
  const address = parseIp(text);
  if (address === undefined) return "invalid address";
  if (address.family !== subnet.family) return `parent subnet is an ${FAMILY_NAMES[subnet.family]} block`;
  return contains(subnet, address) ? undefined : `parent subnet ${formatCidr(subnet)} doesn't contain this address`;
}

function isMasked(cidr: Cidr): boolean {
  return masked(cidr).value === cidr.value;
}

function forbidden(message: string): LighterError {
  return new LighterError("forbidden", message);
}
