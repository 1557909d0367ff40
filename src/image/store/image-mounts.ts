/** Plans the overlay mount of a container's root. */
import { LighterError } from "../../base/errors.ts";
import { MOUNT_DATA_MAX_BYTES } from "../../base/limits.ts";
import type { OciMount } from "../../spec/oci-runtime.ts";
import { planOverlayOptions } from "./overlay-options.ts";

/** The writable layer of one container. `upperPath` and `workPath` must exist, on one file system. */
export interface WritableLayer {
  upperPath: string;
  workPath: string;
  /** A layer below the image's. */
  basePath?: string;
  /** True if a power cut may take the files: then nothing, fsync(2) included, waits for the disk. */
  isVolatile?: boolean;
}

/**
 * Plans one overlay mount, whose options go to mount(2) as one string. `lowerDirs` are the image's layers, topmost first.
 * @throws LighterError ("not-supported") if the options exceed the page that mount(2) takes.
 */
export function planImageMounts(image: string, lowerDirs: readonly string[], writable: WritableLayer): OciMount[] {
  return [{ destination: "/", ...planLayersMount(`image "${image}"`, lowerDirs, writable) }];
}

/** Plans an overlay mount of what `what` says; read-only without a writable layer. @throws as `planImageMounts` */
export function planLayersMount(
  what: string,
  lowerDirs: readonly string[],
  writable?: WritableLayer,
): Omit<OciMount, "destination"> {
  const lower = writable?.basePath === undefined ? lowerDirs : [...lowerDirs, writable.basePath];
  const paths = [
    `lowerdir=${lower.join(":")}`,
    ...(writable === undefined ? ["ro"] : [`upperdir=${writable.upperPath}`, `workdir=${writable.workPath}`]),
  ];
  const options = [...paths, ...planOverlayOptions(), ...(writable?.isVolatile ? ["volatile"] : [])];
  const byteCount = Buffer.byteLength(options.join(","));
  if (byteCount > MOUNT_DATA_MAX_BYTES)
    throw new LighterError(
      "not-supported",
      `${what} has ${lowerDirs.length} layers: overlay's mount options need ${byteCount} bytes, above the limit of ${MOUNT_DATA_MAX_BYTES}`,
      { hint: "use a data directory with a shorter path" },
    );
  return { type: "overlay", source: "overlay", options };
}
