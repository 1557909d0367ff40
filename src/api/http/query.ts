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

  /** "" counts as absent. */
  text(name: string): string | undefined {
    return this.#parameters.get(name) || undefined;
  }

  /** Every value of a parameter that may be there several times, but for empty ones. */
  all(name: string): string[] {
    return this.#parameters.getAll(name).filter((value) => value !== "");
  }

  has(name: string): boolean {
    return this.#parameters.has(name);
  }

  /** Anything but "", "0", "no", "false" and "none" is true. */
  boolean(name: string): boolean {
    const value = (this.#parameters.get(name) ?? "").trim().toLowerCase();
    return !["", "0", "no", "false", "none"].includes(value);
  }

  /** @throws LighterError "invalid" */
  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^[+-]?\d{1,15}$/.test(value)) return Number(value);
    throw noInteger(value);
  }

  /** @throws LighterError "invalid", also for a missing one */
  requiredInteger(name: string): number {
    const value = this.integer(name);
    if (value === undefined) throw noInteger("");
    return value;
  }
}

/** With Docker's text. */
function noInteger(text: string): LighterError {
  return new LighterError("invalid", `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
}
