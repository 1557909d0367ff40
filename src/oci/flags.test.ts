import { describe, expect, test } from "bun:test";
import { type Flag, formatFlags, parseFlags, UsageError } from "./flags.ts";

const FLAGS: readonly Flag[] = [
  { name: "bundle", short: "b", kind: "string", help: "directory", default: '"."' },
  { name: "detach", short: "d", kind: "boolean", help: "do not wait" },
  { name: "env", short: "e", kind: "list", help: "a variable" },
  { name: "preserve-fds", kind: "integer", help: "how many" },
];

function parsed(...args: string[]): object {
  const { args: positionals, ...rest } = parseFlags(args, FLAGS);
  const { values } = rest as unknown as { values: Map<string, string[]> };
  return { positionals, ...Object.fromEntries(values) };
}

describe("parseFlags", () => {
  test.each<[string[]]>([
    [["--bundle", "/b"]],
    [["--bundle=/b"]],
    [["-bundle", "/b"]],
    [["-bundle=/b"]],
    [["-b", "/b"]],
    [["--b=/b"]],
  ])("takes a value as %j", (args) => expect(parsed(...args, "id")).toEqual({ positionals: ["id"], bundle: ["/b"] }));

  test("takes flags after positional arguments, until --", () => {
    expect(parsed("id", "--detach", "more", "--", "--detach")).toEqual({
      positionals: ["id", "more", "--detach"],
      detach: ["true"],
    });
  });

  test("takes nothing as a flag from the raw argument on", () => {
    const { args, values } = parseFlags(["-d", "id", "-e", "A=1", "ls", "-d", "--", "-x"], FLAGS, 1) as unknown as {
      args: string[];
      values: Map<string, string[]>;
    };
    expect(args).toEqual(["id", "ls", "-d", "--", "-x"]);
    expect([...values]).toEqual([
      ["detach", ["true"]],
      ["env", ["A=1"]],
    ]);
  });

  test("keeps every value of a list and the last of others", () => {
    expect(parsed("-e", "A=1", "--env=B=2,3", "-b", "1", "-b", "2")).toEqual({
      positionals: [],
      env: ["A=1", "B=2,3"],
      bundle: ["2"],
    });
  });

  test("takes a dash, an empty word, and a signal such as -9 after the id as positional arguments", () => {
    expect(parsed("id", "-9", "", "-")).toEqual({ positionals: ["id", "-9", "", "-"] });
  });

  test("takes a value that begins with a dash", () => {
    expect(parsed("--bundle", "-d", "--preserve-fds", "-1")).toEqual({
      positionals: [],
      bundle: ["-d"],
      "preserve-fds": ["-1"],
    });
  });

  test.each<[string[], string]>([
    [["--detach=0"], "false"],
    [["--detach=T"], "true"],
  ])("reads booleans as Go does: %j", (args, value) => expect(parsed(...args)).toMatchObject({ detach: [value] }));

  test.each<[string[], string]>([
    [["--bogus"], "flag provided but not defined: -bogus"],
    [["--bundle"], "flag needs an argument: -bundle"],
    [["--detach=maybe"], 'invalid boolean value "maybe" for -detach: parse error'],
    [["--preserve-fds", "x"], 'invalid value "x" for flag -preserve-fds: parse error'],
    [["--preserve-fds", "1.5"], 'invalid value "1.5" for flag -preserve-fds: parse error'],
    [["--preserve-fds", "99999999999999999999"], "parse error"],
    [["---x"], "bad flag syntax: ---x"],
    [["--=x"], "bad flag syntax: --=x"],
  ])("refuses %j with Go's words", (args, message) => {
    expect(() => parseFlags(args, FLAGS)).toThrow(UsageError);
    expect(() => parseFlags(args, FLAGS)).toThrow(message);
  });

  test("reads hexadecimal and signed integers", () => {
    expect(parseFlags(["--preserve-fds=0x10"], FLAGS).integer("preserve-fds")).toBe(16);
    expect(parseFlags(["--preserve-fds=+3"], FLAGS).integer("preserve-fds")).toBe(3);
  });
});

test("formatFlags lines up the descriptions", () => {
  expect(formatFlags(FLAGS.slice(0, 2))).toBe(
    [
      '   --bundle value, -b value  directory (default: ".")',
      "   --detach, -d              do not wait",
      "   --help, -h                show help",
      "",
    ].join("\n"),
  );
});
