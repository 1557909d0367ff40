/**
 * Encodes `--filter` texts ("name=value") as the API's JSON, undefined if there are none.
 * @throws Error "bad format of filter…"
 */
export function encodeFilters(texts: readonly string[]): string | undefined {
  const given = texts.filter((text) => text !== "");
  if (given.length === 0) return undefined;
  const filters: Record<string, Record<string, true>> = {};
  for (const text of given) {
    const equals = text.indexOf("=");
    if (equals === -1) throw new Error("invalid argument: bad format of filter (expected name=value)");
    const name = text.slice(0, equals).toLowerCase().trim();
    const value = text.slice(equals + 1).trim();
    filters[name] = { ...filters[name], [value]: true };
  }
  return JSON.stringify(filters);
}

/** Checks one `--filter` when it is parsed. An empty one is ignored. */
export function parseFilter(text: string): string {
  if (text !== "" && !text.includes("=")) throw new Error("bad format of filter (expected name=value)");
  return text;
}
