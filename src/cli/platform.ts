import { goQuote } from "../base/go-escapes.ts";

const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;
const PART = /^[A-Za-z0-9_-]+$/;

/** What may stand alone. Source: the lists of Go's systems and architectures, and other names of the latter. */
const KNOWN = new Set(
  (
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos " +
    "386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 " +
    "ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm i386 x86_64 x86-64 aarch64 armhf armel"
  ).split(" "),
);

/** Checks "os", "arch", "os/arch" or "os/arch/variant". @throws Error with containerd's words */
export function checkPlatform(text: string): void {
  const problem = platformProblem(text);
  if (problem !== undefined) throw new Error(`error parsing specified platform: ${problem}: invalid argument`);
}

function platformProblem(text: string): string | undefined {
  const parts = text.split("/");
  if (parts.length > 3) return `${goQuote(text)}: cannot parse platform specifier`;
  for (const [index, part] of parts.entries()) {
    const shape = index === 0 ? OS : PART;
    if (shape.test(part)) continue;
    const kind = index === 0 ? "an invalid OS component" : "an invalid component";
    const rule = index === 0 ? "OSAndVersion specifier component" : "platform specifier component";
    return `${goQuote(part)} is ${kind} of ${goQuote(text)}: ${rule} must match ${goQuote(shape.source)}`;
  }
  if (parts.length === 1 && !KNOWN.has(text.toLowerCase().replace(/\(.*/, "")))
    return `${goQuote(text)}: unknown operating system or architecture`;
  return undefined;
}
