/** The options of a volume, and the mount that they ask for. */
import { isIP } from "node:net";
import { LighterError } from "../base/errors.ts";

/** The `--opt` of `volume create`: options for mount(8). Stored unchanged, for `inspect`. */
export type VolumeOptions = Readonly<Record<string, string>>;

/** The file system that is mounted in place of the volume's own directory. */
export type FilesystemOfVolume =
  /** A directory of the host. `options` apply to the mount alone. */
  | { kind: "bind"; source: string; options: readonly string[] }
  | { kind: "filesystem"; type: string; device: string; options: readonly string[] };

/** The host name in "addr=", if it has one: the kernel takes only an address there. */
export function hostNameOf(options: VolumeOptions): string | undefined {
  const filesystem = filesystemOf(options);
  if (filesystem?.kind !== "filesystem") return undefined;
  const value = filesystem.options.find((option) => option.startsWith(ADDRESS))?.slice(ADDRESS.length);
  return value === undefined || value === "" || isIP(value) !== 0 ? undefined : value;
}

/** The options with that host's address instead of its name. */
export function withAddress(options: VolumeOptions, address: string): VolumeOptions {
  const replaced = (options.o ?? "").split(",").map((each) => (each.startsWith(ADDRESS) ? ADDRESS + address : each));
  return { ...options, o: replaced.join(",") };
}

const ADDRESS = "addr=";

/** The options that each option needs. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  device: ["type"],
  type: ["device"],
  o: ["device", "type"],
  size: [],
};

/** Checks a volume's options. @throws LighterError "invalid", with Docker's texts. */
export function parseVolumeOptions(name: string, options: VolumeOptions): void {
  const refuse = (what: string) => new LighterError("invalid", `create ${name}: ${what}`);
  for (const key of Object.keys(options))
    if (!Object.hasOwn(NEEDS, key)) throw refuse(`invalid option: ${JSON.stringify(key)}`);
  if (options.size) throw refuse("quota size requested but no quota support");
  for (const [key, needed] of Object.entries(NEEDS))
    for (const other of options[key] ? needed : [])
      if (!options[other]) throw refuse(`missing required option: ${JSON.stringify(other)}`);
}

/** The file system that the options ask for; undefined for a plain directory. */
export function filesystemOf(options: VolumeOptions): FilesystemOfVolume | undefined {
  const { type = "", device = "", o = "" } = options;
  if (device === "") return undefined;
  const list = o.split(",").filter((option) => option !== "");
  if (list.includes("bind") || list.includes("rbind") || type === "bind")
    return { kind: "bind", source: device, options: list };
  return { kind: "filesystem", type, device, options: list };
}
