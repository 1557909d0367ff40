/**
 * Compiles a pattern of Go's path.Match. "*" and "?" stand for anything but a slash, "[a-c]" and "[^a-c]" for one character of a
 * set, and a backslash makes the next character literal. Undefined if the pattern is malformed. Matching takes time of at most
 * the product of both lengths.
 */
export function compilePathPattern(pattern: string): ((path: string) => boolean) | undefined {
  const parts = parsePattern(pattern);
  return parts && ((path) => matches(parts, path));
}

/** "*", or a test for one character. */
type Part = "*" | ((char: string) => boolean);

function parsePattern(pattern: string): Part[] | undefined {
  const chars = [...pattern];
  const parts: Part[] = [];
  for (let at = 0; at < chars.length; ) {
    const char = chars[at++]!;
    if (char === "*") parts.push("*");
    else if (char === "?") parts.push((other) => other !== "/");
    else if (char === "[") {
      const set = parseSet(chars, at);
      if (set === undefined) return undefined;
      parts.push(set.part);
      at = set.end;
    } else {
      const literal = char === "\\" ? chars[at++] : char;
      if (literal === undefined) return undefined;
      parts.push((other) => other === literal);
    }
  }
  return parts;
}

function parseSet(chars: readonly string[], start: number): { part: Part; end: number } | undefined {
  const ranges: [low: string, high: string][] = [];
  let at = start;
  const isNegated = chars[at] === "^";
  if (isNegated) at++;
  const next = (): string | undefined => {
    const char = chars[at++];
    if (char === "\\") return chars[at++];
    return char === "-" || char === "]" ? undefined : char;
  };
  while (chars[at] !== "]" || ranges.length === 0) {
    const low = next();
    if (low === undefined) return undefined;
    let high: string | undefined = low;
    if (chars[at] === "-") {
      at++;
      high = next();
    }
    if (high === undefined) return undefined;
    ranges.push([low, high]);
  }
  const isIn = (char: string) =>
    ranges.some(
      ([low, high]) => char.codePointAt(0)! >= low.codePointAt(0)! && char.codePointAt(0)! <= high.codePointAt(0)!,
    );
  return { part: (char) => char !== "/" && isIn(char) !== isNegated, end: at + 1 };
}

function matches(parts: readonly Part[], path: string): boolean {
  const chars = [...path];
  let [p, c] = [0, 0];
  /** Where to go on if the last star stands for one more character. */
  let star: { p: number; c: number } | undefined;
  for (;;) {
    const part = parts[p];
    if (part === "*") star = { p: ++p, c };
    else if (c < chars.length && part !== undefined && part(chars[c]!)) [p, c] = [p + 1, c + 1];
    else if (c === chars.length && part === undefined) return true;
    else if (star !== undefined && star.c < chars.length && chars[star.c] !== "/") [p, c] = [star.p, ++star.c];
    else return false;
  }
}
