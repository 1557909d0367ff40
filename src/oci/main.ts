/**
 * The command line of the OCI runtime: `lighter-runtime` or `lighter runtime`, compatible with runc's. Each command is one
 * process, often under a caller that waits, so a command's modules are loaded on demand, except for those of commands that do
 * little else, which are part of this bundle.
 */
import { join, resolve } from "node:path";
import { LighterError, messageOf } from "../base/errors.ts";
import { parseGoBoolean } from "../base/go-boolean.ts";
import { COMMIT, VERSION } from "../base/version.ts";
import { SPEC_VERSION } from "../spec/oci-version.ts";
import type { OciCommand, OciContext } from "./command.ts";
import { command as deleteCommand } from "./commands/delete.ts";
import { command as killCommand } from "./commands/kill.ts";
import { command as startCommand } from "./commands/start.ts";
import { command as stateCommand } from "./commands/state.ts";
import { type Flag, formatFlags, type Parsed, parseFlags, UsageError } from "./flags.ts";
import { Log, openLog } from "./log.ts";
import { print } from "./output.ts";
import { programName } from "./version.ts";

const COMMANDS: Readonly<Record<string, () => Promise<{ command: OciCommand }>>> = {
  checkpoint: () => import("./commands/checkpoint.ts"),
  create: () => import("./commands/create.ts"),
  delete: async () => ({ command: deleteCommand }),
  events: () => import("./commands/events.ts"),
  exec: () => import("./commands/exec.ts"),
  features: () => import("./commands/features.ts"),
  kill: async () => ({ command: killCommand }),
  list: () => import("./commands/list.ts"),
  pause: () => import("./commands/pause.ts"),
  ps: () => import("./commands/ps.ts"),
  restore: () => import("./commands/restore.ts"),
  resume: () => import("./commands/resume.ts"),
  run: () => import("./commands/run.ts"),
  spec: () => import("./commands/spec.ts"),
  start: async () => ({ command: startCommand }),
  state: async () => ({ command: stateCommand }),
  update: () => import("./commands/update.ts"),
};

const globalFlags = (): readonly Flag[] => [
  { name: "debug", kind: "boolean", help: "log what is done, a line a step, and why" },
  { name: "log", kind: "string", help: "file to append the log to", default: '"/dev/stderr"' },
  { name: "log-format", kind: "string", help: "text or json", default: '"text"' },
  { name: "root", kind: "string", help: "directory of the containers' state", default: `"${defaultRoot("auto")}"` },
  { name: "criu", kind: "string", help: "path of the criu program, for checkpoint and restore", default: '"criu"' },
  { name: "systemd-cgroup", kind: "boolean", help: 'have systemd make cgroups; cgroupsPath is "slice:prefix:name"' },
  { name: "rootless", kind: "string", help: "ignore cgroup permission errors: true, false or auto", default: '"auto"' },
  { name: "version", short: "v", kind: "boolean", help: "print the version" },
];

/** Runs a command line (without the program's name). Resolves with the exit code; never rejects. */
export async function ociMain(args: string[]): Promise<number> {
  let log = new Log("text", false);
  try {
    const global = parseFlags(args, globalFlags(), 0);
    log = openLog(global.string("log"), global.string("log-format") ?? "text", global.boolean("debug"));
    return await dispatch(global, log, args.slice(0, args.length - global.args.length));
  } catch (error) {
    if (error instanceof CommandFailed) {
      log.error(`${error.prefix}: ${describe(error.cause)}`);
      return error.code;
    }
    log.error(describe(error));
    if (!(error instanceof LighterError)) log.debug((await import("node:util")).inspect(error));
    return 1;
  }
}

async function dispatch(global: Parsed, log: Log, globalArgs: readonly string[]): Promise<number> {
  const [name = "help", ...args] = global.args;
  if (global.boolean("version")) {
    print(`${programName()} version ${version()}\n`);
    return 0;
  }
  if (global.boolean("help") || name === "help" || name === "h") {
    print(args[0] === undefined ? await helpOfAll() : helpOf(await load(args[0])));
    return 0;
  }
  const command = await load(name);
  const parsed = parseFlags(args, command.flags, command.rawFrom);
  if (parsed.boolean("help")) {
    print(helpOf(command));
    return 0;
  }
  checkCount(command, parsed.args.length);
  try {
    return await command.run({ ...contextOf(global), log, globalArgs, args }, parsed);
  } catch (error) {
    const { failure } = command;
    if (failure === undefined) throw error;
    const prefix = failure.named ? `${programName()} ${failure.prefix}` : failure.prefix;
    throw new CommandFailed(prefix, failure.code, error);
  }
}

/** The version's lines, which Docker's daemon and others read. */
function version(): string {
  return [VERSION, ...(COMMIT === "" ? [] : [`commit: ${COMMIT}`]), `spec: ${SPEC_VERSION}`].join("\n");
}

class CommandFailed extends Error {
  constructor(
    readonly prefix: string,
    readonly code: number,
    cause: unknown,
  ) {
    super(prefix, { cause });
  }
}

async function load(name: string): Promise<OciCommand> {
  const importIt = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!importIt) throw new UsageError(`No help topic for '${name}'`); // runc's message for a command that does not exist
  return (await importIt()).command;
}

function contextOf(global: Parsed): Omit<OciContext, "log" | "globalArgs" | "args"> {
  const rootless = rootlessOf(global.string("rootless") ?? "auto");
  return {
    root: resolve(global.string("root") ?? defaultRoot(rootless)),
    systemdCgroup: global.boolean("systemd-cgroup"),
    debug: global.boolean("debug"),
    rootless,
    criu: global.string("criu") ?? "criu",
  };
}

function rootlessOf(text: string): "auto" | boolean {
  if (text === "auto" || text === "") return "auto";
  const value = parseGoBoolean(text);
  if (value !== undefined) return value;
  throw new UsageError(`invalid value ${JSON.stringify(text)} for --rootless: want true, false or auto`);
}

/**
 * The default of `--root`. Users other than root cannot write to /run. It does not depend on the program's name: runc's state is
 * not read.
 */
function defaultRoot(rootless: "auto" | boolean): string {
  const own = process.env.XDG_RUNTIME_DIR;
  const isRootless = rootless === "auto" ? process.geteuid?.() !== 0 : rootless;
  return join(isRootless && own?.startsWith("/") ? own : "/run", "lighter-runtime");
}

function checkCount({ name, positionals: { min, max } }: OciCommand, count: number): void {
  const wrong = (kind: string, number: number) =>
    new UsageError(`${programName()}: ${JSON.stringify(name)} requires ${kind} ${number} argument(s)`);
  if (min === max && count !== min) throw wrong("exactly", min);
  if (count < min) throw wrong("a minimum of", min);
  if (max !== undefined && count > max) throw wrong("a maximum of", max);
}

function describe(error: unknown): string {
  const hint = error instanceof LighterError ? error.detail.hint : undefined;
  return hint === undefined ? messageOf(error) : `${messageOf(error)} (${hint})`;
}

function helpOf({ name, usage, summary, flags }: OciCommand): string {
  const command = `NAME:\n   ${programName()} ${name} - ${summary}\n\nUSAGE:\n   ${programName()} ${name} ${usage}\n\n`;
  return `${command}OPTIONS:\n${formatFlags(flags)}`;
}

async function helpOfAll(): Promise<string> {
  const commands = await Promise.all(Object.keys(COMMANDS).map(load));
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `   ${name.padEnd(width)}  ${summary}\n`).join("");
  const usage = `${programName()} [global options] command [command options] [arguments...]`;
  return `NAME:\n   ${programName()} - Open Container Initiative runtime

USAGE:\n   ${usage}

VERSION:\n   ${version()}

COMMANDS:\n${rows}
GLOBAL OPTIONS:\n${formatFlags(globalFlags())}`;
}
