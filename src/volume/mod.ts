/** Volumes of the driver "local": names, options, and the mounts that follow from them. Pure. */
export { checkVolumeName } from "./name.ts";
export {
  type FilesystemOfVolume,
  filesystemOf,
  hostNameOf,
  parseVolumeOptions,
  type VolumeOptions,
  withAddress,
} from "./options.ts";
