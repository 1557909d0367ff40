/** `RUN --mount`. Source: moby/buildkit instructions/commands_runmount.go; Dockerfile reference, "RUN --mount". */
import { LighterError, messageOf } from "../../base/errors.ts";
import { parseGoBoolean } from "../../base/go-boolean.ts";
import { goQuote } from "../../base/go-escapes.ts";
import { parseCsvLine, parseRamBytes } from "../../base/value-syntax.ts";
import { invalid } from "./error.ts";
import { withSuggestion } from "./suggest.ts";
import type { Mount, MountType } from "./types.ts";

const TYPES: readonly MountType[] = ["bind", "cache", "tmpfs", "secret", "ssh"];
export const SHARING = ["shared", "private", "locked"] as const;

interface Field {
  key: string;
  value: string;
}

type Take = (mount: Mount, field: Field) => void;

const SWITCHES: Readonly<Record<string, Take>> = {
  readonly: takeReadOnly,
  ro: takeReadOnly,
  readwrite: takeReadWrite,
  rw: takeReadWrite,
  required: takeRequired,
};

const FIELDS: Readonly<Record<string, Take>> = {
  type: takeType,
  from: (mount, { value }) => (mount.from = value),
  source: takeSource,
  target: takeTarget,
  readonly: takeReadOnly,
  id: (mount, { value }) => (mount.id = value),
  sharing: takeSharing,
  required: takeRequired,
  size: takeSize,
  mode: (mount, field) => (mount.mode = parseUnsigned(field, 8)),
  uid: (mount, field) => (mount.uid = parseUnsigned(field, 10)),
  gid: (mount, field) => (mount.gid = parseUnsigned(field, 10)),
  src: takeSource,
  dst: takeTarget,
  destination: takeTarget,
  ro: takeReadOnly,
  rw: takeReadWrite,
  readwrite: takeReadWrite,
  env: (mount, { value }) => (mount.env = value),
};

/**
 * What is known of a mount before variables have values: `from`, and the type if it is written down.
 * @throws LighterError ("invalid"), with BuildKit's words.
 */
export function outlineMount(text: string): Mount {
  const mount: Mount = { text, type: "bind", readOnly: true, required: false };
  for (const field of fieldsOf(text)) {
    const [key, value] = cut(field);
    if (value === undefined) continue;
    if (key === "type") mount.type = TYPES.find((type) => type === value.toLowerCase()) ?? mount.type;
    if (key !== "from") continue;
    const dollar = value.indexOf("$");
    if (dollar >= 0 && dollar !== value.length - 1)
      throw invalid("'from' doesn't support variable expansion, define alias stage instead");
    mount.from = value;
  }
  return mount;
}

/** A mount with its variables' values. @throws LighterError ("invalid"), with BuildKit's words. */
export function parseMount(text: string, expand: (word: string) => string): Mount {
  const mount: Mount = { text, type: "bind", readOnly: true, required: false };
  let isReadOnlyGiven = false;
  for (const field of fieldsOf(text)) {
    const [key, written] = cut(field);
    const table = written === undefined ? SWITCHES : FIELDS;
    const value = written === undefined ? "true" : expand(written);
    const take = Object.hasOwn(table, key) ? table[key] : undefined;
    if (take === undefined)
      throw invalid(
        written === undefined
          ? `invalid field '${field}' must be a key=value pair`
          : withSuggestion(`unexpected key '${key}' in '${field}'`, key, Object.keys(FIELDS)),
      );
    if (take === takeReadOnly || take === takeReadWrite) isReadOnlyGiven = true;
    take(mount, { key, value });
  }
  if (!isReadOnlyGiven) mount.readOnly = mount.type !== "cache" && mount.type !== "tmpfs";
  check(mount);
  return mount;
}

function fieldsOf(text: string): string[] {
  try {
    return parseCsvLine(text);
  } catch (error) {
    throw new LighterError("invalid", `failed to parse csv mounts: ${messageOf(error)}`, { cause: error });
  }
}

function cut(field: string): [key: string, value: string | undefined] {
  const at = field.indexOf("=");
  return at < 0 ? [field.toLowerCase(), undefined] : [field.slice(0, at).toLowerCase(), field.slice(at + 1)];
}

function takeType(mount: Mount, { value }: Field): void {
  const type = TYPES.find((each) => each === value.toLowerCase());
  if (type === undefined) throw invalid(withSuggestion(`unsupported mount type ${goQuote(value)}`, value, TYPES));
  mount.type = type;
}

function takeSharing(mount: Mount, { value }: Field): void {
  const sharing = SHARING.find((each) => each === value.toLowerCase());
  if (sharing === undefined)
    throw invalid(withSuggestion(`unsupported sharing value ${goQuote(value)}`, value, SHARING));
  mount.sharing = sharing;
}

function takeSource(mount: Mount, { value }: Field): void {
  mount.source = value;
}

function takeTarget(mount: Mount, { value }: Field): void {
  mount.target = value;
}

function takeReadOnly(mount: Mount, field: Field): void {
  mount.readOnly = parseBoolean(field);
}

function takeReadWrite(mount: Mount, field: Field): void {
  mount.readOnly = !parseBoolean(field);
}

function takeRequired(mount: Mount, field: Field): void {
  if (mount.type !== "secret" && mount.type !== "ssh")
    throw invalid(`unexpected key '${field.key}' for mount type '${mount.type}'`);
  mount.required = parseBoolean(field);
}

function takeSize(mount: Mount, { key, value }: Field): void {
  if (mount.type !== "tmpfs") throw invalid(`unexpected key '${key}' for mount type '${mount.type}'`);
  try {
    mount.sizeBytes = parseRamBytes(value);
  } catch {
    throw invalid(`invalid value for ${key}: ${value}`);
  }
}

function parseBoolean({ key, value }: Field): boolean {
  const is = parseGoBoolean(value);
  if (is === undefined) throw invalid(`invalid value for ${key}: ${value}`);
  return is;
}

const U32_MAX = 0xffff_ffff;

function parseUnsigned({ key, value }: Field, base: 8 | 10): number {
  const isNumber = base === 8 ? /^[0-7]{1,12}$/ : /^[0-9]{1,12}$/;
  const number = Number.parseInt(value, base);
  if (!isNumber.test(value) || number > U32_MAX) throw invalid(`invalid value ${value} for ${key}`);
  return number;
}

function check(mount: Mount): void {
  const { type } = mount;
  if (type === "bind" || type === "tmpfs")
    for (const key of ["mode", "uid", "gid"] as const)
      if (mount[key] !== undefined) throw invalid(`${key} not allowed for ${goQuote(type)} type mounts`);
  if (type === "secret") {
    if (mount.from) throw invalid("secret mount should not have a from");
    if (mount.sharing !== undefined) throw invalid("secret mount should not define sharing");
    if (!mount.source && !mount.target && !mount.id)
      throw invalid("invalid secret mount. one of source, target required");
    if (mount.source && mount.id) throw invalid("both source and id can't be set");
  }
  if (mount.sharing !== undefined && type !== "cache") throw invalid(`invalid cache sharing set for ${type} mount`);
}
