/** Which ports of a container are exposed, and which of them are to be published where. */
import { isIpAddress } from "../../base/ip-address.ts";
import { atOnce, type Steps } from "../../base/slices.ts";
import type { TransportProtocol } from "../../network/types.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid } from "./errors.ts";
import { parseNetworkMode } from "./namespaces.ts";

/** A port of the container and its protocol. */
export interface ContainerPort {
  port: number;
  protocol: TransportProtocol;
}

/** A port that is to be published when the container starts. */
export interface PortWish extends ContainerPort {
  /** The host's address; "" means all of them. */
  hostAddress: string;
  /** The range of which the first free port is taken; undefined: any port. */
  hostPorts: { from: number; to: number } | undefined;
}

const PROTOCOLS: readonly string[] = ["tcp", "udp", "sctp"];

/** Writes "80/tcp", a key of the API's maps. */
export function formatPort({ port, protocol }: ContainerPort): string {
  return `${port}/${protocol}`;
}

/** Checks ports of a create request. @throws LighterError "invalid", with Docker's texts where it has any */
export function validatePorts(config: DockerContainerConfig, hostConfig: DockerHostConfig): void {
  for (const key of Object.keys(config.ExposedPorts ?? {})) parseExposed(key);
  atOnce(planBindings(hostConfig));
}

/**
 * Lists the ports that the image or the container exposes, and those that are published. They are sorted by number, TCP first.
 */
export function exposedPorts(config: DockerContainerConfig, hostConfig: DockerHostConfig): ContainerPort[] {
  return atOnce(listExposed(config, hostConfig));
}

function* listExposed(config: DockerContainerConfig, hostConfig: DockerHostConfig): Steps<ContainerPort[]> {
  const unique = new Map<string, ContainerPort>();
  for (const keys of [config.ExposedPorts, hostConfig.PortBindings])
    for (const key of Object.keys(keys ?? {})) {
      for (const each of parseExposed(key)) unique.set(formatPort(each), each);
      yield;
    }
  const rank = ({ protocol }: ContainerPort) => PROTOCOLS.indexOf(protocol);
  return [...unique.values()].sort((a, b) => a.port - b.port || rank(a) - rank(b));
}

/**
 * Plans what is to be published, in the order of the container's ports. On the host's network and in another container's that is
 * nothing.
 */
export function planPorts(config: DockerContainerConfig, hostConfig: DockerHostConfig): PortWish[] {
  return atOnce(planPortsInSteps(config, hostConfig));
}

/** Does the same in steps: there may be 65,535 ports of each protocol. */
export function* planPortsInSteps(config: DockerContainerConfig, hostConfig: DockerHostConfig): Steps<PortWish[]> {
  const { kind } = parseNetworkMode(hostConfig.NetworkMode);
  if (kind === "host" || kind === "container" || kind === "none" || config.NetworkDisabled) return [];
  const bindings = yield* planBindings(hostConfig);
  const exposed = yield* listExposed(config, hostConfig);
  return exposed.flatMap((port) => {
    const own = bindings.get(formatPort(port)) ?? [];
    if (own.length > 0 || !hostConfig.PublishAllPorts) return own;
    return [{ ...port, hostAddress: "", hostPorts: undefined }];
  });
}

/** Fills in every field of the bindings, as `inspect` shows them. */
export function completeBindings(
  given: NonNullable<DockerHostConfig["PortBindings"]>,
): NonNullable<DockerHostConfig["PortBindings"]> {
  return Object.fromEntries(
    Object.entries(given).map(([port, bindings]) => [
      port,
      bindings?.map(({ HostIp, HostPort }) => ({ HostIp: HostIp ?? "", HostPort: HostPort ?? "" })) ?? null,
    ]),
  );
}

function* planBindings({ PortBindings }: DockerHostConfig): Steps<Map<string, PortWish[]>> {
  const wishes = new Map<string, PortWish[]>();
  for (const [key, bindings] of Object.entries(PortBindings ?? {})) {
    const port = parseContainerPort(key);
    const own = wishes.get(formatPort(port)) ?? [];
    // An empty list asks for any port, as with Docker.
    const given = bindings == null || bindings.length === 0 ? [{}] : bindings;
    for (const { HostIp, HostPort } of given)
      own.push({ ...port, hostAddress: parseHostAddress(HostIp ?? ""), hostPorts: parseHostPorts(HostPort ?? "") });
    wishes.set(formatPort(port), own);
    yield;
  }
  return wishes;
}

function parseHostAddress(text: string): string {
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (bare !== "" && !isIpAddress(bare)) throw invalid(`invalid IP address in port binding: ${JSON.stringify(text)}`);
  return bare;
}

function parseHostPorts(text: string): PortWish["hostPorts"] {
  if (text === "") return undefined;
  // A protocol is allowed here and means nothing.
  const range = parseRange(text.split("/")[0] ?? "", true);
  if (range === undefined) throw badPort(text);
  return range.from === 0 && range.to === 0 ? undefined : range;
}

/** Parses one port: "80", "80/udp". */
function parseContainerPort(key: string): ContainerPort {
  const [number = ""] = key.split("/");
  const range = parseRange(number, false);
  if (range === undefined || range.from !== range.to || number.includes("-")) throw badPort(number);
  return { port: range.from, protocol: parseProtocol(key) };
}

/** Parses a port or a range: "80/tcp", "8000-8010/tcp". */
function parseExposed(key: string): ContainerPort[] {
  const [numbers = ""] = key.split("/");
  const range = parseRange(numbers, false);
  if (range === undefined) throw badPort(numbers);
  const protocol = parseProtocol(key);
  return Array.from({ length: range.to - range.from + 1 }, (_, index) => ({ port: range.from + index, protocol }));
}

function parseProtocol(key: string): TransportProtocol {
  const protocol = (key.split("/")[1] || "tcp").toLowerCase();
  if (!PROTOCOLS.includes(protocol)) throw invalid(`invalid protocol of port ${JSON.stringify(key)}: ${protocol}`);
  return protocol as TransportProtocol;
}

/** Parses "8000" or "8000-8010": ascending, up to 65535. */
function parseRange(text: string, zero: boolean): { from: number; to: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
  return from <= to && to <= 65535 && (zero || from > 0) ? { from, to } : undefined;
}

function badPort(text: string) {
  return invalid(`invalid port specification: ${JSON.stringify(text)}`);
}
