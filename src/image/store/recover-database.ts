/** Opens the image database, or its copy if it is lost or damaged and the caller accepts that. */
import { copyFileSync, existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { formatNow } from "../../base/time.ts";
import { DAMAGED, ImageDatabase } from "./database.ts";

/**
 * Opens the database. One that was lost is not made anew if there are images: it would take all of them for garbage, those of
 * running containers included.
 * @throws LighterError like `ImageDatabase`
 */
export function openOrRecover(
  rootPath: string,
  { makeRoom, recover = false }: { makeRoom?: () => boolean; recover?: boolean },
): ImageDatabase {
  const path = join(rootPath, "images.db");
  const options = { ...(makeRoom === undefined ? {} : { makeRoom }), isNew: !hasContent(rootPath) };
  try {
    return new ImageDatabase(path, options);
  } catch (error) {
    if (!recover || errnoOf(error) !== DAMAGED || !existsSync(`${path}.copy`)) throw error;
    const [recovered, aside] = [`${path}.recovered`, `${path}.damaged-${formatNow()}`];
    copyFileSync(`${path}.copy`, recovered); // the whole copy first, before anything is moved
    for (const suffix of ["", "-wal"]) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
    renameSync(recovered, path);
    log.warn(`"${path}" is its copy from now on: what was there is "${aside}"`);
    return new ImageDatabase(path, options);
  }
}

function hasContent(rootPath: string): boolean {
  return ["blobs/sha256", "l"].some((name) => {
    const path = join(rootPath, name);
    return existsSync(path) && readdirSync(path).some((entry) => entry !== "0");
  });
}
