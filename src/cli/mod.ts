/**
 * Entry of the command line: parses global flags, then runs one command, which is loaded alone so that `run` does not
 * pay for the others.
 */
import { messageOf } from "../base/errors.ts";
import type { Context, LoadedCommand } from "./command.ts";
import { findCommand, formatCommands, runLoaded } from "./command-table.ts";
import { COMMANDS } from "./commands.ts";
import { CliError } from "./exit.ts";
import { formatFlags, parseFlags } from "./flags.ts";
import { globalFlags } from "./global-flags.ts";
import { Client } from "./http/client.ts";
import { chosenContext, resolveHost, type TlsFlags } from "./http/host.ts";
import { OutputClosed, printError, printLine, stderr, stdout } from "./output.ts";

/** 128 + SIGPIPE: the exit code that a shell sees when a reader such as `head` went away. */
const EXIT_OUTPUT_CLOSED = 141;

/**
 * Runs one command; `argv` excludes the program's name. Returns the exit code once all output is with the kernel. The
 * caller must end the process with it: a read of stdin may still be pending.
 */
export async function cliMain(argv: readonly string[], becomeBun?: Context["becomeBun"]): Promise<number> {
  let debug = false;
  try {
    const global = parseFlags("", globalFlags, argv, false);
    debug = global.values.debug;
    const code = await dispatch(global, becomeBun);
    await Promise.all([stdout.flush(), stderr.flush()]);
    return code;
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT_OUTPUT_CLOSED;
    try {
      await printError(debug ? (await import("node:util")).inspect(error) : messageOf(error));
    } catch {
      // nobody reads stderr either
    }
    return error instanceof CliError ? error.exitCode : 1;
  }
}

async function dispatch(
  global: ReturnType<typeof parseFlags<typeof globalFlags>>,
  becomeBun: Context["becomeBun"],
): Promise<number> {
  const [name, ...rest] = global.args;
  if (global.help !== undefined || name === "help") return helpFor(name === "help" ? rest : []);
  if (global.values.version) {
    await printLine(`Lighter version ${(await import("../base/version.ts")).VERSION}`);
    return 0;
  }
  if (name === undefined) return helpFor([]);
  if (global.values.config !== "") process.env.DOCKER_CONFIG = global.values.config;
  const loaded = await loadCommand(name);
  const client = await makeClient(global.values.host, tlsFlagsOf(global), global.values.context);
  const context = { client, debug: global.values.debug, commands: COMMANDS, ...(becomeBun && { becomeBun }) };
  return runLoaded(loaded, context, rest);
}

async function makeClient(hosts: readonly string[], tls: TlsFlags = {}, contextFlag = ""): Promise<Client> {
  if (hosts.length > 1) throw new CliError("Specify only one -H");
  if (hosts.length > 0 && contextFlag !== "")
    throw new CliError("conflicting options: either specify --host or --context, not both");
  const context = chosenContext(contextFlag, hosts.length > 0, process.env);
  if (context !== undefined) {
    const { resolveContext } = await import("./http/contexts.ts");
    return new Client(resolveContext(context, process.env));
  }
  return new Client(resolveHost(hosts[0], process.env, tls));
}

/** Returns the flags that were given; the environment supplies the rest. */
function tlsFlagsOf({ values, given }: ReturnType<typeof parseFlags<typeof globalFlags>>): TlsFlags {
  return Object.fromEntries(
    (["tls", "tlsverify", "tlscacert", "tlscert", "tlskey"] as const)
      .filter((name) => given.has(name))
      .map((name) => [name, values[name]]),
  );
}

async function loadCommand(name: string): Promise<LoadedCommand> {
  const entry = findCommand(COMMANDS, name);
  if (entry !== undefined) return entry.load();
  const { ELSEWHERE } = await import("./elsewhere.ts");
  const instead = Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name] : undefined;
  throw new CliError(instead ?? `lighter: '${name}' is not a lighter command.\nSee 'lighter --help'`);
}

async function helpFor([name, ...rest]: readonly string[]): Promise<number> {
  const context = { client: new Client(resolveHost(undefined, {})), debug: false, commands: COMMANDS };
  if (name !== undefined) return runLoaded(await loadCommand(name), context, [...rest, "--help"]);
  await stdout.text(formatGlobalHelp());
  return 0;
}

function formatGlobalHelp(): string {
  return `
Usage:  lighter [OPTIONS] COMMAND

Run containers on Linux

Commands:
${formatCommands(COMMANDS)}

Global Options:
${formatFlags(globalFlags)}

Run 'lighter COMMAND --help' for more information on a command.
`;
}
