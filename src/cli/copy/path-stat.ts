/** Decodes what the archive routes say about a path in a container. */
import { LighterError } from "../../base/errors.ts";
import { parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";

/** Type, size and link target of a path in a container. */
export interface PathStat {
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly isDevice: boolean;
  /** Target of a symlink, "" for anything else. */
  readonly linkTarget: string;
}

/** Bits of Go's io/fs.FileMode, which the API uses for the type of a file. */
const MODE_DIRECTORY = 2 ** 31;
const MODE_SYMLINK = 2 ** 27;
const MODE_DEVICE = 2 ** 26;

/**
 * Decodes the header of an archive route's answer: JSON in base64.
 * @throws LighterError ("unavailable")
 */
export function decodePathStat(response: Pick<Response, "head">): PathStat {
  const header = response.head.headers.get("x-docker-container-path-stat") ?? "";
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(header)) throw unreadable();
  const json = Buffer.from(header, "base64").toString();
  const { mode, linkTarget } = parseJson<{ mode?: unknown; linkTarget?: unknown } | null>(json) ?? {};
  if (typeof mode !== "number" || typeof linkTarget !== "string") throw unreadable();
  const has = (bit: number) => Math.floor(mode / bit) % 2 === 1;
  return { isDirectory: has(MODE_DIRECTORY), isSymlink: has(MODE_SYMLINK), isDevice: has(MODE_DEVICE), linkTarget };
}

function unreadable(): LighterError {
  return new LighterError("unavailable", "unable to decode container path stat header");
}
