/** The file systems that one container uses. */
import type { SharedFilesystem } from "../../runtime/mod.ts";

/**
 * The file systems that one container uses, for as long as it does: those of its volumes, in the order of its mount points, then
 * a shared /dev/shm.
 */
export class VolumesInUse implements Disposable {
  readonly filesystems: SharedFilesystem[] = [];
  /** The shared /dev/shm; its file system is the last one of `filesystems`. */
  memory: { use(inUse: VolumesInUse): void } | undefined;
  readonly #releases: ((gone: Promise<void>) => void)[] = [];

  add(filesystem: SharedFilesystem, release: (gone: Promise<void>) => void): void {
    this.filesystems.push(filesystem);
    this.#releases.push(release);
  }

  /** Ends the use: the container has ended, and its supervisor lets go of them at `gone`. */
  end(gone: Promise<void>): void {
    for (const release of this.#releases.splice(0)) release(gone);
  }

  [Symbol.dispose](): void {
    this.end(Promise.resolve());
  }
}
