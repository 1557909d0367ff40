import { expect, test } from "bun:test";
import { checkMetrics } from "../../tests/support/check-metrics.ts";
import { counter, escapeLabel, Histogram, HistogramFamily, registeredFamilies } from "./metrics.ts";

test("a histogram counts into every bucket that is large enough", () => {
  const histogram = new Histogram([0.01, 0.1]);
  for (const seconds of [0.01, 0.05, 3]) histogram.observe(seconds);
  expect(histogram.format("h", 'action="x"')).toEqual([
    'h_bucket{action="x",le="0.01"} 1',
    'h_bucket{action="x",le="0.1"} 2',
    'h_bucket{action="x",le="+Inf"} 3',
    'h_sum{action="x"} 3.06',
    'h_count{action="x"} 3',
  ]);
  expect(new Histogram([1]).format("h")).toEqual([
    'h_bucket{le="1"} 0',
    'h_bucket{le="+Inf"} 0',
    "h_sum 0",
    "h_count 0",
  ]);
});

test("a label's value is one line", () => {
  expect(escapeLabel('a"b\\c\nd')).toBe('a\\"b\\\\c\\nd');
});

test("what is counted is shown by its label, from the beginning where the values are known", () => {
  const counted = counter("test_things_total", "Things", "kind", ["a", "b"]);
  counted.add("b");
  counted.add('"c"', 2);
  const lines = registeredFamilies();
  for (const line of ['test_things_total{kind="a"} 0', 'test_things_total{kind="b"} 1']) expect(lines).toContain(line);
  expect(lines).toContain('test_things_total{kind="\\"c\\""} 2');
  expect(checkMetrics(`${lines.join("\n")}\n`)).toEqual([]);
});

test("histograms of one name are one family", () => {
  const family = new HistogramFamily("test_seconds", "Times", [1]);
  family.observe(0.5, { route: "/a", code: "200" });
  family.observe(2, { route: "/b", code: "404" });
  expect(checkMetrics(`${family.format().join("\n")}\n`)).toEqual([]);
  expect(family.format()).toContain('test_seconds_bucket{route="/b",code="404",le="1"} 0');
});

test("the checker finds what Prometheus would refuse or misread", () => {
  const head = "# HELP a_total x\n# TYPE a_total counter\n";
  for (const [text, problem] of [
    ["a 1", "does not end with a line"],
    ["# TYPE a counter\na_total 1\n", "a_total 1: has no TYPE"],
    [`${head}a_total{b="1} 1\n`, "is no sample"],
    [`${head}a_total{b="1",b="2"} 1\n`, "has a label twice"],
    [`${head}a_total 1\na_total 2\n`, "is there twice"],
    [`${head}a_total x\n`, "is no sample"],
    ["# HELP a x\n# TYPE a counter\na 1\n", "does not end in _total"],
    ['# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n', "counts down"],
    ['# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 1\nh_count 2\n', "no bucket +Inf"],
    [`${head}a_total 1\n# HELP b x\n# TYPE b gauge\nb 1\na_total{c="d"} 1\n`, "not with the rest"],
  ] as const)
    expect(checkMetrics(text).join("\n")).toContain(problem);
});
