/** Platforms as texts. Source: the doc of github.com/containerd/platforms, and its error texts. */
import { LighterError } from "../base/errors.ts";
import { goQuote } from "../base/go-escapes.ts";
import type { Platform } from "./oci-image.ts";

export const HOST_PLATFORM: Platform = {
  os: "linux",
  architecture: process.arch === "x64" ? "amd64" : process.arch,
};

/** An operating system. A version may follow it, which is ignored here. */
const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;
const PART = /^[A-Za-z0-9_-]+$/;

/** Other names of architectures, some of which imply a variant. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
  i386: ["386"],
};

/** Operating systems that a single word may name. Source: Go's list of ports; containerd platforms/database.go. */
const SYSTEMS: ReadonlySet<string> = new Set([
  ...["aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl", "netbsd"],
  ...["openbsd", "plan9", "solaris", "wasip1", "windows", "zos"],
]);
const KNOWN_ARCHITECTURES: ReadonlySet<string> = new Set([
  ...[
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
  ],
  ...["mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64"],
  ...["wasm", ...Object.keys(ARCHITECTURES)],
]);

const SHOWN_MAX_LENGTH = 100;
const shown = (text: string) => goQuote(text.slice(0, SHOWN_MAX_LENGTH));

/**
 * Parses "OS", "ARCHITECTURE" or "OS/ARCHITECTURE[/VARIANT]"; parts that are not named are the host's. @throws LighterError
 * ("invalid").
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const invalid = (what: string) => new LighterError("invalid", `${what}: invalid argument`);
  if (parts.length > 3) throw invalid(`${shown(text)}: cannot parse platform specifier`);
  for (const [index, part] of parts.entries()) {
    const shape = index === 0 ? OS : PART;
    if (shape.test(part)) continue;
    const [kind, rule] = index === 0 ? ["OS component", "OSAndVersion"] : ["component", "platform"];
    throw invalid(
      `${shown(part)} is an invalid ${kind} of ${shown(text)}: ${rule} specifier component must match ${goQuote(shape.source)}`,
    );
  }
  const [given = "", second, third] = parts.map((part) => part.toLowerCase().replace(/\(.*/, ""));
  const first = given === "macos" ? "darwin" : given;
  if (second === undefined && SYSTEMS.has(first)) return { ...HOST_PLATFORM, os: first };
  if (second === undefined && !KNOWN_ARCHITECTURES.has(first))
    throw invalid(`${shown(text)}: unknown operating system or architecture`);
  const [name, os] = second === undefined ? [first, HOST_PLATFORM.os] : [second, first];
  const [architecture, implied] = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name]! : [name];
  const variant = third ?? implied;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");
}
