/** Decides what goes from the cache of builds. Source: moby/buildkit cache/manager.go. */

/** What a build has left for the next. */
export interface CacheRecord {
  id: string;
  /** BuildKit's word for what it is. */
  type: "regular" | "exec.cachemount" | "source.local" | "source.git.checkout";
  description: string;
  /** The records that it was made of; they stay as long as it does. */
  parents: readonly string[];
  sizeBytes: number;
  /** A build needs it now. */
  isInUse: boolean;
  /** An image has its files, too. */
  isShared: boolean;
  createdMs: number;
  lastUsedMs: number;
  usageCount: number;
}

/** Rules of one prune. Sizes of 0 are no rules. */
export interface PruneRules {
  /** Whether what images share goes, too. */
  all: boolean;
  matches: (record: CacheRecord) => boolean;
  /** What was used within that time stays. */
  unusedForMs: number;
  /** Nothing goes any more when no more than that is left. */
  reservedBytes: number;
  /** What the cache may take; the oldest goes first. */
  maxUsedBytes: number;
  /** What is to be free on the disk. */
  minFreeBytes: number;
}

export const NO_RULES: PruneRules = {
  ...{ all: false, matches: () => true, unusedForMs: 0, reservedBytes: 0, maxUsedBytes: 0, minFreeBytes: 0 },
};

interface Circumstances {
  nowMs: number;
  /** The free space on the disk. */
  freeBytes: number;
}

/** Chooses the records that go, in the order of their removal: those that others are made of come after these. */
export function choosePruned(
  records: readonly CacheRecord[],
  rules: PruneRules,
  circumstances: Circumstances,
): CacheRecord[] {
  const { all, matches, unusedForMs } = rules;
  const left = new Set(records);
  const children = new Map<string, number>();
  for (const { parents } of records) for (const id of parents) children.set(id, (children.get(id) ?? 0) + 1);
  let totalBytes = records.reduce((sum, record) => sum + ownBytes(record), 0);
  const kept = bytesToKeep(totalBytes, rules, circumstances);
  const mayGo = (record: CacheRecord) =>
    !record.isInUse &&
    (all || !record.isShared) &&
    (children.get(record.id) ?? 0) === 0 &&
    (unusedForMs === 0 || record.lastUsedMs <= circumstances.nowMs - unusedForMs) &&
    matches(record);
  const chosen: CacheRecord[] = [];
  for (;;) {
    if (kept !== undefined && totalBytes <= kept) return chosen;
    let oldest: CacheRecord | undefined;
    for (const record of left) if (mayGo(record) && (oldest === undefined || isOlder(record, oldest))) oldest = record;
    if (oldest === undefined) return chosen;
    left.delete(oldest);
    chosen.push(oldest);
    totalBytes -= ownBytes(oldest);
    for (const id of oldest.parents) children.set(id, children.get(id)! - 1);
  }
}

function isOlder(one: CacheRecord, other: CacheRecord): boolean {
  if (one.lastUsedMs !== other.lastUsedMs) return one.lastUsedMs < other.lastUsedMs;
  return one.usageCount < other.usageCount;
}

/** What it takes beside the images. */
export function ownBytes({ isShared, sizeBytes }: CacheRecord): number {
  return isShared ? 0 : sizeBytes;
}

/** Returns undefined if there is no limit: then all goes that may. */
function bytesToKeep(
  totalBytes: number,
  { reservedBytes, maxUsedBytes, minFreeBytes }: PruneRules,
  { freeBytes }: Circumstances,
): number | undefined {
  if (reservedBytes === 0 && maxUsedBytes === 0 && minFreeBytes === 0) return undefined;
  const wanted = [
    ...(maxUsedBytes === 0 ? [] : [maxUsedBytes]),
    ...(minFreeBytes === 0 ? [] : [totalBytes - Math.max(minFreeBytes - freeBytes, 0)]),
  ];
  return Math.max(wanted.length === 0 ? 0 : Math.min(...wanted), reservedBytes);
}
