/**
 * The variables that instructions see: arguments before the first FROM, those of a stage, and ENV.
 * Sources: Dockerfile reference, "Understand how ARG and FROM interact", "Automatic platform ARGs in the global scope".
 */

import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import { located } from "./error.ts";
import type { Arg, Dockerfile } from "./types.ts";
import { type AskedFor, expandWord } from "./words.ts";

export interface BuildInputs {
  /** The values that the build was given. */
  buildArgs: ReadonlyMap<string, string>;
  buildPlatform: Platform;
  targetPlatform: Platform;
  /** The name of the stage that is built; the last one's need not have any. */
  targetStage: string;
}

/** The arguments that are there without being declared, and those before the first FROM. */
export function globalVariables(dockerfile: Dockerfile, inputs: BuildInputs): Map<string, string> {
  const variables = new Map([
    ...platformVariables("BUILD", inputs.buildPlatform),
    ...platformVariables("TARGET", inputs.targetPlatform),
    ["TARGETSTAGE", inputs.targetStage === "" ? "default" : inputs.targetStage] as const,
  ]);
  for (const name of variables.keys()) {
    const given = inputs.buildArgs.get(name);
    if (given !== undefined) variables.set(name, given);
  }
  for (const { args, range } of dockerfile.globalArgs)
    for (const { name, value } of args) {
      const given = inputs.buildArgs.get(name);
      const word = (text: string) => expandWord(text, variables, { escape: dockerfile.escape });
      if (given !== undefined) variables.set(name, given);
      else if (value !== undefined)
        variables.set(
          name,
          located(range, () => word(value)),
        );
    }
  return variables;
}

function platformVariables(prefix: string, platform: Platform): [name: string, value: string][] {
  return [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, ""],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ""],
  ];
}

/** Gives a stage's variables what an ARG says: the build's value, else its own, else the global one. */
export function declareArgs(
  { args }: Arg,
  variables: Map<string, string>,
  globals: ReadonlyMap<string, string>,
  buildArgs: ReadonlyMap<string, string>,
  options: { escape: string; asked?: AskedFor },
): void {
  for (const { name, value } of args) {
    const own = value === undefined ? globals.get(name) : undefined;
    const chosen = buildArgs.get(name) ?? (value === undefined ? own : expandWord(value, variables, options));
    if (chosen !== undefined) variables.set(name, chosen);
  }
}
