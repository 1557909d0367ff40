/** Small filters as text. `GOLDEN=update bun test tests/golden/seccomp.test.ts` rewrites the files; review the diff. */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileSeccomp } from "../../src/linux/seccomp/mod.ts";
import type { NativeArch } from "../../src/linux/seccomp/native.ts";
import { toOciSeccomp } from "../../src/spec/docker-seccomp.ts";
import { defaultProfile } from "../../src/spec/docker-seccomp-default.ts";
import type { OciSeccomp, OciSeccompArg } from "../../src/spec/oci-runtime.ts";
import { formatFilter } from "../support/interpret-filter.ts";

const folder = join(import.meta.dirname, "seccomp");

const comparing = (args: OciSeccompArg[]): OciSeccomp => ({
  defaultAction: "SCMP_ACT_ERRNO",
  syscalls: [{ names: ["ioctl"], action: "SCMP_ACT_ALLOW", args }],
});
const X86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

const cases: Record<string, { seccomp: OciSeccomp; native?: NativeArch }> = {
  "allow-all": { seccomp: { defaultAction: "SCMP_ACT_ALLOW" } },
  "deny-one": {
    seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }] },
  },
  "allow-list": {
    seccomp: {
      defaultAction: "SCMP_ACT_KILL_PROCESS",
      architectures: X86,
      syscalls: [
        { names: ["read", "write", "exit_group", "no_such_call"], action: "SCMP_ACT_ALLOW" },
        { names: ["socket"], action: "SCMP_ACT_ERRNO", errnoRet: 97 },
      ],
    },
  },
  "allow-list-arm": {
    native: "aarch64",
    seccomp: {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
      syscalls: [{ names: ["read", "write", "cacheflush"], action: "SCMP_ACT_ALLOW" }],
    },
  },
  "compare-equal": { seccomp: comparing([{ index: 1, op: "SCMP_CMP_EQ", value: 0x1_00005413n }]) },
  "compare-not-equal": { seccomp: comparing([{ index: 1, op: "SCMP_CMP_NE", value: 0x5413 }]) },
  "compare-less": { seccomp: comparing([{ index: 0, op: "SCMP_CMP_LT", value: 3 }]) },
  "compare-greater-or-equal": { seccomp: comparing([{ index: 5, op: "SCMP_CMP_GE", value: 2n ** 63n }]) },
  "compare-masked": { seccomp: comparing([{ index: 2, op: "SCMP_CMP_MASKED_EQ", value: 0xff00ff, valueTwo: 0x1002 }]) },
  "compare-two-arguments": {
    seccomp: comparing([
      { index: 0, op: "SCMP_CMP_EQ", value: 1 },
      { index: 1, op: "SCMP_CMP_LE", value: 0xffff },
    ]),
  },
  "compare-one-argument-twice": {
    seccomp: comparing([
      { index: 0, op: "SCMP_CMP_EQ", value: 1 },
      { index: 0, op: "SCMP_CMP_EQ", value: 2 },
    ]),
  },
  "i386-multiplexed": {
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86"],
      syscalls: [
        {
          names: ["socket", "shmget"],
          action: "SCMP_ACT_ERRNO",
          args: [{ index: 0, op: "SCMP_CMP_EQ", value: 16 }],
        },
      ],
    },
  },
  "docker-default": {
    seccomp: toOciSeccomp(defaultProfile(), { arch: "amd64", capabilities: ["CAP_CHOWN"], kernelVersion: "6.1" }),
  },
};

for (const [name, { seccomp, native = "x86_64" }] of Object.entries(cases))
  test(`the filter of ${name}`, () => {
    const path = join(folder, `${name}.txt`);
    const text = `# ${name}\n${formatFilter(compileSeccomp(seccomp, native).instructions)}`;
    if (process.env.GOLDEN === "update") {
      mkdirSync(folder, { recursive: true });
      writeFileSync(path, text);
    }
    expect(text).toBe(readFileSync(path, "utf8"));
  });
