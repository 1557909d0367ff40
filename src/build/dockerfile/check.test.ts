// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are a Dockerfile's
import { describe, expect, test } from "bun:test";
import { parseIgnoreFile } from "../../spec/docker-ignore.ts";
import { type BaseImage, type CheckInputs, checkDockerfile } from "./check.ts";
import { parse } from "./parse.ts";
import { formatCheck, formatTargets } from "./report-text.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const BASES: Readonly<Record<string, BaseImage>> = {
  known: { env: ["JAVA_HOME=/java"], hasShell: false, platform: AMD64 },
  shelled: { env: [], hasShell: true, platform: AMD64 },
  arm: { env: [], hasShell: false, platform: { os: "linux", architecture: "arm64" } },
};
const INPUTS: CheckInputs = {
  buildArgs: new Map(),
  buildPlatform: AMD64,
  targetPlatform: AMD64,
  targetStage: "",
  baseOf: (image) => (Object.hasOwn(BASES, image) ? BASES[image] : undefined),
};

function check(text: string, more: Partial<CheckInputs> = {}): string[] {
  const { warnings, error } = checkDockerfile(text, { ...INPUTS, ...more });
  if (error !== undefined) throw new Error(error.message);
  return warnings.map(({ rule, ranges, message }) => `${ranges[0]!.start} ${rule}: ${message}`);
}

const HEAD = "FROM known\n";
const CHECKED: [text: string, warnings: string[]][] = [
  ["FROM a AS Up", ["1 StageNameCasing: Stage name 'Up' should be lowercase"]],
  ["FROM a as up", ["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"]],
  ["from a as up", []],
  [`${HEAD}RUN a \\\n\n  b`, ["4 NoEmptyContinuation: Empty continuation line"]],
  [
    `${HEAD}run a`,
    ["2 ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase)"],
  ],
  [
    "from a\nrun b\nUSER c",
    ["3 ConsistentInstructionCasing: Command 'USER' should match the case of the command majority (lowercase)"],
  ],
  ["FROM a AS b\nFROM a AS b", ['2 DuplicateStageName: Duplicate stage name "b", stage names should be unique']],
  ["FROM a AS scratch", ['1 ReservedStageName: Stage name should not use the same name as reserved stage "scratch"']],
  [
    `${HEAD}CMD a`,
    ["2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"],
  ],
  [`${HEAD}SHELL ["a"]\nCMD a`, []],
  ["FROM shelled\nENTRYPOINT a", []],
  [`${HEAD}MAINTAINER me`, ["2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"]],
  [
    "ARG VERSION=1\nFROM a:${VERSIN}x",
    ["2 UndefinedArgInFrom: FROM argument 'VERSIN' is not declared (did you mean VERSION?)"],
  ],
  [
    `${HEAD}WORKDIR a\nWORKDIR b`,
    ['2 WorkdirRelativePath: Relative workdir "a" can have unexpected results if the base image changes'],
  ],
  [`${HEAD}WORKDIR /a\nWORKDIR b`, []],
  [`${HEAD}COPY $nothing /x`, ["2 UndefinedVar: Usage of undefined variable '$nothing'"]],
  [`${HEAD}ENV P=$PAHT`, ["2 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"]],
  [`${HEAD}ARG a\nUSER $a$PATH$JAVA_HOME`, []],
  [`${HEAD}ENV a=1\nUSER $a\nRUN $b`, []],
  ["FROM elsewhere\nUSER $perhaps", []],
  [
    `${HEAD}CMD ["a"]\nRUN b\nCMD ["c"]`,
    [
      "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ],
  ],
  [
    `${HEAD}ENV a b`,
    ['2 LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format'],
  ],
  [
    "FROM arm",
    [
      '1 InvalidBaseImagePlatform: Base image arm was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ],
  ],
  [
    "FROM --platform=$TARGETPLATFORM a",
    [
      "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ],
  ],
  ["FROM --platform=$BUILDPLATFORM a", []],
  [
    `${HEAD}ARG API_KEY\nENV TOKEN=1 PUBLIC_KEY=2 monkey=3`,
    [
      '2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
      '3 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV "TOKEN")',
    ],
  ],
  [
    "FROM --platform=linux/arm64 a",
    ['1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/arm64"'],
  ],
  ["FROM --platform=linux/arm64 a AS arm64-build", []],
  [
    `${HEAD}EXPOSE 80/TcP`,
    ["2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"],
  ],
  [
    `${HEAD}EXPOSE 1.2.3.4:80:80`,
    [
      "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '1.2.3.4:80:80'",
    ],
  ],
  ["# what\nFROM a AS b", []],
  [
    "# check=experimental=all\n\n# what\nFROM a AS b",
    ["4 InvalidDefinitionDescription: Comment for FROM should follow the format: `# b <description>`"],
  ],
  ["# check=skip=all\nFROM a as Up", []],
  ["# check=skip=FromAsCasing\nFROM a as Up", ["2 StageNameCasing: Stage name 'Up' should be lowercase"]],
  ["FROM known AS b\nARG q\nWORKDIR /x\nFROM b\nWORKDIR y\nUSER $q", []],
];

describe("checkDockerfile", () => {
  for (const [text, warnings] of CHECKED) test(JSON.stringify(text), () => expect(check(text)).toEqual(warnings));

  test("a default that names no image is told, though the build gives a value", () => {
    expect(check("ARG IMAGE\nFROM $IMAGE", { buildArgs: new Map([["IMAGE", "a"]]) })).toEqual([
      "2 InvalidDefaultArgInFrom: Default value for ARG $IMAGE results in empty or invalid base image name",
    ]);
  });

  test("a file that .dockerignore leaves out is not copied, unless there are exceptions", () => {
    const text = `${HEAD}COPY a/b x /to\nADD https://host/a a/c /to\nCOPY --from=known a /to`;
    expect(check(text, { ignore: parseIgnoreFile("a/") })).toEqual([
      '2 CopyIgnoredFile: Attempting to Copy file "a/b" that is excluded by .dockerignore',
      '3 CopyIgnoredFile: Attempting to Add file "a/c" that is excluded by .dockerignore',
    ]);
    expect(check(text, { ignore: parseIgnoreFile("a/\n!a/b") })).toEqual([]);
  });

  const failures: [text: string, message: string][] = [
    ["# check=error=true\nFROM a as b", "lint violation found for rules: FromAsCasing"],
    ["# check=what\nFROM a", 'failed to parse check options: invalid check option "what"'],
    ["FROM $none", "base name ($none) should not be blank"],
    ["FROM a\nENV a=${b:?no}", 'failed to process "${b:?no}": b: no'],
    ["FROM a\nRUN --mount=type=x b", 'unsupported mount type "x"'],
  ];
  for (const [text, message] of failures)
    test(`${JSON.stringify(text)} is an error`, () =>
      expect(checkDockerfile(text, INPUTS).error?.message).toBe(message));
});

const IGNORED: [patterns: string, path: string, isExcluded: boolean][] = [
  ["a", "a", true],
  ["a", "a/b", true],
  ["a", "b/a", false],
  ["/a/", "a/b", true],
  ["*.o", "x.o", true],
  ["*.o", "d/x.o", false],
  ["**/*.o", "d/e/x.o", true],
  ["**/*.o", "x.o", true],
  ["**/x", "ax", false],
  ["a/**", "a/b/c", true],
  ["a/**/z", "a/z", true],
  ["a/**/z", "a/b/c/z", true],
  ["a?c", "abc", true],
  ["a?c", "a/c", false],
  ["[a-c].txt", "b.txt", true],
  ["[^a].txt", "a.txt", false],
  ["a.c", "abc", false],
  ["\\*", "*", true],
  ["# a\n\n  b  ", "b", true],
  ["*\n!keep", "keep", false],
  ["*\n!keep", "keep/x", false],
  ["!keep\n*", "keep", true],
  ["d\n!d/keep", "d/keep", false],
  ["./a/../b", "b", true],
  ["**", "any/thing", true],
];

describe("parseIgnoreFile", () => {
  for (const [patterns, path, isExcluded] of IGNORED)
    test(`${JSON.stringify(patterns)} ${isExcluded ? "leaves out" : "keeps"} ${path}`, () =>
      expect(parseIgnoreFile(patterns).excludes(path)).toBe(isExcluded));
  for (const malformed of ["!", "[a", "[]"])
    test(`${malformed} is refused`, () => expect(() => parseIgnoreFile(malformed)).toThrow(/pattern/));
});

test("a check shows the lines that it is about", () => {
  const text = "FROM known\nMAINTAINER me\nUSER a\n";
  expect(formatCheck("Dockerfile", text, checkDockerfile(text, INPUTS))).toBe(
    `Check complete, 1 warning has been found!

WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
Maintainer instruction is deprecated in favor of using label
Dockerfile:2
--------------------
   1 |     FROM known
   2 | >>> MAINTAINER me
   3 |     USER a
   4 |     
--------------------
`,
  );
  expect(formatCheck("D", HEAD, checkDockerfile(HEAD, INPUTS))).toBe("Check complete, no warnings found.\n");
});

test("targets are the stages with what comments say of them", () => {
  expect(formatTargets(parse("# base what all share\nFROM a AS base\nFROM base"))).toBe(
    "TARGET    DESCRIPTION\nbase      what all share\n(default) \n",
  );
});
