/**
 * Modes of files as `chmod` takes them: octal, or "u=rwX,go+r". Without a umask: "+x" is for everybody.
 * Sources: chmod(1); POSIX.1 chmod, "Extended Description".
 */
import { LighterError } from "../base/errors.ts";

type ModeChange = (mode: number, isDirectory: boolean) => number;

const MODE_MAX = 0o7777;
const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };
const PERMISSIONS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };
const ANY_EXECUTE = 0o111;

/** @throws LighterError ("invalid"), with BuildKit's words for a number. */
export function parseModeChange(text: string): ModeChange {
  if (/^[0-9]/.test(text)) {
    const mode = /^[0-7]{1,7}$/.test(text) ? Number.parseInt(text, 8) : MODE_MAX + 1;
    if (mode <= MODE_MAX) return () => mode;
    throw invalid(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`);
  }
  const clauses = text.split(",").map((clause) => parseClause(clause, text));
  return (mode, isDirectory) => clauses.reduce((changed, clause) => clause(changed, isDirectory), mode & MODE_MAX);
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

/** "ugo" and what to do for them, as often as is said: "u+r-w". */
function parseClause(clause: string, text: string): ModeChange {
  const [, who, actions] = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/.exec(clause) ?? [];
  if (who === undefined || actions === undefined) throw invalid(`invalid chmod parameter: '${text}'`);
  const mask = who === "" ? MODE_MAX : [...who].reduce((bits, each) => bits | WHO[each]!, 0);
  const steps = [...actions.matchAll(/([-+=])([^-+=]*)/g)];
  return (mode, isDirectory) =>
    steps.reduce((changed, [, operator, letters]) => {
      const bits = bitsOf(letters!, changed, isDirectory) & mask;
      if (operator === "+") return changed | bits;
      return operator === "-" ? changed & ~bits : (changed & ~(mask & clearedBy(isDirectory))) | bits;
    }, mode);
}

/** "=" leaves the set-id bits of a directory alone. */
function clearedBy(isDirectory: boolean): number {
  return isDirectory ? 0o1777 : MODE_MAX;
}

function bitsOf(letters: string, mode: number, isDirectory: boolean): number {
  if (/^[ugo]$/.test(letters)) {
    const shift = { u: 6, g: 3, o: 0 }[letters as "u" | "g" | "o"];
    return ((mode >> shift) & 0o7) * 0o111;
  }
  return [...letters].reduce((bits, letter) => {
    if (letter !== "X") return bits | PERMISSIONS[letter]!;
    return isDirectory || (mode & ANY_EXECUTE) !== 0 ? bits | ANY_EXECUTE : bits;
  }, 0);
}
