/** Makes the table by which the small engine's stacks name files of the project: `src/shims/positions.ts` reads it. */
interface SourceMap {
  sources: string[];
  mappings: string;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The numbers of one segment of a source map: base 64, five bits a digit, the lowest first, the sign in the lowest bit. */
function decodeSegment(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value += (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}

/** A text: the files, a line each, then an empty one, then "FILE LINE" for each line of the bundle, where that differs from the next one. */
export function packPositions({ sources, mappings }: SourceMap): string {
  const lines: string[] = [];
  let [source, sourceLine] = [0, 0];
  let before = "";
  for (const [at, segments] of mappings.split(";").entries()) {
    let first: string | undefined;
    for (const segment of segments === "" ? [] : segments.split(",")) {
      const [, file, line] = decodeSegment(segment);
      if (file === undefined || line === undefined) continue;
      source += file;
      sourceLine += line;
      first ??= `${source} ${sourceLine + 1 - at}`;
    }
    if (first !== undefined && first !== before) lines.push(`${at + 1} ${first}`);
    before = first ?? before;
  }
  return `${sources.map((path) => path.replace(/^(\.\.\/)+/, "")).join("\n")}\n\n${lines.join("\n")}`;
}
