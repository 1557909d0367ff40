/** The two networks that every host has: `none`, without anything, and `host`, the host's own. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { LighterError } from "../base/errors.ts";
import type { Daemon } from "./daemon-state.ts";
import { Filters, matchesPattern } from "./filters.ts";
import { sendJson } from "./protocol.ts";
import type { AnswerCall } from "./router.ts";
import { shapeFor } from "./versions.ts";

interface Network {
  name: string;
  driver: string;
  id: string;
}

const DRIVERS: Readonly<Record<string, string>> = { host: "host", none: "null" };
const FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** Ids are made of the installation's, so that they stay the same and differ between hosts. */
function networksOf({ engine }: Daemon): Network[] {
  const idOf = (name: string) => createHash("sha256").update(`${engine.id} network ${name}`).digest("hex");
  return Object.entries(DRIVERS).map(([name, driver]) => ({ name, driver, id: idOf(name) }));
}

/** By id, name, or the beginning of an id. @throws LighterError "not-found", "invalid" */
function findNetwork(daemon: Daemon, ref: string): Network {
  const all = networksOf(daemon);
  const exact = all.find(({ id }) => id === ref) ?? all.find(({ name }) => name === ref);
  const matches = exact === undefined && ref !== "" ? all.filter(({ id }) => id.startsWith(ref)) : [];
  if (matches.length > 1)
    throw new LighterError("invalid", `network ${ref} is ambiguous (2 matches found based on ID prefix)`);
  const found = exact ?? matches[0];
  if (found === undefined) throw new LighterError("not-found", `network ${ref} not found`);
  return found;
}

function describe(daemon: Daemon, { name, driver, id }: Network, containers: object): object {
  return {
    Name: name,
    Id: id,
    Created: statSync(daemon.engine.paths.database).birthtime.toISOString(),
    Scope: "local",
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: null },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: containers,
    Options: {},
    Labels: {},
  };
}

function usersOf({ engine }: Daemon, { name }: Network) {
  return engine.list().filter(({ isRunning, record }) => isRunning && record.hostConfig.NetworkMode === name);
}

/** GET /networks. As with Docker, without the containers in them. */
export function listNetworks({ daemon, query, response, apiMinor }: AnswerCall): void {
  const filters = Filters.parse(query.text("filters"), FILTERS);
  const dangling = filters.boolean("dangling");
  for (const type of filters.get("type") ?? [])
    if (type !== "builtin" && type !== "custom") throw new LighterError("invalid", `invalid filter: 'type'='${type}'`);
  const networks = networksOf(daemon).filter(
    (network) =>
      filters.any("name", (value) => matchesPattern(value, network.name)) &&
      filters.any("id", (value) => matchesPattern(value, network.id)) &&
      filters.any("driver", (value) => value === network.driver) &&
      filters.any("scope", (value) => value === "local") &&
      filters.any("type", (value) => value === "builtin") &&
      filters.matchesLabels({}) &&
      (dangling === undefined || dangling === (usersOf(daemon, network).length === 0)),
  );
  sendJson(
    response,
    200,
    networks.map((network) => shapeFor("network", apiMinor, describe(daemon, network, {}))),
  );
}

/** GET /networks/{id} */
export function inspectNetwork({ daemon, parameter, query, response, apiMinor }: AnswerCall): void {
  const network = findNetwork(daemon, parameter("id"));
  const scope = query.text("scope");
  if (scope !== undefined && scope !== "local")
    throw new LighterError("not-found", `network ${network.name} not found`);
  const containers = usersOf(daemon, network).map(({ id, record }) => {
    const EndpointID = createHash("sha256").update(`${network.id} ${id}`).digest("hex");
    return [id, { Name: record.name, EndpointID, MacAddress: "", IPv4Address: "", IPv6Address: "" }];
  });
  const described = describe(daemon, network, Object.fromEntries(containers));
  sendJson(response, 200, shapeFor("network", apiMinor, described));
}

/** DELETE /networks/{id} */
export function removeNetwork({ daemon, parameter, response }: AnswerCall): void {
  const { name } = findNetwork(daemon, parameter("id"));
  sendJson(response, 403, { message: `${name} is a pre-defined network and cannot be removed` });
}

/** POST /networks/prune: the two stay. */
export function pruneNetworks({ response }: AnswerCall): void {
  sendJson(response, 200, { NetworksDeleted: null });
}

export function refuseNetworkChange(): never {
  throw new LighterError("not-supported", "networks other than none and host are not available yet");
}
