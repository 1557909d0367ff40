/** Files for a machine: about itself, in its own root; about its host, in a directory that it sees. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { type ImageStore, readFileInLayers } from "../../image/mod.ts";
import { etcFiles, hostFiles } from "../../machine/mod.ts";
import type { RootFile } from "../../runtime/types.ts";
import { type NetworkFacts, planEtcFiles } from "../config/mod.ts";
import { readHostEtcFiles } from "../endpoints/etc-files.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/store.ts";

const MACHINE_ID_MAX_BYTES = 64;

/** Plans the files for a machine's next start. A mount of the user's is not ours to write into. */
export function planMachineFiles(
  { id, imageId, config, hostConfig, mountPoints }: ContainerRecord,
  images: ImageStore,
  network: NetworkFacts,
  first: boolean,
): RootFile[] {
  const texts = planEtcFiles(config, hostConfig, readHostEtcFiles(), { ...network, hosts: [] });
  const machineId = readFileInLayers(images.layersOf(imageId).lowerDirs, "/etc/machine-id", MACHINE_ID_MAX_BYTES);
  const files = etcFiles({ id, first, ...texts, machineId: machineId?.toString("latin1") });
  const isMounted = (path: string) =>
    mountPoints.some(({ destination }) => path === destination || path.startsWith(posix.join(destination, "/")));
  return files.filter(({ path }) => !isMounted(path));
}

/** Writes the files about the host and about this boot. Every start writes them. */
export function writeHostFiles({ id }: ContainerRecord, paths: ContainerPaths): void {
  mkdirSync(paths.host, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(hostFiles(id))) writeFileSync(join(paths.host, name), text);
  writeFileSync(paths.bootId, `${crypto.randomUUID()}\n`, { mode: 0o444 });
}
