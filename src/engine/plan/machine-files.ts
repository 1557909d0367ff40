/** Files for a machine: about itself, in its own root; about its host, in a directory that it sees. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { type ImageStore, readFileInLayers } from "../../image/mod.ts";
import { CREDENTIALS_DIRECTORY, etcFiles, hostFiles, type MachineSecrets, seedFiles } from "../../machine/mod.ts";
import type { RootFile } from "../../runtime/types.ts";
import { type NetworkFacts, planEtcFiles } from "../config/mod.ts";
import { readHostEtcFiles } from "../endpoints/etc-files.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { idTranslations } from "../userns/id-mappings.ts";

const MACHINE_ID_MAX_BYTES = 64;

/** Plans the files for a machine's next start. A mount of the user's is not ours to write into. */
export function planMachineFiles(
  { id, imageId, config, hostConfig, mountPoints }: ContainerRecord,
  images: ImageStore,
  network: NetworkFacts,
  { first, secrets }: { first: boolean; secrets: MachineSecrets | undefined },
): RootFile[] {
  const texts = planEtcFiles(config, hostConfig, readHostEtcFiles(), { ...network, hosts: [] });
  const machineId = readFileInLayers(images.layersOf(imageId).lowerDirs, "/etc/machine-id", MACHINE_ID_MAX_BYTES);
  const files: RootFile[] = etcFiles({ id, first, ...texts, machineId: machineId?.toString("latin1") });
  if (first && secrets !== undefined && Object.keys(secrets.cloudInit).length > 0)
    files.push(...seedFiles(secrets.cloudInit, { id, hostname: texts.hostname.trim() }));
  const isMounted = (path: string) =>
    mountPoints.some(({ destination }) => path === destination || path.startsWith(posix.join(destination, "/")));
  return files.filter(({ path }) => !isMounted(path));
}

/** Writes the files about the host and about this boot, and credentials. Every start writes them. */
export function writeHostFiles(
  { id, idMappings }: ContainerRecord,
  paths: ContainerPaths,
  secrets: MachineSecrets | undefined,
): void {
  mkdirSync(paths.host, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(hostFiles(id))) writeFileSync(join(paths.host, name), text);
  writeFileSync(paths.bootId, `${crypto.randomUUID()}\n`, { mode: 0o444 });
  const credentials = Object.entries(secrets?.credentials ?? {});
  if (credentials.length === 0) return;
  const { uid, gid } = idTranslations(idMappings)?.toHost ?? { uid: (own: number) => own, gid: (own: number) => own };
  const give = (path: string, mode: number) => {
    chmodSync(path, mode);
    chownSync(path, uid(0), gid(0));
  };
  const directory = join(paths.host, CREDENTIALS_DIRECTORY);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const [name, base64] of credentials) {
    const path = join(directory, name);
    writeFileSync(path, Buffer.from(base64, "base64"), { mode: 0o600 });
    give(path, 0o400);
  }
  give(directory, 0o500);
}
