/** Commands and flags by name: what Docker's `--help` lists, ours take, with the same shorthand and kind of value. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import type { CommandTable } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { FlagTable } from "../../src/cli/flags.ts";
import { missing } from "../support/missing.ts";
import { describeIf } from "../support/test-if.ts";
import { lighterCommand, runProgram } from "./cli-support.ts";

/**
 * Commands of Docker's whose subjects we do not have: swarms, plugins, contexts, content trust; and `builder`, which is buildx where
 * that is installed.
 */
const OTHER_COMMANDS = new Set("builder checkpoint config node plugin secret service stack swarm trust".split(" "));
const OTHER_SUBCOMMANDS = new Set(
  "image build,volume update,context create,context export,context import,context rm,context update,context use,manifest annotate,manifest create,manifest push,manifest rm".split(
    ",",
  ),
);

/** Flags of Docker's that we do not take, and why. */
const OTHER_FLAGS: Readonly<Record<string, readonly string[]>> = {
  // experimental: containers frozen into files
  start: ["checkpoint", "checkpoint-dir"],
  // volumes of a swarm
  "volume create":
    "availability group limit-bytes required-bytes scope secret sharing topology-preferred topology-required type".split(
      " ",
    ),
  "volume ls": ["cluster"],
};

const whyNot = missing("docker");

interface ListedFlag {
  name: string;
  short: string | undefined;
  type: string;
}

function dockerHelp(words: readonly string[]): string {
  const { stdout } = spawnSync("docker", [...words, "--help"], {
    env: { PATH: process.env.PATH ?? "", DOCKER_HOST: "unix:///nonexistent.sock", DOCKER_CONFIG: "/nonexistent" },
  });
  return stdout.toString();
}

function listedCommands(help: string): string[] {
  return [...help.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name = ""]) => name);
}

function listedFlags(help: string): ListedFlag[] {
  const lines = help.matchAll(/^ {2}(?:-(\w), | {4})--([a-z0-9-]+)(?: (\S+))?(?: {2,}.*)?$/gm);
  return [...lines].map(([, short, name = "", type = ""]) => ({ name, short, type }));
}

/** Every command that runs, by its words: "container ls". */
async function allCommands(table: CommandTable, before = ""): Promise<[words: string, flags: FlagTable][]> {
  const found: [string, FlagTable][] = [];
  for (const [name, { hidden, load }] of Object.entries(table)) {
    if (hidden === true) continue;
    const loaded = await load();
    if ("group" in loaded) found.push(...(await allCommands(loaded.group.commands, `${before}${name} `)));
    else found.push([`${before}${name}`, loaded.command.flags as FlagTable]);
  }
  return found;
}

function aliasesIn(help: string): string[] {
  const [, names = ""] = /^Aliases:\n {2}(.*)$/m.exec(help) ?? [];
  return names === "" ? [] : names.split(", ").map((name) => name.replace(/^(docker|lighter) /, ""));
}

describeIf(whyNot)("commands and flags", async () => {
  const ours = new Map(await allCommands(COMMANDS));

  test("every command of Docker's is one of ours", () => {
    const missing: string[] = [];
    for (const name of listedCommands(dockerHelp([]))) {
      if (OTHER_COMMANDS.has(name)) continue;
      const children = [...ours.keys()].filter((words) => words.startsWith(`${name} `));
      if (children.length === 0 && !ours.has(name)) missing.push(name);
      if (children.length === 0) continue;
      for (const child of listedCommands(dockerHelp([name]))) {
        const words = `${name} ${child}`;
        if (!ours.has(words) && !OTHER_SUBCOMMANDS.has(words)) missing.push(words);
      }
    }
    expect(missing).toEqual([]);
  });

  test("every flag of Docker's is one of ours, with its shorthand and its kind of value", () => {
    const different: unknown[] = [];
    for (const [words, table] of ours) {
      const help = dockerHelp(words.split(" "));
      // A command of our own, or with buildx one of another name.
      if (!new RegExp(`^Usage:  docker ${words}(?: |$)`, "m").test(help)) continue;
      for (const { name, short, type } of listedFlags(help)) {
        if (OTHER_FLAGS[words.replace(/^container /, "")]?.includes(name)) continue;
        const flag = table[name];
        const takes = flag === undefined ? "none" : flag.type === "" ? "" : "value";
        const wants = type === "" ? "" : "value";
        if (flag?.short !== short || takes !== wants)
          different.push({ words, name, short, type, ours: flag && { short: flag.short, type: flag.type } });
      }
    }
    expect(different).toEqual([]);
  });

  test("--help names the same aliases", async () => {
    for (const words of [
      "ps",
      "container ls",
      "cp",
      "image ls",
      "rmi",
      "volume rm",
      "network ls",
      "events",
      "volume create",
    ]) {
      const ours = await runProgram([...lighterCommand, ...words.split(" "), "--help"]);
      expect([words, aliasesIn(ours.stdout)]).toEqual([words, aliasesIn(dockerHelp(words.split(" ")))]);
    }
  });
});
