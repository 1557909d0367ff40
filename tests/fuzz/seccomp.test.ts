import { expect, test } from "bun:test";
import { compileSeccomp } from "../../src/linux/seccomp/mod.ts";
import type { NativeArch } from "../../src/linux/seccomp/native.ts";
import { decodeFilter, formatAction, formatFilter, interpretFilter } from "../support/interpret-filter.ts";
import { Random } from "../support/random.ts";
import { FAMILY, randomCall, randomSeccomp, referenceVerdict } from "../support/seccomp-reference.ts";

const ACTIONS = ["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "TRACE", "LOG"];
const ARCHITECTURES = ["X86_64", "X86", "X32", "AARCH64", "ARM", "S390X"];

test("a compiled filter decides every call as reading the rules one by one does", () => {
  const random = Random.fromEnvironment("seccomp filters");
  for (let round = 0; round < 3000; round++) {
    const seccomp = randomSeccomp(random, {
      actions: ACTIONS.map((name) => `SCMP_ACT_${name}`),
      architectures: ARCHITECTURES.map((name) => `SCMP_ARCH_${name}`),
      maxRules: random.pick([2, 8, 40]),
    });
    const native: NativeArch = random.pick(["x86_64", "aarch64"]);
    const { instructions } = compileSeccomp(seccomp, native);
    const filter = decodeFilter(instructions);
    for (let step = 0; step < 60; step++) {
      const call = randomCall(random, seccomp, [...FAMILY.x86_64, ...FAMILY.aarch64]);
      const got = formatAction(interpretFilter(filter, call).action);
      const wanted = formatAction(referenceVerdict(seccomp, native, call));
      if (got === wanted) continue;
      const show = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v), 1);
      console.log(native, show(call), show(seccomp), formatFilter(instructions));
      expect(got, `round ${round}`).toBe(wanted);
    }
  }
});
