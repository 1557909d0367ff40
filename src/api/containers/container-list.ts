/** Lists containers, with Docker's filters. */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import type { Container } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { Filters, matchesPattern } from "../http/filters.ts";
import { sendJsonText } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { measureForList } from "../system/measure.ts";
import { portsForFilter } from "./container-networks.ts";
import { ContainerSummaries, idOfImage } from "./container-summary.ts";
import { isInRange, parsePortRange } from "./port-range.ts";
import { visibleContainers } from "./visible.ts";

const FILTERS = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "runtime",
  "since",
  "status",
  "volume",
];
const HEALTH_STATUSES = ["none", "starting", "healthy", "unhealthy"];
const STATUSES = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/** GET /containers/json */
export async function listContainers({ daemon, query, response, apiMinor }: AnswerCall): Promise<void> {
  const filters = Filters.parse(query.text("filters"), FILTERS);
  const limit = query.integer("limit") ?? 0;
  const matches = compileFilters(daemon, filters);
  // A limit or a status includes stopped containers; with Docker, other filters do not.
  const withStopped = query.boolean("all") || limit > 0 || filters.get("status") !== undefined;
  const all = visibleContainers(daemon);
  let containers = all.filter((container) => (withStopped || container.isActive) && matches(container));
  if (limit > 0) containers = containers.slice(0, limit);
  const summaries = new ContainerSummaries(daemon, all, apiMinor);
  const sizes = query.boolean("size") ? await measureForList(daemon, containers) : [];
  const elements = containers.map((container, index) => summaries.format(container, sizes[index]));
  sendJsonText(response, 200, `[${elements.join(",")}]`);
}

/**
 * Compiles the filters.
 * @throws LighterError "invalid" for an impossible value, "not-found" for a missing container in `before` or `since`
 */
function compileFilters(daemon: Daemon, filters: Filters): (container: Container) => boolean {
  for (const status of filters.get("status") ?? [])
    if (!STATUSES.includes(status)) throw new LighterError("invalid", `invalid filter 'status=${status}'`);
  const exited = filters.get("exited")?.map(parseExitCode);
  const position = positionFilter(daemon, filters);
  const hasAncestor = ancestorFilter(daemon, filters);
  for (const health of filters.get("health") ?? [])
    if (!HEALTH_STATUSES.includes(health))
      throw new LighterError("invalid", `unrecognized filter value for health: ${health}`);
  const hasPort = portFilter(filters);
  const isTask = filters.boolean("is-task");
  return (container) => {
    const { record } = container;
    return (
      filters.any("id", (value) => matchesPattern(value, record.id)) &&
      filters.any("name", (value) => matchesName(value, record.name)) &&
      filters.any("status", (value) => value === container.state) &&
      filters.matchesLabels(record.config.Labels ?? {}) &&
      (exited === undefined || (record.status === "exited" && exited.includes(record.exitCode))) &&
      hasAncestor(record.imageId) &&
      filters.any("volume", (value) => hasMount(container, value)) &&
      filters.any("network", (value) => isInNetwork(container, value)) &&
      filters.any("runtime", (value) => value === (record.hostConfig.Runtime ?? "")) &&
      filters.any("health", (value) => value === (record.health?.status ?? "none")) &&
      hasPort(container) &&
      isTask !== true &&
      position(container)
    );
  };
}

/** Compiles `ancestor`: a container's image must be one of these, or made from one. Each image is looked at once. */
function ancestorFilter({ images }: Daemon, filters: Filters): (imageId: string) => boolean {
  const ancestors = filters.get("ancestor")?.map((name) => idOfImage(images, name));
  if (ancestors === undefined) return () => true;
  const known = new Map<string, boolean>([["", false]]);
  const isWanted = (id: string): boolean => {
    const answer = known.get(id) ?? (ancestors.includes(id) || isWanted(images.stored(id as Digest)?.parent ?? ""));
    known.set(id, answer);
    return answer;
  };
  return isWanted;
}

/** Matches names with and without the slash that they have on the wire: clients write "^/web$". */
function matchesName(pattern: string, name: string): boolean {
  return matchesPattern(pattern, `/${name}`) || matchesPattern(pattern, name);
}

function parseExitCode(text: string): number {
  if (/^-?\d{1,9}$/.test(text)) return Number(text);
  throw new LighterError("invalid", `invalid filter 'exited=${text}': strconv.Atoi: parsing "${text}": invalid syntax`);
}

function hasMount({ record }: Container, nameOrPath: string): boolean {
  return record.mountPoints.some(({ volume, source, destination }) =>
    [volume?.name, source, destination].includes(nameOrPath),
  );
}

function isInNetwork({ record }: Container, ref: string): boolean {
  return record.networking.endpoints.some(
    ({ networkId, networkName }) => ref === networkName || (ref !== "" && networkId.startsWith(ref)),
  );
}

/**
 * Compiles `expose` and `publish`: a container must have one of the ports of each.
 * @throws LighterError for text that is no port
 */
function portFilter(filters: Filters): (container: Container) => boolean {
  const [exposed, published] = (["expose", "publish"] as const).map((name) =>
    filters.get(name)?.map((value) => parsePortRange(name, value)),
  );
  if (exposed === undefined && published === undefined) return () => true;
  const matches = (ports: readonly string[], ranges: typeof exposed) =>
    ranges === undefined || ports.some((port) => ranges.some((range) => isInRange(port, range)));
  return (container) => {
    const ports = portsForFilter(container);
    return matches(ports.exposed, exposed) && matches(ports.published, published);
  };
}

/** Compiles `before` and `since`: the position in order of creation, relative to other containers. */
function positionFilter({ engine }: Daemon, filters: Filters): (container: Container) => boolean {
  if (filters.get("before") === undefined && filters.get("since") === undefined) return () => true;
  const order = new Map(engine.list().map((container, index) => [container, -index]));
  const positions = (name: string) => filters.get(name)?.map((ref) => order.get(engine.find(ref)) ?? 0) ?? [];
  const [before, since] = [positions("before"), positions("since")];
  return (container) => {
    const position = order.get(container) ?? 0;
    return before.every((other) => position < other) && since.every((other) => position > other);
  };
}
