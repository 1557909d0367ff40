/** Volumes of the driver "local": their names, their options, and what these mount. Pure. */
export { checkVolumeName } from "./name.ts";
export {
  type FilesystemOfVolume,
  filesystemOf,
  hostNameOf,
  parseVolumeOptions,
  type VolumeOptions,
  withAddress,
} from "./options.ts";
