import { expect, test } from "bun:test";
import { Random } from "../../tests/support/random.ts";
import { LighterError } from "./errors.ts";
import { type FlagNames, readFlags } from "./pflag.ts";

const FLAGS = [
  { name: "debug", letter: "d", implicit: "true" },
  { name: "interactive", letter: "i", implicit: "true" },
  { name: "name", letter: "n", implicit: undefined },
  { name: "volume", letter: "v", implicit: undefined },
];
const names: FlagNames = {
  long: (name) => FLAGS.find((flag) => flag.name === name),
  short: (letter) => FLAGS.find((flag) => flag.letter === letter),
};

function read(argv: readonly string[], interspersed = true, last = "") {
  const flags: [string, string][] = [];
  const onFlag = (name: string, value: string) => {
    flags.push([name, value]);
    return name !== last;
  };
  return { args: readFlags(argv, names, { interspersed, onFlag }), flags };
}

test.each<[argv: string, flags: [string, string][], args: string[]]>([
  ["--name a --name=b -n c -nd -n=e", ["a", "b", "c", "d", "e"].map((value) => ["name", value]), []],
  [
    "--name= -n --debug",
    [
      ["name", ""],
      ["name", "--debug"],
    ],
    [],
  ],
  [
    "-di x --debug=false -d=0 y",
    [
      ["debug", "true"],
      ["interactive", "true"],
      ["debug", "false"],
      ["debug", "0"],
    ],
    ["x", "y"],
  ],
  [
    "-dn= -n=",
    [
      ["debug", "true"],
      ["name", "="],
      ["name", "="],
    ],
    [],
  ],
  ["a - -- -d --", [], ["a", "-", "-d", "--"]],
])("%s", (argv, flags, args) => {
  expect(read(argv.split(" "))).toEqual({ flags, args });
});

test("without interspersed flags the first argument ends them; a flag may end all", () => {
  expect(read(["-d", "image", "-d", "--"], false)).toEqual({ flags: [["debug", "true"]], args: ["image", "-d", "--"] });
  expect(read(["x", "-di", "y", "--nonesuch"], true, "debug")).toEqual({ flags: [["debug", "true"]], args: ["x"] });
});

test.each([
  ["--nonesuch", "unknown flag: --nonesuch"],
  ["--constructor", "unknown flag: --constructor"],
  ["-dx", "unknown shorthand flag: 'x' in -x"],
  ["--name", "flag needs an argument: --name"],
  ["-dn", "flag needs an argument: 'n' in -n"],
  ["---name", "bad flag syntax: ---name"],
  ["--=x", "bad flag syntax: --=x"],
])("%s is refused in pflag's words", (word, message) => {
  expect(() => read([word])).toThrow(new LighterError("invalid", message));
});

test("flags are read the same in whatever form they are written, and any words are read or refused", () => {
  const random = Random.fromEnvironment("pflag");
  const values = ["", "x", "=", "-", "--", "a=b", "ü", "-d"];
  for (let round = 0; round < 3000; round++) {
    const wanted = { flags: [] as [string, string][], args: [] as string[] };
    const argv: string[] = [];
    for (let count = random.below(6); count > 0; count--) {
      const { name, letter, implicit } = random.pick(FLAGS);
      const value = random.pick(values);
      const forms = [[`--${name}=${value}`]];
      if (implicit === undefined) forms.push([`--${name}`, value], [`-${letter}`, value]);
      if (value !== "") forms.push([`-${letter}=${value}`]);
      if (implicit === undefined && /^[^=]/.test(value)) forms.push([`-${letter}${value}`]);
      argv.push(...random.pick(forms));
      wanted.flags.push([name, value]);
      if (random.below(2) === 0) continue;
      argv.push("word");
      wanted.args.push("word");
    }
    expect({ argv, ...read(argv) }).toEqual({ argv, ...wanted });
    const broken = argv.map((word) => (random.below(3) === 0 ? word.slice(random.below(word.length + 1)) : word));
    try {
      read(broken, random.below(2) === 0);
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
    }
  }
});
