/** A machine as the daemon describes it, and the containers' commands with a machine for an argument. */
import type { Command, CommandEntry } from "../command.ts";
import { CliError } from "../exit.ts";
import type { FlagTable } from "../flags.ts";
import { type Client, encodeName } from "../http/client.ts";

/** The fields of `GET /containers/{id}/json` that commands of machines read. */
export interface InspectedMachine {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Config: { readonly Image: string; readonly Tty: boolean };
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Machine?: {
      readonly Status: string;
      readonly Init?: string;
      readonly Text?: string;
      readonly End?: string;
    };
  };
  readonly HostConfig: {
    readonly Runtime?: string;
    readonly Memory?: number;
    readonly NanoCpus?: number;
    readonly PidsLimit?: number | null;
    readonly RestartPolicy?: { readonly Name: string; readonly MaximumRetryCount: number };
    readonly [field: string]: unknown;
  };
  readonly NetworkSettings: {
    readonly Networks?: Readonly<Record<string, { IPAddress?: string; GlobalIPv6Address?: string }>> | null;
  };
}

/** @throws CliError if it is a container of another kind, ApiError if there is none of that name */
export async function inspectMachine(client: Client, name: string): Promise<InspectedMachine> {
  const machine = await client.get<InspectedMachine>(`/containers/${encodeName(name)}/json`);
  if (machine.HostConfig.Runtime !== "machine") throw new CliError(`${name} is a container, not a machine`);
  return machine;
}

/** @throws as `inspectMachine`, and CliError if it does not run */
export async function runningMachine(client: Client, name: string): Promise<InspectedMachine> {
  const machine = await inspectMachine(client, name);
  if (!machine.State.Running) throw new CliError(`machine ${name} does not run: lighter machine start ${name}`);
  return machine;
}

// biome-ignore lint/suspicious/noExplicitAny: each command has its own flag table
type AnyCommand = Command<any>;

/**
 * Returns a command of containers as one of machines: it is the same, but takes nothing else. `names`: how many of its arguments
 * are names of machines.
 */
export function forMachines(entry: CommandEntry, summary: string, names: "all" | "first"): CommandEntry {
  return { summary, load: async () => ({ command: ofMachines(await loadCommand(entry), summary, names) }) };
}

async function loadCommand(entry: CommandEntry): Promise<AnyCommand> {
  const loaded = await entry.load();
  if ("group" in loaded) throw new Error("a group is no command");
  return loaded.command;
}

function ofMachines(command: AnyCommand, summary: string, names: "all" | "first"): Command<FlagTable> {
  return {
    ...command,
    usage: command.usage.replaceAll("CONTAINER", "MACHINE"),
    summary,
    run: async (context, parsed) => {
      const named = names === "all" ? parsed.args : parsed.args.slice(0, 1);
      await Promise.all(named.map((name) => inspectMachine(context.client, name)));
      return command.run(context, parsed);
    },
  };
}
