/** Parses the daemon's command line: a switch has its value after "=" only. */
import { readFlags } from "../../base/pflag.ts";
import { invalid, type Kind } from "./kinds.ts";

export interface FlagShape {
  kind: Pick<Kind<unknown>, "value">;
  short?: string;
}

/** The given values by flag name, in order of appearance; a switch without a value is "". @throws LighterError "invalid" */
export function parseFlags(args: readonly string[], shapes: ReadonlyMap<string, FlagShape>): Map<string, string[]> {
  const names = new Map([...shapes].flatMap(([name, { short }]) => (short === undefined ? [] : [[short, name]])));
  const given = new Map<string, string[]>();
  const long = (name: string) => {
    const shape = shapes.get(name);
    return shape && { name, implicit: shape.kind.value === undefined ? "" : undefined };
  };
  const short = (letter: string) => long(names.get(letter) ?? "");
  const onFlag = (name: string, text: string) => {
    given.set(name, [...(given.get(name) ?? []), text]);
    return true;
  };
  const [positional] = readFlags(args, { long, short }, { interspersed: true, onFlag });
  if (positional !== undefined)
    throw invalid(`"lighter daemon" accepts no argument(s), and ${JSON.stringify(positional)} is one`);
  return given;
}
