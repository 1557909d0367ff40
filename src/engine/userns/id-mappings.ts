/** Mappings between ids of containers and ids of the host. */
import { LighterError } from "../../base/errors.ts";
import type { IdTranslations } from "../../image/mod.ts";
import type { OciIdMapping } from "../../spec/oci-runtime.ts";

/** The host's ids for a container's: uid_map and gid_map of its user namespace (user_namespaces(7)). */
export interface IdMappings {
  uids: OciIdMapping[];
  gids: OciIdMapping[];
}

/** A range of ids on the host. */
export interface IdRange {
  first: number;
  count: number;
}

/**
 * The end of all ids: 2^32 - 1 is none, and the one before is left out so that the end itself is a valid number. Source:
 * user_namespaces(7), uid_t.
 */
export const ID_END = 2 ** 32 - 2;

/** Maps ids from 0 on to the ranges in turn. */
export function mapFromZero(ranges: readonly IdRange[]): OciIdMapping[] {
  let containerID = 0;
  return ranges.map(({ first, count }) => {
    const mapping = { containerID, hostID: first, size: count };
    containerID += count;
    return mapping;
  });
}

export function rangesOf(mappings: readonly OciIdMapping[]): IdRange[] {
  return mappings.map(({ hostID, size }) => ({ first: hostID, count: size }));
}

export function overlaps(a: IdRange, b: IdRange): boolean {
  return a.first < b.first + b.count && b.first < a.first + a.count;
}

export function sameMappings(a: IdMappings | null, b: IdMappings | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The id that the kernel shows for one that is not mapped. Source: /proc/sys/kernel/overflowuid. */
const OVERFLOW_ID = 65534;

/**
 * Makes translations for reading and writing the container's files from the host; undefined: in the host's user namespace ids are
 * the same.
 */
export function idTranslations(mappings: IdMappings | null): IdTranslations | undefined {
  if (mappings === null) return undefined;
  const { uids, gids } = mappings;
  return {
    toHost: { uid: (id) => toHostId(id, uids, "uid"), gid: (id) => toHostId(id, gids, "gid") },
    toContainer: { uid: (id) => toContainerId(id, uids), gid: (id) => toContainerId(id, gids) },
  };
}

function toContainerId(id: number, mappings: readonly OciIdMapping[]): number {
  const range = mappings.find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return range === undefined ? OVERFLOW_ID : range.containerID + (id - range.hostID);
}

/** Translates an id to the host's. @throws LighterError "invalid" for an id that the container does not have */
export function toHostId(id: number, mappings: readonly OciIdMapping[], kind: "uid" | "gid"): number {
  const range = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  if (range === undefined)
    throw new LighterError("invalid", `${kind} ${id} is not one of the container's, which is in a user namespace`);
  return range.hostID + (id - range.containerID);
}
