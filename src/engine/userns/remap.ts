/**
 * The daemon's setting `userns-remap`: the ids of containers that do not say.
 *
 *   ""                      the host's
 *   auto                    each in a range of its own
 *   default                 all in one range, of our choice
 *   USER[:GROUP]            all in the subordinate ids of a user, by name or number; the group has to exist
 *
 * Sources: dockerd(8), subuid(5), passwd(5), group(5).
 */
import { readFileSync } from "node:fs";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { PASSWD_MAX_BYTES } from "../../base/limits.ts";
import { ownRights } from "../../linux/rights.ts";
import { type IdMappings, type IdRange, mapFromZero } from "./id-mappings.ts";
import { type IdPool, POOL_OWNER, without } from "./id-pool.ts";
import { parseSubordinateIds, rangesOwnedBy, type SubordinateIds } from "./subordinate-ids.ts";

/** The mode of containers that do not say. */
type DefaultMode = { kind: "host" } | { kind: "auto" } | { kind: "mapped"; mappings: IdMappings };

export interface UserNamespaceSetting {
  defaultMode: DefaultMode;
  /** The pool for containers that get a range of their own. */
  pool: IdPool;
}

/** The texts of files below /etc; "" for a missing one. */
export interface AccountFiles {
  passwd: string;
  group: string;
  subuid: string;
  subgid: string;
}

/** The number of ids for a container of its own, and for the one range of `default`: what distributions give a user. */
export const DEFAULT_COUNT = 65536;

/**
 * The pool if there is no user `lighter`: above what systemd takes for its containers and below what it and others keep away
 * from. Source: systemd's UIDS-GIDS.md, 0x70000000 to 0x7FFDFFFF.
 */
const DEFAULT_POOL: IdRange = { first: 0x7000_0000, count: 0x0ffe_0000 };

/**
 * Parses the setting.
 * @param mayMap whether files' owners can be mapped: otherwise there are no ids to give away
 * @throws LighterError "invalid" with the file that lacks something
 */
export function parseRemap(
  value: string,
  files: AccountFiles,
  mayMap: boolean = ownRights().idmappedMounts,
): UserNamespaceSetting {
  const [subuids, subgids] = [parseSubordinateIds(files.subuid), parseSubordinateIds(files.subgid)];
  const pool = mayMap ? poolOf(subuids, subgids) : { uids: [], gids: [] };
  if (!mayMap && value !== "")
    throw failed("this daemon is itself in a user namespace, and cannot map owners of files");
  if (value === "") return { defaultMode: { kind: "host" }, pool };
  if (value === "auto") return { defaultMode: { kind: "auto" }, pool };
  const mappings = value === "default" ? firstOf(pool) : mappingsOf(findUser(value, files), subuids, subgids);
  if (mappings === undefined) return { defaultMode: { kind: "host" }, pool };
  const rest = (ranges: readonly IdRange[], mapped: IdMappings["uids"]) =>
    without(
      ranges,
      mapped.map(({ hostID, size }) => ({ first: hostID, count: size })),
    );
  return {
    defaultMode: { kind: "mapped", mappings },
    pool: { uids: rest(pool.uids, mappings.uids), gids: rest(pool.gids, mappings.gids) },
  };
}

function poolOf(subuids: readonly SubordinateIds[], subgids: readonly SubordinateIds[]): IdPool {
  const [uids, gids] = [rangesOwnedBy(subuids, [POOL_OWNER]), rangesOwnedBy(subgids, [POOL_OWNER])];
  if (uids.length > 0 || gids.length > 0) return { uids, gids };
  return { uids: without([DEFAULT_POOL], subuids), gids: without([DEFAULT_POOL], subgids) };
}

function firstOf({ uids, gids }: IdPool): IdMappings {
  const first = (ranges: readonly IdRange[], file: string) => {
    const [range] = ranges;
    if (range === undefined) throw noRanges(file, POOL_OWNER);
    return mapFromZero([{ first: range.first, count: Math.min(range.count, DEFAULT_COUNT) }]);
  };
  return { uids: first(uids, "subuid"), gids: first(gids, "subgid") };
}

/** Returns the mappings of a user; undefined for root, who is mapped to nobody else, as with Docker. */
function mappingsOf(
  { name, uid }: Account,
  subuids: readonly SubordinateIds[],
  subgids: readonly SubordinateIds[],
): IdMappings | undefined {
  if (name === "root") return undefined;
  const own = (entries: readonly SubordinateIds[], file: string) => {
    const ranges = rangesOwnedBy(entries, [name, String(uid)]);
    if (ranges.length === 0) throw noRanges(file, name);
    return mapFromZero(ranges);
  };
  return { uids: own(subuids, "subuid"), gids: own(subgids, "subgid") };
}

function noRanges(file: string, name: string): LighterError {
  return new LighterError("invalid", `userns-remap: no ${file} ranges found for user "${name}" in /etc/${file}`, {
    hint: `add a line "${name}:FIRST:65536"`,
  });
}

interface Account {
  name: string;
  uid: number;
}

function findUser(value: string, files: AccountFiles): Account {
  const [user = "", group, ...rest] = value.split(":");
  if (rest.length > 0) throw failed(`invalid user/group specification "${value}"`);
  const account = find(files.passwd, user);
  if (account === undefined) throw failed(`no user "${user}" in /etc/passwd`);
  // A user alone is the name of a group as well, as for Docker.
  const asked = group ?? user;
  if (find(files.group, asked) === undefined) throw failed(`no group "${asked}" in /etc/group`);
  return { name: account.name, uid: account.id };
}

function failed(why: string): LighterError {
  return new LighterError("invalid", `userns-remap: ${why}`);
}

/** Finds a user or group: in passwd(5) and group(5) the third field is the id. What looks like a number is an id. */
function find(text: string, wanted: string): { name: string; id: number } | undefined {
  const byId = /^\d+$/.test(wanted);
  for (const line of text.split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (name !== "" && /^\d+$/.test(id) && (byId ? Number(id) === Number(wanted) : name === wanted))
      return { name, id: Number(id) };
  }
  return undefined;
}

/** Reads the files. @throws LighterError "invalid" for a file beyond the limit */
export function readAccountFiles(): AccountFiles {
  const read = (name: string) => {
    try {
      const text = readFileSync(`/etc/${name}`, "utf8");
      if (text.length > PASSWD_MAX_BYTES) throw failed(`/etc/${name} is larger than ${PASSWD_MAX_BYTES} bytes`);
      return text;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return "";
      throw error;
    }
  };
  return { passwd: read("passwd"), group: read("group"), subuid: read("subuid"), subgid: read("subgid") };
}
