/**
 * The /dev/shm of containers that share it with others, as they share System V IPC: `--ipc shareable` has a tmpfs that `--ipc
 * container:ID` mounts as well. It is kept by fds, as a volume's file system is (mounted-volumes.ts), and gone with the last of
 * them.
 */
import { LighterError } from "../../base/errors.ts";
import { closeFilesystem, type SharedFilesystem } from "../../runtime/mod.ts";
import type { OciMount } from "../../spec/oci-runtime.ts";
import { parseIpcMode } from "../config/namespaces.ts";
import type { Container } from "../container.ts";
import { inContext, notRunning } from "../errors.ts";
import type { ContainerRecord } from "../state/record.ts";
import { toHostId } from "../userns/id-mappings.ts";
import type { VolumesInUse } from "./volumes-in-use.ts";

const SHM_PATH = "/dev/shm";

export class SharedMemory {
  readonly #filesystem: SharedFilesystem;
  #users = 0;

  constructor(filesystem: SharedFilesystem) {
    this.#filesystem = filesystem;
  }

  /** Keeps the memory until `inUse` ends. */
  use(inUse: VolumesInUse): void {
    this.#users++;
    inUse.memory = this;
    inUse.add(this.#filesystem, () => {
      this.#users--;
      if (this.#users === 0) closeFilesystem(this.#filesystem);
    });
  }
}

type Find = (ref: string) => Container;

/** Makes what a start shares: a new one, or another container's. @throws LighterError with Docker's texts */
export async function shareMemory(
  record: ContainerRecord,
  inUse: VolumesInUse,
  mounted: { mountAside(mount: Pick<OciMount, "type" | "source" | "options">): Promise<SharedFilesystem> },
  find: Find,
): Promise<void> {
  if (isShareable(record)) new SharedMemory(await mounted.mountAside(newMemory(record))).use(inUse);
  const mode = parseIpcMode(record.hostConfig.IpcMode);
  if (mode.kind === "container")
    inContext("failed to join IPC namespace", () => memoryOf(find(mode.id), find)?.use(inUse));
}

/** Tells whether a start carries a file system for /dev/shm, in addition to those of its volumes. */
export function carriesMemory({ hostConfig, mountPoints }: ContainerRecord): boolean {
  return isShareable({ hostConfig, mountPoints }) || parseIpcMode(hostConfig.IpcMode).kind === "container";
}

function isShareable({ hostConfig, mountPoints }: Pick<ContainerRecord, "hostConfig" | "mountPoints">): boolean {
  const isCovered = mountPoints.some(({ destination }) => destination === SHM_PATH);
  return parseIpcMode(hostConfig.IpcMode).kind === "shareable" && !isCovered;
}

/** Makes a new memory. The container's own root may do with it what it likes. */
function newMemory({ hostConfig, idMappings }: ContainerRecord) {
  const owner =
    idMappings === null
      ? []
      : [`uid=${toHostId(0, idMappings.uids, "uid")}`, `gid=${toHostId(0, idMappings.gids, "gid")}`];
  const options = ["nosuid", "noexec", "nodev", "mode=1777", `size=${hostConfig.ShmSize}`, ...owner];
  return { type: "tmpfs", source: "shm", options };
}

/** Returns the memory of another container; undefined: it is the host's. */
function memoryOf(donor: Container, find: Find): VolumesInUse["memory"] {
  if (!donor.isRunning) throw notRunning(donor.id);
  if (hasHostMemory(donor.record, find)) return undefined;
  const memory = donor.volumes?.memory;
  if (memory !== undefined) return memory;
  throw new LighterError(
    "invalid",
    `container ${donor.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
  );
}

/** Tells whether a container's IPC is the host's, perhaps by way of others. */
export function hasHostMemory({ hostConfig }: Pick<ContainerRecord, "hostConfig">, find: Find): boolean {
  const passed = new Set<Container>();
  for (let mode = parseIpcMode(hostConfig.IpcMode); ; ) {
    if (mode.kind !== "container") return mode.kind === "host";
    const donor = find(mode.id);
    if (passed.has(donor)) return false;
    passed.add(donor);
    mode = parseIpcMode(donor.record.hostConfig.IpcMode);
  }
}
