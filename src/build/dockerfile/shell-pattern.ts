/** Patterns of "${NAME#pattern}" and its like: "*" and "?", which a backslash makes characters like any other. */

const ANY = 0;
const ONE = 1;

/** Characters that stand for themselves, and the two that do not. */
export type ShellPattern = readonly (string | typeof ANY | typeof ONE)[];

/** What is wrong with it is returned as a text. */
export function parseShellPattern(text: string): ShellPattern | string {
  const pattern: (string | typeof ANY | typeof ONE)[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === "*") pattern.push(ANY);
    else if (char === "?") pattern.push(ONE);
    else if (char !== "\\") pattern.push(char);
    else {
      const next = text[++at] ?? "";
      if (!["*", "?", "\\", "}", "/"].includes(next)) return `invalid escape '\\${next}'`;
      pattern.push(next);
    }
  }
  return pattern;
}

/** Whether the pattern stands for the whole text. Time is bounded by the product of both lengths. */
export function matchesShellPattern(pattern: ShellPattern, text: string): boolean {
  let [p, t] = [0, 0];
  /** Where to go on if the star seen last stands for one character more. */
  let star: { p: number; t: number } | undefined;
  while (t < text.length) {
    if (pattern[p] === ANY) star = { p: ++p, t };
    else if (p < pattern.length && (pattern[p] === ONE || pattern[p] === text[t])) [p, t] = [p + 1, t + 1];
    else if (star !== undefined) [p, t] = [star.p, ++star.t];
    else return false;
  }
  while (pattern[p] === ANY) p++;
  return p === pattern.length;
}
