/** Finds the devices in the specs of the daemon's directories. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { CDI_FILES_MAX, CDI_SPEC_MAX_BYTES } from "../../base/limits.ts";
import { type CdiSpec, type ContainerEdits, parseCdiSpec } from "./spec.ts";

/** The default directories of Docker. */
export const DEFAULT_CDI_DIRECTORIES: readonly string[] = ["/etc/cdi", "/var/run/cdi"];

interface KnownFile {
  /** The properties of the file by which a change is noticed. */
  stamp: string;
  spec: CdiSpec | undefined;
  problem?: string;
}

interface KnownDevice {
  spec: CdiSpec;
  edits: ContainerEdits;
  /** The priority of its directory: one that is named later comes first. */
  priority: number;
  /** True if another spec of the same directory has the device as well: nobody knows which one is meant. */
  isAmbiguous: boolean;
}

/**
 * All devices of specs. Files are looked for when somebody wants devices, since they come and go with their vendors' tools, and
 * parsed when they have changed.
 */
export class CdiRegistry {
  readonly directories: readonly string[];
  #files = new Map<string, KnownFile>();

  constructor(directories: readonly string[] = DEFAULT_CDI_DIRECTORIES) {
    this.directories = directories;
  }

  /** Lists the names of all devices, "vendor.com/class=name", in order; and what is wrong with files, by their paths. */
  list(): { devices: string[]; problems: Map<string, string> } {
    const devices = [...this.#read()].flatMap(([name, { isAmbiguous }]) => (isAmbiguous ? [] : [name]));
    const problems = [...this.#files].flatMap(([path, { problem }]) =>
      problem === undefined ? [] : [[path, problem] as const],
    );
    return { devices: devices.sort(), problems: new Map(problems) };
  }

  /** Tells whether there is a device of the kind. */
  has(kind: string): boolean {
    return [...this.#read().keys()].some((name) => name.startsWith(`${kind}=`));
  }

  /** Returns the edits for a container with these devices, in the order of their names; each spec's common edits come first. */
  resolve(names: readonly string[]): ContainerEdits[] {
    const known = this.#read();
    const missing = names.filter((name) => known.get(name)?.isAmbiguous ?? true);
    if (missing.length > 0)
      throw new LighterError("internal", `CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
    const specs = new Set<CdiSpec>();
    return [...new Set(names)].flatMap((name) => {
      const { spec, edits } = known.get(name)!;
      const isFirst = !specs.has(spec);
      specs.add(spec);
      return isFirst ? [spec.edits, edits] : [edits];
    });
  }

  #read(): Map<string, KnownDevice> {
    const files = new Map<string, KnownFile>();
    const devices = new Map<string, KnownDevice>();
    for (const [priority, directory] of this.directories.entries())
      for (const path of specsIn(directory).slice(0, CDI_FILES_MAX - files.size)) {
        const file = readSpec(path, this.#files.get(path));
        files.set(path, file);
        if (file.spec !== undefined) addDevices(devices, file.spec, priority);
      }
    this.#files = files;
    return devices;
  }
}

function addDevices(devices: Map<string, KnownDevice>, spec: CdiSpec, priority: number): void {
  for (const [name, edits] of spec.devices) {
    const qualified = `${spec.kind}=${name}`;
    const isAmbiguous = devices.get(qualified)?.priority === priority;
    devices.set(qualified, { spec, edits, priority, isAmbiguous });
  }
}

function specsIn(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return []; // most hosts have none
  }
  return names
    .filter((name) => /\.(json|yaml)$/.test(name))
    .sort()
    .map((name) => join(directory, name));
}

function readSpec(path: string, known: KnownFile | undefined): KnownFile {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    return { stamp: errnoOf(error), spec: undefined, problem: messageOf(error) };
  }
  try {
    const stats = fstatSync(fd, { bigint: true });
    const stamp = `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
    if (known?.stamp === stamp) return known;
    try {
      if (!stats.isFile()) throw new LighterError("invalid", "it is no file");
      if (stats.size > CDI_SPEC_MAX_BYTES)
        throw new LighterError("invalid", `it has more than ${CDI_SPEC_MAX_BYTES} bytes`);
      return { stamp, spec: parseCdiSpec(parseDocument(path, readFileSync(fd, "utf8"))) };
    } catch (error) {
      return { stamp, spec: undefined, problem: messageOf(error) };
    }
  } finally {
    closeSync(fd);
  }
}

/** Parses a document. @throws Error for what is neither JSON nor YAML */
function parseDocument(path: string, text: string): unknown {
  if (path.endsWith(".json")) return JSON.parse(text);
  // Anchors can make a document as large as one likes; no tool writes any into a spec.
  if (/(^|[\s[{,:-])[&*][^\s,\]}]/m.test(text)) throw new LighterError("invalid", "it has YAML anchors or aliases");
  return Bun.YAML.parse(text);
}
