/** The file of `--cidfile`, which receives the new container's ID. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";

interface CidFile {
  write(id: string): void;
  remove(): void;
}

/** Creates the file before the container exists, because two runs must not share one. */
export function claimCidFile(path: string): CidFile {
  if (existsSync(path))
    throw new Error(`container ID file found, make sure the other container isn't running or delete ${path}`);
  try {
    writeFileSync(path, "", { flag: "wx" });
  } catch (cause) {
    throw new Error(`failed to create the container ID file: ${messageOf(cause)}`, { cause });
  }
  return { write: (id) => writeFileSync(path, id), remove: () => rmSync(path, { force: true }) };
}
