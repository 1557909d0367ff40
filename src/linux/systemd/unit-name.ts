/** Works out the systemd scope that a `cgroupsPath` means. */
import { LighterError } from "../../base/errors.ts";

/** A container's cgroup in systemd's terms. */
export interface ScopeName {
  /** The slice's name: "a-b.slice". */
  slice: string;
  /** The unit's name: "prefix-name.scope". */
  unit: string;
  /** The path from the top of the manager's cgroups: "/a.slice/a-b.slice/prefix-name.scope". */
  cgroupsPath: string;
}

/** The prefix for a container whose config has no cgroupsPath. */
const PREFIX = "lighter";

/**
 * Parses `cgroupsPath` as the systemd driver takes it: "slice:prefix:name". If it is absent, the result is the id's scope in the
 * manager's usual slice. An empty slice also means that one.
 * Source: runc docs/systemd.md; systemd.unit(5), systemd.slice(5).
 * @throws LighterError ("invalid")
 */
export function parseScopePath(cgroupsPath: string | undefined, id: string, isUserManager = false): ScopeName {
  const parts = cgroupsPath ? cgroupsPath.split(":") : ["", PREFIX, id];
  const [slice = "", prefix = "", name = ""] = parts;
  const refuse = (problem: string) =>
    new LighterError("invalid", `linux.cgroupsPath ${JSON.stringify(cgroupsPath ?? "")} ${problem}`);
  if (parts.length !== 3) throw refuse('is not like "slice:prefix:name", as the systemd driver wants it');
  if (name.endsWith(".slice")) throw refuse("names a slice, which can hold no processes");
  const unit = `${prefix}-${name}.scope`;
  // systemd.unit(5) allows these alone. systemd would refuse others too, but only once the container's init exists.
  if (!/^[\w:.\\@-]{1,255}$/.test(unit) || name === "")
    throw refuse(`makes a unit name, ${JSON.stringify(unit)}, with characters that systemd does not take`);
  const inSlice = slice === "" ? (isUserManager ? "user.slice" : "system.slice") : slice;
  const above = expandSlice(inSlice);
  if (above === undefined) throw refuse(`has a slice name that systemd does not take, ${JSON.stringify(inSlice)}`);
  return { slice: inSlice, unit, cgroupsPath: `${above}/${unit}` };
}

/** The path of a slice: "a-b.slice" is in "a.slice". "" for "-.slice", the root; undefined for a name that is no slice's. */
export function expandSlice(slice: string): string | undefined {
  if (slice === "-.slice") return "";
  const name = /^([\w:.\\@-]+)\.slice$/.exec(slice)?.[1];
  if (name === undefined || slice.length > 255) return undefined;
  const parts = name.split("-");
  if (parts.includes("")) return undefined;
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}
