// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are a Dockerfile's
import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { BUILD_DOCKERFILE_MAX_CHARS } from "../../src/base/limits.ts";
import { checkDockerfile, expandInstruction, formatCheck, parse } from "../../src/build/mod.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

const NAMES =
  "FROM ARG RUN COPY ADD ENV LABEL CMD ENTRYPOINT EXPOSE VOLUME USER WORKDIR SHELL ONBUILD HEALTHCHECK".split(" ");
const PIECES = [
  ..."a b /x $A ${A} ${A:- ${A#* ${A//a/ } { $ $$ ' \" \\ ` <<E <<-E <<'E' E [ ] , # -- --from=a --link".split(" "),
  ...'--mount=type=cache,target=/c --mount=" --network=none --interval=1s CMD NONE AS as A=1 = 80/tcp * ? \0 \ud800'.split(
    " ",
  ),
  ...["\n", "\r\n", "\\\n", "\n\n", "\nE\n", "\t", " ", '["a"', '"b"]', "# escape=`\n", "\u00a0", "x".repeat(300)],
];

/** Errors that a client may see are the only ones. */
function survives(text: string): boolean {
  try {
    const { stages, escape: escapeChar } = parse(text);
    const lines = text.split("\n").length;
    for (const { instructions } of stages)
      for (const instruction of instructions) {
        expect(instruction.range.start).toBeGreaterThan(0);
        expect(instruction.range.end).toBeWithin(instruction.range.start, lines + 1);
        expandInstruction(instruction, { variables: new Map([["A", "aaa/b.c"]]), escape: escapeChar });
      }
    return true;
  } catch (error) {
    if (!(error instanceof LighterError) || error.code !== "invalid")
      throw new Error(`Dockerfile ${JSON.stringify(text.slice(0, 5000))}`, { cause: error });
    return false;
  }
}

test("parse: any text is a Dockerfile or an error that names its lines", () => {
  const random = Random.fromEnvironment("dockerfile");
  const deadline = performance.now() + BUDGET_MS;
  let accepted = 0;
  let refused = 0;
  while (performance.now() < deadline) {
    const lines = Array.from({ length: 1 + random.below(4) }, () => {
      const pieces = Array.from({ length: random.below(8) }, () => random.pick(PIECES));
      return `${random.pick(NAMES)} ${pieces.join(random.below(2) === 0 ? " " : "")}\n`;
    });
    if (survives(`FROM a\n${lines.join("")}`)) accepted++;
    else refused++;
  }
  expect(Math.min(accepted, refused)).toBeGreaterThan(0);
});

const MAX_CHARS = BUILD_DOCKERFILE_MAX_CHARS - 100;
const fill = (text: string) => text.repeat(Math.floor(MAX_CHARS / text.length));

test("parse: the largest Dockerfiles end, whatever they are full of", () => {
  for (const text of [
    `RUN a \\\n${fill("b \\\n")}`,
    `RUN <<E cat\n${fill("$A\n")}`,
    fill("RUN <<E\nE\n"),
    fill("\n"),
    `ENV a=${fill("${A:-\\\n")}`,
    `RUN ${fill(`<< ' " \\\n`)}`,
    fill(`#${" ".repeat(60_000)}=\n`),
  ])
    try {
      parse(`FROM a\n${text}`);
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
    }
});

test("checkDockerfile: any text is checked, the worst in little time", () => {
  const random = Random.fromEnvironment("dockerfile-check");
  const platform = { os: "linux", architecture: "amd64" };
  const inputs = { buildArgs: new Map(), buildPlatform: platform, targetPlatform: platform, targetStage: "" };
  const check = (text: string) =>
    expect(formatCheck("D", text, checkDockerfile(text, { ...inputs, baseOf: () => undefined }))).not.toBe("");
  const lines = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, at) => line(at)).join("");
  const variables = lines(10_000, (at) => `ENV v${at}=1\n`);
  check(`FROM scratch AS a\n${variables}${lines(200, (at) => `FROM a AS s${at}\nUSER $w${at}\n`)}`);
  check(`FROM scratch\n${variables}${lines(10_000, (at) => `USER $w${at}\n`)}`);
  for (const deadline = performance.now() + BUDGET_MS; performance.now() < deadline; )
    check(
      `FROM scratch\n${Array.from({ length: 4 }, () => `${random.pick(NAMES)} ${random.pick(PIECES)} ${random.pick(PIECES)}\n`).join("")}`,
    );
});

test("parse: ten megabytes are refused", () => {
  expect(() => parse(`FROM a\n${"RUN a\n".repeat(2_000_000)}`)).toThrow("the Dockerfile has more than");
});
