/** Arguments written as a JSON array: `CMD ["a", "b"]`. Anything that is no such array is written for the shell. */
import { invalid } from "./error.ts";

/** Undefined for anything that is no JSON array. @throws LighterError ("invalid"). */
export function parseJsonStrings(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // then it is a shell command that begins with "["
  }
  if (!Array.isArray(value) || !value.every((element) => typeof element === "string"))
    throw invalid("when using JSON array syntax, arrays must be comprised of strings only");
  return value;
}
