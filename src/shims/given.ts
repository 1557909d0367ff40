/** What callers may give: types cannot tell in every place, and what is ignored in silence is found as a hang. */

/** @throws TypeError for an option that is none of `known` */
export function checkOptions(what: string, given: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && !known.includes(name)) throw notThere(what, `option ${JSON.stringify(name)}`);
}

/** The value of a name. @throws TypeError if the table has none */
export function lookUp<Value>(what: string, table: Readonly<Record<string, Value>>, name: string): Value {
  if (Object.hasOwn(table, name)) return table[name]!;
  throw notThere(what, JSON.stringify(name));
}

function notThere(what: string, name: string): TypeError {
  return new TypeError(`${what}: the small engine has no ${name}`);
}
