/** What a command of the runtime consists of. */
import type { Flag, Parsed } from "./flags.ts";
import type { Log } from "./log.ts";

/** The values of the global flags. */
export interface OciContext {
  /** The absolute path of the directory with all containers' state. */
  root: string;
  systemdCgroup: boolean;
  debug: boolean;
  /** Whether to go on without cgroups that this user may not make. */
  rootless: "auto" | boolean;
  /** The CRIU program: a path, or a name to look for in PATH. */
  criu: string;
  log: Log;
  /** The global flags, as they were given. */
  globalArgs: readonly string[];
  args: readonly string[];
}

export interface OciCommand {
  name: string;
  /** The arguments in the command's help: "[command options] <container-id>". */
  usage: string;
  /** A line for the list of commands. */
  summary: string;
  flags: readonly Flag[];
  /** The number of positional arguments; without `max` there is no limit. */
  positionals: { min: number; max?: number };
  /** The positional argument (0 is the first) after which nothing is parsed as a flag: the command of `exec`. */
  rawFrom?: number;
  /** The beginning of a failure's message, "NAME failed: …", behind the program's name or alone, and the exit code, as with runc. */
  failure?: { prefix: string; named: boolean; code: number };
  /** Runs the command. Resolves with the exit code; throws a failure. */
  run(context: OciContext, parsed: Parsed): Promise<number>;
}
