/** Flags for machines, for every command that makes containers. They reach the daemon as labels. */
import { existsSync, readFileSync, statSync } from "node:fs";
import {
  BOOT_LABELS,
  CLOUD_INIT_PARTS,
  isCloudInitPart,
  NESTING_LABEL,
  SECRET_LABELS,
  VIEW_LABEL,
} from "../../spec/machine-labels.ts";
import { boolFlag, type FlagValues, intFlag, listFlag, stringFlag, uintFlag } from "../flags.ts";
import { errnoText } from "../values/env-file.ts";

export const machineFlags = {
  "boot-after": listFlag("Machine that runs before this one starts with the host"),
  "boot-delay": uintFlag("Seconds between this machine's start with the host and the next", 32),
  "boot-order": intFlag("Place of a machine's start with the host: those with lower numbers come first"),
  "cloud-init": listFlag("cloud-init data of a machine: user-data, PART=FILE, or a directory of parts", {
    type: "file",
  }),
  credential: listFlag("Credential for a machine's init (name=value, name=@file)"),
  nesting: boolFlag("Make a machine for engines and user namespaces in it"),
  view: stringFlag('Limits that /proc shows: "own", a machine\'s default, or "host"'),
};

/**
 * Returns the labels, as "key=value".
 * @throws Error that says which flag is wrong and why
 */
export function machineLabels(flags: FlagValues<typeof machineFlags>, isMachine: boolean): string[] {
  for (const name of ["credential", "cloud-init"] as const)
    if (flags[name].length > 0 && !isMachine) throw new Error(`--${name} is for machines (--runtime machine)`);
  if (!["", "own", "host"].includes(flags.view)) throw new Error('--view: must be "own" or "host"');
  const view = flags.view === "" ? [] : [`${VIEW_LABEL}=${flags.view}`];
  const boot = Object.entries({
    [BOOT_LABELS.after]: flags["boot-after"].join(","),
    [BOOT_LABELS.delay]: flags["boot-delay"] || "",
    [BOOT_LABELS.order]: flags["boot-order"] || "",
  }).flatMap(([label, value]) => (value === "" ? [] : [`${label}=${value}`]));
  if (boot.length > 0 && !isMachine)
    throw new Error("--boot-after, --boot-delay and --boot-order are for machines (--runtime machine)");
  if (flags.nesting && !isMachine) throw new Error("--nesting is for machines (--runtime machine)");
  const nesting = flags.nesting ? [`${NESTING_LABEL}=true`] : [];
  const secrets = [...flags.credential.map(credentialLabel), ...flags["cloud-init"].flatMap(cloudInitLabels)];
  return [...boot, ...nesting, ...view, ...secrets];
}

function credentialLabel(text: string): string {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new Error(`invalid value "${text}" for --credential: must be name=value or name=@file`);
  if (!value.startsWith("@")) return `${SECRET_LABELS.credential}${name}=${value}`;
  const bytes = readFile("--credential", value.slice(1));
  return `${SECRET_LABELS.binaryCredential}${name}=${Buffer.from(bytes).toString("base64")}`;
}

function cloudInitLabels(text: string): string[] {
  const [, part = "", path = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (isCloudInitPart(part)) return [cloudInitLabel(part, path)];
  if (!statSync(text, { throwIfNoEntry: false })?.isDirectory()) return [cloudInitLabel("user-data", text)];
  const parts = CLOUD_INIT_PARTS.filter((name) => existsSync(`${text}/${name}`));
  if (parts.length === 0) throw new Error(`--cloud-init: ${text} has none of ${CLOUD_INIT_PARTS.join(", ")}`);
  return parts.map((name) => cloudInitLabel(name, `${text}/${name}`));
}

function cloudInitLabel(part: string, path: string): string {
  const bytes = readFile("--cloud-init", path);
  try {
    return `${SECRET_LABELS.cloudInit}${part}=${new TextDecoder("utf-8", { fatal: true }).decode(bytes)}`;
  } catch (cause) {
    throw new Error(`--cloud-init: ${path} is not text`, { cause });
  }
}

function readFile(flag: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${flag}: open ${path}: ${errnoText(cause)}`, { cause });
  }
}
