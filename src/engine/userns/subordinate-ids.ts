import { ID_END, type IdRange } from "./id-mappings.ts";

/** Source: subuid(5): "OWNER:FIRST:COUNT", an owner a login name or a uid. */
export interface SubordinateIds extends IdRange {
  owner: string;
}

/** Lines that make no sense give nobody any ids, as for newuidmap(1). */
export function parseSubordinateIds(text: string): SubordinateIds[] {
  return text.split("\n").flatMap((line) => {
    const [, owner = "", first, count] = /^\s*([^:#\s]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    const range = { owner, first: Number(first), count: Number(count) };
    return range.count > 0 && range.first + range.count <= ID_END ? [range] : [];
  });
}

/** In the file's order. `names`: a user may be listed by name and by number. */
export function rangesOwnedBy(entries: readonly SubordinateIds[], names: readonly string[]): IdRange[] {
  return entries.filter(({ owner }) => names.includes(owner)).map(({ first, count }) => ({ first, count }));
}
