/** What a volume holds when a container is about to mount it. */
import { lookup } from "node:dns/promises";
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { writePoint } from "../base/write-point.ts";
import { copyDirectoryFromLayers, type ImageStore } from "../image/mod.ts";
import { filesystemOf } from "../volume/mod.ts";
import type { HostProbe, MountPoint } from "./config/mod.ts";
import type { ContainerRecord } from "./store.ts";

/**
 * Makes a mount point's source ready. `first`: the container has never run, so empty volumes get what its image has there.
 * @throws LighterError
 */
export async function prepareVolume(
  images: ImageStore,
  probe: HostProbe,
  record: ContainerRecord,
  point: MountPoint,
  first: boolean,
): Promise<void> {
  const filesystem = filesystemOf(point.volume?.options ?? {});
  if (filesystem?.kind === "filesystem") return;
  const path = filesystem?.source ?? point.source;
  if (filesystem === undefined) mkdirSync(path, { recursive: true, mode: 0o755 });
  else if (probe.fileType(path) === undefined) throw cannotMount(point.source, path);
  if (!first || !point.volume?.copyUp || probe.fileType(path) !== "directory" || readdirSync(path).length > 0) return;
  const { lowerDirs } = images.layersOf(record.imageId);
  if (filesystem === undefined) await fill(lowerDirs, point.destination, path, `${path}.${record.id}`);
  // The directory is somebody's, who may have it open: it stays the one it is.
  else await copyDirectoryFromLayers(lowerDirs, point.destination, path);
}

/** @throws LighterError "unavailable", with a text like Docker's */
export async function resolveHost(host: string, volumePath: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (cause) {
    const what = `error resolving passed in network volume address: ${messageOf(cause)}`;
    throw new LighterError("unavailable", `error while mounting volume '${volumePath}': ${what}`, { cause });
  }
}

/** Prepared aside, so that a half-filled volume is never taken for a full one. */
async function fill(lowerDirs: readonly string[], from: string, path: string, stagingPath: string): Promise<void> {
  await rm(stagingPath, { recursive: true, force: true });
  mkdirSync(stagingPath, { mode: 0o755 });
  try {
    if (!(await copyDirectoryFromLayers(lowerDirs, from, stagingPath))) return;
    writePoint("fill volume");
    renameSync(stagingPath, path); // over the empty one
    writePoint("filled volume");
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY") throw error; // else another container that starts was faster
  } finally {
    await rm(stagingPath, { recursive: true, force: true });
  }
}

const MS_BIND = "0x1000";

/** As Docker says it, which mounts it on the volume's directory. */
function cannotMount(volumePath: string, device: string): LighterError {
  return new LighterError(
    "kernel",
    `error while mounting volume '${volumePath}': failed to mount local volume: ` +
      `mount ${device}:${volumePath}, flags: ${MS_BIND}: no such file or directory`,
    { errno: "ENOENT" },
  );
}
