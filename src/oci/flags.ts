/**
 * Parses flags as runc does: `--name value`, `--name=value`, and both with one dash; `--` ends them. Unlike runc, it accepts them
 * after positional arguments, too. Source: Go's package flag, whose error texts these are.
 */
import { LighterError } from "../base/errors.ts";
import { parseGoBoolean } from "../base/go-boolean.ts";

export interface Flag {
  /** The name without dashes. */
  name: string;
  /** A one-letter name. */
  short?: string;
  /** The type of the value; a `list` may be given many times. */
  kind: "boolean" | "string" | "integer" | "list";
  help: string;
  /** The default, which only the help uses. */
  default?: string;
  /** Marks a flag that this program passes to itself; the help does not show it. */
  own?: true;
}

/** An error in the use of the command line, as opposed to a failure. */
export class UsageError extends LighterError {
  constructor(message: string) {
    super("invalid", message);
  }
}

/** The given flags and the positional arguments. */
export class Parsed {
  constructor(
    readonly args: readonly string[],
    private readonly values: ReadonlyMap<string, readonly string[]>,
  ) {}

  /** The positional argument `index`, whose presence the command's `positionals.min` guarantees. */
  arg(index: number): string {
    const value = this.args[index];
    if (value === undefined) throw new UsageError(`argument ${index + 1} is missing`);
    return value;
  }

  given(name: string): boolean {
    return this.values.has(name);
  }

  boolean(name: string): boolean {
    return this.values.get(name)?.at(-1) === "true";
  }

  /** The flag's last given value. */
  string(name: string): string | undefined {
    return this.values.get(name)?.at(-1);
  }

  integer(name: string): number | undefined {
    const text = this.string(name);
    return text === undefined ? undefined : Number(text);
  }

  list(name: string): readonly string[] {
    return this.values.get(name) ?? [];
  }
}

const HELP: Flag = { name: "help", short: "h", kind: "boolean", help: "show help" };

/**
 * Parses the arguments.
 * @param rawFrom The positional argument from which on everything is positional.
 * @throws UsageError
 */
export function parseFlags(
  args: readonly string[],
  flags: readonly Flag[],
  rawFrom = Number.POSITIVE_INFINITY,
): Parsed {
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]!;
    if (arg === "--") {
      positionals.push(...args.slice(index + 1));
      break;
    }
    const negative = positionals.length > 0 && /^-\d/.test(arg); // accepts `kill ID -9`
    if (!arg.startsWith("-") || arg === "-" || negative) {
      if (positionals.push(arg) <= rawFrom) continue;
      positionals.push(...args.slice(index + 1));
      break;
    }
    const [, name = "", inline] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === "") throw new UsageError(`bad flag syntax: ${arg}`);
    const flag = [...flags, HELP].find((candidate) => candidate.name === name || candidate.short === name);
    if (!flag) throw new UsageError(`flag provided but not defined: -${name}`);
    const value = inline ?? (flag.kind === "boolean" ? "true" : args[++index]);
    if (value === undefined) throw new UsageError(`flag needs an argument: -${name}`);
    const earlier = flag.kind === "list" ? values.get(flag.name) : undefined;
    values.set(flag.name, [...(earlier ?? []), normal(flag, name, value)]);
  }
  return new Parsed(positionals, values);
}

/** The value in the form that `Parsed` reads. */
function normal({ kind }: Flag, name: string, value: string): string {
  if (kind === "boolean") {
    const boolean = parseGoBoolean(value);
    if (boolean !== undefined) return String(boolean);
    throw new UsageError(`invalid boolean value ${JSON.stringify(value)} for -${name}: parse error`);
  }
  if (kind === "integer") {
    const number = /^[+-]?(\d+|0[xX][\da-fA-F]+)$/.test(value) ? parseInteger(value) : Number.NaN;
    if (!Number.isSafeInteger(number))
      throw new UsageError(`invalid value ${JSON.stringify(value)} for flag -${name}: parse error`);
    return String(number);
  }
  return value;
}

function parseInteger(text: string): number {
  const digits = text.replace(/^[+-]/, "");
  return text.startsWith("-") ? -Number(digits) : Number(digits);
}

/** The lines of the help's OPTIONS, including `--help`. */
export function formatFlags(flags: readonly Flag[]): string {
  const shown = flags.filter(({ own }) => !own);
  const rows = [...shown, HELP].map(({ name, short, kind, help, default: byDefault }) => {
    const placeholder = kind === "boolean" ? "" : " value";
    const left = `--${name}${placeholder}${short ? `, -${short}${placeholder}` : ""}`;
    return { left, right: byDefault === undefined ? help : `${help} (default: ${byDefault})` };
  });
  const width = Math.max(...rows.map(({ left }) => left.length));
  return rows.map(({ left, right }) => `   ${left.padEnd(width)}  ${right}\n`).join("");
}
