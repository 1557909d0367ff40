/** The order in which machines start with their host, and stop with it. */
import { LighterError } from "../base/errors.ts";
import { BOOT_LABELS } from "../spec/machine-labels.ts";

const DELAY_MAX_S = 3600;

/** What a machine's labels say of its place among others. */
export interface BootPlace {
  /** Those with a lower number start before. */
  order: number;
  /** The seconds between its start and that of those after it. */
  delayS: number;
  /** The names of those that run before it starts. */
  after: readonly string[];
}

/** @throws LighterError "invalid" */
export function parseBootPlace(labels: Readonly<Record<string, string>>): BootPlace {
  const read = (label: string, shape: RegExp, max: number) => {
    const text = labels[label] ?? "0";
    if (!shape.test(text) || Math.abs(Number(text)) > max)
      throw new LighterError("invalid", `label ${label}: "${text}" is not a whole number up to ${max}`);
    return Number(text);
  };
  return {
    order: read(BOOT_LABELS.order, /^-?\d{1,9}$/, 1_000_000),
    delayS: read(BOOT_LABELS.delay, /^\d{1,9}$/, DELAY_MAX_S),
    after: (labels[BOOT_LABELS.after] ?? "").split(",").flatMap((name) => name.trim() || []),
  };
}

interface Bootable {
  readonly order: number;
  /** Those of the same list that come before it, by their place there. */
  readonly needs: readonly number[];
}

/**
 * Sorts into groups, to be started one after another: what is needed is in an earlier group, and then the order decides. Within a
 * group the list's order stays. Of a circle of needs one is passed over.
 */
export function bootGroups<T extends Bootable>(items: readonly T[]): T[][] {
  const keys: (readonly [order: number, level: number] | undefined)[] = items.map(() => undefined);
  const onTheWay = new Set<number>();
  const keyOf = (index: number): readonly [number, number] => {
    const known = keys[index];
    if (known !== undefined) return known;
    const item = items[index]!;
    onTheWay.add(index);
    let [order, level] = [item.order, 0];
    for (const needed of item.needs) {
      if (onTheWay.has(needed)) continue;
      const [itsOrder, itsLevel] = keyOf(needed);
      if (itsOrder > order) [order, level] = [itsOrder, itsLevel + 1];
      else if (itsOrder === order) level = Math.max(level, itsLevel + 1);
    }
    onTheWay.delete(index);
    keys[index] = [order, level];
    return [order, level];
  };
  const sorted = items.map((item, index) => ({ item, key: keyOf(index) }));
  sorted.sort((a, b) => a.key[0] - b.key[0] || a.key[1] - b.key[1]);
  const groups = Map.groupBy(sorted, ({ key }) => key.join());
  return [...groups.values()].map((group) => group.map(({ item }) => item));
}
