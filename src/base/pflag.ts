/**
 * Command lines as Docker's programs read them: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`, and letters of
 * switches in one word; `--` ends the flags. Source: github.com/spf13/pflag, flag.go, whose error texts these are.
 */
import { LighterError } from "./errors.ts";

interface FlagSyntax {
  name: string;
  /** The value of a flag without one, which then takes none from the next word; undefined if the flag needs a value. */
  implicit: string | undefined;
}

export interface FlagNames {
  long(name: string): FlagSyntax | undefined;
  short(letter: string): FlagSyntax | undefined;
}

interface FlagReading {
  /** If false, the first positional argument ends the flags. */
  interspersed: boolean;
  /** Called for each flag in order; returns false to end the reading. */
  onFlag: (name: string, value: string) => boolean;
}

/** Reads flags; returns the positional arguments. @throws LighterError "invalid"; what `onFlag` throws */
export function readFlags(argv: readonly string[], names: FlagNames, reading: FlagReading): string[] {
  const reader = new Reader(argv, names, reading.onFlag);
  const positionals: string[] = [];
  for (let word = reader.next(); word !== undefined; word = reader.next()) {
    if (word === "--") return [...positionals, ...reader.rest()];
    const isFlag = word.length > 1 && word.startsWith("-");
    if (!isFlag) positionals.push(word);
    if (!isFlag && !reading.interspersed) return [...positionals, ...reader.rest()];
    if (isFlag && word.startsWith("--")) reader.readLong(word);
    else if (isFlag) reader.readShort(word.slice(1));
  }
  return positionals;
}

class Reader {
  readonly #argv: readonly string[];
  readonly #names: FlagNames;
  readonly #onFlag: FlagReading["onFlag"];
  #at = 0;
  isOver = false;

  constructor(argv: readonly string[], names: FlagNames, onFlag: FlagReading["onFlag"]) {
    this.#argv = argv;
    this.#names = names;
    this.#onFlag = onFlag;
  }

  next(): string | undefined {
    return this.isOver ? undefined : this.#argv[this.#at++];
  }

  rest(): readonly string[] {
    return this.#argv.slice(this.#at);
  }

  #give({ name }: FlagSyntax, value: string): void {
    this.isOver = !this.#onFlag(name, value);
  }

  /** Takes the next word as the flag's value. */
  #giveNext(flag: FlagSyntax, shown: string): void {
    const value = this.next();
    if (value === undefined) throw invalid(`flag needs an argument: ${shown}`);
    this.#give(flag, value);
  }

  readLong(word: string): void {
    const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === "" || name.startsWith("-")) throw invalid(`bad flag syntax: ${word}`);
    const flag = this.#names.long(name);
    if (flag === undefined) throw invalid(`unknown flag: --${name}`);
    const given = value ?? flag.implicit;
    if (given === undefined) this.#giveNext(flag, `--${name}`);
    else this.#give(flag, given);
  }

  /** Reads a word of switches, the last of which may be a flag with its value. */
  readShort(word: string): void {
    for (let letters = word; letters !== "" && !this.isOver; ) letters = this.#readLetter(letters);
  }

  /** Reads the first of the letters and returns those that are left. */
  #readLetter(letters: string): string {
    const letter = letters.charAt(0);
    const flag = this.#names.short(letter);
    if (flag === undefined) throw invalid(`unknown shorthand flag: '${letter}' in -${letters}`);
    const more = letters.slice(1);
    const hasValue = more.length > 1 && more.startsWith("=");
    if (!hasValue && flag.implicit !== undefined) {
      this.#give(flag, flag.implicit);
      return more;
    }
    if (more === "") this.#giveNext(flag, `'${letter}' in -${letters}`);
    else this.#give(flag, hasValue ? more.slice(1) : more);
    return "";
  }
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}
