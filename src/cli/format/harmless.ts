/**
 * What comes from images, containers and labels may hold what a terminal obeys: it would move the cursor, rename the window, or type on
 * its own. On a terminal such characters are shown as Go's escapes.
 */
import { goQuote } from "../../base/go-escapes.ts";

/** All control characters but tab and line feed. */
const CONTROL = /[^\P{Cc}\t\n]/u;
/** Each of them, and those that begin a change of colour together with it. */
const CONTROLS = /[^\P{Cc}\t\n](\[[0-9;]*m)?/gu;

/** Colours that the user's own format has. */
const wanted = new Set<string>();

/** From here on the colours in `format`, which is the user's, are left as they are. */
export function keepColoursOf(format: string): void {
  for (const [sequence, colour] of format.matchAll(CONTROLS)) if (colour !== undefined) wanted.add(sequence);
}

export function holdsControls(text: string): boolean {
  return CONTROL.test(text);
}

/** "\x1b[2J" in eight characters that do nothing. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (sequence) => (wanted.has(sequence) ? sequence : goQuote(sequence).slice(1, -1)));
}
