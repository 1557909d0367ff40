import { LighterError } from "../base/errors.ts";

/** `--opt` of `volume create`: what mount(8) would be told. Kept as it was given, for `inspect`. */
export type VolumeOptions = Readonly<Record<string, string>>;

/** What is mounted in place of the volume's own directory. */
export type FilesystemOfVolume =
  /** A directory of the host. `options` are for the mount alone. */
  | { kind: "bind"; source: string; options: readonly string[] }
  | { kind: "filesystem"; type: string; device: string; options: readonly string[] };

/** Which options each needs beside it. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  device: ["type"],
  type: ["device"],
  o: ["device", "type"],
  size: [],
};

/** @throws LighterError "invalid", with Docker's texts. */
export function parseVolumeOptions(name: string, options: VolumeOptions): void {
  const refuse = (what: string) => new LighterError("invalid", `create ${name}: ${what}`);
  for (const key of Object.keys(options))
    if (!Object.hasOwn(NEEDS, key)) throw refuse(`invalid option: ${JSON.stringify(key)}`);
  if (options.size) throw refuse("quota size requested but no quota support");
  for (const [key, needed] of Object.entries(NEEDS))
    for (const other of options[key] ? needed : [])
      if (!options[other]) throw refuse(`missing required option: ${JSON.stringify(other)}`);
}

/** Undefined: a plain directory. */
export function filesystemOf(options: VolumeOptions): FilesystemOfVolume | undefined {
  const { type = "", device = "", o = "" } = options;
  if (device === "") return undefined;
  const list = o.split(",").filter((option) => option !== "");
  if (list.includes("bind") || list.includes("rbind") || type === "bind")
    return { kind: "bind", source: device, options: list };
  return { kind: "filesystem", type, device, options: list };
}
