import { LighterError } from "../../base/errors.ts";

/** A container's cgroup as systemd makes it. */
export interface ScopeName {
  /** The slice as systemd is told: "a-b.slice". */
  slice: string;
  /** "prefix-name.scope". */
  unit: string;
  /** From the top of the manager's cgroups: "/a.slice/a-b.slice/prefix-name.scope". */
  cgroupsPath: string;
}

/** Of a container whose config has no cgroupsPath. */
const PREFIX = "lighter";

/**
 * What `cgroupsPath` means to the systemd driver: "slice:prefix:name". Absent, it is the id's scope in the manager's
 * usual slice. An empty slice is that, too.
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
  // systemd.unit(5); more than these it would refuse too, but only when the container's init exists.
  if (!/^[\w:.\\@-]{1,255}$/.test(unit) || name === "")
    throw refuse(`makes a unit name, ${JSON.stringify(unit)}, with characters that systemd does not take`);
  const inSlice = slice === "" ? (isUserManager ? "user.slice" : "system.slice") : slice;
  const above = expandSlice(inSlice);
  if (above === undefined) throw refuse(`has a slice name that systemd does not take, ${JSON.stringify(inSlice)}`);
  return { slice: inSlice, unit, cgroupsPath: `${above}/${unit}` };
}

/** "a-b.slice" is in "a.slice": its path; "" for "-.slice", the root. Undefined for what is no slice's name. */
function expandSlice(slice: string): string | undefined {
  if (slice === "-.slice") return "";
  const name = /^([\w:.\\@-]+)\.slice$/.exec(slice)?.[1];
  if (name === undefined || slice.length > 255) return undefined;
  const parts = name.split("-");
  if (parts.includes("")) return undefined;
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}
