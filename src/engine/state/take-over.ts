/** Takes files over from a daemon that cannot end. */
import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { EnginePaths } from "./paths.ts";

/**
 * Makes each locked file a copy of itself: a daemon that was killed and cannot end holds locks on them. Whenever this breaks off,
 * all of them have the content that they had.
 */
export function renewLockedFiles(paths: EnginePaths): void {
  const databases = [paths.database, join(paths.images, "images.db")];
  const locks = [join(paths.images, "lock"), join(paths.images, "worker-lock")];
  for (const path of [...databases.flatMap((database) => [`${database}-wal`, database]), ...locks]) renew(path);
}

function renew(path: string): void {
  if (!existsSync(path)) return;
  const newPath = `${path}.renewed`;
  rmSync(newPath, { force: true });
  copyFileSync(path, newPath);
  const fd = openSync(newPath, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(newPath, path);
}
