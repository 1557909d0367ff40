/** Checks metrics as Prometheus reads them. Sources: Prometheus, "Text-based format" and "Metric and label naming". */

const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\})|(?=\})))*)\})? (NaN|[+-]?Inf|[+-]?[0-9.]+(?:[eE][+-]?\d+)?)(?: -?\d+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"/g;

interface Sample {
  name: string;
  labels: Map<string, string>;
  value: number;
}

/** Returns what is wrong with the text, one problem each; none if all is well. */
export function checkMetrics(text: string): string[] {
  const problems: string[] = [];
  if (!text.endsWith("\n")) problems.push("the text does not end with a line");
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const seen = new Set<string>();
  const closed = new Set<string>();
  const buckets = new Map<string, Sample[]>();
  let current: string | undefined;
  for (const line of text.split("\n").slice(0, -1)) {
    const [, kind, about = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === "HELP") {
      if (helps.has(about)) problems.push(`${about}: has two HELPs`);
      helps.add(about);
    } else if (kind === "TYPE") {
      if (types.has(about)) problems.push(`${about}: has two TYPEs`);
      if (rest === "counter" && !about.endsWith("_total"))
        problems.push(`${about}: a counter that does not end in _total`);
      types.set(about, rest);
    } else {
      const sample = parseSample(line);
      if (typeof sample === "string") {
        problems.push(sample);
        continue;
      }
      const base = baseOf(sample.name, types);
      if (base === undefined || !helps.has(base)) problems.push(`${line}: has no TYPE or no HELP`);
      if (base !== current && current !== undefined) closed.add(current);
      if (base !== undefined && closed.has(base)) problems.push(`${line}: is not with the rest of its family`);
      current = base;
      const key = keyOf(sample);
      if (seen.has(key)) problems.push(`${line}: is there twice`);
      seen.add(key);
      if (base !== undefined && types.get(base) === "histogram") collect(buckets, base, sample);
    }
  }
  for (const [key, samples] of buckets) problems.push(...checkHistogram(key, samples));
  return problems;
}

function parseSample(line: string): Sample | string {
  const match = SAMPLE.exec(line);
  if (match === null) return `${line}: is no sample`;
  const all = [...(match[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name!, value!] as const);
  const labels = new Map(all);
  if (labels.size < all.length) return `${line}: has a label twice`;
  return { name: match[1]!, labels, value: Number(match[3]!.replace("Inf", "Infinity")) };
}

function baseOf(name: string, types: ReadonlyMap<string, string>): string | undefined {
  if (types.has(name)) return name;
  const base = name.replace(/_(bucket|sum|count)$/, "");
  return types.get(base) === "histogram" ? base : undefined;
}

function keyOf({ name, labels }: Sample, except = ""): string {
  const sorted = [...labels].filter(([label]) => label !== except).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${name} ${JSON.stringify(sorted)}`;
}

function collect(buckets: Map<string, Sample[]>, base: string, sample: Sample): void {
  const key = keyOf({ ...sample, name: base }, "le");
  const list = buckets.get(key) ?? [];
  list.push(sample);
  buckets.set(key, list);
}

function checkHistogram(key: string, samples: readonly Sample[]): string[] {
  const problems: string[] = [];
  const counts = samples.filter(({ labels }) => labels.has("le"));
  const last = counts.at(-1);
  if (last?.labels.get("le") !== "+Inf") problems.push(`${key}: has no bucket +Inf`);
  if (counts.some(({ value }, index) => value < (counts[index - 1]?.value ?? 0))) problems.push(`${key}: counts down`);
  const total = samples.find(({ name }) => name.endsWith("_count"));
  if (total?.value !== last?.value) problems.push(`${key}: _count is not the last bucket's`);
  if (!samples.some(({ name }) => name.endsWith("_sum"))) problems.push(`${key}: has no _sum`);
  return problems;
}
