/** Merges the settings of the command line and of the file: each must be known, have its type, and be given once. */
import { readFileSync, statSync } from "node:fs";
import { errnoOf, messageOf } from "../../base/errors.ts";
import { DAEMON_CONFIG_MAX_BYTES } from "../../base/limits.ts";
import { parseExactJson } from "../../spec/json.ts";
import { type FlagShape, parseFlags } from "./flags.ts";
import { invalid, type Kind } from "./kinds.ts";
import { REFUSED, SETTINGS, type Setting, type Values } from "./settings.ts";

const DEFAULT_CONFIG_PATH = "/etc/lighter/daemon.json";

interface Row {
  key: string;
  kind: Kind<unknown>;
  flag: string;
}

const settings = Object.entries(SETTINGS) as [string, Setting<unknown>][];

/** The settings' rows by flag name. */
const rows = new Map<string, Row & FlagShape>(
  [...settings, ...Object.entries(REFUSED)].map(([key, { flag = key, kind, short }]) => [
    flag,
    { key, kind, flag, ...(short === undefined ? {} : { short }) },
  ]),
);
const rowsByKey = new Map([...rows.values()].map((row) => [row.key, row]));

/** Flags about the file itself, which the file cannot have. */
const OWN_FLAGS: [string, FlagShape][] = [
  ["config-file", { kind: { value: "PATH" } }],
  ["validate", { kind: {} }],
  ["recover", { kind: {} }],
  ["help", { kind: {}, short: "h" }],
];

export interface GivenValues {
  values: Values;
  /** The keys whose value came from a flag, not from the file. */
  byFlag: ReadonlySet<string>;
  /** The file's path; undefined if there is no file. */
  configPath: string | undefined;
  validateOnly: boolean;
  recover: boolean;
}

/** Reads all settings; undefined if help was asked for. @throws LighterError "invalid", naming the setting */
export function readValues(args: readonly string[]): GivenValues | undefined {
  const flags = parseFlags(args, new Map<string, FlagShape>([...rows, ...OWN_FLAGS]));
  if (flags.has("help")) return undefined;
  const fromFlags = new Map<string, unknown>();
  for (const [name, texts] of flags) {
    const row = rows.get(name);
    if (row !== undefined) fromFlags.set(row.key, row.kind.parse(texts, `--${name}`));
  }
  const askedPath = flags.get("config-file")?.at(-1);
  const text = readConfigFile(askedPath);
  const path = askedPath ?? DEFAULT_CONFIG_PATH;
  const fromFile = text === undefined ? new Map<string, unknown>() : parseConfig(text, `configuration "${path}"`);
  const both = [...fromFlags.keys()].filter((key) => fromFile.has(key));
  if (both.length > 0)
    throw invalid(
      `configuration "${path}": the following directives are specified both as a flag and in the configuration file: ` +
        both
          .map((key) => `${key}: (from flag: ${show(fromFlags.get(key))}, from file: ${show(fromFile.get(key))})`)
          .join(", "),
    );
  const all = new Map([...fromFlags, ...fromFile]);
  for (const [key, value] of all) refuseUnlessHarmless(key, value);
  return {
    values: Object.fromEntries([...all].filter(([key]) => Object.hasOwn(SETTINGS, key))) as Values,
    byFlag: new Set(fromFlags.keys()),
    configPath: text === undefined ? undefined : path,
    validateOnly: flags.has("validate"),
    recover: flags.has("recover"),
  };
}

/** The lines of the help, made from the table. */
export function describeSettings(): string {
  const lines = settings.map(([key, { flag = key, short, kind, help, reloads }]) => {
    const left = `  ${short === undefined ? "   " : `-${short},`} --${flag}${kind.value === undefined ? "" : ` ${kind.value}`}`;
    const notes = `${kind.isMany ? "; may be given more than once" : ""}${reloads ? " *" : ""}`;
    return `${left.padEnd(42)} ${help}${notes}`;
  });
  return `${lines.join("\n")}\n`;
}

/**
 * The file's text; undefined if it has none. The default file may be missing or empty; a file that was asked for may not be
 * missing.
 */
function readConfigFile(askedPath: string | undefined): string | undefined {
  const path = askedPath ?? DEFAULT_CONFIG_PATH;
  try {
    if (statSync(path).size > DAEMON_CONFIG_MAX_BYTES)
      throw invalid(`it is larger than the limit of ${DAEMON_CONFIG_MAX_BYTES} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && askedPath === undefined) return undefined;
    throw invalid(`read the configuration "${path}": ${messageOf(error)}`);
  }
}

/** Parses daemon.json. @throws LighterError "invalid" beginning with `where` */
export function parseConfig(text: string, where: string): Map<string, unknown> {
  const values = new Map<string, unknown>();
  if (text.trim() === "") return values;
  const document = parseExactJson(text, where);
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw invalid(`${where}: it is not an object`);
  const unknown = Object.keys(document).filter((key) => !rowsByKey.has(key));
  if (unknown.length > 0)
    throw invalid(`${where}: the following directives don't match any configuration option: ${unknown.join(", ")}`);
  try {
    for (const [key, value] of Object.entries(document))
      if (value !== null) values.set(key, rowsByKey.get(key)!.kind.read(value, key));
  } catch (error) {
    throw invalid(`${where}: ${messageOf(error)}`);
  }
  return values;
}

function refuseUnlessHarmless(key: string, value: unknown): void {
  const refused = Object.hasOwn(REFUSED, key) ? REFUSED[key] : undefined;
  if (refused !== undefined && !refused.harmless.includes(value))
    throw invalid(`${key}: ${show(value)} is not supported: ${refused.why}`);
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join(" ")}]`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
