/**
 * Regular expressions whose matching takes time in proportion to the text, as Go's do. JavaScript's go back and try again: a
 * filter like "(a+)+$" would keep the daemon busy for minutes. Here, all states that the text may have led to are followed side
 * by side. (Thompson's construction; R. Cox, "Regular Expression Matching Can Be Simple And Fast")
 *
 *   a  .  [a-z] [^a-z] [[:alpha:]]  \d \D \w \W \s \S  \. \n \t  ^ $ \A \z \b \B  (…) (?:…) (?i) (?i:…)  x|y  x* x+ x? x{2,3}
 */
import { PATTERN_MAX_DEPTH, PATTERN_MAX_STEPS } from "./limits.ts";

type Test = (code: number) => boolean;
type Assertion = "begin" | "end" | "word" | "inner";

/** A test for one character. `members`: how many members of a set a character may have to be compared with. */
type One = { kind: "one"; test: Test; members?: number };

type Node =
  | One
  | { kind: "all"; parts: readonly Node[] }
  | { kind: "any"; choices: readonly Node[] }
  | { kind: "repeat"; node: Node; min: number; max: number }
  | { kind: "assert"; assertion: Assertion };

type Step =
  | One
  /** Goes on at both places. */
  | { kind: "fork"; to: [number, number] }
  | { kind: "assert"; assertion: Assertion }
  | { kind: "found" };

/**
 * Compiles a pattern into a function that says whether a part of a text matches. Undefined if the pattern is malformed or too
 * large.
 */
export function compilePattern(pattern: string): ((text: string) => boolean) | undefined {
  try {
    const steps: Step[] = [];
    emit(new PatternParser(pattern).parse(), steps);
    if (steps.reduce((sum, step) => sum + membersOf(step), 0) > PATTERN_MAX_STEPS) return undefined;
    steps.push({ kind: "found" });
    return (text) => matches(steps, text);
  } catch (error) {
    if (error instanceof BadPattern) return undefined;
    throw error;
  }
}

class BadPattern extends Error {}

function membersOf(step: Step): number {
  return step.kind === "one" ? (step.members ?? 1) : 0;
}

function push(steps: Step[], step: Step): number {
  if (steps.length >= PATTERN_MAX_STEPS) throw new BadPattern();
  return steps.push(step) - 1;
}

function emit(node: Node, steps: Step[]): void {
  switch (node.kind) {
    case "one":
    case "assert":
      push(steps, node);
      return;
    case "all":
      for (const part of node.parts) emit(part, steps);
      return;
    case "any":
      emitChoices(node.choices, steps);
      return;
    case "repeat":
      for (let count = 0; count < node.min; count++) {
        const before = steps.length;
        emit(node.node, steps);
        if (steps.length === before) break; // repeating nothing: no limit of steps would end "((){9999}){9999}"
      }
      if (node.max === Number.POSITIVE_INFINITY) emitLoop(node.node, steps);
      else for (let count = node.min; count < node.max; count++) emitChoices([node.node, EMPTY], steps);
  }
}

const EMPTY: Node = { kind: "all", parts: [] };

function emitChoices([first = EMPTY, ...others]: readonly Node[], steps: Step[]): void {
  if (others.length === 0) {
    emit(first, steps);
    return;
  }
  const fork: [number, number] = [0, 0];
  fork[0] = push(steps, { kind: "fork", to: fork }) + 1;
  emit(first, steps);
  const leave: [number, number] = [0, 0];
  fork[1] = push(steps, { kind: "fork", to: leave }) + 1;
  emitChoices(others, steps);
  leave[0] = steps.length;
  leave[1] = steps.length;
}

function emitLoop(node: Node, steps: Step[]): void {
  const fork: [number, number] = [0, 0];
  const begin = push(steps, { kind: "fork", to: fork });
  fork[0] = begin + 1;
  emit(node, steps);
  push(steps, { kind: "fork", to: [begin, begin] });
  fork[1] = steps.length;
}

function matches(steps: readonly Step[], text: string): boolean {
  const codes = Array.from(text, (character) => character.codePointAt(0)!);
  let states = new Set<number>();
  for (let at = 0; at <= codes.length; at++) {
    if (enter(steps, states, 0, codes, at)) return true;
    const next = new Set<number>();
    for (const state of states) {
      const step = steps[state]!;
      if (step.kind === "one" && at < codes.length && step.test(codes[at]!))
        if (enter(steps, next, state + 1, codes, at + 1)) return true;
    }
    states = next;
  }
  return false;
}

/** Adds a state and those that it leads to without a character. Returns true if one of them is the end. */
function enter(
  steps: readonly Step[],
  states: Set<number>,
  first: number,
  codes: readonly number[],
  at: number,
): boolean {
  const pending = [first];
  for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
    if (states.has(state)) continue;
    states.add(state);
    const step = steps[state]!;
    if (step.kind === "found") return true;
    if (step.kind === "fork") pending.push(...step.to);
    else if (step.kind === "assert" && holds(step.assertion, codes, at)) pending.push(state + 1);
  }
  return false;
}

function holds(assertion: Assertion, codes: readonly number[], at: number): boolean {
  if (assertion === "begin") return at === 0;
  if (assertion === "end") return at === codes.length;
  const isWordAt = (index: number) => index >= 0 && index < codes.length && isWord(codes[index]!);
  return (isWordAt(at - 1) !== isWordAt(at)) === (assertion === "word");
}

const between = (first: string, last: string): Test => {
  const [from, to] = [first.codePointAt(0)!, last.codePointAt(0)!];
  return (code) => code >= from && code <= to;
};
const either =
  (...tests: readonly Test[]): Test =>
  (code) =>
    tests.some((test) => test(code));
const not =
  (test: Test): Test =>
  (code) =>
    !test(code);

const isDigit = between("0", "9");
const isLower = between("a", "z");
const isUpper = between("A", "Z");
const isAlpha = either(isLower, isUpper);
const isWord = either(isAlpha, isDigit, between("_", "_"));
const isSpace: Test = (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d && code !== 0x0b);

const CLASSES: Readonly<Record<string, Test>> = {
  ...{ d: isDigit, w: isWord, s: isSpace },
  ...{ D: not(isDigit), W: not(isWord), S: not(isSpace) },
};

const NAMED_CLASSES: Readonly<Record<string, Test>> = {
  ...{ alpha: isAlpha, digit: isDigit, lower: isLower, upper: isUpper, word: isWord },
  ...{ alnum: either(isAlpha, isDigit), space: either(isSpace, between("\v", "\v")) },
  ...{
    xdigit: either(isDigit, between("a", "f"), between("A", "F")),
    blank: either(between(" ", " "), between("\t", "\t")),
  },
  punct: either(between("!", "/"), between(":", "@"), between("[", "`"), between("{", "~")),
};

const CONTROLS: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", f: "\f", v: "\v", a: "\x07" };
const ASSERTIONS: Readonly<Record<string, Assertion>> = { A: "begin", z: "end", b: "word", B: "inner" };

class PatternParser {
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;
  #ignoresCase = false;

  constructor(pattern: string) {
    this.#characters = [...pattern];
  }

  parse(): Node {
    const node = this.#choices();
    if (this.#at < this.#characters.length) throw new BadPattern(); // a ")" too many
    return node;
  }

  get #next(): string {
    return this.#characters[this.#at] ?? "";
  }

  #take(): string {
    if (this.#at >= this.#characters.length) throw new BadPattern();
    return this.#characters[this.#at++]!;
  }

  #takeIf(text: string): boolean {
    if (this.#characters.slice(this.#at, this.#at + text.length).join("") !== text) return false;
    this.#at += text.length;
    return true;
  }

  #choices(): Node {
    const choices = [this.#sequence()];
    while (this.#takeIf("|")) choices.push(this.#sequence());
    return { kind: "any", choices };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (!["", "|", ")"].includes(this.#next)) parts.push(this.#repeated(this.#atom()));
    return { kind: "all", parts };
  }

  #repeated(node: Node): Node {
    const [min, max] = this.#count() ?? [1, 1];
    if (min === 1 && max === 1) return node;
    this.#takeIf("?"); // greedy or not makes no difference to whether it matches
    if (this.#count() !== undefined) throw new BadPattern(); // "a**"
    return { kind: "repeat", node, min, max };
  }

  #count(): [number, number] | undefined {
    if (this.#takeIf("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#takeIf("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#takeIf("?")) return [0, 1];
    if (this.#next !== "{") return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 12).join("");
    const [text, from, comma, to] = /^\{(\d{1,4})(,?)(\d{0,4})\}/.exec(rest) ?? [];
    if (text === undefined || (comma === "" && to !== "")) return undefined; // a brace is then an ordinary character
    this.#at += text.length;
    const min = Number(from);
    const max = comma === "" ? min : to === "" ? Number.POSITIVE_INFINITY : Number(to);
    if (max < min) throw new BadPattern();
    return [min, max];
  }

  #atom(): Node {
    const character = this.#take();
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return this.#set();
      case ".":
        return { kind: "one", test: (code) => code !== 0x0a };
      case "^":
        return { kind: "assert", assertion: "begin" };
      case "$":
        return { kind: "assert", assertion: "end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new BadPattern(); // nothing to repeat
    }
    return { kind: "one", test: this.#character(character, character) };
  }

  #group(): Node {
    const outside = this.#ignoresCase;
    if (++this.#depth > PATTERN_MAX_DEPTH) throw new BadPattern();
    if (this.#takeIf("?i)")) {
      this.#depth--;
      this.#ignoresCase = true; // until the group around it ends
      return EMPTY;
    }
    if (this.#takeIf("?i:")) this.#ignoresCase = true;
    else if (!this.#takeIf("?:") && this.#next === "?") throw new BadPattern();
    const node = this.#choices();
    if (!this.#takeIf(")")) throw new BadPattern();
    this.#depth--;
    this.#ignoresCase = outside;
    return node;
  }

  #escape(): Node {
    const character = this.#take();
    const assertion = ASSERTIONS[character];
    if (assertion !== undefined) return { kind: "assert", assertion };
    const test = CLASSES[character];
    if (test !== undefined) return { kind: "one", test };
    const literal = this.#literal(character);
    return { kind: "one", test: this.#character(literal, literal) };
  }

  /** Parses what follows a backslash. */
  #literal(character: string): string {
    const control = CONTROLS[character];
    if (control !== undefined) return control;
    if (/[\da-zA-Z]/.test(character)) throw new BadPattern();
    return character;
  }

  #character(first: string, last: string): Test {
    const test = between(first, last);
    if (!this.#ignoresCase) return test;
    return (code) => {
      const text = String.fromCodePoint(code);
      return [text, text.toLowerCase(), text.toUpperCase()].some((each) => test(each.codePointAt(0)!));
    };
  }

  #set(): One {
    const isNegated = this.#takeIf("^");
    const tests: Test[] = [];
    do tests.push(this.#setMember());
    while (!this.#takeIf("]"));
    const test: Test = (code) => tests.some((member) => member(code)); // not by spreading: there may be too many arguments
    return { kind: "one", test: isNegated ? not(test) : test, members: tests.length };
  }

  #setMember(): Test {
    if (this.#takeIf("[:")) return this.#namedClass();
    const first = this.#take();
    const isEscape = first === "\\";
    const from = isEscape ? this.#take() : first;
    const known = isEscape ? CLASSES[from] : undefined;
    if (known !== undefined) return known;
    const begin = isEscape ? this.#literal(from) : from;
    if (this.#next !== "-" || this.#characters[this.#at + 1] === "]") return this.#character(begin, begin);
    this.#at += 1;
    const last = this.#take();
    const end = last === "\\" ? this.#literal(this.#take()) : last;
    if (end.codePointAt(0)! < begin.codePointAt(0)!) throw new BadPattern();
    return this.#character(begin, end);
  }

  #namedClass(): Test {
    const isNegated = this.#takeIf("^");
    let name = "";
    while (!this.#takeIf(":]")) name += this.#take();
    const test = Object.hasOwn(NAMED_CLASSES, name) ? NAMED_CLASSES[name] : undefined;
    if (test === undefined) throw new BadPattern();
    return isNegated ? not(test) : test;
  }
}
