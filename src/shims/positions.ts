/** Where the lines of the bundle come from. */

/** Puts files of the project into a stack, in the place of the bundle's lines. */
export function withSources(stack: string): string {
  const { positions } = globalThis as { positions?: string };
  if (positions === undefined) return stack;
  const [files = "", table = ""] = positions.split("\n\n");
  const sources = files.split("\n");
  const rows = table.split("\n").map((row) => row.split(" ").map(Number) as [number, number, number]);
  return stack.replace(/\blighter\.js:(\d+)(?::\d+)?/g, (shown, line) => {
    const [, source = -1, difference = 0] = rows.findLast(([first]) => first <= Number(line)) ?? [];
    return sources[source] === undefined ? shown : `${sources[source]}:${Number(line) - 1 + difference}`;
  });
}
