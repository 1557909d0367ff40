/** Prepares the content of a volume that a container is about to mount. */
import { lookup } from "node:dns/promises";
import { mkdirSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { writePoint } from "../../base/write-point.ts";
import type { FileWorkers } from "../../files/mod.ts";
import { type ImageStore, isDirectoryInLayers } from "../../image/mod.ts";
import { MS_BIND } from "../../linux/mount/flags.ts";
import { isEmptyDirectory } from "../../linux/sys/directory.ts";
import {
  type FilesystemOfVolume,
  filesystemOf,
  hostNameOf,
  type VolumeOptions,
  withAddress,
} from "../../volume/mod.ts";
import type { HostProbe, MountPoint } from "../config/mod.ts";
import { planPatiently } from "../plan/patient-probe.ts";
import type { ContainerRecord } from "../state/record.ts";
import { cannotMount, type MountedVolumes } from "../volumes/mounted-volumes.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";
import { fillJob } from "./file-jobs.ts";

interface Preparation {
  images: ImageStore;
  workers: FileWorkers;
  probe: HostProbe;
  mounted: MountedVolumes;
  record: ContainerRecord;
  /** True if the container has never run: empty volumes then get what its image has there. */
  first: boolean;
  inUse: VolumesInUse;
}

/** Makes a mount point's source ready. @throws LighterError */
export async function prepareVolume(preparation: Preparation, point: MountPoint): Promise<void> {
  const { images, workers, mounted, record, first, inUse } = preparation;
  const { options = {}, copyUp = false } = point.volume ?? {};
  const filesystem = await withServerAddress(options, point.source);
  const { lowerDirs } = images.layersOf(record.imageId);
  const isToFill = (isFirst: boolean) => isFirst && copyUp && isDirectoryInLayers(lowerDirs, point.destination);
  // Somebody may have the directory open, so it must not be replaced.
  const { subpath } = point.volume ?? {};
  const what = { layers: lowerDirs, from: point.destination, ...(subpath === undefined ? {} : { part: subpath }) };
  const fillInPlace = async (path: string, isFirst: boolean) => {
    if (isToFill(isFirst)) await workers.run(fillJob, { ...what, to: seenByOthers(path), ifEmpty: true });
  };
  switch (filesystem?.kind) {
    case undefined:
      mkdirSync(point.source, { recursive: true, mode: 0o755 });
      if (subpath !== undefined) await fillInPlace(point.source, first);
      else if (isToFill(first) && isEmptyDirectory(point.source))
        await fill(workers, lowerDirs, point.destination, point.source, `${point.source}.${record.id}`);
      break;
    case "bind":
      await requireDirectory(preparation, point.source, filesystem.source);
      await fillInPlace(filesystem.source, first);
      break;
    case "filesystem":
      // A tmpfs is a new one whenever it is mounted.
      await mounted.use(inUse, point, filesystem, (path, isNew) =>
        fillInPlace(path, first || (isNew && filesystem.type === "tmpfs")),
      );
  }
}

/** Resolves a server that is given by name: the kernel takes addresses only. */
async function withServerAddress(options: VolumeOptions, volumePath: string): Promise<FilesystemOfVolume | undefined> {
  const host = hostNameOf(options);
  return filesystemOf(host === undefined ? options : withAddress(options, await resolveHost(host, volumePath)));
}

/** Resolves a host's name. @throws LighterError "unavailable", with a text like Docker's */
async function resolveHost(host: string, volumePath: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    const what = `error resolving passed in network volume address: ${messageOf(cause)}`;
    throw new LighterError("unavailable", `error while mounting volume '${volumePath}': ${what}`, { cause });
  }
}

/** Fills a volume. The files are prepared aside, so that a half-filled volume is never taken for a full one. */
async function fill(
  workers: FileWorkers,
  layers: readonly string[],
  from: string,
  path: string,
  stagingPath: string,
): Promise<void> {
  await rm(stagingPath, { recursive: true, force: true });
  mkdirSync(stagingPath, { mode: 0o755 });
  try {
    if (!(await workers.run(fillJob, { layers, from, to: stagingPath, ifEmpty: false }))) return;
    writePoint("fill volume");
    renameSync(stagingPath, path); // over the empty one
    writePoint("filled volume");
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY") throw error; // else another container that starts was faster
  } finally {
    await rm(stagingPath, { recursive: true, force: true });
  }
}

/** Returns a path by which others find a directory on another file system: by an fd of ours. */
function seenByOthers(path: string): string {
  return path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`);
}

async function requireDirectory(preparation: Preparation, volumePath: string, device: string): Promise<void> {
  if ((await planPatiently(preparation, (probe) => probe.fileType(device))) !== undefined) return;
  const cause = new LighterError("kernel", "", { errno: "ENOENT" });
  throw cannotMount(volumePath, device, { flags: MS_BIND, data: "" }, cause);
}
