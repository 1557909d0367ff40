/** Packages of Debian that ./test has unpacked, see tests/debian-files: machines find their files beside those of the host's /usr. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const unpacked = join(import.meta.dirname, "../../dist/debian");

/** The directory of a package's files. */
export const filesOf = (name: string) => join(unpacked, name);

/** The packages that are not there as a reason to skip; undefined if all are. */
export function withoutFiles(...names: readonly string[]): string | undefined {
  const absent = names.filter((name) => !existsSync(filesOf(name)));
  return absent.length === 0 ? undefined : `needs files of ${absent.join(", ")}, which ./test unpacks`;
}

/** The mount of a /usr that has the files of packages above those of the host's. */
export function usrWith(...names: readonly string[]): object {
  const Source = `usr-${names.join("-")}`;
  const layers = [...names.map(filesOf).filter((path) => existsSync(join(path, "usr"))), ""].map(
    (path) => `${path}/usr`,
  );
  const Options = { type: "overlay", device: "overlay", o: `ro,lowerdir=${layers.join(":")}` };
  return { Type: "volume", Source, Target: "/usr", ReadOnly: true, VolumeOptions: { DriverConfig: { Options } } };
}
