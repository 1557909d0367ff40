/** The machine that is built for: this one, or one of the other architecture, whose programs an emulator runs here. */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Debian's names: of folders of libraries, and the beginnings of cross compilers' names. */
const TRIPLETS: Readonly<Record<string, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };
const EMULATORS: Readonly<Record<string, string>> = { x64: "qemu-x86_64", arm64: "qemu-aarch64" };

export interface Machine {
  /** As in `process.arch`. */
  readonly arch: string;
  readonly isThis: boolean;
  readonly triplet: string;
  /** The beginning of a command that runs one of its programs here. */
  readonly emulator: readonly string[];
}

/** @throws Error for an architecture that Lighter does not run on. */
export function machineOf(arch: string = process.arch): Machine {
  const [triplet, emulator] = [TRIPLETS[arch], EMULATORS[arch]];
  if (triplet === undefined || emulator === undefined)
    throw new Error(`no target "${arch}": there are ${Object.keys(TRIPLETS).join(" and ")}`);
  const isThis = arch === process.arch;
  return { arch, isThis, triplet, emulator: isThis ? [] : [emulator] };
}

const dist = join(import.meta.dirname, "../dist");

/** The folder of what is built for it. */
export function distOf({ isThis, arch }: Machine): string {
  return isThis ? dist : join(dist, arch);
}

interface QuickJs {
  library: string;
  /** Flags for its headers, which are searched last: the folder has those of this machine's C library, too. */
  flags: string[];
}

/** Finds Debian's libquickjs: installed, or unpacked by ./test if it is for another machine. */
export function findQuickJs({ triplet, arch }: Machine): QuickJs | undefined {
  for (const place of ["", join(dist, `debian/libquickjs:${arch}`)]) {
    const [library, headers] = [`${place}/usr/lib/${triplet}/quickjs/libquickjs.a`, `${place}/usr/include`];
    if (existsSync(library) && existsSync(`${headers}/quickjs/quickjs.h`))
      return { library, flags: ["-idirafter", headers] };
  }
  return undefined;
}
