import { describe, expect, test } from "bun:test";
import { containerFlags, createFlags } from "./containers/container-flags.ts";
import { CliError } from "./exit.ts";
import {
  aliasFlag,
  boolFlag,
  type FlagTable,
  formatFlags,
  intFlag,
  listFlag,
  parseFlags,
  stringFlag,
} from "./flags.ts";

const table = {
  interactive: boolFlag("Keep stdin open", { short: "i" }),
  tty: boolFlag("A terminal", { short: "t" }),
  detach: boolFlag("Background", { short: "d" }),
  proxy: boolFlag("Signals", { initial: true }),
  env: listFlag("Variable", { short: "e" }),
  environment: aliasFlag("env"),
  name: stringFlag("Name"),
  count: intFlag("Count", { short: "n", initial: -1 }),
};

const parse = (argv: string[], interspersed = true) => parseFlags("x", table, argv, interspersed);

function failure(argv: string[]): CliError {
  try {
    parse(argv);
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("parseFlags", () => {
  test("takes clustered shorthands, the last of which may have a value in every form", () => {
    expect(parse(["-itd"]).values).toMatchObject({ interactive: true, tty: true, detach: true });
    expect(parse(["-itn3"]).values).toMatchObject({ interactive: true, tty: true, count: 3 });
    expect(parse(["-in=3"]).values).toMatchObject({ interactive: true, count: 3 });
    expect(parse(["-in", "3"]).values).toMatchObject({ interactive: true, count: 3 });
    expect(parse(["-eA=1", "-e=B=2", "-e", "C"]).values.env).toEqual(["A=1", "B=2", "C"]);
  });

  test("takes long flags with = or the next argument, and booleans only with =", () => {
    expect(parse(["--name=x=y"]).values.name).toBe("x=y");
    expect(parse(["--name", "--tty"]).values).toMatchObject({ name: "--tty", tty: false });
    expect(parse(["--name="]).values.name).toBe("");
    expect(parse(["--tty", "false"])).toMatchObject({ values: { tty: true }, args: ["false"] });
    expect(parse(["--tty=false", "--proxy=0"]).values).toMatchObject({ tty: false, proxy: false });
  });

  test("keeps what each flag is when it is not given", () => {
    expect(parse([]).values).toMatchObject({ interactive: false, proxy: true, env: [], name: "", count: -1 });
    expect([...parse(["--count", "-1"]).given]).toEqual(["count"]);
  });

  test("mixes flags and arguments, unless the first argument ends the flags", () => {
    expect(parse(["a", "-i", "b"])).toMatchObject({ values: { interactive: true }, args: ["a", "b"] });
    expect(parse(["-i", "a", "-t", "--", "b"], false)).toMatchObject({
      values: { interactive: true, tty: false },
      args: ["a", "-t", "--", "b"],
    });
  });

  test("a lone dash is an argument; two end the flags", () => {
    expect(parse(["-", "-i"]).args).toEqual(["-"]);
    expect(parse(["-i", "--", "-t", "--name"]).args).toEqual(["-t", "--name"]);
    expect(parse(["--", "--", "a"], false).args).toEqual(["--", "a"]);
    expect(parse([""]).args).toEqual([""]);
  });

  test("an alias fills the flag it stands for, in order", () => {
    expect(parse(["--env", "a", "--environment", "b", "-ec"])).toMatchObject({ values: { env: ["a", "b", "c"] } });
  });

  test.each([
    [["--nope"], "unknown flag: --nope"],
    [["--nope=1"], "unknown flag: --nope"],
    [["--__proto__"], "unknown flag: --__proto__"],
    [["--toString", "x"], "unknown flag: --toString"],
    [["-iz"], "unknown shorthand flag: 'z' in -z"],
    [["-zi"], "unknown shorthand flag: 'z' in -zi"],
    [["--name"], "flag needs an argument: --name"],
    [["-in"], "flag needs an argument: 'n' in -n"],
    [["---x"], "bad flag syntax: ---x"],
    [["--=x"], "bad flag syntax: --=x"],
    [["-n", "x"], 'invalid argument "x" for "-n, --count" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    [["--proxy=x"], 'invalid argument "x" for "--proxy" flag: strconv.ParseBool: parsing "x": invalid syntax'],
  ])("refuses %p", (argv, message) => {
    expect(failure(argv)).toMatchObject({ message: `${message}\nSee 'lighter x --help'.`, exitCode: 125 });
  });

  test("help is found before anything behind it is looked at", () => {
    expect(parse(["--help", "--nope"]).help).toBe("help");
    expect(parse(["-h"]).help).toBe("short-help");
    expect(parse(["-ih"]).help).toBe("short-help");
    expect(parse(["a", "--help"], false).help).toBeUndefined();
  });
});

describe("formatFlags", () => {
  test("sorts, aligns, names types and defaults, hides aliases", () => {
    expect(formatFlags(table)).toBe(
      [
        "  -n, --count int     Count (default -1)",
        "  -d, --detach        Background",
        "  -e, --env list      Variable",
        "  -i, --interactive   Keep stdin open",
        "      --name string   Name",
        "      --proxy         Signals (default true)",
        "  -t, --tty           A terminal",
      ].join("\n"),
    );
  });

  test("folds long help at 80 columns", () => {
    const lines = formatFlags(createFlags as FlagTable).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

test("no two flags of a container share a shorthand", () => {
  const shorts = Object.values(createFlags as FlagTable).flatMap(({ short }) => short ?? []);
  expect(new Set(shorts).size).toBe(shorts.length);
});

test("run takes every flag the project promises", () => {
  const promised =
    "interactive tty rm env env-file workdir user hostname memory memory-reservation memory-swap cpus cpu-shares " +
    "cpuset-cpus cpuset-mems pids-limit blkio-weight device-read-bps device-write-bps device-read-iops " +
    "device-write-iops device device-cgroup-rule cap-add cap-drop security-opt privileged read-only tmpfs volume " +
    "mount ulimit sysctl shm-size oom-score-adj entrypoint network pid ipc uts cgroupns userns init stop-signal " +
    "stop-timeout label";
  expect(promised.split(" ").filter((name) => !(name in containerFlags))).toEqual([]);
});
