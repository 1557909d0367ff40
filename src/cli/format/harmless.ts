/**
 * Protects the terminal from text of images, containers and labels, which may contain control sequences: they could
 * move the cursor, rename the window or type commands. On a terminal such characters are shown as Go's escapes.
 */
import { goQuote } from "../../base/go-escapes.ts";

/** Matches a control character other than tab and line feed. */
const CONTROL = /[^\P{Cc}\t\n]/u;
/** Matches all of them, including the rest of a colour sequence that one begins. */
const CONTROLS = /[^\P{Cc}\t\n](\[[0-9;]*m)?/gu;

/** Colour sequences in the user's own format. */
const wanted = new Set<string>();

/** Leaves the colours of `format` unescaped from here on: the format is the user's own. */
export function keepColoursOf(format: string): void {
  for (const [sequence, colour] of format.matchAll(CONTROLS)) if (colour !== undefined) wanted.add(sequence);
}

export function holdsControls(text: string): boolean {
  return CONTROL.test(text);
}

/** Escapes control characters: a clear-screen sequence becomes the eight harmless characters "\x1b[2J". */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (sequence) => (wanted.has(sequence) ? sequence : goQuote(sequence).slice(1, -1)));
}
