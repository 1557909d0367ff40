/** The warnings of the build checks, as `# check=` wants them. Source: Dockerfile reference, "check". */
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { BUILD_WARNINGS_MAX } from "../../base/limits.ts";
import { invalid } from "./error.ts";
import { RULES, type RuleName, ruleUrl } from "./rules.ts";
import type { SourceRange, Warning } from "./types.ts";

export class CheckReport {
  readonly #warnings: Warning[] = [];
  readonly #skipped: ReadonlySet<string>;
  readonly #experimental: ReadonlySet<string>;
  readonly #isError: boolean;

  /** @throws LighterError ("invalid") if the directive is malformed. */
  constructor(directive: string | undefined) {
    const options = new Map((directive ?? "").split(";").flatMap(parseOption));
    const namesOf = (option: string) => new Set((options.get(option) ?? "").split(",").map((name) => name.trim()));
    this.#skipped = namesOf("skip");
    this.#experimental = namesOf("experimental");
    const isError = parseGoBoolean(options.get("error") ?? "false");
    if (isError === undefined) throw invalid(`failed to parse check option "error": ${goQuote(options.get("error")!)}`);
    this.#isError = isError;
  }

  add<Name extends RuleName>(name: Name, range: SourceRange, ...words: Parameters<(typeof RULES)[Name]["say"]>): void {
    const { description, say, isExperimental } = RULES[name];
    if (this.isFull) return;
    const isAsked = this.#experimental.has("all") || this.#experimental.has(name);
    const isSkipped = this.#skipped.has("all") || this.#skipped.has(name);
    if (isExperimental === true ? !isAsked : isSkipped) return;
    const message = (say as (...words: string[]) => string)(...words);
    this.#warnings.push({ rule: name, description, url: ruleUrl(name), message, ranges: [range] });
  }

  /** Nothing more is told. */
  get isFull(): boolean {
    return this.#warnings.length >= BUILD_WARNINGS_MAX;
  }

  sorted(): Warning[] {
    return this.#warnings.toSorted((one, other) => one.ranges[0]!.start - other.ranges[0]!.start);
  }

  /** @throws LighterError ("invalid") if there are warnings and `# check=error=true`. */
  failIfAsked(): void {
    if (!this.#isError || this.#warnings.length === 0) return;
    const rules = [...new Set(this.#warnings.map(({ rule }) => rule))];
    throw invalid(`lint violation found for rules: ${rules.join(", ")}`);
  }
}

function parseOption(text: string): [name: string, value: string][] {
  if (text.trim() === "") return [];
  const at = text.indexOf("=");
  if (at < 0) throw invalid(`failed to parse check options: invalid check option ${goQuote(text)}`);
  const name = text.slice(0, at).trim();
  if (!["skip", "experimental", "error"].includes(name))
    throw invalid(`failed to parse check options: invalid check option ${goQuote(name)}`);
  return [[name, text.slice(at + 1).trim()]];
}
