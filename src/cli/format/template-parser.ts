/**
 * Parses Go's text/template syntax, as `--format` users write it, into a tree that template.ts evaluates. A format is
 * one line, so define, template, block, break and continue are left out.
 * Source: pkg.go.dev/text/template.
 */
import { TEMPLATE_MAX_CHARS, TEMPLATE_MAX_DEPTH } from "../../base/limits.ts";

export type Node =
  | { kind: "text"; text: string }
  | { kind: "action"; pipe: Pipe }
  | { kind: "if" | "with"; pipe: Pipe; then: Node[]; otherwise: Node[] }
  | { kind: "range"; pipe: Pipe; then: Node[]; otherwise: Node[] };

/** `$a, $b := cmd | cmd`. */
export interface Pipe {
  readonly declare: readonly string[];
  /** Whether the variables are assigned with `=`, not declared with `:=`. */
  readonly assign: boolean;
  readonly commands: readonly Operand[][];
}

export type Operand =
  | { kind: "literal"; value: string | number | boolean | null }
  | { kind: "dot" }
  | { kind: "variable"; name: string; fields: readonly string[]; at: number }
  | { kind: "field"; fields: readonly string[]; source: string; at: number }
  | { kind: "function"; name: string }
  | { kind: "group"; pipe: Pipe; fields: readonly string[] };

interface Token {
  readonly type: "space" | "field" | "variable" | "name" | "string" | "char" | "number" | "punct";
  readonly text: string;
  /** Offset in the source. */
  readonly at: number;
}

/**
 * Parses a template.
 * @throws Error that completes "template parsing error: "
 */
export function parseTemplate(source: string): Node[] {
  if (source.length > TEMPLATE_MAX_CHARS) throw new Error(`template longer than ${TEMPLATE_MAX_CHARS} characters`);
  return new Parser(splitActions(source)).parse();
}

type Piece = { text: string } | { action: Token[] };

/** Splits the source into text and actions, without the white space that `{{-` and `-}}` remove. */
function splitActions(source: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open === -1 ? undefined : open);
    if (trimNext) text = text.replace(/^\s+/, "");
    if (open === -1) {
      pieces.push({ text });
      break;
    }
    let start = open + 2;
    if (/^-\s/.test(source.slice(start, start + 2))) {
      text = text.replace(/\s+$/, "");
      start++;
    }
    if (text !== "") pieces.push({ text });
    const { tokens, end, trim } = lexAction(source, start);
    if (tokens !== undefined) pieces.push({ action: tokens });
    trimNext = trim;
    at = end;
  }
  return pieces;
}

/** Token types in the order of TOKEN's groups. */
const TOKEN_TYPES: readonly Token["type"][] = [
  "space",
  "field",
  "variable",
  "string",
  "char",
  "number",
  "name",
  "punct",
];

/**
 * Matches one token. Names are ASCII, as all fields of the API are. It is a literal because a Unicode-aware pattern
 * takes long to compile.
 */
const TOKEN =
  /(\s+)|(\.[A-Za-z_]\w*)|(\$\w*)|("(?:[^"\\\n]|\\.)*"|`[^`]*`)|('(?:[^'\\\n]|\\.)+')|([+-]?(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+))|([A-Za-z_]\w*)|(:=|[.=|(),])/y;

function lexAction(source: string, start: number): { tokens: Token[] | undefined; end: number; trim: boolean } {
  const comment = /^\s*\/\*[\s\S]*?\*\/\s*?(\s-)?\}\}/.exec(source.slice(start));
  if (comment !== null) return { tokens: undefined, end: start + comment[0].length, trim: comment[1] !== undefined };
  const tokens: Token[] = [];
  let at = start;
  for (;;) {
    const close = /^(?:\s+-)?\}\}/.exec(source.slice(at, at + 64));
    if (close !== null) return { tokens, end: at + close[0].length, trim: close[0].length > 2 };
    if (at >= source.length) throw new Error("unclosed action");
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    if (match === null)
      throw new Error(
        /^["`']/.test(source.slice(at))
          ? "unterminated quoted string"
          : `unexpected ${JSON.stringify(source.charAt(at))} in command`,
      );
    const text = match[0];
    tokens.push({ type: TOKEN_TYPES[match.indexOf(text, 1) - 1] ?? "punct", text, at });
    at += text.length;
  }
}

class Parser {
  #at = 0;
  #depth = 0;

  constructor(readonly pieces: readonly Piece[]) {}

  parse(): Node[] {
    const { nodes, ended } = this.#block();
    if (ended !== undefined) throw new Error(`unexpected {{${ended.keyword}}}`);
    return nodes;
  }

  /** Parses nodes up to an `end` or `else` of the surrounding block. */
  #block(): { nodes: Node[]; ended?: { keyword: "end" | "else"; rest: Tokens } } {
    const nodes: Node[] = [];
    while (this.#at < this.pieces.length) {
      const piece = this.pieces[this.#at++];
      if (piece === undefined) break;
      if ("text" in piece) {
        nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const tokens = new Tokens(piece.action);
      const keyword = tokens.peekName();
      if (keyword === "end" || keyword === "else") {
        tokens.next();
        return { nodes, ended: { keyword, rest: tokens } };
      }
      if (keyword === "if" || keyword === "with" || keyword === "range") nodes.push(this.#control(keyword, tokens));
      else if (keyword !== undefined && ["define", "template", "block", "break", "continue"].includes(keyword))
        throw new Error(`{{${keyword}}} is not supported`);
      else nodes.push({ kind: "action", pipe: parsePipe(tokens, false) });
    }
    return { nodes };
  }

  #control(kind: "if" | "with" | "range", tokens: Tokens): Node {
    if (++this.#depth > TEMPLATE_MAX_DEPTH) throw new Error(`more than ${TEMPLATE_MAX_DEPTH} nested blocks`);
    tokens.next();
    const pipe = parsePipe(tokens, false);
    const { nodes: then, ended } = this.#block();
    if (ended === undefined) throw new Error("unexpected EOF");
    const otherwise = ended.keyword === "else" ? this.#otherwise(kind, ended.rest) : [];
    this.#depth--;
    return { kind, pipe, then, otherwise };
  }

  #otherwise(kind: "if" | "with" | "range", rest: Tokens): Node[] {
    // `else if` and `else with` share a single `end`.
    if (rest.peekName() === kind && kind !== "range") return [this.#control(kind, rest)];
    if (rest.peek() !== undefined) throw new Error("unexpected token after else");
    const { nodes, ended } = this.#block();
    if (ended?.keyword !== "end") throw new Error(ended === undefined ? "unexpected EOF" : "unexpected {{else}}");
    return nodes;
  }
}

/** The tokens of one action. White space separates operands and is otherwise skipped. */
class Tokens {
  #at = 0;
  depth = 0;

  constructor(readonly list: readonly Token[]) {}

  peek(): Token | undefined {
    while (this.list[this.#at]?.type === "space") this.#at++;
    return this.list[this.#at];
  }

  /** Returns the very next token, white space included. */
  peekTight(): Token | undefined {
    return this.list[this.#at];
  }

  peekName(): string | undefined {
    const token = this.peek();
    return token?.type === "name" ? token.text : undefined;
  }

  next(): Token | undefined {
    const token = this.peek();
    this.#at++;
    return token;
  }

  take(punct: string): boolean {
    const token = this.peek();
    if (token?.type !== "punct" || token.text !== punct) return false;
    this.#at++;
    return true;
  }

  mark(): number {
    return this.#at;
  }

  reset(mark: number): void {
    this.#at = mark;
  }
}

/** Parses a pipeline. With `inGroup` it ends at ")", which is consumed, else at the end of the action. */
function parsePipe(tokens: Tokens, inGroup: boolean): Pipe {
  if (++tokens.depth > TEMPLATE_MAX_DEPTH) throw new Error(`more than ${TEMPLATE_MAX_DEPTH} nested parentheses`);
  const { declare, assign } = parseDeclaration(tokens);
  const commands: Operand[][] = [];
  let operands: Operand[] = [];
  for (;;) {
    if (tokens.take("|")) {
      if (operands.length === 0) throw new Error("missing value for command");
      commands.push(operands);
      operands = [];
      continue;
    }
    const ended = inGroup ? tokens.take(")") : tokens.peek() === undefined;
    if (ended) break;
    operands.push(parseOperand(tokens));
  }
  if (operands.length === 0) throw new Error("missing value for command");
  tokens.depth--;
  return { declare, assign, commands: [...commands, operands] };
}

function parseDeclaration(tokens: Tokens): { declare: string[]; assign: boolean } {
  const mark = tokens.mark();
  const declare: string[] = [];
  while (tokens.peek()?.type === "variable") {
    declare.push(tokens.next()?.text ?? "");
    if (tokens.take(":=")) return { declare, assign: false };
    if (tokens.take("=")) return { declare, assign: true };
    if (!tokens.take(",")) break;
  }
  tokens.reset(mark);
  return { declare: [], assign: false };
}

function parseOperand(tokens: Tokens): Operand {
  const token = tokens.next();
  switch (token?.type) {
    case "string":
    case "char":
      return { kind: "literal", value: unquote(token.text) };
    case "number":
      return { kind: "literal", value: Number(token.text) };
    case "name": {
      if (token.text === "true" || token.text === "false") return { kind: "literal", value: token.text === "true" };
      if (token.text === "nil") return { kind: "literal", value: null };
      return { kind: "function", name: token.text };
    }
    case "variable":
      return { kind: "variable", name: token.text, at: placeOf(token, tokens), fields: parseFields(tokens) };
    case "field": {
      const at = placeOf(token, tokens);
      const fields = [token.text.slice(1), ...parseFields(tokens)];
      return { kind: "field", fields, source: `.${fields.join(".")}`, at };
    }
    case "punct":
      if (token.text === ".") return { kind: "dot" };
      if (token.text === "(") {
        const pipe = parsePipe(tokens, true);
        return { kind: "group", pipe, fields: parseFields(tokens) };
      }
  }
  throw new Error(token === undefined ? "unexpected EOF" : `unexpected ${JSON.stringify(token.text)} in operand`);
}

/** Returns the position that Go reports: that of the first field chained to the token, if there is one. */
function placeOf(token: Token, tokens: Tokens): number {
  const next = tokens.peekTight();
  return next?.type === "field" ? next.at : token.at;
}

/** Parses `.A.B` directly after an operand. */
function parseFields(tokens: Tokens): string[] {
  const fields: string[] = [];
  while (tokens.peekTight()?.type === "field") fields.push(tokens.next()?.text.slice(1) ?? "");
  return fields;
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unquote(text: string): string | number {
  if (text.startsWith("`")) return text.slice(1, -1);
  const value = text
    .slice(1, -1)
    .replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)/g, (_all, code: string) => {
      if (/^[uUx]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]{3}$/.test(code)) return String.fromCodePoint(Number.parseInt(code, 8));
      return ESCAPES[code] ?? code;
    });
  return text.startsWith("'") ? (value.codePointAt(0) ?? 0) : value;
}
