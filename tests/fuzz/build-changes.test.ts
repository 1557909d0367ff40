// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are a Dockerfile's
import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { changeConfig } from "../../src/build/mod.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

const NAMES = [
  "CMD",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "HEALTHCHECK",
  "LABEL",
  "ONBUILD",
  "STOPSIGNAL",
  "USER",
  "VOLUME",
  "WORKDIR",
];
const PIECES = [
  ...[
    "a",
    "A=1",
    "=",
    "$A",
    "${A}",
    "${A:-",
    "${A#*",
    "${A//a/",
    "}",
    "{",
    "$",
    "$$",
    "'",
    '"',
    "\\",
    " ",
    "\t",
    "\n",
    "\r\n",
  ],
  ...[
    "[",
    "]",
    '["x"',
    ",",
    "#",
    "--",
    "--interval=",
    "--retries=3",
    "1s",
    "80",
    "-",
    "80-90",
    "/tcp",
    ":",
    "NONE",
    "CMD",
  ],
  ...["*", "?", "/", "__proto__", "\0", "\u00a0", "\u{1f600}", "\ud800", "x".repeat(300), "SIGTERM"],
];

test("changeConfig: any text is a config or an error that a client may see, in little time", () => {
  const random = Random.fromEnvironment("build-changes");
  const deadline = performance.now() + BUDGET_MS;
  let accepted = 0;
  let refused = 0;
  while (performance.now() < deadline) {
    const changes = Array.from({ length: 1 + random.below(4) }, () => {
      const pieces = Array.from({ length: random.below(12) }, () => random.pick(PIECES));
      return `${random.pick(NAMES)} ${pieces.join("")}`;
    });
    const began = performance.now();
    try {
      const config = changeConfig({ Env: ["A=aaaa/b.c"], Cmd: ["x"] }, changes);
      expect(() => JSON.stringify(config)).not.toThrow();
      for (const command of [config.Cmd, config.Entrypoint])
        for (const word of command ?? []) expect(word).toBeString();
      for (const variable of config.Env ?? []) expect(variable).toMatch(/^[^=]+=/s);
      accepted++;
    } catch (error) {
      if (!(error instanceof LighterError) || error.code !== "invalid")
        throw new Error(`changes ${JSON.stringify(changes)}`, { cause: error });
      refused++;
    }
    expect(performance.now() - began).toBeLessThan(2000);
  }
  expect(Math.min(accepted, refused)).toBeGreaterThan(10);
});
