/** Folds the ops of a program into steps: what is done for one reason, and then for one more of the same kind, is one step. */
import type { ExplainedOp } from "../../spec/explanation.ts";

/** Consecutive ops that do one thing, or the same thing to several. */
export interface Step {
  ops: readonly ExplainedOp[];
  /** How many things: 1, or more where steps of the same kind were joined. */
  count: number;
  /** The purpose; what differs between several is in braces. */
  why: string;
  /** The calls with their arguments, as far as they are short. */
  what: string;
}

/** @param maxText The length that the list of what differs may have. */
export function foldOps(ops: readonly ExplainedOp[], maxText: number): Step[] {
  const deeds = split(ops, (one, next) => isNeighbour(one, next) && isSameDeed(one.why, next.why));
  const kinds = split(deeds, (one, next) => isNeighbour(one[0]!, next[0]!) && kindOf(one) === kindOf(next));
  return kinds.map((deeds) => stepOf(deeds, maxText));
}

function isNeighbour(one: ExplainedOp, next: ExplainedOp): boolean {
  return one.section === next.section && one.phase === next.phase;
}

/** Tells whether two ops have one reason; the one's may say more: "mounts[0] on /proc: read-only". */
function isSameDeed(one: string, next: string): boolean {
  return one === next || one.startsWith(`${next}: `) || next.startsWith(`${one}: `);
}

/** Splits a list where `belong` is false for two neighbours. */
function split<T>(list: readonly T[], belong: (one: T, next: T) => boolean): T[][] {
  const parts: T[][] = [];
  for (const item of list) {
    const last = parts.at(-1);
    if (last !== undefined && belong(last.at(-1)!, item)) last.push(item);
    else parts.push([item]);
  }
  return parts;
}

/** Deeds of one kind make the same calls for reasons that differ in paths, or in what is in parentheses: "masked: /proc/kcore". */
function kindOf(ops: readonly ExplainedOp[]): string {
  const words = ops[0]!.why.replace(/\(.*\)/, "()").replace(/(?<= |^)\/\S*/g, "/");
  return [words, ...ops.map(({ call }) => call)].join("\n");
}

function stepOf(deeds: readonly ExplainedOp[][], maxText: number): Step {
  const ops = deeds.flat();
  const why = foldTexts(
    deeds.map((deed) => deed.map(({ why }) => why).reduce((one, next) => (next.length < one.length ? next : one))),
    maxText,
  );
  return { ops, count: deeds.length, why, what: whatOf(ops, deeds.length, maxText) };
}

function whatOf(ops: readonly ExplainedOp[], deedCount: number, maxText: number): string {
  const [first] = ops;
  if (ops.length === 1) return callOf(first!).replace(WITH_CWD, " /");
  const calls = ops.slice(0, ops.length / deedCount).map(({ call }) => call);
  const names = split(calls, (one, next) => one === next).map(({ length, 0: call }) => times(call!, length));
  const several = names.length > 1 ? times(names.join(", "), deedCount) : times(first!.call, ops.length);
  if (names.length > 1) return several;
  return `${several} ${foldTexts(
    ops.map(({ args }) => args),
    maxText,
  )}`
    .replace(WITH_CWD, " /")
    .trimEnd();
}

/** A call with its arguments, its result, and what it depends on. */
function callOf({ call, args, out, guard, unless, tolerated }: ExplainedOp): string {
  const parts = [
    ...[call, args, out && `-> $${out}`, guard && `if $${guard}`, unless && `unless $${unless}`],
    tolerated && `(${tolerated.join(", ")} is fine)`,
  ];
  return parts.filter(Boolean).join(" ");
}

/** The directory that an absolute path makes no use of. */
const WITH_CWD = / AT_FDCWD \//;

function times(text: string, count: number): string {
  if (count === 1) return text;
  return text.includes(",") ? `(${text}) ×${count}` : `${text} ×${count}`;
}

/** Joins texts: "/sys/{cpu,memory}/x" for "/sys/cpu/x" and "/sys/memory/x". A list that gets too long ends in "…". */
export function foldTexts(texts: readonly string[], maxList: number): string {
  const distinct = [...new Set(texts)];
  if (distinct.length === 1) return distinct[0]!;
  const before = commonLength(distinct, (text, at) => text[at]);
  const shortest = Math.min(...distinct.map(({ length }) => length));
  const after = Math.min(
    commonLength(distinct, (text, at) => text[text.length - 1 - at]),
    shortest - before,
  );
  // Words stay whole.
  const head = distinct[0]!.slice(0, before).replace(/[^/ (]+$/, "");
  const tail = distinct[0]!.slice(distinct[0]!.length - after).replace(/^[^/ )@]+/, "");
  const parts = distinct.map((text) => text.slice(head.length, text.length - tail.length));
  let length = 0;
  const shown = parts.filter((part, index) => {
    length += part.length + 1;
    return index === 0 || length <= maxList;
  });
  return `${head}{${shown.join(",")}${shown.length < parts.length ? ",…" : ""}}${tail}`;
}

/** How many characters the texts have in common, counted by `charAt` from one of their ends. */
function commonLength(texts: readonly string[], charAt: (text: string, at: number) => string | undefined): number {
  const [first] = texts;
  let at = 0;
  while (at < first!.length && texts.every((text) => charAt(text, at) === charAt(first!, at))) at++;
  return at;
}
