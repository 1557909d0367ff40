import type { SharedFilesystem } from "../../runtime/mod.ts";

/** The file systems of one container: its volumes', in the order of its mount points, and a shared /dev/shm; as long as the container uses them. */
export class VolumesInUse implements Disposable {
  readonly filesystems: SharedFilesystem[] = [];
  /** /dev/shm, of which the last one of `filesystems` is, if the container shares it. */
  memory: { use(inUse: VolumesInUse): void } | undefined;
  readonly #releases: ((gone: Promise<void>) => void)[] = [];

  add(filesystem: SharedFilesystem, release: (gone: Promise<void>) => void): void {
    this.filesystems.push(filesystem);
    this.#releases.push(release);
  }

  /** The container has ended, and its supervisor lets go of them at `gone`. */
  end(gone: Promise<void>): void {
    for (const release of this.#releases.splice(0)) release(gone);
  }

  [Symbol.dispose](): void {
    this.end(Promise.resolve());
  }
}
