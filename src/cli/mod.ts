/** The command line: global flags, then one command, loaded on its own so that `run` does not pay for the others. */
import { messageOf } from "../base/errors.ts";
import { Client } from "./client.ts";
import { type Command, runCommand } from "./command.ts";
import { CliError } from "./exit.ts";
import { boolFlag, formatFlags, listFlag, parseFlags, stringFlag } from "./flags.ts";
import { resolveHost } from "./host.ts";
import { OutputClosed, printError, printLine, stderr, stdout } from "./output.ts";

/** 128 + SIGPIPE, what a shell sees when a reader such as `head` went away. */
const EXIT_OUTPUT_CLOSED = 141;

const globalFlags = {
  debug: boolFlag("Show causes of errors", { short: "D" }),
  host: listFlag("Daemon socket to connect to", { short: "H" }),
  "log-level": stringFlag("Accepted for compatibility", { short: "l", hidden: true }),
  version: boolFlag("Print the version and quit", { short: "v" }),
};

// biome-ignore lint/suspicious/noExplicitAny: each command has its own flag table
type AnyCommand = Command<any>;

/** In the order of `lighter --help`. */
const COMMANDS: Readonly<Record<string, { summary: string; load: () => Promise<{ command: AnyCommand }> }>> = {
  run: { summary: "Create and run a new container from an image", load: () => import("./commands/run.ts") },
  exec: { summary: "Execute a command in a running container", load: () => import("./commands/exec.ts") },
  ps: { summary: "List containers", load: () => import("./commands/ps.ts") },
  images: { summary: "List images", load: () => import("./commands/images.ts") },
  load: { summary: "Load an image from a tar archive or stdin", load: () => import("./commands/load.ts") },
  explain: {
    summary: "Print the system calls that would start a container",
    load: () => import("./commands/explain.ts"),
  },
  attach: { summary: "Attach to a running container", load: () => import("./commands/attach.ts") },
  create: { summary: "Create a new container", load: () => import("./commands/create.ts") },
  info: { summary: "Display system-wide information", load: () => import("./commands/info.ts") },
  inspect: { summary: "Return low-level information on objects", load: () => import("./commands/inspect.ts") },
  kill: { summary: "Kill one or more running containers", load: () => import("./commands/kill.ts") },
  logs: { summary: "Fetch the logs of a container", load: () => import("./commands/logs.ts") },
  rm: { summary: "Remove one or more containers", load: () => import("./commands/rm.ts") },
  rmi: { summary: "Remove one or more images", load: () => import("./commands/rmi.ts") },
  start: { summary: "Start one or more stopped containers", load: () => import("./commands/start.ts") },
  stop: { summary: "Stop one or more running containers", load: () => import("./commands/stop.ts") },
  version: { summary: "Show version information", load: () => import("./commands/version.ts") },
  wait: {
    summary: "Block until containers stop, then print their exit codes",
    load: () => import("./commands/wait.ts"),
  },
};

/**
 * Runs one command; `argv` is without the program's name. Returns the exit code, all output being with the kernel
 * then. The caller must end the process with it: a read of stdin may still be pending.
 */
export async function cliMain(argv: readonly string[]): Promise<number> {
  let debug = false;
  try {
    const global = parseFlags("", globalFlags, argv, false);
    debug = global.values.debug;
    const code = await dispatch(global);
    await Promise.all([stdout.flush(), stderr.flush()]);
    return code;
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT_OUTPUT_CLOSED;
    try {
      await printError(debug && error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
    } catch {
      // nobody reads stderr either
    }
    return error instanceof CliError ? error.exitCode : 1;
  }
}

async function dispatch(global: ReturnType<typeof parseFlags<typeof globalFlags>>): Promise<number> {
  const [name, ...rest] = global.args;
  if (global.help !== undefined || name === "help") return helpFor(name === "help" ? rest[0] : undefined);
  if (global.values.version) {
    await printLine(`Lighter version ${(await import("../base/version.ts")).VERSION}`);
    return 0;
  }
  if (name === undefined) return helpFor(undefined);
  const { command } = await loadCommand(name);
  const context = { client: makeClient(global.values.host), debug: global.values.debug };
  return runCommand(command, context, rest);
}

function makeClient(hosts: readonly string[]): Client {
  if (hosts.length > 1) throw new CliError("Specify only one -H");
  return new Client(resolveHost(hosts[0], process.env));
}

function loadCommand(name: string): Promise<{ command: AnyCommand }> {
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) throw new CliError(`lighter: '${name}' is not a lighter command.\nSee 'lighter --help'`);
  return entry.load();
}

async function helpFor(name: string | undefined): Promise<number> {
  if (name === undefined) await stdout.text(formatGlobalHelp());
  else return runCommand((await loadCommand(name)).command, { client: makeClient([]), debug: false }, ["--help"]);
  return 0;
}

function formatGlobalHelp(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 3;
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return `
Usage:  lighter [OPTIONS] COMMAND

Run containers on Linux

Commands:
${commands.join("\n")}

Global Options:
${formatFlags(globalFlags)}

Run 'lighter COMMAND --help' for more information on a command.
`;
}
