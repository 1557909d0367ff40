/** Chooses free ranges of ids for containers. */
import { LighterError } from "../../base/errors.ts";
import { type IdMappings, type IdRange, overlaps, rangesOf } from "./id-mappings.ts";

/** The ids from which containers get ranges of their own. */
export interface IdPool {
  uids: readonly IdRange[];
  gids: readonly IdRange[];
}

/**
 * Returns the first free ids of the pool, the same count of users and of groups. Pure.
 * @param taken the mappings of all containers
 * @throws LighterError "unavailable" when the pool has not so many in one piece
 */
export function allocate(pool: IdPool, taken: readonly IdMappings[], count: number): IdMappings {
  const find = (kind: keyof IdPool) => {
    const used = taken.flatMap((mappings) => rangesOf(mappings[kind]));
    const first = firstFree(pool[kind], used, count);
    if (first !== undefined) return [{ containerID: 0, hostID: first, size: count }];
    const all = pool[kind].reduce((sum, range) => sum + range.count, 0);
    throw new LighterError(
      "unavailable",
      `no ${count} free ${kind} in a row for a user namespace: ${used.length} ranges of ${all} ids are in use`,
      {
        hint:
          all === 0
            ? "this daemon, itself in a user namespace, cannot map owners of files: use --userns=host"
            : `remove containers, or give the user "${POOL_OWNER}" more in /etc/sub${kind.slice(0, -1)}`,
      },
    );
  };
  return { uids: find("uids"), gids: find("gids") };
}

/** The user whose subordinate ids containers get. */
export const POOL_OWNER = "lighter";

function firstFree(ranges: readonly IdRange[], used: readonly IdRange[], count: number): number | undefined {
  for (const range of ranges) {
    const end = range.first + range.count;
    const inRange = used.filter((each) => overlaps(each, range)).sort((a, b) => a.first - b.first);
    let first = range.first;
    for (const each of inRange) {
      if (first + count <= each.first) break;
      first = Math.max(first, each.first + each.count);
    }
    if (first + count <= end) return first;
  }
  return undefined;
}

/** Removes `holes` from `ranges`. */
export function without(ranges: readonly IdRange[], holes: readonly IdRange[]): IdRange[] {
  return holes.reduce<IdRange[]>(
    (left, hole) =>
      left.flatMap(({ first, count }) => {
        const end = first + count;
        const pieces = [
          { first, count: Math.min(end, hole.first) - first },
          { first: Math.max(first, hole.first + hole.count), count: 0 },
        ];
        pieces[1]!.count = end - pieces[1]!.first;
        return overlaps({ first, count }, hole) ? pieces.filter((piece) => piece.count > 0) : [{ first, count }];
      }),
    [...ranges],
  );
}

/** Tells whether `mappings` are ids of the pool, so that a container may keep them. */
export function isWithin({ uids, gids }: IdMappings, pool: IdPool): boolean {
  const holds = (ranges: readonly IdRange[], { first, count }: IdRange) =>
    ranges.some((range) => first >= range.first && first + count <= range.first + range.count);
  return (
    rangesOf(uids).every((range) => holds(pool.uids, range)) && rangesOf(gids).every((range) => holds(pool.gids, range))
  );
}
