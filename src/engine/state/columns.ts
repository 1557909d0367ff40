/** The columns of a container's row: one for each field of its record, and how the field is stored in it. */
import type { MachineEnd } from "../../machine/mod.ts";
import { planEndpoints } from "../config/endpoints.ts";
import type { HealthRecord } from "../health/health-state.ts";
import type { IdMappings } from "../userns/id-mappings.ts";
import type { ContainerRecord, PodRecord, RecordPatch } from "./record.ts";

type Stored = string | number | null;

export type Row = Readonly<Record<string, Stored>>;

interface Column<T> {
  encode(value: T): Stored;
  /** Reads the field; `row`: for what follows from other columns. */
  decode(stored: Stored, row: Row): T;
}

function plain<T extends Stored>(): Column<T> {
  return { encode: (value) => value, decode: (stored) => stored as T };
}

function json<T extends object>(): Column<T> {
  return { encode: (value) => JSON.stringify(value), decode: (stored) => JSON.parse(stored as string) };
}

function optionalJson<T extends object, None extends null | undefined>(none: None): Column<T | None> {
  return {
    encode: (value) => (value == null ? null : JSON.stringify(value)),
    decode: (stored) => (stored === null ? none : JSON.parse(stored as string)),
  };
}

const flag: Column<boolean> = { encode: (value) => (value ? 1 : 0), decode: (stored) => stored !== 0 };

const COLUMNS: { readonly [Field in keyof ContainerRecord]: Column<ContainerRecord[Field]> } = {
  id: plain(),
  name: { encode: (name) => name, decode: (stored) => (stored as string | null) ?? "" },
  status: plain(),
  createdAt: plain(),
  image: plain(),
  imageId: plain(),
  config: json(),
  hostConfig: json(),
  mountPoints: json(),
  idMappings: optionalJson<IdMappings, null>(null),
  networking: {
    encode: (networking) => JSON.stringify(networking),
    // A container of a Lighter without networks is in the one of its mode.
    decode: (stored, { config, host_config }) =>
      stored === null
        ? { endpoints: planEndpoints(JSON.parse(config as string), JSON.parse(host_config as string), {}), ports: [] }
        : JSON.parse(stored as string),
  },
  pid: plain(),
  exitCode: plain(),
  error: plain(),
  oomKilled: flag,
  startedAt: plain(),
  finishedAt: plain(),
  restartCount: plain(),
  paused: flag,
  manuallyStopped: flag,
  health: optionalJson<HealthRecord, undefined>(undefined),
  machineEnd: { encode: (end) => end ?? null, decode: (stored) => (stored as MachineEnd | null) ?? undefined },
  removeVolumes: flag,
  inScope: flag,
  pod: optionalJson<PodRecord, undefined>(undefined),
};

type Field = keyof ContainerRecord;

const FIELDS = Object.keys(COLUMNS) as Field[];

/** Returns the name of a field's column: "host_config" for "hostConfig". */
function columnOf(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Columns with what is to be in them. */
interface StoredValues {
  columns: string[];
  values: Stored[];
}

/** Encodes a record, or a change of one. A container that is being removed gives its name up. */
export function encodeFields(patch: RecordPatch): StoredValues {
  const fields = FIELDS.filter((field) => field in patch && (field !== "name" || patch.status !== "removing"));
  const columns = fields.map(columnOf);
  const values = fields.map((field) => encodeField(field, patch));
  return patch.status === "removing"
    ? { columns: [...columns, "name"], values: [...values, null] }
    : { columns, values };
}

function encodeField<F extends Field>(field: F, patch: Partial<ContainerRecord>): Stored {
  return COLUMNS[field].encode(patch[field] as ContainerRecord[F]);
}

export function decodeRow(row: Row): ContainerRecord {
  const decode = <F extends Field>(field: F) => [field, COLUMNS[field].decode(row[columnOf(field)]!, row)];
  return Object.fromEntries(FIELDS.map(decode)) as ContainerRecord;
}

/** Words for a change, for its write points: the status that it leads to, or its fields. */
export function nameOfChange(patch: RecordPatch): string {
  return (
    patch.status ??
    Object.keys(patch)
      .map((field) => columnOf(field).replaceAll("_", " "))
      .join(", ")
  );
}
