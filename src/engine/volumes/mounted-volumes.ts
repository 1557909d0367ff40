/** The file systems of volumes while containers use them. */
import { rmSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { parseMountFlags } from "../../linux/mount/flags.ts";
import { readProcessStat } from "../../linux/process/process-stat.ts";
import { errnoText } from "../../linux/sys/errno.ts";
import {
  closeFilesystem,
  mountRequest,
  openFilesystemAt,
  openFilesystemOf,
  type Runtime,
  type SharedFilesystem,
} from "../../runtime/mod.ts";
import { type FilesystemOfVolume, filesystemOf } from "../../volume/mod.ts";
import type { MountPoint } from "../config/mod.ts";
import type { EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { SerialQueue } from "../state/serial-queue.ts";
import { carriesMemory, SharedMemory } from "./shared-memory.ts";
import { VolumesInUse } from "./volumes-in-use.ts";

type Filesystem = FilesystemOfVolume & { kind: "filesystem" };

/** A file system that is mounted, or is about to be. */
interface Mounted {
  filesystem: Promise<SharedFilesystem>;
  users: number;
  /** The queue of those who fill it. */
  queue: SerialQueue;
  /** The path of its root, for callers that must not wait. */
  rootPath: string | undefined;
}

/**
 * Volumes with a file system of their own, as long as somebody uses them. Each is mounted once, in a mount namespace without
 * a process, which we and the supervisors of its containers keep by fds: the kernel unmounts it with the last of these,
 * whoever of them is killed when (docs/adr/0009-volumes.md).
 */
export class MountedVolumes {
  readonly #mounted = new Map<string, Mounted>();
  /** The ends of file systems that nobody uses any more: each resolves when it is not mounted any more. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #runtime: Runtime;
  readonly #paths: EnginePaths;

  constructor(runtime: Runtime, paths: EnginePaths) {
    this.#runtime = runtime;
    this.#paths = paths;
  }

  /** Returns the path where our own process finds a volume's files; undefined if nobody uses it. */
  rootPathOf(name: string): string | undefined {
    return this.#mounted.get(name)?.rootPath;
  }

  /** Frees the name for another volume. Containers that use this one keep it. */
  forget(name: string): void {
    this.#mounted.delete(name);
  }

  /**
   * Mounts a volume, unless it is mounted. `prepare` is called with the path of its root and whether it is new there, while no
   * other call runs.
   * @throws LighterError with Docker's text
   */
  async use(
    inUse: VolumesInUse,
    point: MountPoint,
    filesystem: Filesystem,
    prepare: (path: string, isNew: boolean) => Promise<void>,
  ): Promise<void> {
    const name = point.volume?.name ?? "";
    const known = this.#mounted.get(name);
    const mounted = known ?? this.#register(name, this.#mount(name, point.source, filesystem));
    mounted.users++;
    const release = (gone: Promise<void>) => this.#release(name, mounted, gone);
    try {
      const shared = await mounted.filesystem;
      mounted.rootPath = pathOf(shared);
      await mounted.queue.run(() => prepare(pathOf(shared), known === undefined));
      inUse.add(shared, release);
    } catch (error) {
      release(Promise.resolve());
      throw error;
    }
  }

  /**
   * Takes the file systems of a container that an earlier daemon started from its supervisor. `isAlive`: whether that has not
   * reaped its pid.
   */
  async adopt(record: ContainerRecord, isAlive: () => Promise<boolean>): Promise<VolumesInUse> {
    const inUse = new VolumesInUse();
    const own = record.mountPoints.filter(
      ({ volume, image }) => image !== undefined || filesystemOf(volume?.options ?? {})?.kind === "filesystem",
    );
    const count = own.length + (carriesMemory(record) ? 1 : 0);
    if (count === 0) return inUse;
    const supervisorPid = readProcessStat(record.pid)?.parent ?? 0;
    const found = Array.from({ length: count }, (_, index) => openFilesystemOf(supervisorPid, index));
    const isTheirs = await isAlive(); // if so, the pid was its child's all along
    for (const [index, { volume, image }] of own.entries()) {
      const [shared, name] = [found[index], volume?.name ?? ""];
      if (shared === undefined) continue;
      if (!isTheirs || image !== undefined || this.#mounted.has(name)) closeFilesystem(shared);
      if (!isTheirs || image !== undefined) continue;
      const mounted = this.#mounted.get(name) ?? this.#register(name, Promise.resolve(shared), pathOf(shared));
      mounted.users++;
      inUse.add(await mounted.filesystem, (gone) => this.#release(name, mounted, gone));
    }
    const memory = found[own.length];
    if (memory !== undefined && isTheirs) new SharedMemory(memory).use(inUse);
    else if (memory !== undefined) closeFilesystem(memory);
    return inUse;
  }

  #register(name: string, filesystem: Promise<SharedFilesystem>, rootPath?: string): Mounted {
    const mounted = { filesystem, users: 0, queue: new SerialQueue(), rootPath };
    this.#mounted.set(name, mounted);
    return mounted;
  }

  #release(name: string, mounted: Mounted, gone: Promise<void>): void {
    mounted.users--;
    if (mounted.users > 0) return;
    if (this.#mounted.get(name) === mounted) this.#mounted.delete(name);
    mounted.filesystem.then(closeFilesystem, () => {}); // who waited for it has been told
    const ending = gone.then(() => {
      if (this.#ending.get(name) === ending) this.#ending.delete(name);
    });
    this.#ending.set(name, ending);
  }

  async #mount(name: string, volumePath: string, { type, device, options }: Filesystem): Promise<SharedFilesystem> {
    await this.#ending.get(name); // two overlays over one upper directory are one too many
    try {
      return await this.mountAside({ type, source: device, options: [...options] });
    } catch (error) {
      throw cannotMount(volumePath, device, parseMountFlags(options), error);
    }
  }

  /**
   * Mounts a file system as the root of a program that is never let go on: the process dies with the program's, or with us, and
   * only the fds are left.
   */
  async mountAside(mount: Parameters<typeof mountRequest>[0]): Promise<SharedFilesystem> {
    const runDirectory = this.#paths.viewDirectory(randomId());
    try {
      const waiting = await this.#runtime.create(mountRequest(mount, runDirectory));
      try {
        const filesystem = openFilesystemAt(waiting.pid);
        if (filesystem === undefined) throw new LighterError("kernel", "its mount namespace cannot be opened");
        return filesystem;
      } finally {
        await waiting.abandon();
      }
    } finally {
      rmSync(runDirectory, { recursive: true, force: true });
    }
  }
}

/** Returns the path of the root. With "/." it is the directory itself and no link. */
function pathOf({ rootFd }: SharedFilesystem): string {
  return `/proc/self/fd/${rootFd}/.`;
}

/** Makes the error in Docker's words, which mounts the file system on the volume's directory. */
export function cannotMount(
  volumePath: string,
  device: string,
  { flags, data }: { flags: number; data: string },
  cause: unknown,
): LighterError {
  const errno = errnoOf(cause) ?? "";
  const call = [
    `mount ${device}:${volumePath}`,
    ...(flags === 0 ? [] : [`flags: 0x${flags.toString(16)}`]),
    ...(data === "" ? [] : [`data: ${data}`]),
  ].join(", ");
  const why = errno === "" ? messageOf(cause) : errnoText(errno);
  return new LighterError(
    "kernel",
    `error while mounting volume '${volumePath}': failed to mount local volume: ${call}: ${why}`,
    { errno, cause },
  );
}
