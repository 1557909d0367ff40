/**
 * Specs of the Container Device Interface: what a container must have to use a device, as the device's vendor says.
 * Source: cncf-tags/container-device-interface SPEC.md, versions 0.3 to 1.1.
 */
import { LighterError } from "../../base/errors.ts";
import { CDI_LIST_MAX } from "../../base/limits.ts";
import { isCdiDeviceName, isCdiKind } from "../../spec/cdi-name.ts";
import type { OciHooks } from "../../spec/oci-runtime.ts";

export interface CdiSpec {
  /** The kind of device: "nvidia.com/gpu". */
  kind: string;
  /** The edits of each device, by its name. */
  devices: ReadonlyMap<string, ContainerEdits>;
  /** The edits for every container with one of the devices. */
  edits: ContainerEdits;
}

export interface ContainerEdits {
  /** The variables, "NAME=value". */
  env: readonly string[];
  deviceNodes: readonly CdiDeviceNode[];
  mounts: readonly { hostPath: string; containerPath: string; type?: string; options: readonly string[] }[];
  hooks: readonly CdiHook[];
  additionalGids: readonly number[];
  intelRdt?: CdiIntelRdt;
}

export interface CdiDeviceNode {
  path: string;
  /** The path on the host; by default the same as `path`. */
  hostPath?: string;
  /** The type of node; missing fields are as on the host. */
  type?: "b" | "c" | "u" | "p";
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
  /** The permissions, letters of "rwm". */
  permissions: string;
}

export interface CdiHook {
  hookName: keyof OciHooks;
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

interface CdiIntelRdt {
  closID?: string;
  l3CacheSchema?: string;
  memBwSchema?: string;
  enableCMT?: boolean;
  enableMBM?: boolean;
}

const HOOK_NAMES = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const;
/** The limit for a name in an error. */
const SHOWN_MAX_CHARS = 256;

/**
 * Parses a spec. `document`: from JSON or YAML that anybody who may write there has written, so nothing in it is trusted. An
 * unknown field is an error, since a device without it may not be what it is meant to be.
 * @throws LighterError "invalid", naming the field
 */
export function parseCdiSpec(document: unknown): CdiSpec {
  const fields = object(document, "the spec", ["cdiVersion", "kind", "annotations", "devices", "containerEdits"]);
  const version = string(fields.cdiVersion, "cdiVersion");
  if (!/^(0\.[3-9]|1\.[01])\.\d{1,3}$/.test(version))
    throw invalid("cdiVersion", `${JSON.stringify(version)} is not known`);
  const kind = string(fields.kind, "kind");
  if (!isCdiKind(kind)) throw invalid("kind", `${JSON.stringify(kind)} is not VENDOR/CLASS`);
  const devices = new Map<string, ContainerEdits>();
  for (const [index, each] of list(fields.devices, "devices").entries()) {
    const at = `devices[${index}]`;
    const device = object(each, at, ["name", "annotations", "containerEdits"]);
    const name = string(device.name, `${at}.name`);
    if (!isCdiDeviceName(name)) throw invalid(`${at}.name`, `${JSON.stringify(name)} is no device's name`);
    if (devices.has(name)) throw invalid(at, `there are two devices ${JSON.stringify(name)}`);
    devices.set(name, parseEdits(device.containerEdits, `${at}.containerEdits`));
  }
  if (devices.size === 0) throw invalid("devices", "there are none");
  return { kind, devices, edits: parseEdits(fields.containerEdits, "containerEdits") };
}

function parseEdits(value: unknown, at: string): ContainerEdits {
  const known = ["env", "deviceNodes", "mounts", "hooks", "additionalGids", "intelRdt"];
  const fields = object(value ?? {}, at, known);
  return {
    env: strings(fields.env, `${at}.env`).map((variable) => {
      if (variable.indexOf("=") <= 0) throw invalid(`${at}.env`, `${JSON.stringify(variable)} is not NAME=VALUE`);
      return variable;
    }),
    deviceNodes: list(fields.deviceNodes, `${at}.deviceNodes`).map((each, index) =>
      parseDeviceNode(each, `${at}.deviceNodes[${index}]`),
    ),
    mounts: list(fields.mounts, `${at}.mounts`).map((each, index) => {
      const where = `${at}.mounts[${index}]`;
      const mount = object(each, where, ["hostPath", "containerPath", "type", "options"]);
      return {
        hostPath: absolutePath(mount.hostPath, `${where}.hostPath`),
        containerPath: absolutePath(mount.containerPath, `${where}.containerPath`),
        ...optional("type", mount.type, (given) => string(given, `${where}.type`)),
        options: strings(mount.options, `${where}.options`),
      };
    }),
    hooks: list(fields.hooks, `${at}.hooks`).map((each, index) => parseHook(each, `${at}.hooks[${index}]`)),
    additionalGids: list(fields.additionalGids, `${at}.additionalGids`)
      .map((gid) => integer(gid, `${at}.additionalGids`, MAX_UINT32))
      .filter((gid) => gid !== 0),
    ...optional("intelRdt", fields.intelRdt, (given) => parseIntelRdt(given, `${at}.intelRdt`)),
  };
}

function parseDeviceNode(value: unknown, at: string): CdiDeviceNode {
  const known = ["path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"];
  const fields = object(value, at, known);
  const permissions = string(fields.permissions ?? "", `${at}.permissions`);
  if (!/^[rwm]*$/.test(permissions) || permissions.length > 3)
    throw invalid(`${at}.permissions`, `${JSON.stringify(permissions)} is not of "rwm"`);
  const number = (name: string, max = MAX_UINT32) =>
    optional(name, fields[name], (given) => integer(given, `${at}.${name}`, max));
  return {
    path: absolutePath(fields.path, `${at}.path`),
    ...optional("hostPath", fields.hostPath || undefined, (given) => absolutePath(given, `${at}.hostPath`)),
    ...optional("type", fields.type || undefined, (given) => {
      if (given === "b" || given === "c" || given === "u" || given === "p") return given;
      throw invalid(`${at}.type`, `${JSON.stringify(given)} is not known`);
    }),
    ...number("major"),
    ...number("minor"),
    ...number("fileMode", 0o7777),
    ...number("uid"),
    ...number("gid"),
    permissions: permissions || "rwm",
  };
}

function parseHook(value: unknown, at: string): CdiHook {
  const fields = object(value, at, ["hookName", "path", "args", "env", "timeout"]);
  const hookName = HOOK_NAMES.find((name) => name === fields.hookName);
  if (hookName === undefined) throw invalid(`${at}.hookName`, `${JSON.stringify(fields.hookName)} is not known`);
  return {
    hookName,
    path: absolutePath(fields.path, `${at}.path`),
    ...optional("args", fields.args, (given) => strings(given, `${at}.args`)),
    ...optional("env", fields.env, (given) => strings(given, `${at}.env`)),
    ...optional("timeout", fields.timeout, (given) => integer(given, `${at}.timeout`, 2 ** 31 - 1)),
  };
}

function parseIntelRdt(value: unknown, at: string): CdiIntelRdt {
  const texts = ["closID", "l3CacheSchema", "memBwSchema"];
  const switches = ["enableCMT", "enableMBM"];
  const fields = object(value, at, [...texts, ...switches]);
  const read = (name: string) =>
    texts.includes(name) ? string(fields[name], `${at}.${name}`) : boolean(fields[name], `${at}.${name}`);
  return Object.fromEntries(Object.keys(fields).map((name) => [name, read(name)])) as CdiIntelRdt;
}

const MAX_UINT32 = 2 ** 32 - 1;

function invalid(at: string, problem: string): LighterError {
  return new LighterError("invalid", `${at}: ${problem}`);
}

function object(value: unknown, at: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(at, "is no object");
  for (const name of Object.keys(value))
    if (!known.includes(name))
      throw invalid(at, `has a field that is not known: ${JSON.stringify(name.slice(0, SHOWN_MAX_CHARS))}`);
  return value as Record<string, unknown>;
}

function list(value: unknown, at: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(at, "is no list");
  if (value.length > CDI_LIST_MAX) throw invalid(at, `has more than ${CDI_LIST_MAX} entries`);
  return value;
}

function strings(value: unknown, at: string): string[] {
  return list(value, at).map((each) => string(each, at));
}

function string(value: unknown, at: string): string {
  if (typeof value !== "string") throw invalid(at, "is no string");
  if (value.includes("\0")) throw invalid(at, "holds a NUL character");
  return value;
}

function boolean(value: unknown, at: string): boolean {
  if (typeof value !== "boolean") throw invalid(at, "is neither true nor false");
  return value;
}

function integer(value: unknown, at: string, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw invalid(at, `is no whole number up to ${max}`);
}

function absolutePath(value: unknown, at: string): string {
  const path = string(value, at);
  if (!path.startsWith("/")) throw invalid(at, `${JSON.stringify(path)} is not absolute`);
  return path;
}

function optional<K extends string, T>(name: K, value: unknown, read: (value: unknown) => T): { [_ in K]?: T } {
  return value === undefined || value === null ? {} : ({ [name]: read(value) } as { [_ in K]?: T });
}
