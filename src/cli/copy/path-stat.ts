import { LighterError } from "../../base/errors.ts";
import { parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";

/** What a path in a container is. */
export interface PathStat {
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly isDevice: boolean;
  /** "" for all but symlinks. */
  readonly linkTarget: string;
}

/** Bits of Go's io/fs.FileMode, which is how the API says what a file is. */
const MODE_DIRECTORY = 2 ** 31;
const MODE_SYMLINK = 2 ** 27;
const MODE_DEVICE = 2 ** 26;

/** The header of an answer of the archive routes: JSON in base64. @throws LighterError ("unavailable") */
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
