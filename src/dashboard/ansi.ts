/** Text of terminals: pieces with colours, without any other escape. */

export interface Piece {
  text: string;
  /** Names of classes: "c1" to "c15" for colours, "bold", "dim", "under". */
  style: string;
}

/** A line longer than this is cut off: it would hold the page up. */
const LINE_MAX = 10_000;

const ESCAPES = /\u001b\[([\d;:]*)([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b./g;

export function parseAnsi(line: string): Piece[] {
  const text = line.length > LINE_MAX ? `${line.slice(0, LINE_MAX)}…` : line;
  const pieces: Piece[] = [];
  const style = { colour: "", marks: new Set<string>() };
  let at = 0;
  const add = (end: number) => {
    const piece = clean(text.slice(at, end));
    if (piece !== "") pieces.push({ text: piece, style: [style.colour, ...style.marks].filter(Boolean).join(" ") });
  };
  for (const match of text.matchAll(ESCAPES)) {
    add(match.index);
    at = match.index + match[0].length;
    if (match[2] === "m") applyCodes(style, match[1] ?? "");
  }
  add(text.length);
  return pieces;
}

/** Source: ECMA-48, 8.3.117 "SGR". */
function applyCodes(style: { colour: string; marks: Set<string> }, codes: string): void {
  const numbers = codes.split(/[;:]/).map(Number);
  for (let i = 0; i < numbers.length; i++) {
    const code = numbers[i]!;
    if (code === 0) {
      style.colour = "";
      style.marks.clear();
    } else if (code === 1) style.marks.add("bold");
    else if (code === 2) style.marks.add("dim");
    else if (code === 4) style.marks.add("under");
    else if (code === 22) for (const mark of ["bold", "dim"]) style.marks.delete(mark);
    else if (code === 24) style.marks.delete("under");
    else if (code >= 30 && code <= 37) style.colour = `c${code - 30}`;
    else if (code >= 90 && code <= 97) style.colour = `c${code - 82}`;
    else if (code === 39) style.colour = "";
    else if (code === 38 || code === 48) i += numbers[i + 1] === 5 ? 2 : 4; // colours that no theme has
  }
}

/** Control characters, and those that turn text around, are shown as what they are: nothing that acts. */
function clean(text: string): string {
  return text.replace(/[\n\r]+$/, "").replace(/(?!\t)[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\u00b7");
}
