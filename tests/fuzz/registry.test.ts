import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { parseChallenges } from "../../src/image/registry/challenge.ts";
import { documentType } from "../../src/image/registry/manifest.ts";
import { refusalError } from "../../src/image/registry/registry-error.ts";
import { parseRegistryAuth } from "../../src/spec/registry-auth.ts";
import { mutateText, mutateValue } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 500);

/** Runs until the time is up. */
function fuzz(what: string, once: (random: Random) => void): void {
  test(
    what,
    () => {
      const random = Random.fromEnvironment(what);
      const end = performance.now() + BUDGET_MS;
      let runs = 0;
      for (; performance.now() < end; runs++) once(random);
      expect(runs).toBeGreaterThan(0);
    },
    BUDGET_MS + 20_000,
  );
}

const PIECES = [
  "Bearer",
  "Basic",
  " ",
  ",",
  "=",
  '"',
  "\\",
  "realm",
  "service",
  "scope",
  "a",
  "é",
  "\t",
  "==",
  "x".repeat(999),
];

function challengeText(random: Random): string {
  if (random.below(2) === 0) return Array.from({ length: random.below(40) }, () => random.pick(PIECES)).join("");
  return mutateText(
    random,
    'Negotiate abc==, Basic realm="a b", Bearer realm="https://x/t",service="s",scope="r:a:pull"',
  );
}

fuzz("challenges are read or left, in time that grows with the header only", (random) => {
  const header = challengeText(random);
  const challenges = parseChallenges(header);
  expect(challenges.length).toBeLessThanOrEqual(16);
  for (const { scheme, parameters } of challenges) {
    expect(header.toLowerCase()).toContain(scheme);
    for (const [name, value] of parameters) {
      expect(header.toLowerCase()).toContain(name);
      expect(value.length).toBeLessThan(header.length);
    }
  }
});

test("no header keeps the parser of challenges busy", () => {
  const startMs = performance.now();
  for (const piece of ["a", "a ", "a,", "a=", 'a="', '"', "\\", " ", "\t,", "a=b ", 'a="b"', "=="])
    parseChallenges(piece.repeat(16_384).slice(0, 16_384));
  expect(performance.now() - startMs).toBeLessThan(1000);
});

fuzz("a refusal becomes one line of text without control characters, whatever the registry says", (random) => {
  const errors = { errors: [{ code: "DENIED", message: "requested\n\x1b[31m access", detail: null }] };
  const json = JSON.stringify(mutateValue(random, errors));
  const body = random.below(2) === 0 ? json : mutateText(random, json);
  const headers = new Headers();
  if (random.below(2) === 0) headers.set("content-type", "text/html; charset=x");
  if (random.below(2) === 0)
    headers.set("retry-after", random.pick(["1", "-1", "x", "99999999999", "Wed, 21 Oct 2015 07:28:00 GMT"]));
  if (random.below(3) === 0)
    headers.set(
      "www-authenticate",
      'Bearer error="insufficient_scope",error_description="no\\\nway"'.replace("\n", ""),
    );
  const error = refusalError({ status: random.pick([400, 401, 403, 404, 429, 500]), headers, body }, "Get");
  expect(error.message).toMatch(/^[^\x00-\x1f\x7f]+$/);
  expect(error.message.length).toBeLessThan(700);
  expect(error.retryAfterMs ?? 0).toBeGreaterThanOrEqual(0);
});

fuzz("a manifest's kind is known or refused", (random) => {
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {},
    layers: [],
  };
  const json = JSON.stringify(mutateValue(random, manifest));
  try {
    const type = documentType(new Headers(), Buffer.from(random.below(2) === 0 ? json : mutateText(random, json)), "m");
    expect(type).toMatch(/^application\/vnd\./);
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    expect(["invalid", "not-supported"]).toContain(error.code);
  }
});

fuzz("credentials are read or refused", (random) => {
  const json = mutateText(
    random,
    JSON.stringify(mutateValue(random, { username: "bob", password: "x", auth: "Ym9iOng=" })),
  );
  const header = Buffer.from(json).toString(random.pick(["base64", "base64url"]));
  try {
    const config = parseRegistryAuth(random.below(4) === 0 ? mutateText(random, header) : header);
    for (const value of Object.values(config)) expect(typeof value).toBe("string");
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    expect(error.code).toBe("invalid");
  }
});
