/** Reads pressure stall information (PSI): how long tasks had to wait for CPU, memory or I/O. */
import { type CgroupHost, type ReadText, readHostText } from "./host.ts";
import { parseCgroupsPath } from "./path.ts";

export type PressureKind = "cpu" | "memory" | "io";

/** What one file says. Some: at least one task waited; full: all of them did. */
export interface Pressure {
  someUs: number;
  fullUs: number;
  /** The share of the last 10 s in percent. */
  some10: number;
  full10: number;
}

/** Parses "some avg10=0.12 avg60=0.00 avg300=0.00 total=123"; undefined if it is nothing like that. */
function parsePressure(text: string): Pressure | undefined {
  const line = (name: string) => new RegExp(`^${name} avg10=([\\d.]+) .*total=(\\d+)$`, "m").exec(text);
  const [some, full] = [line("some"), line("full")];
  if (some === null) return undefined;
  return {
    ...{ some10: Number(some[1]), someUs: Number(some[2]) },
    ...{ full10: Number(full?.[1] ?? 0), fullUs: Number(full?.[2] ?? 0) },
  };
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
