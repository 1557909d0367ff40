/**
 * The build checks: their names, what they are about, and what they say.
 * Source: Docker's reference, "Build checks"; moby/buildkit frontend/dockerfile/linter/ruleset.go.
 */
import { goQuote } from "../../base/go-escapes.ts";

interface Rule<Arguments extends readonly unknown[]> {
  description: string;
  say: (...args: Arguments) => string;
  /** Off unless `# check=experimental=` names it. */
  isExperimental?: true;
}

function rule<Arguments extends readonly unknown[]>(description: string, say: Rule<Arguments>["say"]): Rule<Arguments> {
  return { description, say };
}

function meant(text: string): string {
  return text === "" ? "" : ` (did you mean ${text}?)`;
}

export const RULES = {
  StageNameCasing: rule(
    "Stage names should be lowercase",
    (name: string) => `Stage name '${name}' should be lowercase`,
  ),
  FromAsCasing: rule(
    "The 'as' keyword should match the case of the 'from' keyword",
    (from: string, as: string) => `'${as}' and '${from}' keywords' casing do not match`,
  ),
  NoEmptyContinuation: rule(
    "Empty continuation lines will become errors in a future release",
    () => "Empty continuation line",
  ),
  ConsistentInstructionCasing: rule(
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    (command: string, casing: string) =>
      `Command '${command}' should match the case of the command majority (${casing})`,
  ),
  DuplicateStageName: rule(
    "Stage names should be unique",
    (name: string) => `Duplicate stage name ${goQuote(name)}, stage names should be unique`,
  ),
  ReservedStageName: rule(
    "Reserved words should not be used as stage names",
    (name: string) => `Stage name should not use the same name as reserved stage ${goQuote(name)}`,
  ),
  JSONArgsRecommended: rule(
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    (name: string) => `JSON arguments recommended for ${name} to prevent unintended behavior related to OS signals`,
  ),
  MaintainerDeprecated: rule(
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    () => "Maintainer instruction is deprecated in favor of using label",
  ),
  UndefinedArgInFrom: rule(
    "FROM command must use declared ARGs",
    (name: string, nearest: string) => `FROM argument '${name}' is not declared${meant(nearest)}`,
  ),
  WorkdirRelativePath: rule(
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    (path: string) => `Relative workdir ${goQuote(path)} can have unexpected results if the base image changes`,
  ),
  UndefinedVar: rule(
    "Variables should be defined before their use",
    (name: string, nearest: string) =>
      `Usage of undefined variable '$${name}'${meant(nearest === "" ? "" : `$${nearest}`)}`,
  ),
  MultipleInstructionsDisallowed: rule(
    "Multiple instructions of the same type should not be used in the same stage",
    (name: string) =>
      `Multiple ${name} instructions should not be used in the same stage because only the last one will be used`,
  ),
  LegacyKeyValueFormat: rule(
    "Legacy key/value format with whitespace separator should not be used",
    (name: string) => `"${name} key=value" should be used instead of legacy "${name} key value" format`,
  ),
  InvalidBaseImagePlatform: rule(
    "Base image platform does not match expected target platform",
    (image: string, expected: string, actual: string) =>
      `Base image ${image} was pulled with platform ${goQuote(actual)}, expected ${goQuote(expected)} for current build`,
  ),
  RedundantTargetPlatform: rule(
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    (variable: string) =>
      `Setting platform to predefined ${variable} in FROM is redundant as this is the default behavior`,
  ),
  SecretsUsedInArgOrEnv: rule(
    "Sensitive data should not be used in the ARG or ENV commands",
    (instruction: string, name: string) =>
      `Do not use ARG or ENV instructions for sensitive data (${instruction} ${goQuote(name)})`,
  ),
  InvalidDefaultArgInFrom: rule(
    "Default value for global ARG results in an empty or invalid base image name",
    (image: string) => `Default value for ARG ${image} results in empty or invalid base image name`,
  ),
  FromPlatformFlagConstDisallowed: rule(
    "FROM --platform flag should not use a constant value",
    (platform: string) => `FROM --platform flag should not use constant value ${goQuote(platform)}`,
  ),
  CopyIgnoredFile: rule(
    "Attempting to Copy file that is excluded by .dockerignore",
    (command: string, file: string) =>
      `Attempting to ${command} file ${goQuote(file)} that is excluded by .dockerignore`,
  ),
  InvalidDefinitionDescription: {
    description:
      "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not " +
      "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    say: (instruction: string, name: string) =>
      `Comment for ${instruction} should follow the format: \`# ${name} <description>\``,
    isExperimental: true,
  } satisfies Rule<[string, string]> as Rule<[string, string]>,
  ExposeProtoCasing: rule(
    "Protocol in EXPOSE instruction should be lowercase",
    (port: string) => `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
  ),
  ExposeInvalidFormat: rule(
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    (port: string) => `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
  ),
} as const;

export type RuleName = keyof typeof RULES;

/** The page about a rule; a rule about base images has none. */
export function ruleUrl(name: RuleName): string {
  if (name === "InvalidBaseImagePlatform") return "";
  const words = name.replace(/JSON/, "Json").replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`);
  return `https://docs.docker.com/go/dockerfile/rule/${words.toLowerCase()}/`;
}
