import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { NO_BUILD } from "../elsewhere.ts";
import { CliError } from "../exit.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { stdout } from "../output.ts";

/** Flags that only a build would need: what they are for is in the sentence that a build is answered with. */
const listed = listFlag("", { hidden: true });
const text = stringFlag("", { hidden: true });
const yes = boolFlag("", { hidden: true });

const flags = {
  "add-host": listed,
  "cache-from": listed,
  "cgroup-parent": text,
  compress: yes,
  "cpu-period": text,
  "cpu-quota": text,
  "cpu-shares": stringFlag("", { hidden: true, short: "c" }),
  "cpuset-cpus": text,
  "cpuset-mems": text,
  "disable-content-trust": yes,
  "force-rm": yes,
  iidfile: text,
  isolation: text,
  label: listed,
  memory: stringFlag("", { hidden: true, short: "m" }),
  "memory-swap": text,
  network: text,
  "no-cache": yes,
  pull: yes,
  quiet: boolFlag("", { hidden: true, short: "q" }),
  rm: yes,
  "security-opt": listed,
  "shm-size": text,
  squash: yes,
  tag: listFlag("", { hidden: true, short: "t" }),
  target: text,
  ulimit: listed,
  "build-arg": listFlag("Set the value of an ARG: NAME=VALUE, or NAME for that of the environment"),
  call: stringFlag('What to do with the Dockerfile: "check" it, or list its "targets"', { initial: "build" }),
  check: boolFlag('Check the Dockerfile: the same as "--call=check"'),
  file: stringFlag("Name of the Dockerfile (default: PATH/Dockerfile)", { short: "f" }),
  platform: stringFlag("Platform that would be built for"),
};

export const command = defineCommand({
  name: "build",
  usage: "[OPTIONS] PATH",
  summary: "Check a Dockerfile",
  flags,
  args: { min: 1, max: 1 },
  offers: "nothing",
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const call = values.check ? "check" : values.call;
  if (call === "build") throw new CliError(NO_BUILD);
  const context = args[0] ?? ".";
  const path = values.file === "" ? join(context, "Dockerfile") : values.file;
  const Dockerfile = readIf(path);
  if (Dockerfile === undefined)
    throw new CliError(`failed to read dockerfile: open ${path}: no such file or directory`);
  const Dockerignore = readIf(`${path}.dockerignore`) ?? readIf(join(context, ".dockerignore"));
  const BuildArgs = Object.fromEntries(values["build-arg"].flatMap(parseBuildArg));
  const query = { call, platform: values.platform || undefined };
  const body = { Dockerfile, Dockerignore, BuildArgs, Filename: path };
  const response = await client.post("/lighter/dockerfile", query, body);
  const { Text, Failed } = JSON.parse(await response.text()) as { Text: string; Failed: boolean };
  await stdout.text(Text);
  return Failed ? 1 : 0;
}

function readIf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseBuildArg(text: string): [name: string, value: string][] {
  const at = text.indexOf("=");
  if (at >= 0) return [[text.slice(0, at), text.slice(at + 1)]];
  const value = process.env[text];
  return value === undefined ? [] : [[text, value]];
}
