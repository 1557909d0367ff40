import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generateSyscallTable, headerVersion } from "../../../scripts/generate-syscalls.ts";
import { testIf } from "../../../tests/support/test-if.ts";
import { SYSCALL_TABLE_LINUX_VERSION } from "./syscall-table.ts";

function installedVersion(): string | undefined {
  try {
    return headerVersion();
  } catch {
    return undefined;
  }
}

testIf(installedVersion() === SYSCALL_TABLE_LINUX_VERSION, `needs the headers of Linux ${SYSCALL_TABLE_LINUX_VERSION}`)(
  "the table of system calls is what its generator makes of the kernel headers",
  () => {
    expect(readFileSync(join(import.meta.dirname, "syscall-table.ts"), "utf8")).toBe(generateSyscallTable());
  },
);
