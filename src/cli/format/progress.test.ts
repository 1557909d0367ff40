import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { JsonSplitter } from "./json-splitter.ts";
import { type JsonMessage, ProgressDisplay, parseJsonMessage } from "./progress.ts";

const recorded: readonly JsonMessage[] = readFileSync(join(import.meta.dirname, "progress.recorded.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => parseJsonMessage(JSON.parse(line)));

/** What a person sees: lines, and a cursor that the few sequences we use move. */
class FakeTerminal {
  lines = [""];
  #row = 0;
  #column = 0;

  write(text: string): void {
    for (const [sequence, count, command] of text.matchAll(/\x1b\[(\d+)([ABK])|\r|\n|[^\x1b\r\n]+/g)) {
      if (command === "A") this.#row = Math.max(this.#row - Number(count), 0);
      else if (command === "B") this.#moveTo(this.#row + Number(count));
      else if (command === "K") this.lines[this.#row] = "";
      else if (sequence === "\r") this.#column = 0;
      else if (sequence === "\n") {
        this.#moveTo(this.#row + 1);
        this.#column = 0; // the terminal's own ONLCR
      } else this.#print(sequence);
    }
  }

  #moveTo(row: number): void {
    this.#row = row;
    while (this.lines.length <= row) this.lines.push("");
  }

  #print(text: string): void {
    const line = (this.lines[this.#row] ?? "").padEnd(this.#column);
    this.lines[this.#row] = line.slice(0, this.#column) + text + line.slice(this.#column + text.length);
    this.#column += text.length;
  }
}

function show(messages: readonly JsonMessage[], columns?: number): { text: string; failure?: string } {
  const display = new ProgressDisplay(columns === undefined ? undefined : () => columns);
  let text = "";
  for (const message of messages) {
    const shown = display.show(message);
    text += shown.text;
    if (shown.failure !== undefined) return { text, failure: shown.failure };
  }
  return { text };
}

const pull = (id: string, status: string, current?: number, total?: number) =>
  parseJsonMessage({ id, status, progressDetail: { current, total } });

test("a file gets a line for every change of status and no bars", () => {
  const { text, failure } = show(recorded);
  expect(text).toStartWith("1: Pulling from team/box\naaa: Pulling fs layer\nbbb: Pulling fs layer\nbbb: Waiting\n");
  expect(text).toEndWith("Digest: sha256:1\naaa: Download complete\n");
  expect(text).not.toContain("Downloading");
  expect(text).not.toContain("\x1b");
  expect(failure).toBe("the end");
});

test("a terminal has one line for each layer, redrawn in place", () => {
  const terminal = new FakeTerminal();
  const messages = [
    parseJsonMessage({ status: "Pulling from box", id: "1" }),
    pull("aaa", "Pulling fs layer"),
    pull("bbb", "Pulling fs layer"),
    pull("aaa", "Downloading", 12_300_000, 45_600_000),
    pull("bbb", "Downloading", 500, 1000),
    pull("ccc", "Waiting"),
    pull("aaa", "Pull complete"),
  ];
  terminal.write(show(messages, 120).text);
  const half = `[${"=".repeat(25)}>${" ".repeat(25)}]`;
  expect(terminal.lines.map((line) => line.trimEnd())).toEqual([
    "1: Pulling from box",
    "aaa: Pull complete",
    `bbb: Downloading ${half}     500B/1kB`,
    "ccc: Waiting",
    "",
  ]);
});

test("the width of the terminal is asked for every time: a narrow one has no bar", () => {
  let columns = 111;
  const display = new ProgressDisplay(() => columns);
  const message = pull("aaa", "Downloading", 12_300_000, 45_600_000);
  expect(display.show(message).text).toContain(`[${"=".repeat(13)}>${" ".repeat(37)}]   12.3MB/45.6MB`);
  columns = 110;
  expect(display.show(message).text).toContain("Downloading   12.3MB/45.6MB\r");
});

test("what is left is told from the pace so far", () => {
  const display = new ProgressDisplay(
    () => 120,
    () => 1_000_010_000,
  );
  const detail = { current: 10, total: 7330, start: 1_000_000 };
  expect(display.show(parseJsonMessage({ status: "x", progressDetail: detail })).text).toContain("10B/7.33kB 2h2m0s\r");
});

test("an error without details is one all the same", () => {
  expect(new ProgressDisplay().show(parseJsonMessage({ error: "no" }))).toEqual({ text: "", failure: "no" });
});

test("numbers that make no sense draw something all the same", () => {
  for (const [current, total] of [
    [-5, 10],
    [10, -5],
    [1e300, 1e-300],
    [Number.NaN, 5],
  ])
    expect(typeof show([pull("a", "x", current, total)], 200).text).toBe("string");
});

test("values of a stream end where their last bracket closes, lines or not", () => {
  const splitter = new JsonSplitter();
  expect(splitter.push('{"a":"}\\"{"}{"b":[1,{"c":2}]}\r\n {"d"')).toEqual(['{"a":"}\\"{"}', '{"b":[1,{"c":2}]}']);
  expect(() => splitter.end()).toThrow("unexpected EOF");
  expect(splitter.push(":3}\n")).toEqual(['{"d":3}']);
  splitter.end();
  expect(splitter.push('{"e":4} <html>')).toEqual(['{"e":4}']);
  expect(() => splitter.end()).toThrow('"<" is not the start of a JSON object');
});

test("a value that does not end is refused", () => {
  const splitter = new JsonSplitter();
  expect(() => {
    for (let i = 0; i < 3; i++) splitter.push(`{"a":"${"x".repeat(600_000)}`);
  }).toThrow("a message is too long");
});
