/** cloud-init's seed: checks it, and makes its files. */
import { LighterError, messageOf } from "../base/errors.ts";
import type { CloudInitPart } from "../spec/machine-labels.ts";
import { type MachineFile, machineUuid } from "./files.ts";

/** Where cloud-init's data source NoCloud looks first. */
const SEED_DIRECTORY = "/var/lib/cloud/seed/nocloud";
const ONLY_ROOT = 0o600;

/** The beginnings of what cloud-init does something with. Source: cloud-init's "User-data formats". */
const USER_DATA =
  /^(#cloud-config|#!|#include|#cloud-boothook|#part-handler|## template: ?jinja|Content-Type: |MIME-Version: )/i;

/**
 * Checks a part of the seed, as far as its form goes: cloud-init itself tells of its faults in the machine's log alone.
 * @throws LighterError "invalid"
 */
export function checkCloudInit(part: CloudInitPart, text: string): void {
  switch (part) {
    case "user-data":
    case "vendor-data":
      if (!USER_DATA.test(text))
        throw invalid(part, `does not begin as cloud-init wants it: with "#cloud-config", "#!" and the like`);
      if (/^#cloud-config\s/i.test(`${text}\n`)) parseMapping(part, text);
      return;
    case "meta-data": {
      const id = parseMapping(part, text)["instance-id"];
      if (typeof id !== "string" || id === "") throw invalid(part, `has no "instance-id"`);
      return;
    }
    case "network-config": {
      const config = parseMapping(part, text);
      const { version, config: mode } = { ...config, ...(config.network as object | undefined) };
      if (version !== 1 && version !== 2 && mode !== "disabled") throw invalid(part, `has no "version" of 1 or 2`);
    }
  }
}

function parseMapping(part: CloudInitPart, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = Bun.YAML.parse(text);
  } catch (error) {
    throw invalid(part, `is not YAML: ${messageOf(error)}`);
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw invalid(part, "is not a mapping");
  return value as Record<string, unknown>;
}

function invalid(part: CloudInitPart, what: string): LighterError {
  return new LighterError("invalid", `cloud-init: ${part} ${what}`);
}

/**
 * Returns the seed's files. NoCloud wants the first two in any case. Without a network-config the network stays as the engine has
 * made it, and the id is the machine's own, so that a reboot is not taken for a new machine.
 */
export function seedFiles(
  given: Partial<Record<CloudInitPart, string>>,
  { id, hostname }: { id: string; hostname: string },
): MachineFile[] {
  const seed = {
    "meta-data": `instance-id: ${machineUuid(id)}\nlocal-hostname: ${hostname}\n`,
    "user-data": "#cloud-config\n",
    "network-config": "config: disabled\n",
    ...given,
  };
  return Object.entries(seed).map(([name, text]) => ({ path: `${SEED_DIRECTORY}/${name}`, text, mode: ONLY_ROOT }));
}
