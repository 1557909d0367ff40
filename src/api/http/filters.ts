/** The `filters` parameter of lists and prunes. */
import { LighterError } from "../../base/errors.ts";
import { compilePattern } from "../../base/linear-pattern.ts";

function invalidFilter(what?: string): LighterError {
  return new LighterError("invalid", what === undefined ? "invalid filter" : `invalid filter '${what}'`);
}

/** The parsed `filters` parameter: each name has one or more values, any of which may match. */
export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /** Parses like `parse`, but ignores unknown names. @throws LighterError "invalid" */
  static parseAny(json: string | undefined): Filters {
    return Filters.parse(json, undefined);
  }

  /**
   * Parses JSON of the form `{"name": ["value"]}` or, from old clients, `{"name": {"value": true}}`, where false counts as much.
   * @throws LighterError "invalid", with Docker's texts, also for a name that is not in `known`
   */
  static parse(json: string | undefined, known: readonly string[] | undefined): Filters {
    if (json === undefined) return new Filters(new Map());
    let parsed: unknown;
    try {
      parsed = JSON.parse(json);
    } catch {
      throw invalidFilter();
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw invalidFilter();
    const values = new Map<string, readonly string[]>();
    for (const [name, given] of Object.entries(parsed)) {
      if (known !== undefined && !known.includes(name)) throw invalidFilter(name);
      if (typeof given !== "object" || given === null) throw invalidFilter();
      const list: unknown[] = Array.isArray(given) ? given : Object.keys(given);
      if (!list.every((value) => typeof value === "string")) throw invalidFilter();
      if (list.length > 0) values.set(name, list);
    }
    return new Filters(values);
  }

  /** The values of one filter; undefined if it is not given. */
  get(name: string): readonly string[] | undefined {
    return this.#values.get(name);
  }

  /** Whether no values are given, or `matches` holds for one of them. */
  any(name: string, matches: (value: string) => boolean): boolean {
    return this.#values.get(name)?.some(matches) ?? true;
  }

  /** Whether `matches` holds for every given value, as for labels. */
  all(name: string, matches: (value: string) => boolean): boolean {
    return this.#values.get(name)?.every(matches) ?? true;
  }

  /** The value of a filter that is true or false. @throws LighterError "invalid" */
  boolean(name: string): boolean | undefined {
    const values = this.#values.get(name);
    if (values === undefined) return undefined;
    const isTrue = values.some((value) => value === "1" || value === "true");
    const isFalse = values.some((value) => value === "0" || value === "false");
    if (isTrue === isFalse) throw invalidFilter(`${name}=[${values.join(" ")}]`);
    return isTrue;
  }

  /** Whether labels have all of the given "key" or "key=value", and not all of those given as `label!`. */
  matchesLabels(labels: Readonly<Record<string, string>>): boolean {
    const has = (wanted: string) => hasLabel(labels, wanted);
    return this.all("label", has) && !(this.#values.get("label!")?.every(has) ?? false);
  }
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  const key = at === -1 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at === -1 || labels[key] === wanted.slice(at + 1));
}

/** The last compiled pattern: all entries of a list are matched with the same one. */
let compiled: { pattern: string; matches: ReturnType<typeof compilePattern> } | undefined;

/** Matches names and ids as Docker does: a regular expression anywhere in them, or the text itself. */
export function matchesPattern(pattern: string, text: string): boolean {
  if (text.includes(pattern)) return true;
  if (compiled?.pattern !== pattern) compiled = { pattern, matches: compilePattern(pattern) };
  return compiled.matches?.(text) ?? false;
}
