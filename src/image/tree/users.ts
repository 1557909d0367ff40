/**
 * Finds out which user a container's process runs as: "USER[:GROUP]" in the image's /etc/passwd and /etc/group, by Docker's
 * rules.
 * Sources: passwd(5), group(5); Docker's and runc's behaviour (a numeric user is a uid, even if a name looks like it).
 */
import { LighterError } from "../../base/errors.ts";

export interface ResolvedUser {
  uid: number;
  gid: number;
  /** The groups for setgroups(2): the primary one first (CVE-2022-36109), then those of /etc/group. */
  additionalGids: number[];
  /** The home directory; "/" for a user without a passwd entry. */
  home: string;
}

/** The largest id. Linux has 32 bits, Docker takes 31: larger ones once wrapped to 0 (CVE-2024-40635). */
const ID_MAX = 0x7fff_ffff;

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

/** Parses a decimal, signed as Go's Atoi takes it; NaN for anything else. */
function parseId(text: string): number {
  return /^[+-]?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
}

/** Parses passwd. Lines with a malformed id name nobody: reading them as 0 would make them root. */
function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split("\n")) {
    const [name = "", , uid = "", gid = "", , home = ""] = line.trim().split(":");
    const entry = { name, uid: parseId(uid), gid: parseId(gid), home };
    if (name !== "" && !Number.isNaN(entry.uid) && !Number.isNaN(entry.gid)) entries.push(entry);
  }
  return entries;
}

function parseGroup(text: string): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const line of text.split("\n")) {
    const [name = "", , gid = "", members = ""] = line.trim().split(":");
    const entry = { name, gid: parseId(gid), members: members.split(",") };
    if (name !== "" && !Number.isNaN(entry.gid)) entries.push(entry);
  }
  return entries;
}

function checkId(id: number): number {
  if (id >= 0 && id <= ID_MAX) return id;
  throw new LighterError("invalid", `uids and gids must be in range 0-${ID_MAX}`);
}

/**
 * Resolves a user. `passwdText` and `groupText` are the files' contents, "" if there is none. `user` is "", "name", "uid",
 * "name:group", "uid:gid" and their mixtures; "" is root.
 * @throws LighterError ("invalid"): "unable to find user x: no matching entries in passwd file", the same for groups,
 * and for ids above 2^31-1.
 */
export function resolveUser(passwdText: string, groupText: string, user: string): ResolvedUser {
  const colon = user.indexOf(":");
  const userPart = colon < 0 ? user : user.slice(0, colon);
  const groupPart = colon < 0 ? "" : user.slice(colon + 1);
  const wantedUid = userPart === "" ? 0 : parseId(userPart);
  const entry = parsePasswd(passwdText).find((candidate) =>
    Number.isNaN(wantedUid) ? candidate.name === userPart : candidate.uid === wantedUid,
  );
  if (entry === undefined && Number.isNaN(wantedUid))
    throw new LighterError("invalid", `unable to find user ${userPart}: no matching entries in passwd file`);
  const uid = checkId(entry?.uid ?? wantedUid);
  const groups = parseGroup(groupText);
  let gid = entry?.gid ?? 0;
  let supplementary: number[] = [];
  if (groupPart !== "") gid = findGroup(groups, groupPart);
  else if (entry !== undefined)
    supplementary = groups.filter((group) => group.members.includes(entry.name)).map((group) => checkId(group.gid));
  checkId(gid);
  return { uid, gid, additionalGids: [...new Set([gid, ...supplementary])], home: entry?.home || "/" };
}

function findGroup(groups: readonly GroupEntry[], wanted: string, unable = "unable"): number {
  const wantedGid = parseId(wanted);
  const found = groups.find((group) => (Number.isNaN(wantedGid) ? group.name === wanted : group.gid === wantedGid));
  if (found === undefined && Number.isNaN(wantedGid))
    throw new LighterError("invalid", `${unable} to find group ${wanted}: no matching entries in group file`);
  return found?.gid ?? wantedGid;
}

/** Resolves a group that is added by name or number (Docker's --group-add). @throws LighterError ("invalid"). */
export function resolveGroup(groupText: string, group: string): number {
  return checkId(findGroup(parseGroup(groupText), group, "Unable")); // Docker writes it with a capital
}
