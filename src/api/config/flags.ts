/**
 * The daemon's command line, as pflag reads it: "--name value", "--name=value", "-n value", "-nvalue"; a switch has its
 * value behind "=" only.
 */
import { invalid, type Kind } from "./kinds.ts";

export interface FlagShape {
  kind: Pick<Kind<unknown>, "value">;
  short?: string;
}

/** By flag name, in order of appearance; a switch without a value is "". @throws LighterError "invalid" */
export function parseFlags(args: readonly string[], shapes: ReadonlyMap<string, FlagShape>): Map<string, string[]> {
  const names = new Map([...shapes].flatMap(([name, { short }]) => (short === undefined ? [] : [[short, name]])));
  const given = new Map<string, string[]>();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, dashes = "", body = ""] = /^(--?)(.+)$/s.exec(arg) ?? [];
    if (dashes === "") throw invalid(`"lighter daemon" accepts no argument(s), and ${JSON.stringify(arg)} is one`);
    const long = dashes === "--";
    const [word, equals, value] = long ? split(body) : [body[0]!, body.length > 1, body.slice(1).replace(/^=/, "")];
    const name = long ? word : names.get(word);
    const shape = name === undefined ? undefined : shapes.get(name);
    if (name === undefined || shape === undefined)
      throw invalid(long ? `unknown flag: --${word}` : `unknown shorthand flag: '${word}' in ${arg}`);
    const isSwitch = shape.kind.value === undefined;
    if (!long && isSwitch && equals && body[1] !== "=") {
      rest.unshift(`-${body.slice(1)}`); // "-Dl debug"
      add(given, name, "");
      continue;
    }
    const text = equals ? value : isSwitch ? "" : rest.shift();
    if (text === undefined) throw invalid(`flag needs an argument: ${long ? `--${word}` : `'${word}' in ${arg}`}`);
    add(given, name, text);
  }
  return given;
}

function split(body: string): [word: string, equals: boolean, value: string] {
  const at = body.indexOf("=");
  return at === -1 ? [body, false, ""] : [body.slice(0, at), true, body.slice(at + 1)];
}

function add(given: Map<string, string[]>, name: string, text: string): void {
  given.set(name, [...(given.get(name) ?? []), text]);
}
