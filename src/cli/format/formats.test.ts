import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { parseEnvFlag, parsePairs } from "../values/env-file.ts";
import { encodeFilters } from "../values/filters.ts";
import { parseNanoCpus } from "../values/resource-values.ts";
import { indentJson } from "./json-indent.ts";
import { formatPorts } from "./ports.ts";
import { alignColumns, type Columns, renderRows, usesColumn } from "./table.ts";
import { parseTimestamp } from "./time.ts";

describe("tables", () => {
  const columns: Columns<{ id: string; name: string }> = {
    ID: { heading: "THE ID", value: (row) => row.id },
    Label: { heading: "", value: () => (name) => `<${name}>`, method: true },
    Name: { heading: "NAME", value: (row) => row.name },
  };
  const rows = [
    { id: "1", name: "a-long-name-here" },
    { id: "22", name: "é" },
  ];

  test("columns are as wide as their widest cell and three, at least ten; the last is left alone", () => {
    expect(renderRows(rows, columns, "table {{.Name}}\\t{{.ID}}\t{{.Label `x_y-z`}}")).toBe(
      [
        "NAME               THE ID    x y z",
        "a-long-name-here   1         <x_y-z>",
        "é                  22        <x_y-z>",
        "",
      ].join("\n"),
    );
  });

  test("without rows a table is its headings, other formats nothing", () => {
    expect(renderRows([], columns, "table {{.ID}}\t{{.Name}}")).toBe("THE ID    NAME\n");
    expect(renderRows([], columns, "{{.ID}}")).toBe("");
    expect(() => renderRows([], columns, "{{.Nope}}")).toThrow("failed to execute template: template: :1:2:");
    expect(() => renderRows([], columns, "{{.ID")).toThrow("failed to parse template: template: :1: unclosed action");
  });

  test("json: one object a line, columns in order, methods left out, escaped for HTML", () => {
    const html = [{ id: "<1>", name: "&" }];
    expect(renderRows(html, columns, "json")).toBe('{"ID":"\\u003c1\\u003e","Name":"\\u0026"}\n');
    expect(renderRows(html, columns, "{{json .ID}}")).toBe('"<1>"\n');
  });

  test("usesColumn sees a column in a template, and in {{json .}}, not in plain json", () => {
    expect(usesColumn(columns, "{{if .Name}}x{{end}}", "Name")).toBe(true);
    expect(usesColumn(columns, "{{.ID}}", "Name")).toBe(false);
    expect(usesColumn(columns, "{{json .}}", "Name")).toBe(true);
    expect(usesColumn(columns, "json", "Name")).toBe(false);
  });

  test("a line without tabs ends a column, so what follows is laid out anew", () => {
    const lines = ["a\tb", "long-long-cell\tc", "no tabs", "x\ty"];
    expect(alignColumns(lines)).toBe("a                b\nlong-long-cell   c\nno tabs\nx         y\n");
  });
});

test.each([
  [[], ""],
  [[{ PrivatePort: 80, Type: "tcp" }], "80/tcp"],
  [[{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }], "0.0.0.0:8080->80/tcp"],
  [
    [
      { IP: "0.0.0.0", PrivatePort: 81, PublicPort: 81, Type: "tcp" },
      { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 80, Type: "tcp" },
      { PrivatePort: 90, Type: "udp" },
      { PrivatePort: 91, Type: "udp" },
      { PrivatePort: 93, Type: "udp" },
    ],
    "90-91/udp, 0.0.0.0:80-81->80-81/tcp, 93/udp",
  ],
])("formatPorts %#", (ports, expected) => {
  expect(formatPorts(ports)).toBe(expected);
});

test("parsePairs follows the rules of env files", () => {
  const content = new TextEncoder().encode("\ufeffA=1\n  # no\n\n B = 2\n");
  const lone = (name: string) => (name === "SET" ? "SET=x" : undefined);
  expect(() => parsePairs("f", content, lone)).toThrow("variable 'B ' contains whitespaces");
  const good = new TextEncoder().encode("\ufeffA=1\r\n\t#c\nC='q' # kept\nSET\nUNSET\n\nD=");
  expect(parsePairs("f", good, lone)).toEqual(["A=1", "C='q' # kept", "SET=x", "D="]);
  expect(() => parsePairs("f", new TextEncoder().encode("=x"), lone)).toThrow("no variable name on line '=x'");
  const latin1 = Uint8Array.from([0x41, 0x3d, 0x31, 0x0a, 0x42, 0x3d, 0xe9]);
  expect(() => parsePairs("f", latin1, lone)).toThrow("env file f contains invalid utf8 bytes at line 2");
});

test("parseEnvFlag takes a value from the environment only for a lone name", () => {
  expect(parseEnvFlag("A", { A: "x=y" })).toBe("A=x=y");
  expect(parseEnvFlag("A", { A: "" })).toBe("A=");
  expect(parseEnvFlag("A=", { A: "x" })).toBe("A=");
  expect(parseEnvFlag("B", {})).toBe("B");
  expect(() => parseEnvFlag("=x", {})).toThrow("invalid environment variable: =x");
});

test("encodeFilters groups by name", () => {
  expect(JSON.parse(encodeFilters(["a=1", "A = 2 ", "b=x=y"]) ?? "")).toEqual({
    a: { 1: true, 2: true },
    b: { "x=y": true },
  });
  expect(encodeFilters([])).toBeUndefined();
});

test("indentJson keeps tokens as they are", () => {
  const json = '[{"b":1,"a":[],"c":{},"n":12345678901234567890,"s":"{,}: \\" ","l":[1.0,null]},[]]';
  expect(indentJson(json, "    ")).toBe(
    readFileSync(join(import.meta.dirname, "json-indent.expected.txt"), "utf8").trimEnd(),
  );
  expect(indentJson("[]", "  ")).toBe("[]");
});

test("parseCsvLine", () => {
  expect(parseCsvLine('a,"b,""c""",,d')).toEqual(["a", 'b,"c"', "", "d"]);
  expect(parseCsvLine("a,")).toEqual(["a", ""]);
  expect(() => parseCsvLine('a"b')).toThrow('parse error on line 1, column 2: bare " in non-quoted-field');
  expect(() => parseCsvLine("")).toThrow("EOF");
});

test.each([
  ["1.5", 1_500_000_000],
  ["2", 2_000_000_000],
  [".25", 250_000_000],
  ["3/4", 750_000_000],
  ["1e-2", 10_000_000],
  ["0.000000001", 1],
  ["-1", -1_000_000_000],
])("parseNanoCpus reads %p as %p", (text, nano) => {
  expect(parseNanoCpus(text)).toBe(nano);
});

test("parseNanoCpus refuses what is no number, and what is finer than a billionth", () => {
  for (const bad of ["", "x", "1.2.3", "1/0", "."]) expect(() => parseNanoCpus(bad)).toThrow("as a rational number");
  for (const fine of ["0.0000000001", "1/3"]) expect(() => parseNanoCpus(fine)).toThrow("value is too precise");
});

test("parseTimestamp: durations before now, dates with and without zones, Unix time", () => {
  const now = Date.parse("2024-01-02T03:04:05Z");
  expect(parseTimestamp("42m", now)).toBe("1704161965.000000000".replace("1704161965", String(now / 1000 - 42 * 60)));
  expect(parseTimestamp("1700000000.123", now)).toBe("1700000000.123");
  expect(parseTimestamp("2024-01-02T03:04:05.5Z", now)).toBe(`${now / 1000}.500000000`);
  expect(parseTimestamp("2024-01-02T05:04:05+02:00", now)).toBe(`${now / 1000}.000000000`);
  expect(parseTimestamp("2024-01-02", now)).toBe(`${new Date(2024, 0, 2).getTime() / 1000}.000000000`);
  expect(() => parseTimestamp("foo", now)).toThrow('failed to parse value as time or duration: "foo"');
});
