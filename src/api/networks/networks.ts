/** Lists, inspects, creates and removes networks. */
import { LighterError } from "../../base/errors.ts";
import { isPredefined, type NetworkRecord, readNetworkBody } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { readJsonBody } from "../http/body.ts";
import { Filters, matchesPattern } from "../http/filters.ts";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";
import { publishPrune } from "../images/image-events.ts";
import { isBefore, parseUntil } from "../images/image-filters.ts";
import { describeNetwork, describeUsers } from "./network-view.ts";

const LIST_FILTERS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** GET /networks: lists networks without the containers in them, as Docker does. */
export function listNetworks({ daemon, query, response, apiMinor }: AnswerCall): void {
  const matches = compileListFilters(daemon, Filters.parse(query.text("filters"), LIST_FILTERS));
  const networks = daemon.engine.networks.list().filter(matches);
  const described = networks.map((network) => shapeFor("network", apiMinor, describeNetwork(network, {})));
  sendJson(response, 200, described);
}

/** Compiles the filters. @throws LighterError "invalid", with Docker's texts */
function compileListFilters({ engine }: Daemon, filters: Filters): (network: NetworkRecord) => boolean {
  const dangling = parseDangling(filters.get("dangling"));
  for (const type of filters.get("type") ?? [])
    if (type !== "builtin" && type !== "custom") throw new LighterError("invalid", `invalid filter: 'type'='${type}'`);
  return (network) =>
    filters.any("name", (value) => matchesPattern(value, network.name)) &&
    filters.any("id", (value) => matchesPattern(value, network.id)) &&
    filters.any("driver", (value) => value === network.driver) &&
    filters.any("scope", (value) => value === "local") &&
    filters.any("type", (value) => value === (isPredefined(network) ? "builtin" : "custom")) &&
    filters.matchesLabels(network.labels) &&
    (dangling === undefined || dangling === engine.networks.isDangling(network));
}

function parseDangling(values: readonly string[] | undefined): boolean | undefined {
  if (values === undefined) return undefined;
  const isTrue = values.some((value) => value === "1" || value === "true");
  const isFalse = values.some((value) => value === "0" || value === "false");
  if (values.length === 1 && isTrue !== isFalse) return isTrue;
  const what =
    values.length > 1
      ? 'got more than one value for filter key "dangling"'
      : 'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")';
  throw new LighterError("invalid", what);
}

/** GET /networks/{id} */
export function inspectNetwork({ daemon, parameter, query, response, apiMinor }: AnswerCall): void {
  checkBoolean("verbose", query.text("verbose")); // checked only: it adds a swarm's part, and there is no swarm
  const network = daemon.engine.networks.find(parameter("id"));
  const scope = query.text("scope") ?? "";
  if (scope !== "" && scope !== "local") throw new LighterError("not-found", `network ${parameter("id")} not found`);
  const users = describeUsers(daemon.engine.networks.usersOf(network));
  sendJson(response, 200, shapeFor("network", apiMinor, describeNetwork(network, users)));
}

/** GET /lighter/networks/{id}/rules */
export function listNetworkRules({ daemon, parameter, response }: AnswerCall): void {
  const { networks } = daemon.engine;
  sendJson(response, 200, networks.rulesOf(networks.find(parameter("id"))));
}

function checkBoolean(name: string, text = "false"): void {
  if (!/^(|0|1|t|f|T|F|true|false|True|False|TRUE|FALSE)$/.test(text))
    throw new LighterError(
      "invalid",
      `invalid value for ${name}: ${text}: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
}

/** POST /networks/create */
export async function createNetwork({ daemon, request, response, apiMinor }: AnswerCall): Promise<void> {
  const body = shapeFor("network create", apiMinor, readNetworkBody(await readJsonBody(request)));
  const { id } = await daemon.engine.networks.create(body);
  sendJson(response, 201, { Id: id, Warning: "" });
}

/** DELETE /networks/{id} */
export async function removeNetwork({ daemon, parameter, response }: AnswerCall): Promise<void> {
  const { networks } = daemon.engine;
  await networks.remove(networks.find(parameter("id")));
  sendEmpty(response, 204);
}

/** POST /networks/prune: removes networks that no running container is in, except configurations. */
export async function pruneNetworks({ daemon, query, response }: AnswerCall): Promise<void> {
  const filters = Filters.parse(query.text("filters"), ["label", "label!", "until"]);
  const until = parseUntil(filters.get("until"));
  const { networks } = daemon.engine;
  const isWanted = (network: NetworkRecord) =>
    networks.isDangling(network) &&
    !network.configOnly &&
    isBefore(network.createdAt, until) &&
    filters.matchesLabels(network.labels);
  const deleted = networks.list().filter(isWanted);
  await Promise.all(deleted.map((network) => networks.remove(network)));
  publishPrune(daemon, "network", 0);
  sendJson(response, 200, { NetworksDeleted: deleted.length === 0 ? null : deleted.map(({ name }) => name) });
}
