import { expect, test } from "bun:test";
import type { ExplainedOp, Explanation } from "../../spec/explanation.ts";
import { differencePage, explainPage } from "./page.ts";

const ID = "0123456789abcdef".repeat(4);

function explanationOf(...ops: readonly Partial<ExplainedOp>[]): Explanation {
  return {
    names: [
      { name: "@cgroup", value: `/lighter/${ID}`, what: "its cgroup" },
      { name: "@unused", value: "/nowhere", what: "never mentioned" },
    ],
    ops: ops.map((op, index) => ({
      ...{
        index,
        section: "host",
        phase: "limits",
        call: "write",
        args: `/sys/fs/cgroup/lighter/${ID}/memory.max "1"`,
      },
      ...{ why: "resources.memory.limit", ...op },
    })),
    supervise: [`serve /run/${ID}`],
  };
}

const plain = { columns: 100, hasColor: false };

test("short names are explained once and used everywhere, phases are said where they change", () => {
  const text = explainPage(
    explanationOf(
      {},
      { why: "second" },
      { section: "init", phase: "root", call: "pivot_root", args: ". .", why: "enter" },
    ),
    plain,
  );
  expect(text.split("\n").map((line) => line.replace(/ {2,}/g, "  "))).toEqual([
    "@cgroup  its cgroup  /lighter/012345678…456789abcdef0123456789abcdef",
    "",
    "In the launcher, on the host",
    'limits  0  resources.memory.limit  write /sys/fs…cgroup/memory.max "1"',
    '  1  second  write /sys/fs…cgroup/memory.max "1"',
    "",
    "In the container's first process",
    "root  2  enter  pivot_root . .",
    "",
    "In the supervisor, while the process runs",
    `  serve /run/${ID}`,
    "",
  ]);
});

test("no line is longer than the page, which is never wider than 100 nor narrower than 60 columns", () => {
  const long = explanationOf({ why: "w".repeat(300), args: "a".repeat(300) });
  for (const [columns, widest] of [
    [Number.POSITIVE_INFINITY, 100],
    [80, 80],
    [20, 60],
  ] as const) {
    const lines = explainPage(long, { columns, hasColor: false }).split("\n");
    expect(Math.max(...lines.map(({ length }) => length))).toBe(widest);
  }
});

test("colours surround the cells, and what a user named does not reach the terminal as it is", () => {
  const text = explainPage(explanationOf({ why: "mount \x1b[2J" }), { columns: 100, hasColor: true });
  expect(text).toContain("\x1b[36mlimits     \x1b[0m");
  expect(text).toContain("mount \\x1b[2J");
});

test("a difference has what goes and what comes, and nothing for numbers that moved", () => {
  const [before, after] = [
    explanationOf({ why: "first" }, { why: "user", args: "0" }, { why: "last" }),
    explanationOf({ why: "new" }, { why: "first" }, { why: "user", args: "1000" }, { why: "last" }),
  ];
  expect(differencePage(before, after, plain).replace(/ {2,}/g, "  ")).toBe(
    [
      "- In the launcher, on the host",
      "- limits  1  user  write 0",
      "",
      "+ In the launcher, on the host",
      '+ limits  0  new  write /sys/fs…cgroup/memory.max "1"',
      "+  2  user  write 1000",
      "",
    ].join("\n"),
  );
  expect(differencePage(before, before, plain)).toBe("No op differs.\n");
});
