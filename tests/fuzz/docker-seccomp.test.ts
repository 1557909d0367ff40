import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { compileSeccomp } from "../../src/linux/seccomp/mod.ts";
import { parseDockerSeccompProfile, toOciSeccomp } from "../../src/spec/docker-seccomp.ts";
import { defaultProfile } from "../../src/spec/docker-seccomp-default.ts";
import { Random } from "../support/random.ts";

const TOKENS = [
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  "null",
  "true",
  "-1",
  "1e400",
  "18446744073709551616",
  '"SCMP_ACT_ALLOW"',
  '"__proto__"',
  '"constructor"',
  '"syscalls"',
  '"names"',
  '"args"',
  '""',
  "\\u0000",
  "\ud800",
];

/** Parses, resolves and compiles. Anything but a LighterError "invalid" is a fault. */
function take(json: string): "taken" | "refused" {
  try {
    const profile = parseDockerSeccompProfile(json);
    const oci = toOciSeccomp(profile, { arch: "amd64", capabilities: ["CAP_SYS_ADMIN"], kernelVersion: "6.1.0" });
    compileSeccomp(oci, "x86_64");
    return "taken";
  } catch (error) {
    if (error instanceof LighterError && error.code === "invalid") return "refused";
    throw error;
  }
}

function mutateText(random: Random, json: string): string {
  let text = json;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(text.length + 1);
    const removed = random.pick([0, 1, 3, 40]);
    text = text.slice(0, at) + random.pick(TOKENS) + text.slice(at + removed);
  }
  return text;
}

const STRANGE = [
  null,
  true,
  -1,
  0,
  7,
  1.5,
  2 ** 60,
  "",
  "x",
  "SCMP_ACT_NOTIFY",
  "CAP_SYS_ADMIN",
  [],
  {},
  [null],
  [[]],
  [1],
];

/** One value somewhere in the document replaced by a strange one, or its key by another. */
function mutateValue(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return random.pick(STRANGE);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(STRANGE);
  const key = random.pick(keys);
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...value };
  const fields = copy as Record<string, unknown>;
  fields[random.below(8) === 0 ? "__proto__x" : key] = mutateValue(random, fields[key]);
  return copy;
}

const smallProfile = {
  ...defaultProfile(),
  syscalls: defaultProfile().syscalls.map((rule) => ({ ...rule, names: rule.names.slice(0, 3) })),
};

test("a profile mutated as text is taken or refused, never a crash", () => {
  const random = Random.fromEnvironment("profiles mutated as text");
  const json = JSON.stringify(smallProfile);
  const seen = new Set<string>();
  for (let round = 0; round < 3000; round++) seen.add(take(mutateText(random, json)));
  expect([...seen].sort()).toEqual(["refused", "taken"]);
});

test("a profile mutated by value is taken or refused, never a crash", () => {
  const random = Random.fromEnvironment("profiles mutated by value");
  const seen = new Set<string>();
  for (let round = 0; round < 3000; round++) {
    let profile: unknown = smallProfile;
    for (let count = random.below(3); count >= 0; count--) profile = mutateValue(random, profile);
    seen.add(take(JSON.stringify(profile)));
  }
  expect([...seen].sort()).toEqual(["refused", "taken"]);
});

test("the runtime-spec section mutated by value compiles or is refused, never a crash", () => {
  const random = Random.fromEnvironment("sections mutated by value");
  const section = toOciSeccomp(smallProfile, { arch: "amd64", capabilities: [], kernelVersion: "6.1.0" });
  for (let round = 0; round < 3000; round++) {
    let mutated: unknown = section;
    for (let count = random.below(3); count >= 0; count--) mutated = mutateValue(random, mutated);
    if (typeof mutated !== "object" || mutated === null) continue;
    try {
      compileSeccomp(mutated as typeof section, "x86_64");
    } catch (error) {
      if (!(error instanceof LighterError && error.code === "invalid")) throw error;
    }
  }
});
