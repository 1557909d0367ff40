/** The command line: global flags, then one command, loaded on its own so that `run` does not pay for the others. */
import { messageOf } from "../base/errors.ts";
import { Client } from "./client.ts";
import { type CommandTable, findCommand, formatCommands, type LoadedCommand, runLoaded } from "./command-table.ts";
import { CliError } from "./exit.ts";
import { boolFlag, formatFlags, listFlag, parseFlags, stringFlag } from "./flags.ts";
import { resolveHost, type TlsFlags } from "./host.ts";
import { OutputClosed, printError, printLine, stderr, stdout } from "./output.ts";

/** 128 + SIGPIPE, what a shell sees when a reader such as `head` went away. */
const EXIT_OUTPUT_CLOSED = 141;

const globalFlags = {
  debug: boolFlag("Show causes of errors", { short: "D" }),
  host: listFlag("Daemon socket to connect to", { short: "H" }),
  "log-level": stringFlag("Accepted for compatibility", { short: "l", hidden: true }),
  tls: boolFlag("Use TLS; implied by --tlsverify"),
  tlscacert: stringFlag('Trust certs signed only by this CA (default "~/.docker/ca.pem")'),
  tlscert: stringFlag('Path to TLS certificate file (default "~/.docker/cert.pem")'),
  tlskey: stringFlag('Path to TLS key file (default "~/.docker/key.pem")'),
  tlsverify: boolFlag("Use TLS and verify the remote"),
  version: boolFlag("Print the version and quit", { short: "v" }),
};

/** In the order of `lighter --help`. */
const COMMANDS: CommandTable = {
  run: { summary: "Create and run a new container from an image", load: () => import("./commands/run.ts") },
  exec: { summary: "Execute a command in a running container", load: () => import("./commands/exec.ts") },
  ps: { summary: "List containers", load: () => import("./commands/ps.ts") },
  pull: { summary: "Download an image from a registry", load: () => import("./commands/pull.ts") },
  push: { summary: "Upload an image to a registry", load: () => import("./commands/push.ts") },
  images: { summary: "List images", load: () => import("./commands/images.ts") },
  login: { summary: "Log in to a registry", load: () => import("./commands/login.ts") },
  logout: { summary: "Log out from a registry", load: () => import("./commands/logout.ts") },
  search: { summary: "Search a registry for images", load: () => import("./commands/search.ts") },
  image: { summary: "Manage images", load: () => import("./commands/image.ts") },
  load: { summary: "Load an image from a tar archive or stdin", load: () => import("./commands/load.ts") },
  explain: {
    summary: "Print the system calls that would start a container",
    load: () => import("./commands/explain.ts"),
  },
  attach: { summary: "Attach to a running container", load: () => import("./commands/attach.ts") },
  commit: {
    summary: "Create a new image from a container's changes",
    load: () => import("./commands/commit.ts"),
  },
  create: { summary: "Create a new container", load: () => import("./commands/create.ts") },
  diff: { summary: "Show what changed in a container's file system", load: () => import("./commands/diff.ts") },
  export: {
    summary: "Export a container's file system as a tar archive",
    load: () => import("./commands/export.ts"),
  },
  history: { summary: "Show the history of an image", load: () => import("./commands/history.ts") },
  import: { summary: "Create an image from a tar archive of files", load: () => import("./commands/import.ts") },
  info: { summary: "Display system-wide information", load: () => import("./commands/info.ts") },
  inspect: { summary: "Return low-level information on objects", load: () => import("./commands/inspect.ts") },
  kill: { summary: "Kill one or more running containers", load: () => import("./commands/kill.ts") },
  logs: { summary: "Fetch the logs of a container", load: () => import("./commands/logs.ts") },
  rm: { summary: "Remove one or more containers", load: () => import("./commands/rm.ts") },
  rmi: { summary: "Remove one or more images", load: () => import("./commands/rmi.ts") },
  save: { summary: "Save one or more images to a tar archive", load: () => import("./commands/save.ts") },
  start: { summary: "Start one or more stopped containers", load: () => import("./commands/start.ts") },
  stop: { summary: "Stop one or more running containers", load: () => import("./commands/stop.ts") },
  tag: {
    summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    load: () => import("./commands/tag.ts"),
  },
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
  if (global.help !== undefined || name === "help") return helpFor(name === "help" ? rest : []);
  if (global.values.version) {
    await printLine(`Lighter version ${(await import("../base/version.ts")).VERSION}`);
    return 0;
  }
  if (name === undefined) return helpFor([]);
  const loaded = await loadCommand(name);
  const context = { client: makeClient(global.values.host, tlsFlagsOf(global)), debug: global.values.debug };
  return runLoaded(loaded, context, rest);
}

function makeClient(hosts: readonly string[], tls: TlsFlags = {}): Client {
  if (hosts.length > 1) throw new CliError("Specify only one -H");
  return new Client(resolveHost(hosts[0], process.env, tls));
}

/** Only what was given: the environment says the rest. */
function tlsFlagsOf({ values, given }: ReturnType<typeof parseFlags<typeof globalFlags>>): TlsFlags {
  return Object.fromEntries(
    (["tls", "tlsverify", "tlscacert", "tlscert", "tlskey"] as const)
      .filter((name) => given.has(name))
      .map((name) => [name, values[name]]),
  );
}

function loadCommand(name: string): Promise<LoadedCommand> {
  const entry = findCommand(COMMANDS, name);
  if (entry === undefined) throw new CliError(`lighter: '${name}' is not a lighter command.\nSee 'lighter --help'`);
  return entry.load();
}

async function helpFor([name, ...rest]: readonly string[]): Promise<number> {
  const context = { client: makeClient([]), debug: false };
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
