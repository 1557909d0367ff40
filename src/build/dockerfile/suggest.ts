/** "did you mean …?": the nearest of what there is, if it is near. Source: moby/buildkit util/suggest. */

import { SUGGESTIONS_MAX } from "../../base/limits.ts";

const MAX_DISTANCE = 2;

/** Undefined also if one of the options is the text itself: then something else is wrong with it. */
export function suggest(text: string, options: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let least = MAX_DISTANCE + 1;
  let looked = 0;
  for (const option of options) {
    if (option === text) return undefined;
    if (++looked > SUGGESTIONS_MAX) break;
    const found = distance(text, option);
    if (found < least) [nearest, least] = [option, found];
  }
  return nearest;
}

/** `message`, and what may have been meant. */
export function withSuggestion(message: string, text: string, options: Iterable<string>): string {
  const nearest = suggest(text, options);
  return nearest === undefined ? message : `${message} (did you mean ${nearest}?)`;
}

/** Insertions, removals and replacements that make one text of another. Above MAX_DISTANCE: some number above it. */
function distance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > MAX_DISTANCE) return MAX_DISTANCE + 1;
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let y = 1; y <= from.length; y++) {
    const next = [y];
    for (let x = 1; x <= to.length; x++) {
      const replaced = row[x - 1]! + (from[y - 1] === to[x - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[x]! + 1, next[x - 1]! + 1));
    }
    if (Math.min(...next) > MAX_DISTANCE) return MAX_DISTANCE + 1;
    row = next;
  }
  return row[to.length]!;
}
