/** Values of `--mount` and `--volume`. */
import { resolve } from "node:path";
import { parseCsvLine, parseRamBytes } from "../../base/value-syntax.ts";
import { parseGoBool } from "../format/go.ts";

/** The Engine API's Mount, in its wire spelling. */
interface MountValue {
  Type: string;
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: {
    Propagation?: string;
    NonRecursive?: boolean;
    CreateMountpoint?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
  };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    Subpath?: string;
    DriverConfig: { Name?: string; Options?: Record<string, string> };
  };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
  ImageOptions?: { Subpath?: string };
}

/** Fields that may stand without a value. */
const SWITCHES = new Set(["readonly", "ro", "volume-nocopy", "bind-nonrecursive"]);

/**
 * Parses the text of a `--mount`, a line of CSV: "type=bind,src=/a,dst=/b,ro".
 * @throws Error with the text users know
 */
export function parseMount(text: string): MountValue {
  const mount: MountValue = { Type: "volume", Target: "" };
  for (const field of parseCsvLine(text)) {
    const equals = field.indexOf("=");
    const key = equals === -1 ? field : field.slice(0, equals);
    if (equals === -1 && !SWITCHES.has(key)) throw new Error(`invalid field '${field}' must be a key=value pair`);
    applyField(mount, key, equals === -1 ? "true" : field.slice(equals + 1), field);
  }
  return checkMount(mount);
}

type Apply = (mount: MountValue, value: string, key: string) => void;

/** Effects of each key. */
const FIELDS: Readonly<Record<string, Apply>> = {
  type: (mount, value) => {
    mount.Type = value.toLowerCase();
  },
  source: setSource,
  src: setSource,
  target: setTarget,
  dst: setTarget,
  destination: setTarget,
  readonly: setReadOnly,
  ro: setReadOnly,
  consistency: (mount, value) => {
    mount.Consistency = value.toLowerCase();
  },
  "bind-propagation": (mount, value) => {
    bindOf(mount).Propagation = value.toLowerCase();
  },
  "bind-nonrecursive": (mount, value, key) => {
    bindOf(mount).NonRecursive = parsed(key, value, parseGoBool);
  },
  "bind-recursive": (mount, value) => applyBindRecursive(bindOf(mount), value),
  "volume-nocopy": (mount, value, key) => {
    volumeOf(mount).NoCopy = parsed(key, value, parseGoBool);
  },
  "volume-subpath": (mount, value) => {
    volumeOf(mount).Subpath = value;
  },
  "volume-label": (mount, value) => {
    volumeOf(mount).Labels = { ...volumeOf(mount).Labels, ...pair(value) };
  },
  "volume-driver": (mount, value) => {
    volumeOf(mount).DriverConfig.Name = value;
  },
  "volume-opt": (mount, value) => {
    const driver = volumeOf(mount).DriverConfig;
    driver.Options = { ...driver.Options, ...pair(value) };
  },
  "tmpfs-size": (mount, value, key) => {
    tmpfsOf(mount).SizeBytes = parsed(key, value, parseRamBytes);
  },
  "tmpfs-mode": (mount, value, key) => {
    tmpfsOf(mount).Mode = parsed(key, value, parseOctal);
  },
  "image-subpath": (mount, value) => {
    mount.ImageOptions = { Subpath: value };
  },
};

function applyField(mount: MountValue, key: string, value: string, field: string): void {
  const apply = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
  if (apply === undefined) throw new Error(`unexpected key '${key}' in '${field}'`);
  apply(mount, value, key);
}

function setSource(mount: MountValue, value: string): void {
  mount.Source = value === "." || value.startsWith("./") ? resolve(value) : value;
}

function setTarget(mount: MountValue, value: string): void {
  mount.Target = value;
}

function setReadOnly(mount: MountValue, value: string, key: string): void {
  if (parsed(key, value, parseGoBool)) mount.ReadOnly = true;
  else delete mount.ReadOnly;
}

function bindOf(mount: MountValue): NonNullable<MountValue["BindOptions"]> {
  mount.BindOptions ??= {};
  return mount.BindOptions;
}

function volumeOf(mount: MountValue): NonNullable<MountValue["VolumeOptions"]> {
  mount.VolumeOptions ??= { DriverConfig: {} };
  return mount.VolumeOptions;
}

function tmpfsOf(mount: MountValue): NonNullable<MountValue["TmpfsOptions"]> {
  mount.TmpfsOptions ??= {};
  return mount.TmpfsOptions;
}

function parsed<T>(key: string, value: string, parse: (value: string) => T): T {
  try {
    return parse(value);
  } catch {
    throw new Error(`invalid value for ${key}: ${value}`);
  }
}

function applyBindRecursive(bind: NonNullable<MountValue["BindOptions"]>, value: string): void {
  switch (value) {
    case "enabled": // the default
      return;
    case "disabled":
      bind.NonRecursive = true;
      return;
    case "writable":
      bind.ReadOnlyNonRecursive = true;
      return;
    case "readonly":
      bind.ReadOnlyForceRecursive = true;
      return;
    default:
      throw new Error(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
}

function checkMount(mount: MountValue): MountValue {
  if (mount.Type === "") throw new Error("type is required");
  if (mount.Target === "") throw new Error("target is required");
  const only = (options: unknown, prefix: string, type: string) => {
    if (options !== undefined && mount.Type !== type)
      throw new Error(`cannot mix '${prefix}-*' options with mount type '${mount.Type}'`);
  };
  only(mount.VolumeOptions, "volume", "volume");
  only(mount.BindOptions, "bind", "bind");
  only(mount.TmpfsOptions, "tmpfs", "tmpfs");
  only(mount.ImageOptions, "image", "image");
  const bind = mount.BindOptions;
  if (bind?.ReadOnlyNonRecursive === true && mount.ReadOnly !== true)
    throw new Error("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  if (bind?.ReadOnlyForceRecursive === true) {
    if (mount.ReadOnly !== true)
      throw new Error("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
    if (bind.Propagation !== "rprivate")
      throw new Error(
        "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
      );
  }
  return mount;
}

/** Parses "k=v" or "k"; returns nothing for an empty key. */
function pair(text: string): Record<string, string> {
  const equals = text.indexOf("=");
  const key = equals === -1 ? text : text.slice(0, equals);
  return key === "" ? {} : { [key]: equals === -1 ? "" : text.slice(equals + 1) };
}

function parseOctal(text: string): number {
  if (!/^[0-7]{1,11}$/.test(text)) throw new Error("not octal");
  return Number.parseInt(text, 8);
}

/**
 * Sorts `-v` texts into what the API takes: "binds" as text (with a host path or volume name before the colon) and
 * anonymous volumes. A relative host path starting with "." is made absolute, as only the client knows its directory.
 * @throws Error with the text users know
 */
export function splitVolumes(texts: readonly string[]): { binds: string[]; anonymous: Record<string, object> } {
  const binds: string[] = [];
  const anonymous: Record<string, object> = {};
  for (const text of new Set(texts)) {
    const source = volumeSource(text);
    if (source === undefined) anonymous[text] = {};
    else if (source.startsWith(".")) {
      const colon = text.indexOf(":");
      binds.push(resolve(text.slice(0, colon)) + text.slice(colon));
    } else binds.push(text);
  }
  return { binds, anonymous };
}

/** Returns what stands before the first colon, or undefined for a container path alone. */
function volumeSource(text: string): string | undefined {
  if (text === "") throw new Error("invalid empty volume spec");
  if (text.length <= 2) return undefined;
  const sections = text.split(":");
  // The stock client takes one letter before a colon for a drive: "c:/x" is one section.
  for (let i = 0; i + 1 < sections.length; i++)
    if (/^[a-zA-Z]$/.test(sections[i] ?? "")) sections.splice(i, 2, `${sections[i]}:${sections[i + 1]}`);
  if (sections.includes("")) throw new Error(`invalid spec: ${text}: empty section between colons`);
  if (sections.length > 3) throw new Error(`invalid spec: ${text}: too many colons`);
  return sections.length === 1 ? undefined : sections[0];
}
