/** Collects the writes that give a cgroup its limits, and refuses those that the host cannot do. */
import { LighterError } from "../../base/errors.ts";
import type { CgroupHost } from "./host.ts";
import { locateController } from "./host.ts";

/** One write(2) of a whole value to an existing cgroup file, opened O_WRONLY without O_CREAT (see `setup.ts`). */
export interface CgroupWrite {
  /** The absolute path on the host. */
  file: string;
  value: string;
  /** The part of the config that asks for this, shown when the write fails. */
  why: string;
  /** Errors that count as success. */
  tolerate?: readonly string[];
  /** This write makes the same setting as the one before, in another kernel's file: one of the two must succeed. */
  alternative?: true;
}

/** The place of one controller of the cgroup. */
export interface Target {
  controller: string;
  version: 1 | 2;
  directory: string;
}

/** Collects the writes for one cgroup in order, and refuses what the host cannot do. */
export class WriteList {
  readonly writes: CgroupWrite[] = [];
  /** Settings that are ignored, as runc does. */
  readonly warnings: string[] = [];
  /** True if a write goes to one of two files and it is not known which of them exists. */
  needsInterfaceFiles = false;
  /** v2 controllers that something was written to. */
  readonly controllersV2 = new Set<string>();

  constructor(
    readonly host: CgroupHost,
    /** The cgroup's path below each mount point, without a leading slash. */
    readonly path: string,
  ) {}

  /**
   * The place of a controller.
   * @param what the config's field, for the message: "memory.limit".
   * @throws LighterError ("not-supported") if no hierarchy has the controller.
   */
  target(controller: string, what: string): Target {
    const place = locateController(this.host, controller);
    if (place === undefined)
      throw new LighterError("not-supported", `resources.${what}: this host has no cgroup controller "${controller}"`, {
        hint: `look for it in /proc/cgroups; the kernel may need cgroup_enable=${controller}, or a mount of it`,
      });
    if (place.version === 2) this.controllersV2.add(controller === "blkio" ? "io" : controller);
    return { controller, version: place.version, directory: `${place.mountPoint}/${this.path}` };
  }

  /** Whether cgroups have this file here; undefined if not known. */
  has(file: string): boolean | undefined {
    return this.host.interfaceFiles?.has(file);
  }

  /**
   * Adds a write. With "ENOENT" in `tolerate`, it is left out if the file is known to be missing.
   * @throws LighterError ("not-supported") if the file is known to be missing.
   */
  add(target: Target, file: string, value: string, what: string, tolerate: readonly string[] = []): void {
    if (this.has(file) === false) {
      if (tolerate.includes("ENOENT")) return;
      throw new LighterError("not-supported", `resources.${what}: this kernel's cgroups have no file "${file}"`);
    }
    this.writes.push({
      file: `${target.directory}/${file}`,
      value,
      why: `resources.${what}`,
      ...(tolerate.length === 0 ? {} : { tolerate }),
    });
  }

  /**
   * Adds a write to the first file that exists here of two that do the same on different kernels. If that is not known, both are
   * written, and each may be missing.
   * @throws LighterError ("not-supported") if both are known to be missing.
   */
  addEither(target: Target, first: [string, string], second: [string, string], what: string): void {
    if (this.host.interfaceFiles === undefined) {
      this.needsInterfaceFiles = true;
      this.add(target, ...first, what, ["ENOENT"]);
      this.add(target, ...second, what, ["ENOENT"]);
      this.writes.push({ ...this.writes.pop()!, alternative: true });
    } else if (this.has(first[0]) === true) this.add(target, ...first, what);
    else this.add(target, ...second, what);
  }
}
