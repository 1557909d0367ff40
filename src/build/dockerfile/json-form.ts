/** Arguments written as a JSON array: `CMD ["a", "b"]`. Anything that is no such array is written for the shell. */
import { invalid } from "./error.ts";

/** Undefined for anything that does not begin with a JSON array. @throws LighterError ("invalid"). */
export function parseJsonStrings(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.slice(0, endOfArray(text)));
  } catch {
    return undefined; // then it is a shell command that begins with "["
  }
  if (!Array.isArray(value) || !value.every((element) => typeof element === "string"))
    throw invalid("when using JSON array syntax, arrays must be comprised of strings only");
  return value;
}

/** Where the array ends that a text begins with. As with BuildKit, what follows it counts for nothing. */
function endOfArray(text: string): number {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:\\.|[^"\\])*"|[[\]]/gs)) {
    if (token === "[") depth++;
    else if (token === "]" && --depth === 0) return index + 1;
  }
  return text.length;
}
