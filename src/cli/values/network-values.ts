/** Values of flags about networks and ports. */

import { messageOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { isIpAddress } from "../../base/ip-address.ts";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { parseGoInt, parseGoUint } from "../format/go.ts";

export interface NetworkAttachment {
  readonly target: string;
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  readonly linkLocalIps: readonly string[];
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly ip: string;
  readonly ip6: string;
  readonly macAddress: string;
  readonly gatewayPriority: number;
}

/** Attachment that consists of nothing but its network's name. */
export const NO_OPTIONS = {
  aliases: [],
  links: [],
  linkLocalIps: [],
  driverOpts: {},
  ip: "",
  ip6: "",
  macAddress: "",
  gatewayPriority: 0,
};

/**
 * Parses `--network`: "host" or "name=front,alias=web,ip=10.0.0.3".
 * @throws Error
 */
export function parseNetwork(text: string): NetworkAttachment {
  if (!/^\w+=\w+(,\w+=\w+)*/.test(text)) return { target: text, ...NO_OPTIONS };
  let value: NetworkAttachment = { target: "", ...NO_OPTIONS };
  for (const field of parseCsvLine(text)) {
    const equals = field.indexOf("=");
    if (equals === -1) throw new Error(`invalid field ${field}`);
    const key = field.slice(0, equals).trim().toLowerCase();
    const part = field.slice(equals + 1).trim();
    switch (key) {
      case "name":
        value = { ...value, target: part };
        break;
      case "alias":
        value = { ...value, aliases: [...value.aliases, part] };
        break;
      case "ip":
        value = { ...value, ip: part };
        break;
      case "ip6":
        value = { ...value, ip6: part };
        break;
      case "mac-address":
        value = { ...value, macAddress: part };
        break;
      case "link-local-ip":
        value = { ...value, linkLocalIps: [...value.linkLocalIps, part] };
        break;
      case "gw-priority":
        value = { ...value, gatewayPriority: parseGatewayPriority(part) };
        break;
      case "driver-opt": {
        const [name = "", option] = [part.split("=", 1)[0], part.slice(part.indexOf("=") + 1)];
        if (!part.includes("=")) throw new Error("invalid key value pair format in driver options");
        value = { ...value, driverOpts: { ...value.driverOpts, [name.trim().toLowerCase()]: option?.trim() ?? "" } };
        break;
      }
      default:
        throw new Error(`invalid field key ${key}`);
    }
  }
  if (value.target === "") throw new Error("network name/id is not specified");
  return value;
}

function parseGatewayPriority(text: string): number {
  try {
    return parseGoInt(text);
  } catch (error) {
    throw new Error(`invalid gw-priority (${text}): ${messageOf(error).replace(/^.*: /, "")}`);
  }
}

/** Whether the user defined the network: false for names that the daemon keeps for itself. */
export function isUserDefinedNetwork(name: string): boolean {
  return (
    !["default", "bridge", "host", "none"].includes(name) && name !== "container" && !name.startsWith("container:")
  );
}

export function parseIpAddress(text: string): string {
  if (!isIpAddress(text.trim())) throw new Error(`IP address is not correctly formatted: ${text}`);
  return text.trim();
}

const DOMAIN_LABEL = /^[a-z\d]([a-z\d-]*[a-z\d])?$/i;
const DOMAIN_MAX_LENGTH = 254;

/**
 * Parses `--dns-search`: "example.com", or "." for none.
 * @throws Error
 */
export function parseSearchDomain(text: string): string {
  const given = text.trim();
  if (given === ".") return given;
  const domain = given.replace(/\.$/, "");
  const isDomain = /[a-z]/i.test(domain) && domain.split(".").every((label) => DOMAIN_LABEL.test(label));
  if (!isDomain || domain.length > DOMAIN_MAX_LENGTH) throw new Error(`${text} is not a valid domain`);
  return domain;
}

/** Parses `--add-host`: "name:ip" or "name=ip"; "host-gateway" stands for the host. */
export function parseExtraHost(text: string): string {
  const cut = /^([^=:]*)[=:](.*)$/s.exec(text.includes("=") ? text.replace(/^([^=]*)=/, "$1:") : text);
  const [, name = "", ip = ""] = cut ?? [];
  if (cut === null || name === "") throw new Error(`bad format for add-host: ${goQuote(text)}`);
  const bare = ip.startsWith("[") && ip.endsWith("]") ? ip.slice(1, -1) : ip;
  if (bare !== "host-gateway" && !isIpAddress(bare)) throw new Error(`invalid IP address in add-host: ${goQuote(ip)}`);
  return `${name}:${bare}`;
}

export interface PortBinding {
  readonly HostIp: string;
  readonly HostPort: string;
}

/**
 * Parses `-p` texts into exposed ports and their bindings, keyed "80/tcp".
 * @throws Error
 */
export function parsePublish(texts: readonly string[]): {
  exposed: Record<string, object>;
  bindings: Record<string, PortBinding[]>;
} {
  const exposed: Record<string, object> = {};
  const bindings: Record<string, PortBinding[]> = {};
  for (const text of texts) {
    for (const { port, binding } of parsePortSpec(longPublish(text))) {
      exposed[port] = {};
      bindings[port] = [...(bindings[port] ?? []), binding];
    }
  }
  return { exposed, bindings };
}

/** Shortens the long form: "published=8080,target=80,protocol=tcp" → "8080:80/tcp". */
function longPublish(text: string): string {
  if (!text.includes("=")) return text;
  const fields: Record<string, string> = { protocol: "tcp" };
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    if (equals < 1) throw new Error(`invalid publish opts format (should be name=value but got '${part}')`);
    fields[part.slice(0, equals)] = part.slice(equals + 1);
  }
  return `${fields.published ?? ""}:${fields.target ?? ""}/${fields.protocol}`;
}

function parsePortSpec(text: string): { port: string; binding: PortBinding }[] {
  const { ip, hostPort, containerPort } = splitPortSpec(text);
  if (ip !== "" && !isIpAddress(ip)) throw new Error(`Invalid ip address: ${ip}`);
  const [range = "", protocolText = ""] = containerPort.split("/", 2);
  const protocol = protocolText === "" ? "tcp" : protocolText.toLowerCase();
  if (range === "") throw new Error(`No port specified: ${text}<empty>`);
  const container = parseRange(range);
  if (container === undefined) throw new Error(`Invalid containerPort: ${range}`);
  const host = hostPort === "" ? undefined : parseRange(hostPort);
  if (hostPort !== "" && host === undefined) throw new Error(`Invalid hostPort: ${hostPort}`);
  const count = container.end - container.start;
  // A single container port may take any free host port of a range; otherwise the ranges pair up.
  if (host !== undefined && host.end - host.start !== count && count !== 0)
    throw new Error(`Invalid ranges specified for container and host Ports: ${range} and ${hostPort}`);
  if (!["tcp", "udp", "sctp"].includes(protocol)) throw new Error(`Invalid proto: ${protocol}`);
  return Array.from({ length: count + 1 }, (_, i) => ({
    port: `${container.start + i}/${protocol}`,
    binding: {
      HostIp: ip,
      HostPort:
        host === undefined
          ? ""
          : count === 0 && host.end !== host.start
            ? `${host.start}-${host.end}`
            : `${host.start + i}`,
    },
  }));
}

function splitPortSpec(text: string): { ip: string; hostPort: string; containerPort: string } {
  const parts = text.split(":");
  const containerPort = parts.pop() ?? "";
  const hostPort = parts.pop() ?? "";
  const ip = parts.join(":");
  return { ip: ip.startsWith("[") && ip.endsWith("]") ? ip.slice(1, -1) : ip, hostPort, containerPort };
}

function parseRange(text: string): { start: number; end: number } | undefined {
  const [, start = "", end = start] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  if (start === "" || Number(end) > 65535 || Number(end) < Number(start)) return undefined;
  return { start: Number(start), end: Number(end) };
}

/**
 * Parses `--expose`: "80", "8000-8010/udp" → "80/tcp", …
 * @throws Error
 */
export function parseExpose(text: string): string[] {
  if (text.includes(":")) throw new Error(`invalid port format for --expose: ${text}`);
  const [range = "", protocol = "tcp"] = text.split("/", 2);
  try {
    const [start = "", end = start] = range.split("-", 2);
    if (range === "") throw new Error("empty string specified for ports");
    const [first, last] = [parseGoUint(start, 16), parseGoUint(end, 16)];
    if (last < first) throw new Error(`invalid range specified for port: ${range}`);
    return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol.toLowerCase()}`);
  } catch (error) {
    throw new Error(`invalid range format for --expose: ${text}, error: ${(error as Error).message}`);
  }
}

export function parseMacAddress(text: string): string {
  const value = text.trim();
  if (!/^([0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2}){4}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2})$/.test(value))
    throw new Error(`${text} is not a valid mac address`);
  return value;
}
