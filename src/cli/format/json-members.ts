/**
 * Splits a JSON object into its members as texts, so that what we do not know is written back unchanged: big numbers,
 * the order of keys, keys that JavaScript would reorder. `json` must be a valid JSON object.
 */
export function splitMembers(json: string): [key: string, value: string][] {
  const members: [string, string][] = [];
  let depth = 0;
  let key: string | undefined;
  let from = 0;
  for (const { 0: token, index } of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/g)) {
    if (depth === 1 && key === undefined && token.startsWith('"')) key = JSON.parse(token) as string;
    else if (depth === 1 && token === ":" && from === 0) from = index + 1;
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    const ends = (depth === 1 && token === ",") || (depth === 0 && token === "}");
    if (!ends || key === undefined) continue;
    members.push([key, json.slice(from, index).trim()]);
    key = undefined;
    from = 0;
  }
  return members;
}

export function joinMembers(members: readonly (readonly [key: string, value: string])[]): string {
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(",")}}`;
}

/** Replaces the value of `key` in its place, or adds it at the end. */
export function setMember(members: readonly [string, string][], key: string, value: string): [string, string][] {
  if (!members.some(([name]) => name === key)) return [...members, [key, value]];
  return members.map(([name, old]) => [name, name === key ? value : old]);
}
