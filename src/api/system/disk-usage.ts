/** Answers `docker system df`. */
import { LighterError } from "../../base/errors.ts";
import { describeRecord } from "../build/cache.ts";
import { ContainerSummaries } from "../containers/container-summary.ts";
import { visibleContainers } from "../containers/visible.ts";
import { type Daemon, pendingRemovalCount } from "../daemon/daemon-state.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { shapeFor } from "../http/versions.ts";
import { listedImages, summarizeImage } from "../images/images.ts";
import { measureForList, measureVolumes } from "./measure.ts";
import { describeVolume } from "./volumes.ts";

const TYPES = ["container", "image", "volume", "build-cache"];
/** The version from which on clients can choose types; older clients always get everything. */
const TYPES_SINCE_MINOR = 42;

/** GET /system/df */
export async function diskUsage({ daemon, query, apiMinor, response }: AnswerCall): Promise<void> {
  const asked = apiMinor < TYPES_SINCE_MINOR ? [] : query.all("type");
  for (const type of asked)
    if (!TYPES.includes(type)) throw new LighterError("invalid", `unknown object type: ${type}`);
  const wants = (type: string) => asked.length === 0 || asked.includes(type);
  const images = wants("image") ? describeImages(daemon, apiMinor) : { LayersSize: 0, Images: null };
  sendJson(response, 200, {
    ...images,
    Containers: wants("container") ? await describeContainers(daemon, apiMinor) : null,
    Volumes: wants("volume") ? await describeVolumes(daemon) : null,
    BuildCache: wants("build-cache") ? daemon.builder.household.list().map(describeRecord) : null,
    ...(apiMinor < TYPES_SINCE_MINOR ? { BuilderSize: 0 } : {}),
    ...(asked.length === 0 ? pendingRemovals(daemon) : {}),
  });
}

/** Lighter's own field: removed objects that still take space on the disk. */
function pendingRemovals(daemon: Daemon): { PendingRemovals?: number } {
  const count = pendingRemovalCount(daemon);
  return count === 0 ? {} : { PendingRemovals: count };
}

function describeImages(daemon: Daemon, apiMinor: number): { LayersSize: number; Images: object[] } {
  const { engine, images } = daemon;
  const usage = images.diskUsage();
  const shared = new Map(usage.images.map(({ id, sharedBytes }) => [id, sharedBytes]));
  const containers = engine.list();
  return {
    LayersSize: usage.layersBytes,
    Images: listedImages(daemon, false).map((image) =>
      shapeFor("image summary", apiMinor, {
        ...summarizeImage(image),
        SharedSize: shared.get(image.id) ?? 0,
        Containers: containers.filter(({ record }) => record.imageId === image.id).length,
      }),
    ),
  };
}

async function describeContainers(daemon: Daemon, apiMinor: number): Promise<object[]> {
  const all = visibleContainers(daemon);
  const summaries = new ContainerSummaries(daemon, all, apiMinor);
  const sizes = await measureForList(daemon, all);
  return all.map((container, index) => ({ ...summaries.describe(container), ...sizes[index] }));
}

/** Volumes with options are stored elsewhere and not measured, as with Docker. */
async function describeVolumes(daemon: Daemon): Promise<object[]> {
  const { volumes } = daemon.engine;
  const measured = volumes.list().filter(({ options }) => options === null);
  const sizes = await measureVolumes(
    daemon,
    measured.map(({ name }) => name),
  );
  return measured.map((record) => ({
    ...describeVolume(daemon, record),
    UsageData: { RefCount: volumes.usersOf(record.name).length, Size: sizes.get(record.name) },
  }));
}
