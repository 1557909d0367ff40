/** Creates, lists, inspects and removes volumes. */
import { LighterError } from "../../base/errors.ts";
import { ANONYMOUS_LABEL, type VolumeRecord } from "../../engine/mod.ts";
import { handled, parseBody } from "../../spec/body-fields.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { notSwarmManager } from "../http/absent.ts";
import { readJsonBody } from "../http/body.ts";
import { Filters, matchesPattern } from "../http/filters.ts";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { measureVolumes } from "./measure.ts";

/** The version from which on a prune removes only anonymous volumes; before, it removed named ones, too. */
const PRUNE_ANONYMOUS_SINCE_MINOR = 42;

export function describeVolume({ engine }: Daemon, record: VolumeRecord): Record<string, unknown> {
  return {
    CreatedAt: record.createdAt,
    Driver: "local",
    Labels: sorted(record.labels),
    Mountpoint: engine.volumes.pathOf(record.name),
    Name: record.name,
    Options: sorted(record.options),
    Scope: "local",
  };
}

/** The map with its keys sorted, as Go writes it. */
function sorted(map: Readonly<Record<string, string>> | null): Record<string, string> | null {
  return map && Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface VolumeBody {
  Name?: string;
  Driver?: string;
  DriverOpts?: Record<string, string>;
  Labels?: Record<string, string>;
  ClusterVolumeSpec?: unknown;
}

const VOLUME_FIELDS = {
  Name: handled("string"),
  Driver: handled("string"),
  DriverOpts: handled("stringMap"),
  Labels: handled("stringMap"),
  ClusterVolumeSpec: handled("any"),
} satisfies Record<keyof VolumeBody, unknown>;

/** POST /volumes/create: without a body it creates an anonymous volume. */
export async function createVolume({ daemon, request, response }: AnswerCall): Promise<void> {
  const body: VolumeBody = parseBody(await readJsonBody(request), VOLUME_FIELDS);
  if (body.ClusterVolumeSpec !== undefined) throw notSwarmManager();
  const record = daemon.engine.volumes.create({
    name: body.Name,
    driver: body.Driver,
    options: body.DriverOpts ?? null,
    labels: body.Labels ?? null,
  });
  sendJson(response, 201, describeVolume(daemon, record));
}

/** GET /volumes */
export function listVolumes({ daemon, query, response }: AnswerCall): void {
  const filters = Filters.parse(query.text("filters"), ["dangling", "driver", "label", "name"]);
  const { volumes } = daemon.engine;
  const dangling = filters.boolean("dangling");
  const matches = ({ name, labels }: VolumeRecord) =>
    (dangling === undefined || dangling === (volumes.usersOf(name).length === 0)) &&
    filters.any("driver", (driver) => driver === "local") &&
    filters.any("name", (pattern) => matchesPattern(pattern, name)) &&
    filters.matchesLabels(labels ?? {});
  const found = volumes.list().filter(matches);
  sendJson(response, 200, { Volumes: found.map((record) => describeVolume(daemon, record)), Warnings: null });
}

/** GET /volumes/{name} */
export function inspectVolume({ daemon, parameter, response }: AnswerCall): void {
  sendJson(response, 200, describeVolume(daemon, daemon.engine.volumes.get(parameter("name"))));
}

/** PUT /volumes/{name}: refuses, because only volumes of a cluster can be changed. */
export function updateVolume(_call: AnswerCall): void {
  throw new LighterError("unavailable", "volume update only valid for cluster volumes, but swarm is unavailable");
}

/** DELETE /volumes/{name} */
export function removeVolume({ daemon, parameter, query, response }: AnswerCall): void {
  daemon.engine.volumes.remove(parameter("name"), query.boolean("force"));
  sendEmpty(response, 204);
}

/** POST /volumes/prune: removes unused volumes. Volumes with options hold nothing on this disk and stay, as with Docker. */
export async function pruneVolumes({ daemon, query, apiMinor, response }: AnswerCall): Promise<void> {
  const filters = Filters.parse(query.text("filters"), ["all", "label", "label!"]);
  const all = parseAll(filters) || apiMinor < PRUNE_ANONYMOUS_SINCE_MINOR;
  const { volumes, events } = daemon.engine;
  const isWanted = ({ name, labels, options }: VolumeRecord) =>
    options === null &&
    (all || Object.hasOwn(labels ?? {}, ANONYMOUS_LABEL)) &&
    filters.matchesLabels(labels ?? {}) &&
    volumes.usersOf(name).length === 0;
  const wanted = volumes.list().filter(isWanted);
  const sizes = await measureVolumes(
    daemon,
    wanted.map(({ name }) => name),
  );
  const deleted: string[] = [];
  let bytes = 0;
  for (const { name } of wanted) {
    if (!removeUnlessInUse(daemon, name)) continue;
    deleted.push(name);
    bytes += Math.max(sizes.get(name) ?? 0, 0);
  }
  events.publish("volume", "prune", "", { reclaimed: `${bytes}` });
  sendJson(response, 200, { VolumesDeleted: deleted, SpaceReclaimed: bytes });
}

/** The value of the filter `all`. @throws LighterError "invalid", with Docker's text */
function parseAll(filters: Filters): boolean {
  const value = filters.get("all")?.[0];
  if (value === undefined) return false;
  if (/^(1|t|T|true|True|TRUE)$/.test(value)) return true;
  if (/^(0|f|F|false|False|FALSE)$/.test(value)) return false;
  throw new LighterError(
    "invalid",
    `invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
  );
}

/** Removes a volume. Returns false if a container uses it meanwhile, or if it has been removed already. */
function removeUnlessInUse({ engine }: Daemon, name: string): boolean {
  try {
    engine.volumes.remove(name, false);
    return true;
  } catch (error) {
    if (error instanceof LighterError && (error.code === "conflict" || error.code === "not-found")) return false;
    throw error;
  }
}
