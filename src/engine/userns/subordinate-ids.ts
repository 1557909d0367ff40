/** Parses /etc/subuid and /etc/subgid. */
import { ID_END, type IdRange } from "./id-mappings.ts";

/** A line "OWNER:FIRST:COUNT", the owner being a login name or a uid. Source: subuid(5). */
export interface SubordinateIds extends IdRange {
  owner: string;
}

/** Parses the file. Lines that make no sense give nobody any ids, as for newuidmap(1). */
export function parseSubordinateIds(text: string): SubordinateIds[] {
  return text.split("\n").flatMap((line) => {
    const [, owner = "", first, count] = /^\s*([^:#\s]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    const range = { owner, first: Number(first), count: Number(count) };
    return range.count > 0 && range.first + range.count <= ID_END ? [range] : [];
  });
}

/** Returns the ranges of a user, in the file's order. `names`: a user may be listed by name and by number. */
export function rangesOwnedBy(entries: readonly SubordinateIds[], names: readonly string[]): IdRange[] {
  return entries.filter(({ owner }) => names.includes(owner)).map(({ first, count }) => ({ first, count }));
}
