/**
 * Counters and histograms that any part of the daemon keeps, and their text. Each is made once, beside what it counts; it costs an
 * addition where something happens, and its text is made when somebody asks.
 * Source: Prometheus, "Text-based format".
 */

/** The default buckets of Prometheus's client for Go: Docker's dashboards expect these. */
const DEFAULT_BUCKETS_S: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Type = "gauge" | "counter" | "histogram";

/** The lines of a metric with its samples. */
export function family(name: string, type: Type, help: string, samples: readonly string[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples];
}

export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}

/** Formats labels without their braces: 'a="b",c="d"'. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(",");
}

export class Histogram {
  readonly #boundsS: readonly number[];
  readonly #counts: number[];
  #sumS = 0;
  #count = 0;

  constructor(boundsS: readonly number[]) {
    this.#boundsS = boundsS;
    this.#counts = boundsS.map(() => 0);
  }

  observe(seconds: number): void {
    for (const [index, bound] of this.#boundsS.entries()) if (seconds <= bound) this.#counts[index]!++;
    this.#sumS += seconds;
    this.#count++;
  }

  /** The histogram's lines. `labels`: 'action="start"', or "". */
  format(name: string, labels = ""): string[] {
    const with_ = (more: string) => `{${[labels, more].filter((each) => each !== "").join(",")}}`;
    const own = labels === "" ? "" : `{${labels}}`;
    return [
      ...this.#boundsS.map((bound, index) => `${name}_bucket${with_(`le="${bound}"`)} ${this.#counts[index]}`),
      `${name}_bucket${with_('le="+Inf"')} ${this.#count}`,
      `${name}_sum${own} ${this.#sumS}`,
      `${name}_count${own} ${this.#count}`,
    ];
  }
}

/** Histograms of one name, by their labels' values. */
export class HistogramFamily {
  readonly #histograms = new Map<string, Histogram>();

  constructor(
    readonly name: string,
    readonly help: string,
    readonly boundsS: readonly number[] = DEFAULT_BUCKETS_S,
  ) {}

  /** `labels` come from the program, not from clients: each set of them stays. */
  observe(seconds: number, labels: Readonly<Record<string, string>> = {}): void {
    this.of(labels).observe(seconds);
  }

  /** The histogram with these labels, which is shown from now on. */
  of(labels: Readonly<Record<string, string>>): Histogram {
    const key = formatLabels(labels);
    let histogram = this.#histograms.get(key);
    if (histogram === undefined) {
      histogram = new Histogram(this.boundsS);
      this.#histograms.set(key, histogram);
    }
    return histogram;
  }

  format(): string[] {
    const samples = [...this.#histograms].flatMap(([labels, histogram]) => histogram.format(this.name, labels));
    return family(this.name, "histogram", this.help, samples);
  }
}

/** Counters of one name, by their label's value. */
class CounterFamily {
  readonly #counts = new Map<string, number>();

  constructor(
    readonly name: string,
    readonly help: string,
    readonly label: string | undefined,
    values: readonly string[],
  ) {
    for (const value of label === undefined ? [""] : values) this.#counts.set(value, 0);
  }

  add(value = "", count = 1): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + count);
  }

  format(): string[] {
    const samples = [...this.#counts].map(([value, count]) =>
      this.label === undefined
        ? `${this.name} ${count}`
        : `${this.name}{${formatLabels({ [this.label]: value })}} ${count}`,
    );
    return family(this.name, "counter", this.help, samples);
  }
}

const registered: (CounterFamily | HistogramFamily)[] = [];

/** Makes a counter of this process. With a label, those of its `values` are shown before anything has happened. */
export function counter(name: string, help: string, label?: string, values: readonly string[] = []): CounterFamily {
  const made = new CounterFamily(name, help, label, values);
  registered.push(made);
  return made;
}

/** Makes histograms of this process. */
export function histograms(name: string, help: string, boundsS?: readonly number[]): HistogramFamily {
  const made = new HistogramFamily(name, help, boundsS);
  registered.push(made);
  return made;
}

/** The lines of all that this process counts. */
export function registeredFamilies(): string[] {
  return registered.flatMap((each) => each.format());
}
