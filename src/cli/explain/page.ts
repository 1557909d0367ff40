/** Lays a program out for people: phases, steps and the short names, in at most 100 columns. */
import type { ExplainedOp, ExplainedSection, Explanation } from "../../spec/explanation.ts";
import { escapeControls } from "../format/harmless.ts";
import { cutEnd, formatNs, type PageOptions, pageColumns, type Style, styled } from "../format/look.ts";
import { foldOps, type Step } from "./fold.ts";

const PHASE_COLUMNS = 11;
const NUMBER_COLUMNS = 8;
const TIME_COLUMNS = 10;
const GAP = 2;
const TITLES: Readonly<Record<ExplainedSection, string>> = {
  host: "In the launcher, on the host",
  init: "In the container's first process",
  cleanup: "In the launcher, when the process has ended or its start has failed",
};

/** The whole program. */
export function explainPage(explanation: Explanation, options: PageOptions): string {
  const { names, ops, supervise } = shortened(explanation);
  const page = new Page(options);
  for (const { name, value, what } of names) page.row([name, what, value], "dim");
  page.steps(ops);
  if (ops.some(({ tookNs }) => tookNs !== undefined)) page.row(["", "", totalOf(ops)], undefined);
  page.title("In the supervisor, while the process runs");
  for (const line of supervise) page.row(["", "", line], undefined);
  return page.text;
}

/** What another start does (+) and what it does not do any more (-). */
export function differencePage(before: Explanation, after: Explanation, options: PageOptions): string {
  const [removed, added] = differences(shortened(before).ops, shortened(after).ops);
  const page = new Page(options);
  page.steps(removed, "- ", "removed");
  page.steps(added, "+ ", "added");
  return page.text === "" ? "No op differs.\n" : page.text;
}

class Page {
  text = "";
  readonly #columns: number;
  readonly #hasColor: boolean;
  readonly #widths: readonly [number, number, number];

  constructor({ columns, hasColor }: PageOptions) {
    this.#columns = pageColumns(columns);
    this.#hasColor = hasColor;
    const left = this.#columns - PHASE_COLUMNS - NUMBER_COLUMNS - 2 * GAP;
    const why = Math.floor(left * 0.55);
    this.#widths = [PHASE_COLUMNS, why, left - why];
  }

  title(text: string): void {
    this.text += `${this.text === "" ? "" : "\n"}${this.#styled(text, "title")}\n`;
  }

  steps(ops: readonly ExplainedOp[], mark = "", style?: Style): void {
    const isTraced = ops.some(({ tookNs }) => tookNs !== undefined);
    const whyWidth = this.#widths[1];
    const whatWidth = this.#widths[2] - (isTraced ? TIME_COLUMNS : 0);
    let section: ExplainedSection | undefined;
    let phase = "";
    for (const step of foldOps(ops, Math.floor(this.#columns / 4))) {
      const [first] = step.ops;
      if (first!.section !== section) {
        section = first!.section;
        phase = "";
        this.title(mark + TITLES[section]);
      }
      const shownPhase = first!.phase === phase ? "" : first!.phase;
      phase = first!.phase;
      const cells = [
        this.#styled((mark + shownPhase).padEnd(PHASE_COLUMNS), style ?? "phase"),
        this.#styled(numbersOf(step).padStart(NUMBER_COLUMNS), "dim"),
        isTraced ? formatTook(step).padStart(TIME_COLUMNS) : "",
        " ".repeat(GAP) + cutEnd(step.why, whyWidth).padEnd(whyWidth + GAP),
        this.#styled(cutMiddle(step.what, whatWidth), "dim"),
      ];
      this.text += `${cells.join("").trimEnd()}\n`;
    }
  }

  /** A line without a number: a short word, what it is, and something long. */
  row([word, what, long]: readonly [string, string, string], style: Style | undefined): void {
    const start = word === "" ? " ".repeat(PHASE_COLUMNS) : word.padEnd(PHASE_COLUMNS);
    const middle = what === "" ? "" : what.padEnd(this.#widths[1]);
    const line = `${start}${middle}${cutMiddle(long, this.#columns - start.length - middle.length)}`;
    this.text += `${style === undefined ? line : this.#styled(line, style)}\n`;
  }

  #styled(text: string, style: Style): string {
    return styled(text, style, this.#hasColor);
  }
}

/** How long a step took, all of its ops together: "12 µs", "1.25 ms". */
function formatTook({ ops }: Step): string {
  const took = ops.flatMap(({ tookNs }) => tookNs ?? []);
  return took.length === 0 ? "" : formatNs(took.reduce((sum, ns) => sum + ns));
}

/** The time to execve(2). What launcher and init did at the same time is longer together. */
function totalOf(ops: readonly ExplainedOp[]): string {
  const ends = ops.flatMap(({ beganNs, tookNs }) => (beganNs === undefined ? [] : beganNs + (tookNs ?? 0)));
  return `The program ran ${formatNs(Math.max(...ends))} after the first op.`;
}

function numbersOf({ ops }: Step): string {
  const [first, last] = [ops[0]!.index, ops.at(-1)!.index];
  return first === last ? String(first) : `${first}–${last}`;
}

/** The end of a call says more than its middle: a file's name, and what is written. */
function cutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.floor((width - 1) * 0.4);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}

/** The explanation with its short names in place of what they stand for. */
function shortened({ names, ops, supervise }: Explanation): Explanation {
  const shorten = (text: string) =>
    escapeControls(names.reduce((short, { name, value }) => short.replaceAll(value, name), text));
  const uses = (text: string) => ops.some(({ args, why }) => args.includes(text) || why.includes(text));
  const short = ops.map((op) => ({ ...op, args: shorten(op.args), why: shorten(op.why), ...slots(op, shorten) }));
  return {
    names: names.filter(({ value }) => uses(value)),
    ops: short,
    supervise: supervise.map((line) => shorten(line)),
  };
}

function slots({ out, guard }: ExplainedOp, shorten: (text: string) => string): Pick<ExplainedOp, "out" | "guard"> {
  return { ...(out ? { out: shorten(out) } : {}), ...(guard ? { guard: shorten(guard) } : {}) };
}

/** The ops of `before` that are not in `after`, and the other way round, by their longest common subsequence. */
function differences(before: readonly ExplainedOp[], after: readonly ExplainedOp[]): [ExplainedOp[], ExplainedOp[]] {
  const keyOf = ({ index: _, ...op }: ExplainedOp) => JSON.stringify(op);
  const [a, b] = [before.map(keyOf), after.map(keyOf)];
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i]![j] = a[i] === b[j] ? lengths[i + 1]![j + 1]! + 1 : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
  const [removed, added]: [ExplainedOp[], ExplainedOp[]] = [[], []];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length)
    if (i < a.length && j < b.length && a[i] === b[j]) [i, j] = [i + 1, j + 1];
    else if (j === b.length || (i < a.length && lengths[i + 1]![j]! >= lengths[i]![j + 1]!)) removed.push(before[i++]!);
    else added.push(after[j++]!);
  return [removed, added];
}
