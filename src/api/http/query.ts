/** The query parameters of a request. */
import { LighterError } from "../../base/errors.ts";

/** The parameters of a request, read as Docker's server reads them. */
export class Query {
  readonly #search: string;
  #parsed: URLSearchParams | undefined;

  constructor(search: string) {
    this.#search = search;
  }

  get #parameters(): URLSearchParams {
    this.#parsed ??= new URLSearchParams(this.#search);
    return this.#parsed;
  }

  /** The parameter's text; undefined if it is missing or empty. */
  text(name: string): string | undefined {
    return this.#parameters.get(name) || undefined;
  }

  /** The non-empty values of a parameter that may be given several times. */
  all(name: string): string[] {
    return this.#parameters.getAll(name).filter((value) => value !== "");
  }

  has(name: string): boolean {
    return this.#parameters.has(name);
  }

  /** The parameter as a boolean: anything but "", "0", "no", "false" and "none" is true. */
  boolean(name: string): boolean {
    const value = (this.#parameters.get(name) ?? "").trim().toLowerCase();
    return !["", "0", "no", "false", "none"].includes(value);
  }

  /** The parameter as an integer; undefined if it is missing. @throws LighterError "invalid" */
  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^[+-]?\d{1,15}$/.test(value)) return Number(value);
    throw noInteger(value);
  }

  /** The parameter as an integer. @throws LighterError "invalid", also if it is missing */
  requiredInteger(name: string): number {
    const value = this.integer(name);
    if (value === undefined) throw noInteger("");
    return value;
  }
}

/** The error for text that is no integer, in Docker's words. */
function noInteger(text: string): LighterError {
  return new LighterError("invalid", `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
}
