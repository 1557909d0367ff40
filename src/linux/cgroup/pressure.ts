/** Reads pressure stall information (PSI): how long tasks had to wait for CPU, memory or I/O. */
import { type CgroupHost, type ReadText, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";

export type PressureKind = "cpu" | "memory" | "io";

/** For how long tasks have waited: in all, and as shares of the last 10, 60 and 300 seconds in percent. */
export interface Stall {
  totalUs: number;
  avg10: number;
  avg60: number;
  avg300: number;
}

/** What one file says. Some: at least one task waited; full: all of them did. */
export type Pressure = Record<"some" | "full", Stall>;

const NO_STALL: Stall = { totalUs: 0, avg10: 0, avg60: 0, avg300: 0 };

/** Parses "some avg10=0.12 avg60=0.00 avg300=0.00 total=123"; undefined if it is nothing like that. */
function parsePressure(text: string): Pressure | undefined {
  const line = (name: string): Stall | undefined => {
    const numbers = new RegExp(`^${name} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`, "m").exec(
      text,
    );
    if (numbers === null) return undefined;
    const [avg10 = 0, avg60 = 0, avg300 = 0, totalUs = 0] = numbers.slice(1).map(Number);
    return { totalUs, avg10, avg60, avg300 };
  };
  const [some, full] = [line("some"), line("full")];
  return some && { some, full: full ?? NO_STALL };
}

/** The pressure in a cgroup. Undefined on v1, and where the kernel has none. Source: Linux Documentation/accounting/psi.rst. */
export function readPressure(
  host: CgroupHost,
  cgroupsPath: string,
  read: ReadText = readHostText,
): Record<PressureKind, Pressure> | undefined {
  if (host.mode !== "unified" || host.v2 === undefined) return undefined;
  const directory = `${host.v2.mountPoint}/${parseCgroupsPath(cgroupsPath).join("/")}`;
  return readKinds((kind) => `${directory}/${kind}.pressure`, read);
}

/** The pressure on the whole host; undefined where the kernel has none. */
export function readHostPressure(): Record<PressureKind, Pressure> | undefined {
  return readKinds((kind) => `/proc/pressure/${kind}`, readHostText);
}

function readKinds(pathOf: (kind: PressureKind) => string, read: ReadText): Record<PressureKind, Pressure> | undefined {
  const of = (kind: PressureKind) => parsePressure(readIfThere(read, pathOf(kind)));
  const [cpu, memory, io] = [of("cpu"), of("memory"), of("io")];
  return cpu === undefined || memory === undefined || io === undefined ? undefined : { cpu, memory, io };
}

/** Reads a file, which says EOPNOTSUPP where PSI was turned off at boot or for this cgroup. */
function readIfThere(read: ReadText, path: string): string {
  try {
    return read(path) ?? "";
  } catch {
    return "";
  }
}
