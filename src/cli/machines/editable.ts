/** The settings of a machine that can be changed later, as a text to edit: a line for each, by the names of the flags. */
import { CliError } from "../exit.ts";
import type { InspectedMachine } from "./machine.ts";

const MIB = 1 << 20;

function bytes(value: unknown): string {
  const number = Number(value ?? 0);
  return number > 0 && number % MIB === 0 ? `${number / MIB}m` : String(number);
}

/** The values of the flags, as `machine edit` takes them. */
function valuesOf({ Name, HostConfig }: InspectedMachine): Readonly<Record<string, string>> {
  const { RestartPolicy } = HostConfig;
  const retries = RestartPolicy?.MaximumRetryCount ?? 0;
  return {
    name: Name.replace(/^\//, ""),
    restart: `${RestartPolicy?.Name || "no"}${retries > 0 ? `:${retries}` : ""}`,
    memory: bytes(HostConfig.Memory),
    "memory-reservation": bytes(HostConfig.MemoryReservation),
    "memory-swap": bytes(HostConfig.MemorySwap),
    cpus: String((HostConfig.NanoCpus ?? 0) / 1e9),
    "cpu-shares": String(HostConfig.CpuShares ?? 0),
    "cpuset-cpus": String(HostConfig.CpusetCpus ?? ""),
    "cpuset-mems": String(HostConfig.CpusetMems ?? ""),
    "pids-limit": String(HostConfig.PidsLimit ?? 0),
    "blkio-weight": String(HostConfig.BlkioWeight ?? 0),
  };
}

/** Returns the text. */
export function formatEditable(machine: InspectedMachine): string {
  const lines = Object.entries(valuesOf(machine)).map(([name, value]) => `${name}: ${value}`.trimEnd());
  return `# Machine ${machine.Id.slice(0, 12)}. What is changed here is changed at once; 0 stands for what was never set.\n${lines.join("\n")}\n`;
}

/**
 * Returns what a text changes, as flags.
 * @throws CliError for a line that says nothing
 */
export function parseEdited(machine: InspectedMachine, text: string): string[] {
  const before = valuesOf(machine);
  return text.split("\n").flatMap((line) => {
    if (/^\s*(#|$)/.test(line)) return [];
    const [, name = "", value = ""] = /^\s*([a-z-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (!Object.hasOwn(before, name)) throw new CliError(`nothing is changed: there is no setting "${line.trim()}"`);
    return value === before[name] ? [] : [`--${name}=${value}`];
  });
}
