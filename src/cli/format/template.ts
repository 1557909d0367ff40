/** Evaluates `--format` templates over plain data: objects, arrays, strings, numbers, booleans, null. */
import { messageOf } from "../../base/errors.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { TEMPLATE_OUTPUT_MAX_CHARS } from "../../base/limits.ts";
import { goJson } from "./go.ts";
import { keepColoursOf } from "./harmless.ts";
import { type Node, type Operand, type Pipe, parseTemplate } from "./template-parser.ts";
import { formatG } from "./units.ts";

/** An error in a template; `stage` lets each command introduce it in the words its users know. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
  constructor(
    readonly stage: "parse" | "execute",
    cause: unknown,
  ) {
    super(`template: ${stage === "parse" ? ":1: " : ""}${messageOf(cause)}`, { cause });
  }
}

/**
 * Parses a template and returns a function that executes it over a value, any number of times. Both throw
 * TemplateError. `escapeHtml`: {{json .}} of a whole row writes "<" as \u003c, as the stock client does there and, with
 * "everywhere", for the rows inside what is shown.
 */
export function compileTemplate(source: string, escapeHtml: boolean | "everywhere" = false): (data: unknown) => string {
  keepColoursOf(source);
  const nodes = explain("parse", () => parseTemplate(source));
  return (data) => explain("execute", () => new Execution(source, data, escapeHtml).run(nodes));
}

function explain<T>(stage: "parse" | "execute", work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new TemplateError(stage, error);
  }
}

/** Puts a Go type into an error's text: the stock client's templates walk Go's types, where ours say "map". */
export function nameType(message: string, type: string): string {
  return message.replace(
    /map has no entry for key "(.*)"$/,
    (_all, name: string) => `can't evaluate field ${name} in type ${type}`,
  );
}

type Fn = (...args: unknown[]) => unknown;

/**
 * Key under which a map whose entries have a type holds what `index` finds for a missing entry. Such a map has a field
 * of every name.
 */
export const ELSE: unique symbol = Symbol("else");

/** End of a field chain that leads nowhere: it prints as "<no value>", where null prints as "<nil>". */
const NO_VALUE = undefined;

class Execution {
  #out = "";
  #variables: [string, unknown][];

  constructor(
    readonly source: string,
    readonly root: unknown,
    readonly escapeHtml: boolean | "everywhere",
  ) {
    this.#variables = [["$", root]];
  }

  run(nodes: readonly Node[]): string {
    this.#block(nodes, this.root);
    return this.#out;
  }

  #write(text: string): void {
    this.#out += text;
    if (this.#out.length > TEMPLATE_OUTPUT_MAX_CHARS)
      throw new Error(`output longer than ${TEMPLATE_OUTPUT_MAX_CHARS} characters`);
  }

  #block(nodes: readonly Node[], dot: unknown): void {
    const scope = this.#variables.length;
    for (const node of nodes) this.#node(node, dot);
    this.#variables.length = scope;
  }

  #node(node: Node, dot: unknown): void {
    if (node.kind === "text") {
      this.#write(node.text);
      return;
    }
    if (node.kind === "action") {
      // A variable declared here exists until the end of the block.
      const value = this.#pipe(node.pipe, dot);
      if (node.pipe.declare.length === 0) this.#write(value === NO_VALUE ? "<no value>" : goPrint(value));
      return;
    }
    const scope = this.#variables.length;
    if (node.kind === "range") this.#range(node, dot);
    else {
      const value = this.#pipe(node.pipe, dot);
      if (isTrue(value)) this.#block(node.then, node.kind === "with" ? value : dot);
      else this.#block(node.otherwise, dot);
    }
    this.#variables.length = scope;
  }

  #range(node: Extract<Node, { kind: "range" }>, dot: unknown): void {
    const [first, second] = node.pipe.declare;
    const value = this.#pipe({ ...node.pipe, declare: [] }, dot);
    const entries = rangeEntries(value);
    if (entries.length === 0) this.#block(node.otherwise, dot);
    const scope = this.#variables.length;
    for (const [key, item] of entries) {
      if (second !== undefined) this.#variables.push([first ?? "", key], [second, item]);
      else if (first !== undefined) this.#variables.push([first, item]);
      this.#block(node.then, item);
      this.#variables.length = scope;
    }
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    let piped: readonly unknown[] = [];
    for (const operands of pipe.commands) piped = [this.#command(operands, dot, piped)];
    const value = piped[0];
    for (const name of pipe.declare) {
      const known = pipe.assign ? this.#variables.findLast(([other]) => other === name) : undefined;
      if (pipe.assign && known === undefined) throw new Error(`undefined variable ${goQuote(name)}`);
      if (known !== undefined) known[1] = value;
      else this.#variables.push([name, value]);
    }
    return value;
  }

  /** Evaluates a command; `piped` is the value of the previous command, which becomes the last argument. */
  #command(operands: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    const [head, ...rest] = operands;
    if (head === undefined) throw new Error("missing value for command");
    if (head.kind === "field" && rest.length === 0 && piped.length === 0) {
      const value = this.#walk(dot, head, head.source); // nearly every template is just this
      return typeof value === "function" ? (value as Fn)() : value;
    }
    if (head.kind === "function") {
      const fn = Object.hasOwn(FUNCTIONS, head.name) ? FUNCTIONS[head.name] : undefined;
      if (fn === undefined) throw new Error(`function ${goQuote(head.name)} not defined`);
      if (head.name === "and" || head.name === "or") return this.#logic(head.name, rest, dot, piped);
      const args = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
      if (head.name === "json" && (args[0] === this.root || this.escapeHtml === "everywhere"))
        return goJson(args[0] ?? null, this.escapeHtml !== false);
      return fn(...args);
    }
    const value = this.#operand(head, dot);
    const args = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
    if (typeof value === "function") return (value as Fn)(...args);
    if (args.length > 0) throw new Error(`can't give argument to non-function ${describe(head)}`);
    return value;
  }

  /** Evaluates `and` and `or`, which stop at the first operand that decides. */
  #logic(name: "and" | "or", operands: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "dot":
        return dot;
      case "field":
        return this.#walk(dot, operand, operand.source);
      case "variable": {
        const known = this.#variables.findLast(([name]) => name === operand.name);
        if (known === undefined) throw new Error(`undefined variable ${goQuote(operand.name)}`);
        return this.#walk(known[1], operand, [operand.name, ...operand.fields].join("."));
      }
      case "group":
        return this.#walk(
          this.#pipe(operand.pipe, dot),
          { fields: operand.fields, at: 2 },
          `.${operand.fields.join(".")}`,
        );
      case "function":
        return this.#command([operand], dot, []);
    }
  }

  /** Follows a chain of fields; `shown` is the chain as written, for errors. */
  #walk(start: unknown, { fields, at }: { fields: readonly string[]; at: number }, shown: string): unknown {
    let value = start;
    for (const field of fields) {
      const why = whyNoField(value, field);
      if (why !== undefined) throw new Error(`:${placeIn(this.source, at)}: executing "" at <${shown}>: ${why}`);
      value = (value as Record<string, unknown>)[field];
    }
    return value;
  }
}

/** Formats a place as "LINE:COLUMN", counted as Go does: lines from 1, columns from 0. */
function placeIn(source: string, at: number): string {
  const lines = source.slice(0, at).split("\n");
  return `${lines.length}:${lines.at(-1)!.length}`;
}

/** Returns why a value has no such field, or undefined if it has one. */
function whyNoField(value: unknown, field: string): string | undefined {
  if (value === null || value === undefined) return `nil data; no entry for key ${goQuote(field)}`;
  if (typeof value !== "object" || Array.isArray(value))
    return `can't evaluate field ${field} in type ${goType(value)}`;
  return Object.hasOwn(value, field) || ELSE in value ? undefined : `map has no entry for key ${goQuote(field)}`;
}

function describe(operand: Operand): string {
  return operand.kind === "field" ? operand.source : operand.kind;
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return "[]interface {}";
  return (
    { string: "string", number: "float64", bigint: "int64", boolean: "bool" }[typeof value as string] ?? "interface {}"
  );
}

function sortedEntries(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function rangeEntries(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === "object") return sortedEntries(value);
  throw new Error(`range can't iterate over ${goPrint(value)}`);
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** Formats a value as fmt's `%v` does. */
function goPrint(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goPrint).join(" ")}]`;
  if (typeof value === "object")
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${goPrint(item)}`)
      .join(" ")}]`;
  if (typeof value === "number" && (!Number.isInteger(value) || Math.abs(value) >= 1e21)) return goFloat(value);
  return String(value);
}

function goFloat(value: number): string {
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -4 && exponent < 21) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

function asString(value: unknown): string {
  if (typeof value !== "string") throw new Error(`wrong type for value; expected string; got ${goType(value)}`);
  return value;
}

function asList(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error(`wrong type for value; expected a list; got ${goType(value)}`);
  return value;
}

/** Returns a length in the unit Go counts: bytes of a string, entries of a list or map. */
function length(value: unknown): number {
  if (value === null) return 0; // Go's nil lists and maps come as null
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (typeof value === "object" && value !== null) return Object.keys(value).length;
  throw new Error(`error calling len: len of type ${goType(value)}`);
}

function index(value: unknown, ...keys: unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (Array.isArray(current)) {
      if (typeof key !== "number" || !Number.isInteger(key))
        throw new Error(`error calling index: cannot index slice/array with type ${goType(key)}`);
      if (key < 0 || key >= current.length) throw new Error(`error calling index: index out of range: ${key}`);
      current = current[key];
    } else if (typeof current === "object" && current !== null)
      current = (current as Record<string | symbol, unknown>)[Object.hasOwn(current, String(key)) ? String(key) : ELSE];
    else if (typeof current === "string" && typeof key === "number") current = Buffer.from(current)[key];
    else if (current === null || current === undefined) throw new Error("error calling index: index of untyped nil");
    else throw new Error(`error calling index: can't index item of type ${goType(current)}`);
  }
  return current;
}

function slice(value: unknown, from?: unknown, to?: unknown): unknown {
  const [start, end] = [Number(from ?? 0), to === undefined ? length(value) : Number(to)];
  if (start < 0 || end > length(value) || start > end)
    throw new Error(`error calling slice: index out of range: ${end}`);
  if (typeof value === "string") return Buffer.from(value).subarray(start, end).toString();
  return asList(value).slice(start, end);
}

function compare(a: unknown, b: unknown): number {
  const kindOf = (value: unknown) => (typeof value === "bigint" ? "number" : typeof value);
  if (kindOf(a) !== kindOf(b) || !["string", "number"].includes(kindOf(a)))
    throw new Error("incompatible types for comparison");
  return a === b ? 0 : (a as string) < (b as string) ? -1 : 1;
}

/** Formats as fmt.Sprintf does, for the verbs that make sense on JSON data. */
export function goSprintf(format: unknown, ...args: unknown[]): string {
  let next = 0;
  const out = asString(format).replace(/%([-+# 0]*)(\d+)?(?:\.(\d+))?(.)/gsu, (_all, flags, width, precision, verb) => {
    if (verb === "%") return "%";
    if (next >= args.length) return `%!${verb}(MISSING)`;
    const text = formatVerb(args[next++], verb, flags, precision === undefined ? undefined : Number(precision));
    const columns = Number(width ?? 0);
    if (flags.includes("-")) return text.padEnd(columns);
    return flags.includes("0") && /^[+-]?\d/.test(text) ? text.padStart(columns, "0") : text.padStart(columns);
  });
  if (next >= args.length) return out;
  const extra = args.slice(next).map((arg) => `${goType(arg)}=${goPrint(arg)}`);
  return `${out}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(value: unknown, verb: string, flags: string, precision: number | undefined): string {
  const sign = (text: string) => (flags.includes("+") && !text.startsWith("-") ? `+${text}` : text);
  switch (verb) {
    case "v":
      return goPrint(value);
    case "s":
      return typeof value === "string" && precision !== undefined ? value.slice(0, precision) : goPrint(value);
    case "q":
      return goQuote(goPrint(value));
    case "T":
      return goType(value);
    case "t":
      if (typeof value === "boolean") return String(value);
      break;
    case "d":
      if (typeof value === "bigint" || Number.isInteger(value)) return sign(String(value));
      break;
    case "x":
    case "X": {
      const hex =
        typeof value === "number" || typeof value === "bigint"
          ? value.toString(16)
          : Buffer.from(asString(value)).toString("hex");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "f":
      if (typeof value === "number") return sign(value.toFixed(precision ?? 6));
      break;
    case "g":
      if (typeof value === "number") return sign(precision === undefined ? goFloat(value) : formatG(value, precision));
      break;
  }
  return `%!${verb}(${goType(value)}=${goPrint(value)})`;
}

/** Joins as fmt.Sprint does: with spaces only between two operands neither of which is a string. */
function sprint(...args: unknown[]): string {
  return args.reduce<string>((out, arg, at) => {
    const space = at > 0 && typeof arg !== "string" && typeof args[at - 1] !== "string" ? " " : "";
    return out + space + goPrint(arg);
  }, "");
}

/** Capitalizes ASCII words, as Go's strings.Title does. */
function title(text: string): string {
  return text.replace(
    /(^|[^\p{L}\p{N}_'])(\p{Ll})/gu,
    (_all, before: string, letter: string) => before + letter.toUpperCase(),
  );
}

/** Functions of text/template, and those that the stock client adds. */
const FUNCTIONS: Readonly<Record<string, Fn>> = {
  // `and` and `or` are evaluated by #logic
  and: () => undefined,
  or: () => undefined,
  not: (value) => !isTrue(value),
  len: length,
  index,
  slice,
  print: sprint,
  printf: goSprintf,
  println: (...args) => `${args.map(goPrint).join(" ")}\n`,
  eq: (first, ...others) => others.some((other) => Object.is(first ?? null, other ?? null)),
  ne: (a, b) => !Object.is(a ?? null, b ?? null),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  urlquery: (...args) => encodeURIComponent(sprint(...args)).replaceAll("%20", "+"),
  json: (value) => goJson(value ?? null),
  split: (text, separator) => asString(text).split(asString(separator)),
  join: (list, separator) => asList(list).map(goPrint).join(asString(separator)),
  title: (text) => title(asString(text)),
  lower: (text) => asString(text).toLowerCase(),
  upper: (text) => asString(text).toUpperCase(),
  pad: (text, before, after) =>
    asString(text) === "" ? "" : " ".repeat(Number(before)) + asString(text) + " ".repeat(Number(after)),
  truncate: (text, count) => [...asString(text)].slice(0, Number(count)).join(""),
};
