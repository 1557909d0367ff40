/**
 * Parses WWW-Authenticate, in which a registry says how it wants to be asked.
 * Sources: RFC 9110 §11.6.1 (a list of challenges, each with a list of parameters, both separated by commas);
 * distribution's token specification for `realm`, `service`, `scope` and `error`.
 */
import {
  REGISTRY_CHALLENGE_MAX_CHARS,
  REGISTRY_CHALLENGE_MAX_PARAMETERS,
  REGISTRY_MAX_CHALLENGES,
} from "../../base/limits.ts";

export interface Challenge {
  /** The scheme in lower case: "basic", "bearer". */
  readonly scheme: string;
  /** The parameters, with names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const separators = /[ \t,]*/y;
const parameter = new RegExp(`(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]*))`, "y");
const scheme = new RegExp(`(${TOKEN})(?=[ \\t,]|$)`, "y");
/** The single value that Negotiate and others have instead of parameters. */
const token68 = /[ \t]+[0-9A-Za-z._~+/-]+=*(?=[ \t]*(?:,|$))/y;

/**
 * The challenges that can be understood, in order. The rest of a malformed header is ignored, and all of a header beyond a limit:
 * the caller then has no challenge that it can answer, and says so.
 */
export function parseChallenges(header: string): Challenge[] {
  if (header.length > REGISTRY_CHALLENGE_MAX_CHARS) return [];
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    match(separators);
    const current = challenges.at(-1);
    const found = current === undefined ? null : match(parameter);
    if (current !== undefined && found !== null) {
      const [, name = "", quoted, plain = ""] = found;
      if (current.parameters.size >= REGISTRY_CHALLENGE_MAX_PARAMETERS) return [];
      const key = name.toLowerCase();
      if (!current.parameters.has(key)) current.parameters.set(key, quoted?.replace(/\\(.)/g, "$1") ?? plain);
      continue;
    }
    const name = match(scheme)?.[1];
    if (name === undefined) return challenges;
    if (challenges.length >= REGISTRY_MAX_CHALLENGES) return [];
    challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    match(token68);
  }
}
