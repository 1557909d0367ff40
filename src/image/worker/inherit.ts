/** Gives a layer's implied directories the attributes of the layers below. */
import { closeSync, openSync } from "node:fs";
import { O_DIRECTORY, O_RDONLY } from "../../linux/sys/fs.ts";
import { inheritAttributes } from "../tar/unpack.ts";
import { statInLayers } from "../tree/layered-fs.ts";
import { beat } from "./heartbeat.ts";
import type { InheritJob } from "./protocol.ts";

/**
 * Looks up the implied directories in the layers below and copies their attributes. It is a worker's job, since each look may
 * lead through many symlinks of hostile images.
 */
export function inheritFromBelow({ directoryPath, implied, belowPaths }: InheritJob): undefined {
  const rootFd = openSync(directoryPath, O_RDONLY | O_DIRECTORY);
  try {
    inheritAttributes(rootFd, implied, (path) => {
      beat();
      return statInLayers(belowPaths, path);
    });
  } finally {
    closeSync(rootFd);
  }
}
