/** As much of bun:test as the pure tests use, for running them inside the small engine. */
type Work = (...args: never[]) => unknown;

interface Case {
  name: string;
  run: () => unknown;
  before: Work[];
  after: Work[];
}

/**
 * Tests of what is the other engine's, by the beginning of their names: what the short commands have no use for, and the words of
 * its JSON parser.
 */
const ELSEWHERE = [
  "who gives up leaves the queue", // AbortController
  "a signal that comes when the turn", // AbortController
  "readMetadata makes a platform", // YAML
  "metadata cannot add instructions", // YAML
  "code that has run is no longer resident", // a daemon's
  "planStart > leaves the request as it was", // structuredClone
  "parseExactJson names the document that is not JSON",
];

const cases: Case[] = [];
let [names, before, after, allBefore, allAfter]: [string[], Work[], Work[], Work[], Work[]] = [[], [], [], [], []];

function add(name: string, run: () => unknown): void {
  if (ELSEWHERE.some((beginning) => [...names, name].join(" > ").startsWith(beginning))) return;
  cases.push({ name: [...names, name].join(" > "), run, before: [...before], after: [...after] });
}

/** "%s" and such become the row's values, "$name" its fields. */
function nameOf(name: string, row: unknown): string {
  const values = Array.isArray(row) ? [...row] : [row];
  return name.replace(/%[a-z]/g, () => shown(values.shift()));
}

function each(rows: readonly unknown[]) {
  return (name: string, run: Work) => {
    for (const row of rows)
      add(nameOf(name, row), () =>
        (run as (...args: unknown[]) => unknown)(...(Array.isArray(row) ? (row as unknown[]) : [row])),
      );
  };
}

const skip = () => {};

export const test = Object.assign(add, {
  each,
  skip,
  skipIf: (no: boolean) => (no ? skip : add),
  if: (yes: boolean) => (yes ? add : skip),
});
export const it = test;

function group(name: string, fill: () => void): void {
  const outside = [names, before, after] as const;
  [names, before, after] = [[...names, name], [...before], [...after]];
  fill();
  [names, before, after] = [...outside] as [string[], Work[], Work[]];
}

export const describe = Object.assign(group, {
  each: (rows: readonly unknown[]) => (name: string, fill: Work) => {
    for (const row of rows) group(nameOf(name, row), () => void (fill as (given: unknown) => void)(row));
  },
  skip,
});

export const beforeEach = (work: Work) => void before.push(work);
export const afterEach = (work: Work) => void after.unshift(work);
export const beforeAll = (work: Work) => void allBefore.push(work);
export const afterAll = (work: Work) => void allAfter.push(work);
export const setDefaultTimeout = skip;

function shown(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `function ${value.name}`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Uint8Array) return `bytes [${[...value].join(" ")}]`;
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? `${each}n` : each));
  return text ?? String(value);
}

/** An expectation inside of a value, such as expect.any(Number). */
class Matcher {
  constructor(readonly matches: (value: unknown) => boolean) {}
}

type Fields = Record<PropertyKey, unknown>;
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

/** `partly`: fields that are not wanted do not matter. `strictly`: an undefined field is not the same as none. */
function equal(value: unknown, wanted: unknown, how: "partly" | "strictly" | "" = ""): boolean {
  if (wanted instanceof Matcher) return wanted.matches(value);
  if (Object.is(value, wanted)) return true;
  if (!isObject(value) || !isObject(wanted)) return false;
  if (wanted instanceof Date) return value instanceof Date && value.getTime() === wanted.getTime();
  if (wanted instanceof RegExp) return String(value) === String(wanted);
  if (wanted instanceof Error) return value instanceof Error && value.message === wanted.message;
  if (wanted instanceof Set || wanted instanceof Map)
    return isSame(value, wanted) && equal([...(value as unknown as Iterable<unknown>)], [...wanted], how);
  if (Array.isArray(wanted) !== Array.isArray(value)) return false;
  if (ArrayBuffer.isView(wanted) || Array.isArray(wanted)) {
    const [a, b] = [value, wanted] as unknown as [ArrayLike<unknown>, ArrayLike<unknown>];
    if (a.length !== b.length || (how === "strictly" && !isSame(value, wanted))) return false;
    for (let i = 0; i < b.length; i++) if (!equal(a[i], b[i], how)) return false;
    return true;
  }
  const keys = Reflect.ownKeys(wanted).filter((key) => how !== "" || wanted[key] !== undefined);
  if (how !== "partly") {
    const own = Reflect.ownKeys(value).filter((key) => how === "strictly" || value[key] !== undefined);
    if (own.length !== keys.length) return false;
  }
  return keys.every((key) => key in value && equal(value[key], wanted[key], how));
}

const isSame = (value: object, wanted: object) => value.constructor === wanted.constructor;

function contains(value: unknown, wanted: unknown, same: (a: unknown, b: unknown) => boolean): boolean {
  if (typeof value === "string") return value.includes(wanted as string);
  for (const item of value as Iterable<unknown>) if (same(item, wanted)) return true;
  return false;
}

function isThrown(error: unknown, wanted: unknown): boolean {
  const message = error instanceof Error ? error.message : String(error);
  if (wanted === undefined) return true;
  if (typeof wanted === "string") return message.includes(wanted);
  if (wanted instanceof RegExp) return wanted.test(message);
  if (typeof wanted === "function") return error instanceof wanted;
  if (wanted instanceof Error) return message === wanted.message;
  return equal(error, wanted, "partly");
}

function thrownBy(work: unknown): { error: unknown } | undefined {
  try {
    (work as () => void)();
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** A failed function of `toThrow` that was rejected is the error itself. */
const hasThrown = (value: unknown, wanted: unknown) => {
  const thrown = typeof value === "function" ? thrownBy(value) : { error: value };
  return thrown !== undefined && isThrown(thrown.error, wanted);
};

function propertyOf(value: unknown, path: string | readonly string[]): unknown {
  const names = typeof path === "string" ? path.split(".") : path;
  return names.reduce<unknown>((found, name) => (isObject(found) ? found[name] : undefined), value);
}

const CHECKS: Readonly<Record<string, (value: never, ...wanted: never[]) => boolean>> = {
  toBe: Object.is,
  toEqual: (value: unknown, wanted: unknown) => equal(value, wanted),
  toStrictEqual: (value: unknown, wanted: unknown) => equal(value, wanted, "strictly"),
  toMatchObject: (value: unknown, wanted: unknown) => equal(value, wanted, "partly"),
  toThrow: hasThrown,
  toBeUndefined: (value: unknown) => value === undefined,
  toBeDefined: (value: unknown) => value !== undefined,
  toBeNull: (value: unknown) => value === null,
  toBeTrue: (value: unknown) => value === true,
  toBeFalse: (value: unknown) => value === false,
  toBeTruthy: Boolean,
  toContain: (value: unknown, wanted: unknown) => contains(value, wanted, Object.is),
  toContainEqual: (value: unknown, wanted: unknown) => contains(value, wanted, equal),
  toHaveLength: (value: ArrayLike<unknown>, wanted: number) => value.length === wanted,
  toHaveProperty: (value: unknown, path: string) => propertyOf(value, path) !== undefined,
  toMatch: (value: string, wanted: RegExp | string) =>
    typeof wanted === "string" ? value.includes(wanted) : wanted.test(value),
  toStartWith: (value: string, wanted: string) => value.startsWith(wanted),
  toEndWith: (value: string, wanted: string) => value.endsWith(wanted),
  toBeInstanceOf: (value: unknown, wanted: new () => unknown) => value instanceof wanted,
  toBeGreaterThan: (value: number, wanted: number) => value > wanted,
  toBeGreaterThanOrEqual: (value: number, wanted: number) => value >= wanted,
  toBeLessThan: (value: number, wanted: number) => value < wanted,
  toBeLessThanOrEqual: (value: number, wanted: number) => value <= wanted,
  toBeCloseTo: (value: number, wanted: number, digits = 2) => Math.abs(value - wanted) < 10 ** -digits / 2,
};

function check(name: string, value: unknown, wanted: unknown[], negated: boolean): void {
  if ((CHECKS[name] as (...args: unknown[]) => boolean)(value, ...wanted) !== negated) return;
  throw new Error(`expect(${shown(value)})${negated ? ".not" : ""}.${name}(${wanted.map(shown).join(", ")})`);
}

async function rejectionOf(value: unknown): Promise<unknown> {
  try {
    await (typeof value === "function" ? (value as () => unknown)() : value);
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

/** What `expect` returns. The checks are methods of its prototype, since tests make expectations by the hundred thousand. */
class Expectation {
  constructor(
    readonly value: unknown,
    readonly negated = false,
    /** Resolves to what is checked, in place of `value`. */
    readonly settled?: () => Promise<unknown>,
  ) {}

  get not() {
    return new Expectation(this.value, true, this.settled);
  }

  get rejects() {
    return new Expectation(undefined, false, () => rejectionOf(this.value));
  }

  get resolves() {
    return new Expectation(undefined, false, async () => await this.value);
  }
}

for (const name of Object.keys(CHECKS))
  Object.defineProperty(Expectation.prototype, name, {
    value(this: Expectation, ...wanted: unknown[]) {
      if (this.settled === undefined) return check(name, this.value, wanted, this.negated);
      return this.settled().then((value) => check(name, value, wanted, this.negated));
    },
  });

const stringContaining = (text: string) => new Matcher((value) => typeof value === "string" && value.includes(text));

export const expect = Object.assign((value: unknown) => new Expectation(value), {
  objectContaining: (wanted: unknown) => new Matcher((value) => equal(value, wanted, "partly")),
  arrayContaining: (wanted: readonly unknown[]) =>
    new Matcher((value) => wanted.every((each) => contains(value, each, equal))),
  stringContaining,
  stringMatching: (wanted: RegExp) =>
    new Matcher((value) => typeof value === "string" && new RegExp(wanted).test(value)),
  any: (type: unknown) => new Matcher((value) => Object(value) instanceof (type as new () => unknown)),
  anything: () => new Matcher((value) => value !== undefined && value !== null),
  not: { stringContaining: (text: string) => new Matcher((value) => !stringContaining(text).matches(value)) },
});

/** Runs all tests. Prints those that fail, and how many there were. */
export async function runTests(): Promise<number> {
  let failed = 0;
  const alive = setInterval(() => {}, 60_000); // also while a test waits for what keeps no process alive
  for (const work of allBefore) await (work as () => unknown)();
  for (const { name, run, before, after } of cases) {
    try {
      for (const work of before) await (work as () => unknown)();
      await run();
    } catch (error) {
      failed++;
      console.log(`(fail) ${name}`, error);
    } finally {
      for (const work of after) await (work as () => unknown)();
    }
  }
  for (const work of allAfter) await (work as () => unknown)();
  clearInterval(alive);
  console.log(`${cases.length - failed} of ${cases.length} pass`);
  return failed === 0 ? 0 : 1;
}
